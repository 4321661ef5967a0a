"""A setting is described once, by its field: flags, help, the schema and sentences follow."""

from __future__ import annotations

import json

import pytest
import typer
from typer.testing import CliRunner

from ablate.cli.options import Running, described, running
from ablate.config.experiment import Experiment
from ablate.config.experiment_file import json_schema, read, to_toml
from ablate.config.option import flag, option_of, options_of
from ablate.config.settable import SETTABLE
from ablate.config.slurm import Slurm
from ablate.config.trial import MIN_SIZE
from ablate.errors import UsageError
from ablate.planning.request import wish_of
from tests.support.cli import GROUP, ablate, one_sentence

COMMANDS = GROUP.commands
FIELDS = options_of(Experiment) | {name: field for name, field in SETTABLE.items() if option_of(field)}

OF_THEIR_OWN = {("search", name) for name in ("within", "budget", "batch")}
"""Commands that have an option of the field's name not that field: a search has a budget and rules of its own."""


def option(command, name, field):
    return next((param for param in COMMANDS[command].params if flag(name, field) in param.opts), None)


@pytest.mark.parametrize("name", FIELDS)
def test_help_and_schema_say_what_the_field_says(name):
    field = FIELDS[name]
    content = json.loads(json_schema())["properties"]
    schema = content[name] if name in content else content["set"]["properties"][name]
    assert schema["description"] == field.description
    for command in ("grid", "search", "train", "preview"):
        if (command, name) in OF_THEIR_OWN:
            continue
        param = option(command, name, field)
        assert (param is not None) == (command in option_of(field).commands)
        assert param is None or param.help.removesuffix("; comma-separated") == field.description


@pytest.mark.parametrize("name", options_of(Slurm))
def test_what_jobs_ask_for_is_said_by_its_field(name):
    field = Slurm.model_fields[name]
    for command in ("grid", "run", "search"):
        assert option(command, name, field).help == field.description


def test_the_range_of_a_flag_is_its_fields():
    assert "--order must be at most 3, not '4'" in one_sentence(ablate("grid", "--ops", "crop", "--order", "4"))
    assert "--grace must be at least 10" in one_sentence(ablate("run", "x.toml", "--grace", "9"))
    shown = " ".join(ablate("grid", "--help").stdout.split())
    assert "the preset's; at least 2]" in shown
    assert f"32 with laptop@2; at least {MIN_SIZE}]" in shown


def given(*line):
    """What a command is handed that was called with ``line``."""
    seen = []

    @described("grid", required=("ops",), branches="two")
    @running()
    def command(flags, how: Running) -> int:
        seen.append((flags, how))
        return 0

    small = typer.Typer()
    small.command()(command)
    done = CliRunner().invoke(small, list(line), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return seen[0]


def test_what_is_not_given_is_left_to_the_model():
    flags, how = given("--ops", "crop,color")
    assert flags == {"ops": "crop,color", "branches": "two", "set": {}}
    assert (how.far, how.workers) == (False, None)
    assert set(how.jobs) == set(options_of(Slurm))


def test_zero_is_given_and_an_empty_list_is_not():
    flags, _ = given("--ops", "crop", "--labels", "0", "--epochs", "0", "--protocol", "", "--data", "")
    assert flags == {"ops": "crop", "branches": "two", "labels": 0, "data": "", "set": {"epochs": 0}}


def test_a_note_is_kept_wherever_it_is_given(tmp_path):
    """One field, and nothing else: its flag, help, schema, sentence and place in the file follow."""
    assert "--note TEXT" in ablate("grid", "--help").stdout
    flags, _ = given("--ops", "crop", "--note", "after the lamp was changed")
    file = tmp_path / "x.toml"
    file.write_text(to_toml(wish_of(flags), "ablate grid"))
    assert read(file).note == "after the lamp was changed"
    assert read(file, ["note=before"]).note == "before"
    with pytest.raises(UsageError, match=r"x\.toml: note must be text, not 3"):
        read(file, ["note=3"])
