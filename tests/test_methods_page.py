"""docs/methods-compared.md against the committed records, and its verdicts against made-up ones."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from ablate.config.experiment_file import read
from ablate.config.objectives import Method, kind_of
from ablate.config.sweep import NamedOp, Variant
from ablate.report.data.grid import grid_of, sweep_rows
from ablate.report.data.results import Results
from ablate.sweep.plan import plan
from benchmarks import methods
from benchmarks.claims import OUTCOMES
from benchmarks.methods import BRANCHES, METHODS, PREDICTIONS, Records, verdicts
from tests.conftest import op_spec
from tests.support.sweeps import failure, make_experiment, record

OPS = ("crop(flip_p=0.0)", "color", "cutout")
NUMBERS = sorted(PREDICTIONS)
CELLS = {
    "crop": 0.40,
    "color": 0.34,
    "cutout": 0.33,
    "crop+cutout": 0.42,
    "cutout+crop": 0.41,
    "color+cutout": 0.32,
    "cutout+color": 0.31,
}
WITH_COLOR = {"simclr": (0.505, 0.495), "byol": (0.43, 0.44), "barlow": (0.47, 0.46), "vicreg": (0.48, 0.47)}


def as_predicted(branches, method, cell):
    """The accuracy of a cell, by its ops' own names, as every prediction wants it."""
    if cell in ("crop+color", "color+crop"):
        return WITH_COLOR[method][cell == "color+crop"] + 0.05 * (branches == "two" and method == "simclr")
    return CELLS[cell]


def turned(branches, method, cell):
    """The opposite of every prediction: of the rankings, those of two methods."""
    if cell in ("crop+color", "color+crop"):
        return 0.7 if method == "byol" else {"simclr": 0.30, "barlow": 0.5, "vicreg": 0.2}[method]
    best = {"simclr": "cutout", "barlow": "crop", "vicreg": "color", "byol": ""}[method]
    return 0.6 if cell == best else 0.8 - CELLS[cell] if method == "vicreg" else CELLS[cell]


def flat(branches, method, cell):
    return 0.5


def trained_with(shared, objective):
    settings = Method(**kind_of(objective).method)
    return shared.replace(objective=objective, method=settings)


def sweep_of(branches, truth, noise=0.002, seeds=3, change=lambda trial, result: result, root=Path()):
    """A whole sweep that lies in no directory; ``change`` may change a record, or drop it by returning None."""
    planned = make_experiment(OPS, seeds)
    shared = planned.shared.replace(branches=branches, **({"base": None} if branches == "two" else {}))
    variants = tuple(Variant(values={"objective": m}, shared=trained_with(shared, m)) for m in METHODS)
    ops = tuple(NamedOp(label=label, op=op_spec(label.partition("(")[0])) for label in OPS)
    planned = planned.replace(shared=shared, variants=variants, ops=ops)
    trials, records = plan(planned), {}
    for trial in trials:
        draw = random.Random(f"{branches} {trial.label} {trial.seed}").gauss(0, noise)
        cell = "+".join(op.name for op in trial.config.composition)
        mean = 0.1 if trial.reference else truth(branches, trial.point["objective"], cell)
        if result := change(trial, record(trial, mean + draw + 0.01 * trial.seed - 0.01)):
            records[trial.id] = result
    return Results(root / f"methods-{branches}", planned, trials, records, [], grid_of(sweep_rows(trials, records)))


def known(*args, only=BRANCHES, **kwargs):
    """Records of both sweeps as if they had been read."""
    records = Records(Path())
    records.__dict__["found"] = {branches: sweep_of(branches, *args, **kwargs) for branches in only}
    return records


def collapses(trial, result):
    is_first = trial.label == "crop(flip_p=0.0)+cutout, objective=byol" and trial.seed == 1
    return result.model_copy(update={"flags": ("collapsed",)}) if is_first else result


def fails(trial, result):
    return failure(trial) if trial.label.startswith("crop(flip_p=0.0), ") and trial.seed == 1 else result


@pytest.fixture(scope="module")
def come_true():
    return known(as_predicted)


@pytest.fixture(scope="module")
def fail():
    return known(turned, change=collapses)


@pytest.fixture(scope="module")
def drown():
    return known(flat, noise=0.1, change=fails)


def test_the_committed_page_is_what_the_committed_records_say():
    page = methods.PAGE.read_text()
    assert methods.written(page, Records(methods.ROOT / "results")) == page


def test_every_prediction_of_the_page_has_a_verdict():
    assert sorted(methods.predictions(methods.PAGE.read_text())) == NUMBERS == list(range(1, 11))


@pytest.mark.parametrize("number", NUMBERS)
def test_a_prediction_that_is_right_is_confirmed(come_true, number):
    assert PREDICTIONS[number](come_true).outcome == "confirmed"


@pytest.mark.parametrize("number", NUMBERS)
def test_a_prediction_that_is_wrong_is_called_so(fail, number):
    assert PREDICTIONS[number](fail).outcome == "wrong"


@pytest.mark.parametrize("number", NUMBERS)
def test_noise_and_failures_decide_nothing(drown, number):
    assert PREDICTIONS[number](drown).outcome == "undecided"


def test_verdicts_say_what_was_measured(come_true, fail):
    assert PREDICTIONS[2](come_true).seen.startswith("gain of color under SimCLR minus that under BYOL: +6.")
    assert PREDICTIONS[6](come_true).seen.startswith("crop+color under SimCLR, crop+color under Barlow Twins, ")
    assert PREDICTIONS[7](come_true).seen.startswith("smallest of 6: +0.9")
    assert PREDICTIONS[8](come_true).seen.startswith("crop+color minus the best under BYOL: -0.")
    assert PREDICTIONS[10](come_true).seen == "none of 120 trials with crop is flagged"
    assert PREDICTIONS[10](fail).seen == (
        "2 of 120 trials collapsed; the first: crop+cutout under byol, one-branch, seed 1"
    )


def test_without_records_nothing_is_run_yet(tmp_path):
    found = verdicts(Records(tmp_path))
    assert {verdict.outcome for verdict in found.values()} == {"not measured yet"}
    page = methods.written(methods.PAGE.read_text(), Records(tmp_path))
    assert "No prediction can be judged yet" in page
    assert "## Verdicts" not in page


def test_one_branch_decides_only_what_is_asked_of_it():
    found = verdicts(known(as_predicted, only=("one",)))
    lacking = {number for number, verdict in found.items() if verdict.outcome == "not measured yet"}
    assert lacking == {3, 4, 9, 10}
    assert found[3].seen == "two-branch: no records"
    early = verdicts(known(turned, change=collapses, only=("two",)))
    assert early[10].outcome == "wrong"


def test_one_seed_and_missing_trials_decide_nothing():
    one_seed = verdicts(known(as_predicted, seeds=1))
    assert {number for number, verdict in one_seed.items() if verdict.outcome != "not measured yet"} == {10}
    some = verdicts(known(as_predicted, change=lambda trial, result: None if trial.seed == 2 else result))
    assert {verdict.outcome for verdict in some.values()} == {"not measured yet"}
    assert some[1].seen == "one-branch: 37 of 111 trials missing"


def test_the_page_has_the_wrong_ones_first_and_keeps_the_predictions(come_true, fail):
    page = methods.PAGE.read_text()
    mixed = Records(Path())
    mixed.__dict__["found"] = {"one": fail.found["one"], "two": come_true.found["two"]}
    written = methods.written(page, mixed)
    rows = [line.split(" | ") for line in written.partition(methods.BEGIN)[2].splitlines() if line.count(" | ") == 4]
    found = [row[3].strip("*") for row in rows if row[0].strip("| ").isdigit()]
    assert [OUTCOMES.index(outcome) for outcome in found] == sorted(OUTCOMES.index(outcome) for outcome in found)
    assert found[0] == "wrong" and found[-1] == "confirmed" and len(found) == 10
    assert methods.predictions(written) == methods.predictions(page)
    assert written.partition(methods.END)[2] == page.partition(methods.END)[2]
    assert methods.written(written, mixed) == written
    assert re.search(r"^\| crop\+color \| 3\d\.\d \(3\) \| \*\*7\d\.\d \(3\)\*\* \|", written, re.MULTILINE)


def test_some_trials_are_shown_before_there_is_a_verdict():
    records = known(as_predicted, only=("one",), change=lambda trial, result: None if trial.seed else result)
    written = methods.written(methods.PAGE.read_text(), records)
    assert "No prediction can be judged yet." in written
    assert written.count("**not run yet**") == 10
    assert "not measured yet" not in written.partition(methods.END)[0]
    assert "| crop+color | **50." in written


@pytest.mark.parametrize("branches", BRANCHES)
def test_the_experiments_are_what_the_page_says(branches):
    experiment = read(methods.ROOT / "experiments" / f"methods-{branches}.toml")
    assert experiment.axes == {"objective": list(METHODS)}
    assert (experiment.branches, experiment.seeds, experiment.limit) == (branches, 3, 5000)
    assert experiment.preset == "laptop@2"
    assert list(experiment.ops) == ["crop(flip_p=0)", "color", "cutout"]
