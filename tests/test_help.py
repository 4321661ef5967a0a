"""What a command says of itself, and of a mistake on its command line."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
import typer

from ablate.cli.help import GROUPS
from tests.support.cli import GROUP, ablate, one_sentence

COMMITTED = Path(__file__).parents[1] / "results" / "temperature-glyphs"
COMMANDS = GROUP.commands


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_of_every_command_has_its_group(name):
    grouped = {option for names in GROUPS.values() for option in names}
    loose = [param.name for param in COMMANDS[name].params if not getattr(param, "rich_help_panel", None)]
    arguments = [param.name for param in COMMANDS[name].params if not param.opts[0].startswith("-")]
    assert set(loose) - set(arguments) <= grouped
    assert "Further options" not in ablate(name, "--help").stdout


def test_a_long_help_begins_with_what_is_used_most():
    after = ablate("grid", "--help").stdout.partition("Used most:\n")[2].partition("\n\n")[0]
    shown = [line.split()[0] for line in after.splitlines() if line.startswith("  -")]
    assert shown == ["--ops", "--data", "--limit", "--seeds", "--epochs", "--size", "--workers", "--out", "--dry-run"]
    assert "Used most" not in ablate("report", "--help").stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_stands_once_in_its_help(name):
    rows = [line for line in ablate(name, "--help").stdout.splitlines() if line.startswith("  -")]
    shown = [option for row in rows for option in re.match(r"  (-\S+,? ?)+", row)[0].replace(",", " ").split()]
    assert len(shown) == len(set(shown))
    options = [param for param in COMMANDS[name].params if param.opts[0].startswith("-")]
    assert len(rows) == len(options) + 1  # --help


@pytest.mark.parametrize("columns", [60, 80, 120])
@pytest.mark.parametrize("name", COMMANDS)
def test_help_loses_no_word_at_any_width(name, columns):
    command = COMMANDS[name]
    shown = command.get_help(typer.Context(command, info_name=name, terminal_width=columns))
    assert max(len(line) for line in shown.splitlines() if line.startswith(" ")) <= columns
    assert "…" not in shown
    words = " ".join(shown.split())
    for param in command.params:
        for word in (getattr(param, "help", None) or "").split():
            assert word in words or word.partition("-")[0] in words, word


def test_help_is_a_command_too():
    assert ablate("help", "report").stdout == ablate("report", "--help").stdout.rstrip("\n") + "\n"
    assert ablate("help").stdout.strip() == ablate("--help").stdout.strip()
    assert "did you mean 'report'" in one_sentence(ablate("help", "repot"))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (["grid", "--ops", "crop,", "color"], ["(color)", "no spaces after its commas", '"crop, color']),
        (["grid", "--ops", "crop", "--epoch", "3"], ["--epoch", "--epochs", "grid --help`"]),
        (["grid", "--ops", "crop", "--seeds", "0"], ["--seeds", "from 1 to 1000, or auto", "'0'"]),
        (["grid", "--ops", "crop", "--seeds=x"], ["--seeds", "whole number", "'x'"]),
        (["grid", "--ops", "crop", "--seeds", "1.5"], ["--seeds", "whole number", "'1.5'"]),
        (["grid", "--ops", "crop", "--branches", "three"], ["--branches", "'three'", "'one', 'two'"]),
        (["grid", "--ops"], ["--ops"]),
        (["grid"], ["--ops"]),
        (["grdi", "--ops", "crop"], ["'grdi'", "did you mean 'grid'", "recommend"]),
        (["search", "--ops", "crop", "--untrained-seeds", "3"], ["it is an option of `ablate grid`, `ablate drop`;"]),
        (["--vers"], ["--vers", "--version"]),
        (["report"], ["DIR"]),
        (["recommend", "a", "b"], ["(b)"]),
    ],
)
def test_a_mistake_is_one_sentence(line, said):
    sentence = one_sentence(ablate(*line))
    assert all(word in sentence for word in said), sentence
    assert "Input should" not in sentence


def test_ops_shows_those_that_are_asked_for():
    shown = json.loads(ablate("ops", "crop", "flip", "--json").stdout)["ops"]
    assert [op["name"] for op in shown] == ["crop", "flip"]
    assert shown[1]["parameters"][0]["default"] == 0.5
    assert "solarize" not in ablate("ops", "crop").stdout
    assert "did you mean 'crop'" in one_sentence(ablate("ops", "crp"))


def test_what_is_not_a_sweep_is_told_what_it_is(tmp_path):
    shutil.copytree(COMMITTED, tmp_path / "results" / "leaves", ignore=shutil.ignore_patterns("trials", "report"))
    trained = tmp_path / "results" / "trained"
    (trained / "trials").mkdir(parents=True)
    (trained / "trials" / "0-s0.json").write_text("{}")
    (tmp_path / "file").write_text("")
    for name in ("status", "report", "recommend"):
        sentence = one_sentence(ablate(name, tmp_path / "results" / "leafs"))
        assert "there is no directory" in sentence
        assert f"did you mean '{tmp_path / 'results' / 'leaves'}'" in sentence
        assert f"holds the sweeps {tmp_path / 'results' / 'leaves'}" in one_sentence(ablate(name, tmp_path / "results"))
        assert "1 record" in one_sentence(ablate(name, trained))
        assert str(trained / "logs") in one_sentence(ablate(name, trained))
        assert "it is a file" in one_sentence(ablate(name, tmp_path / "file"))
        assert "no sweep.toml" in one_sentence(ablate(name, tmp_path / "results" / "trained" / "trials"))
