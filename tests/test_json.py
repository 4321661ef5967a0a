"""``--json``: one document on standard output, by the schema, with the numbers of the sentences; errors, exit codes."""

from __future__ import annotations

import json
import re
import shlex
import signal

import jsonschema
import pytest

from ablate.cli.app import COMMANDS
from ablate.cli.documents import RecommendationDocument, json_schema
from ablate.errors import ClusterError, DiskError, ExitCode
from ablate.processes.signals import Interruption
from ablate.sweep.layout import SweepDir
from tests.support import documents
from tests.support.cli import ablate
from tests.support.modules import ROOT
from tests.support.sweeps import by_position, sweep

SCHEMA = json.loads(json_schema())
GUIDE = (ROOT / "AGENTS.md").read_text()
TINY = ("--ops", "crop,color", "--limit", "200", "--set", "epochs=1")


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    """Two ops, two seeds: ``a+b`` has no record, and ``b`` has failed."""
    made = sweep(tmp_path_factory.mktemp("made") / "s", ["a", "b"], 2, by_position, skip=("a+b",), fail=("b",))
    SweepDir(made).report.mkdir()
    return made


def answered(*line, code=0, **where):
    """The document that a command prints, which is all that it prints, and its sentences."""
    done = ablate(*line, "--json", **where)
    assert done.returncode == code, done.stderr
    document = json.loads(done.stdout)
    jsonschema.validate(document, SCHEMA)
    assert document["command"] == line[0]
    return document, done.stderr


def test_a_status_has_the_numbers_of_the_sentences(directory):
    document, _ = answered("status", directory)
    said = ablate("status", directory).stdout
    count = document["trials"]
    states = ", ".join(f"{count[state]} {state}" for state in ("done", "failed", "missing"))
    assert f"{count['planned']} trials: {states}" in said
    assert [failure["cell"] for failure in document["failures"]] == ["b", "b"]
    assert document["complete_with"] in said
    cells = {cell["cell"]: cell for cell in document["cells"]}
    assert (cells["a+b"]["n"], cells["a+b"]["test"], cells["untrained"]["is_reference"]) == (0, None, True)
    assert f"{100 * cells['b+a']['test']:.1f}" == "30.5"
    assert "30.5" in said


@pytest.mark.usefixtures("undrawn")
def test_a_report_has_the_numbers_of_the_sentences(directory):
    document, said = answered("report", directory)
    assert document["best"] == "b+a"
    assert all(sentence in said for sentence in document["conclusions"])
    best = next(cell for cell in document["cells"] if cell["cell"] == "b+a")
    shown = {name: f"{100 * best[name]:.1f}" for name in ("validation", "test", "std")}
    assert f"b+a, {shown['validation']} ± {shown['std']} % (test {shown['test']} ± {shown['std']} %, n = 2)" in said
    assert {"index.html", "table.csv"} <= set(document["files"])


@pytest.mark.usefixtures("undrawn")
def test_a_recommendation_is_that_of_the_file(directory):
    document, said = answered("recommend", directory)
    written = RecommendationDocument.model_validate_json(SweepDir(directory).recommendation.read_bytes())
    assert RecommendationDocument.model_validate({**document, "command": "", "replaces": None}) == written
    assert document["sweep"]["candidates"][0]["composition"] in said


def test_ops_and_recipes():
    document, said = answered("ops", "crop", "blur")
    assert [op["name"] for op in document["ops"]] == ["crop", "blur"]
    assert not said
    assert f"{document['ops'][0]['acts']:.0%}".replace("%", " %") in ablate("ops", "crop").stdout
    document, said = answered("ops", "--recipes")
    assert "byol" in {recipe["name"] for recipe in document["recipes"]}
    assert not said


@pytest.mark.slow
def test_a_dry_run_has_the_numbers_of_the_sentences(tmp_path, cache, monkeypatch):
    from ablate.launch.timing import TrialTime

    monkeypatch.setattr("ablate.launch.dry_run.measure_trial", lambda *_: TrialTime(30.0, "from a stopwatch"))
    line = ("--out", tmp_path / "s", "--cache", cache, "--workers", "1", "--dry-run")
    document, said = answered("grid", *TINY, "--seeds", "2", *line)
    count, estimate = document["trials"], document["estimate"]
    assert document["cells"] == ["crop", "crop+color", "color+crop", "color"]
    assert document["seeds"] == [0, 1]
    assert f"= {count['planned']} trials; {count['to_run']} to run" in said
    assert (estimate["seconds_per_trial"], estimate["seconds"], count["to_run"]) == (30.0, 240.0, 10)
    assert "30 s per trial (from a stopwatch), 4 min 00 s in all with 1 worker" in said
    assert document["memory"]["fits"] is True
    assert f"{document['memory']['bytes_free'] / 2**30:.2g}" in said
    assert not (tmp_path / "s").exists()
    searched, said = answered("search", *TINY, "--budget", "6", *line)
    assert f"space: {searched['search']['compositions']} compositions" in said
    assert ", ".join(searched["search"]["next"]) in said
    trained, _ = answered("train", "crop", *TINY[2:], *line[:4], "--dry-run")
    assert (len(trained["cells"]), trained["trials"]["to_run"]) == (1, 1)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (("status", "nowhere"), "there is no directory nowhere"),
        (("status", "nowhere", "--watch"), "give one of them"),
        (("report",), "missing argument"),
        (("ops", "krop"), "did you mean 'crop'?"),
        (("grid", "--ops", "crop", "--seeds", "0", "--dry-run"), "--seeds must be a whole number"),
        (("grid", *TINY), "add --dry-run"),
        (("grid", "--opps", "crop", "--dry-run"), "no such option"),
    ],
)
def test_an_error_is_a_document_and_a_sentence(line, expected, tmp_path):
    document, said = answered(*line, code=2, cwd=tmp_path)
    assert document["document"] == "error"
    assert document["error"]["exit_code"] == 2
    assert expected in document["error"]["message"]
    assert said.strip() == f"error: {document['error']['message']}"


@pytest.mark.parametrize(
    ("error", "code", "expected"),
    [
        (DiskError(28, "No space left on device", "DIR"), 1, "the disk refused a write"),
        (ClusterError("squeue does not answer"), 1, "squeue does not answer"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (Interruption(signal.SIGTERM), 143, "interrupted"),
    ],
)
def test_what_stops_a_command_is_a_document_with_its_exit_code(error, code, expected, directory, monkeypatch):
    def stopped(*_):
        raise error

    monkeypatch.setattr("ablate.launch.status.sweep_status", stopped)
    document, said = answered("status", directory, code=code)
    assert (document["document"], document["error"]["exit_code"]) == ("error", code)
    assert expected in document["error"]["message"]
    assert expected in said


def test_the_page_lists_every_field_and_every_exit_code_of_a_command():
    """``python -m tests.support.documents`` writes the fields."""
    page = documents.PAGE.read_text()
    assert documents.tables() in page
    codes = {ExitCode(int(code)) for code in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)}
    assert codes == set(ExitCode) - {ExitCode.DISK, ExitCode.DEVICE}  # which only workers end with


def test_the_guide_names_commands_and_options_that_exist():
    lines = re.findall(r"`(ablate [^`]+)`", GUIDE.replace("\n", " "))
    named = {shlex.split(line)[1]: shlex.split(line)[2:] for line in lines}
    assert len(named) >= 10
    known = {function.__name__ for function in COMMANDS} | {"help"}
    assert set(named) <= known
    for line in lines:
        command, *words = shlex.split(line)[1:]
        options = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert options <= set(re.findall(r"--[\w-]+", ablate(command, "--help").stdout)), line


def test_the_guide_names_files_that_a_sweep_has():
    listed = (ROOT / "docs" / "architecture.md").read_text()
    paths = re.findall(r"^\| `DIR/([^`]+)`", GUIDE, re.MULTILINE)
    assert len(paths) >= 5
    assert all(f"DIR/{path.rstrip('/')}" in listed.replace("<trial_id>", "<key>-s<seed>") for path in paths)
