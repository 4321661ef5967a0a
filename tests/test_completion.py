"""What a shell completes: the same names that the commands take, without torch."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest
from typer.testing import CliRunner

from ablate.cli import completion
from ablate.cli.app import app
from ablate.config.presets import NAMED
from ablate.data.preparation import KINDS
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
    assert [kind.removesuffix(":") for kind in completion.KINDS] == list(KINDS)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("ablate grid --ops crop,col", ["crop,color"]),
        ("ablate grid --include crop+col", ["crop+color"]),
        ("ablate search --ops so", ["sobel", "solarize"]),
        ("ablate train crop+blu", ["crop+blur"]),
        ("ablate preview sob", ["sobel"]),
        ("ablate ops inv", ["invert"]),
        ("ablate grid --ops crop --data fol", ["folder:"]),
        ("ablate grid --preset ", sorted(NAMED)),
        ("ablate rec", ["recommend"]),
    ],
)
def test_a_line_is_completed(line, found):
    assert sorted(complete(line)) == found


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
