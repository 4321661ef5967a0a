"""The files of a recommendation, and the page: they say one thing, and are withdrawn together."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import sys

import pytest
from rich.console import Console
from typer.testing import CliRunner

from ablate.cli.app import app
from ablate.errors import NotExportable, UsageError
from ablate.files import names_in
from ablate.report.correction import take_back
from ablate.report.recommendation import files
from ablate.report.recommendation.recommend import recommend
from ablate.report.write import publish, write_report
from ablate.sweep.layout import CONFIRMATION, KORNIA_CODE, TORCHVISION_CODE, SweepDir
from ablate.sweep.plan import load_plan, plan, save_plan
from ablate.sweep.record import read_record
from ablate.sweep.withdrawal import withdraw
from tests.support.recommendations import confirm, lead, make, shown, trial_of
from tests.support.sweeps import write_record

pytestmark = pytest.mark.usefixtures("undrawn")


def test_a_report_takes_back_what_holds_no_longer(tmp_path):
    make(tmp_path, branches="two")
    write_report(tmp_path)
    assert not (tmp_path / "report" / "recommendation.json").exists()  # nobody asked for one
    files.write(recommend(tmp_path))
    SweepDir(tmp_path).record(trial_of(tmp_path, "crop", 2).id).unlink()
    write_report(tmp_path)
    assert json.loads((tmp_path / "report" / "recommendation.json").read_text())["recommended"] is None
    assert not list((tmp_path / "report").glob("pipeline_*"))


def test_trials_that_are_to_run_withdraw_what_they_could_change(tmp_path):
    make(tmp_path, branches="two")
    trials = plan(load_plan(tmp_path))
    files.write(recommend(tmp_path))
    withdraw(tmp_path, [trials[0].model_copy(update={"reference": "supervised"})])
    assert (tmp_path / "report" / "recommendation.json").exists()
    withdraw(tmp_path, [trials[0]])
    assert not list((tmp_path / "report").iterdir())


@pytest.mark.parametrize("metric", ["foo", "Balanced", "top-1", "", 3])
@pytest.mark.parametrize("function", [recommend, write_report])
def test_an_unknown_metric_is_refused_in_a_sentence(function, metric, tmp_path):
    with pytest.raises(UsageError, match=r"unknown metric .*top1"):
        function(make(tmp_path), metric=metric)


def test_what_cannot_be_written_as_code_is_said(tmp_path, monkeypatch):
    def refuse(*args):
        raise NotExportable("mine.Tint is not an op of ablate's")

    monkeypatch.setattr("ablate.report.recommendation.recommend.torchvision_code", refuse)
    found = recommend(make(tmp_path, branches="two"))
    assert KORNIA_CODE in found.pipelines
    assert TORCHVISION_CODE not in found.pipelines
    text = shown(found)
    assert "mine.Tint is not an op of ablate's" in text


def test_recommend_imports_no_torch(tmp_path):
    make(tmp_path, branches="two")
    script = (
        "import sys\n"
        "from ablate.report.recommendation.files import write\n"
        "from ablate.report.recommendation.recommend import recommend\n"
        f"write(recommend({str(tmp_path)!r}))\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], timeout=60, check=True)


def test_pipelines_read_files_by_the_range_of_the_sweeps_images(tmp_path):
    assert "load = Load()" in recommend(make(tmp_path / "8", branches="two")).pipelines[KORNIA_CODE]
    directory = make(tmp_path / "16", branches="two")
    save_plan(directory, load_plan(directory).replace(ranges=((96, 3871),)))
    deep = {"pipeline_albumentations.py", "pipeline_lightly.py", "pipeline_stable_pretraining.py"}
    assert recommend(directory).pipelines.keys() == {KORNIA_CODE, TORCHVISION_CODE, *deep}
    for code in recommend(directory).pipelines.values():
        assert "load = LoadDeep(ranges=((96.0, 3871.0),), channels=3)" in code


def as_recommended(directory):
    """The composition that recommendation.json, each pipeline file and the page name; None where they name none."""
    report = directory / "report"
    told = json.loads((report / "recommendation.json").read_text())["recommended"] if report.is_dir() else None
    codes = [path.read_text() for path in (report / KORNIA_CODE, report / TORCHVISION_CODE) if path.exists()]
    found = re.match(r"Recommended(?:, provisionally)?: (\S+)\. ", lead(directory))
    return told and told["composition"], {code.split(":")[0].removeprefix("# ") for code in codes}, found and found[1]


def two_metrics(directory):
    """A two-branch sweep whose best composition is another one by balanced accuracy than by top-1."""
    make(directory, branches="two")
    for trial in plan(load_plan(directory)):
        found = read_record(SweepDir(directory).record(trial.id))
        swapped = {"crop+color": 0.7, "color+crop": 0.8}.get(trial.label, 0.1) + 0.01 * trial.seed
        names = ("linear_val_balanced_accuracy", "linear_balanced_accuracy", "knn_balanced_accuracy")
        write_record(
            directory, found.model_copy(update={"metrics": {**found.metrics, **dict.fromkeys(names, swapped)}})
        )
    return directory


def test_terminal_page_files_and_json_say_one_thing_after_every_command(tmp_path):
    directory = two_metrics(tmp_path / "s")
    write_report(directory)
    by = {"top1": "crop+color", "balanced": "color+crop"}
    for words in (["recommend"], ["recommend", "--metric", "balanced"], ["report"], ["report", "--metric", "balanced"]):
        before = as_recommended(directory)[0] if (directory / "report" / "recommendation.json").exists() else None
        result = CliRunner().invoke(app, [words[0], str(directory), *words[1:]])
        assert result.exit_code == 0, result.output
        expected = by["balanced" if "balanced" in words else "top1"]
        assert as_recommended(directory) == (expected, {expected}, expected), words
        said = " ".join(result.output.split())
        replaces = f"This replaces the earlier recommendation in {directory / 'report'}: {before}, chosen by "
        assert (replaces in said) == (before not in (None, expected)), words
        if words[0] == "recommend":
            assert re.search(rf" Recommended(, provisionally)?: {re.escape(expected)}\b", said)


def test_json_says_what_it_replaces_as_the_terminal_does(tmp_path):
    directory = two_metrics(tmp_path / "s")

    def replaces(*words):
        result = CliRunner().invoke(app, ["recommend", str(directory), "--json", *words])
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)["replaces"]

    assert replaces("--metric", "top1") is None
    assert replaces("--metric", "top1") is None
    sentence = replaces("--metric", "balanced")
    assert sentence.startswith(f"This replaces the earlier recommendation in {directory / 'report'}: crop+color")


def test_recommend_writes_the_page_again_beside_what_it_was_asked_for(tmp_path):
    make(tmp_path / "s")
    write_report(tmp_path / "s", [make(tmp_path / "other")])
    assert lead(tmp_path / "s").startswith("Best composition: ")
    confirm(tmp_path / "s")
    publish(recommend(tmp_path / "s"))
    assert lead(tmp_path / "s").startswith("Recommended, provisionally: ")
    assert f"Minus {tmp_path / 'other'}" in (tmp_path / "s" / "report" / "index.html").read_text()
    shutil.rmtree(tmp_path / "other")
    publish(recommend(tmp_path / "s"))
    assert f"Minus {tmp_path / 'other'}" not in (tmp_path / "s" / "report" / "index.html").read_text()


def test_what_is_withdrawn_is_said_and_the_page_no_longer_recommends_it(tmp_path):
    make(tmp_path, branches="two")
    write_report(tmp_path)
    publish(recommend(tmp_path))
    save_plan(tmp_path, load_plan(tmp_path).model_copy(update={"seeds": (0, 1, 2, 3)}))
    missing = [trial for trial in plan(load_plan(tmp_path)) if not SweepDir(tmp_path).record(trial.id).exists()]
    console = Console(width=200, record=True, file=io.StringIO())
    take_back(tmp_path, missing, console)
    assert "withdrawn: the recommendation in" in console.export_text()
    assert not {"recommendation.json", KORNIA_CODE, TORCHVISION_CODE} & names_in(tmp_path / "report")
    assert lead(tmp_path).startswith("Best composition so far, after 15 of 20 trials: ")
    take_back(tmp_path, missing, console)
    assert console.export_text() == ""  # said once


def test_merged_records_withdraw_what_was_recommended_without_them(tmp_path):
    publish(recommend(make(tmp_path / "s", branches="two")))
    write_report(tmp_path / "s")
    other = make(tmp_path / "other", seeds=4, branches="two")
    assert "n = 3" in lead(tmp_path / "s")
    merged = CliRunner().invoke(app, ["merge", str(other), "--out", str(tmp_path / "s")])
    assert f"withdrawn: the recommendation in {tmp_path / 's' / 'report'}" in merged.output.replace("\n", " ")
    assert not {"recommendation.json", KORNIA_CODE, TORCHVISION_CODE} & names_in(tmp_path / "s" / "report")
    assert "n = 4" in lead(tmp_path / "s")


def test_the_report_names_what_stands_beside_the_page(tmp_path):
    def last(directory):
        console = Console(width=200, record=True, file=io.StringIO())
        write_report(directory).show(console)
        return console.export_text().strip().splitlines()[-1]

    confirm(make(tmp_path))
    assert last(tmp_path).endswith("index.html, and the figures and the tables beside it")
    assert last(tmp_path / CONFIRMATION).endswith("index.html, and table.csv beside it")
