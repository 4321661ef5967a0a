"""What a shell completes: the same names that the commands take, without torch."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest
from typer.testing import CliRunner

from ablate.cli import completion
from ablate.cli.app import app
from ablate.config.presets import NAMES
from ablate.config.sources import KINDS
from ablate.ops import get, names
from ablate.sweep.plan import plan, save_plan


def asked(line):
    return {"_ABLATE_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(line.split(" ")) - 1)}


def complete(line):
    done = CliRunner().invoke(app, [], prog_name="ablate", env=asked(line), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output.split()


def test_the_ops_are_those_of_the_registry():
    assert completion.op_names() == [name for name in names() if get(name).__module__.startswith("ablate.")]


def test_ops_that_packages_announce_are_among_them(monkeypatch):
    monkeypatch.setattr(completion, "entry_points", lambda group: [EntryPoint("fog", "elsewhere:Fog", group)])
    assert completion.ops("crop+fo") == ["crop+fog"]


def test_the_kinds_of_data_are_those_that_are_taken():
    assert list(dict.fromkeys(start.partition(":")[0] for start in completion.data(""))) == list(KINDS)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("ablate grid --ops crop,col", ["crop,color"]),
        ("ablate grid --include crop+col", ["crop+color"]),
        ("ablate search --ops so", ["sobel", "solarize"]),
        ("ablate train crop+blu", ["crop+blur"]),
        ("ablate preview sob", ["sobel"]),
        ("ablate ops inv", ["invert"]),
        ("ablate grid --ops crop --data fol", ["folder:./", "folder:/"]),  # two, so that no space follows the colon
        ("ablate grid --data gl", ["glyphs"]),
        ("ablate grid --data folder:/", []),  # bash completes files itself
        ("ablate grid --preset ", sorted(NAMES)),
        ("ablate grid --protocol linear,ra", ["linear,rankme"]),
        ("ablate train crop --protocol linear:1", ["linear:1%", "linear:10%"]),
        ("ablate evaluate . --protocol knn,fi", ["knn,finetune", "knn,finetune:1%", "knn,finetune:10%"]),
        ("ablate rec", ["recommend"]),
    ],
)
def test_a_line_is_completed(line, found):
    assert sorted(complete(line)) == found


def test_shells_that_keep_a_path_whole_get_its_directories(tmp_path):
    for name in ("cats", "cows", "dogs"):
        (tmp_path / name).mkdir()
    for name in ("cards.txt", "cards.csv"):
        (tmp_path / name).touch()
    assert completion.data(f"folder:{tmp_path}/c") == [f"folder:{tmp_path}/cats/", f"folder:{tmp_path}/cows/"]
    assert completion.data(f"table:{tmp_path}/ca") == [f"table:{tmp_path}/cats/", f"table:{tmp_path}/cards.csv"]
    assert completion.data("folder:~nobody-has-this-name/") == []
    assert completion.data("nothing:/") == []


@pytest.mark.parametrize(
    ("words", "current", "whole", "place", "begun"),
    [
        (["train", "--data", "folder", ":", "/a/b", "cr"], 5, ["train", "--data", "folder:/a/b", "cr"], 3, ""),
        (["train", "--data", "folder", ":", "/a"], 4, ["train", "--data", "/a"], 2, "folder:"),
        (["train", "--data", "folder", ":"], 3, ["train", "--data", ""], 2, "folder:"),
        (["train", "--data", "folder", ":", ""], 4, ["train", "--data", "folder:", ""], 3, ""),
        (["train", "--data", "a", ":", "/b", ":", "c", ""], 7, ["train", "--data", "a:/b:c", ""], 3, ""),
        (["train", "--data", "a", ":", "/b", ":", "c"], 6, ["train", "--data", "c"], 2, "a:/b:"),
        (["train", "cr", "--data", "folder", ":", "/a"], 1, ["train", "cr", "--data", "folder:/a"], 1, ""),
        (["train", "--data", "folder:/a"], 2, ["train", "--data", "folder:/a"], 2, ""),  # a bash that splits at spaces
        (["train", ""], 1, ["train", ""], 1, ""),
    ],
)
def test_words_that_bash_has_split_at_colons_are_whole_again(words, current, whole, place, begun):
    environment = {"_ABLATE_COMPLETE": "complete_bash", "COMP_WORDS": "\n".join(words), "COMP_CWORD": str(current)}
    completion.with_whole_words(environment)
    assert (environment["COMP_WORDS"].split("\n"), environment["COMP_CWORD"]) == (whole, str(place))
    assert environment.get(completion.BEGUN, "") == begun


@pytest.mark.parametrize(
    ("complete", "begun", "rest", "found"),
    [
        (completion.protocols, "linear:", "1", ["10%", "1%"]),
        (completion.protocols, "knn,finetune:", "", ["10%", "1%"]),
        (completion.compositions, "crop+recipe:", "simc", ["simclr", "simclr-cifar10"]),
        (completion.protocols, "", "linear:10", ["linear:10%"]),
    ],
)
def test_bash_gets_what_follows_the_last_colon(complete, begun, rest, found, monkeypatch):
    monkeypatch.setenv(completion.BEGUN, begun)
    assert complete(rest) == found


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_completes_what_follows_a_path_with_a_colon(tmp_path):
    """In bash itself, with the script that ``--install-completion`` installs."""
    script = CliRunner().invoke(app, [], prog_name="ablate", env={"_ABLATE_COMPLETE": "source_bash"}).output
    command = tmp_path / "ablate"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m ablate "$@"\n')
    command.chmod(0o755)
    ask = f"""{script}
COMP_WORDS=(ablate train --data folder : /a cro) COMP_CWORD=6
_ablate_completion "{command}"
printf '%s\\n' "${{COMPREPLY[@]}}"
COMP_WORDS=(ablate train crop --protocol linear : 10) COMP_CWORD=6
_ablate_completion "{command}"
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(["bash", "-c", ask], capture_output=True, text=True, timeout=300, check=True)
    assert done.stdout.split() == ["crop", "10%"], done.stderr


def test_the_trials_of_a_sweep_are_completed(experiment, tmp_path):
    save_plan(tmp_path, experiment)
    labels = {trial.label for trial in plan(experiment)}
    assert set(complete(f"ablate logs {tmp_path} ")) == labels
    assert set(complete(f"ablate logs {tmp_path} untr")) == {"untrained"} & labels


def test_where_no_sweep_is_nothing_is_completed(tmp_path):
    assert complete(f"ablate logs {tmp_path} crop") == []
    (tmp_path / "sweep.toml").write_text("no = [toml")
    assert complete(f"ablate logs {tmp_path} crop") == []


@pytest.mark.parametrize("line", ["ablate grid --ops crop,col", "ablate logs . untr"])
def test_completion_imports_no_torch(line, experiment, tmp_path):
    save_plan(tmp_path, experiment)
    script = (
        "import sys\nfrom ablate.cli import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        "assert not {'torch', 'pandas'} & set(sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, **asked(line)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
