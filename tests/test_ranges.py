"""A range is the same everywhere: in the help of a flag, in its refusal, in that of ``--set`` and in the schema."""

from __future__ import annotations

import json
import re

import pytest
import typer

from ablate.cli.help import _row
from ablate.config.experiment_file import json_schema
from ablate.config.objectives import KINDS
from ablate.config.option import bounds, plain_type
from ablate.config.settable import SETTABLE
from tests.support.cli import GROUP, ablate, one_sentence

COMMANDS = GROUP.commands
LINES = {
    "grid": ("--ops", "crop", "--dry-run"),
    "search": ("--ops", "crop", "--budget", "3", "--dry-run"),
    "train": ("crop",),
    "preview": ("crop",),
}


def shown_ranges():
    """Every option of these commands whose help ends with a range: command, option, smallest number."""
    for command in LINES:
        context = typer.Context(COMMANDS[command], info_name=command)
        for parameter in COMMANDS[command].params:
            text = _row(parameter, context)[1]
            if match := re.search(r"(?:at least ([\d.]+)|; (\d+) to \d+)\]$", text):
                yield pytest.param(command, max(parameter.opts, key=len), match[1] or match[2])


@pytest.mark.parametrize(("command", "option", "least"), list(shown_ranges()))
def test_a_flag_is_refused_with_the_smallest_number_that_its_help_shows(command, option, least):
    for below in (f"{float(least) - 1:g}", "-7"):
        said = one_sentence(ablate(command, *LINES[command], option, below))
        assert re.search(rf"(at least|from) {least}\b.*not '?{below}", said), said


FRACTIONS = [
    (name, max(param.opts, key=len))
    for name, command in COMMANDS.items()
    for param in command.params
    if "float" in repr(getattr(param, "type_descriptor", None) or param.type)  # the former in newer versions of Typer
]


@pytest.mark.parametrize(("name", "option"), FRACTIONS)
def test_what_is_no_finite_number_is_refused_by_the_name_of_its_flag(name, option):
    given = [param for param in COMMANDS[name].params if param.required]
    line = [word for param in given for word in (*(o for o in param.opts if o.startswith("-")), "crop")]
    for value in ("nan", "inf"):
        said = one_sentence(ablate(name, *line, option, value))
        assert re.search(rf"{option} must be (a finite number|at least [\d.]+|at most 100), not '{value}'", said), said


NUMBERS = {
    name: low
    for name, field in SETTABLE.items()
    if (low := bounds(field)[0]) is not None and plain_type(field) in {int, float}
}


@pytest.mark.parametrize("name", NUMBERS)
def test_a_setting_is_refused_with_the_same_number(name, tmp_path):
    (tmp_path / "file.toml").write_text('ops = ["crop"]\n')
    objective = next((kind.name for kind in KINDS.values() if name in kind.settings), "simclr")
    with_it = ["--set", f"objective={objective}"]
    for line in (["grid", "--ops", "crop"], ["run", tmp_path / "file.toml"]):
        said = one_sentence(ablate(*line, "--dry-run", *with_it, "--set", f"{name}=-7"))
        found = re.search(r"(?:at least|from) ([\d.]+)\b.*not -7", said)
        assert found and float(found[1]) == NUMBERS[name], said


def test_the_schema_has_the_same_numbers():
    known = json.loads(json_schema())["properties"]["set"]["properties"]

    def least(schema):
        return next((part["minimum"] for part in (schema, *schema.get("anyOf", ())) if "minimum" in part), None)

    assert {name: least(known[name]) for name in NUMBERS} == NUMBERS
