"""What is said of compositions that do no better than always predicting the largest class."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from ablate.cli.app import app
from ablate.config.measure import measure_for
from ablate.config.sweep import ClassCounts
from ablate.report.data.results import read_sweep
from ablate.report.recommendation.conclusion import conclusion
from ablate.report.recommendation.recommend import advise
from ablate.report.stats.order import order
from ablate.report.stats.verdict import far_from_test, is_useful, majority_bar, verdict
from ablate.report.write import write_report
from ablate.sweep.plan import load_plan, plan, save_plan
from tests.support.recommendations import make, shown
from tests.support.sweeps import record, write_record


def sweep(directory, accuracy, validation, measure="top1", branches="two", classes=2):
    """Two seeds of four compositions; the best has ``accuracy`` (validation, by ``measure``), untrained 0.2 less."""
    make(directory, seeds=2, branches=branches)
    experiment = load_plan(directory)
    data = experiment.shared.data.model_copy(update={"classes": classes})
    counts = ClassCounts(train=tuple(10 * n for n in validation), validation=validation, test=validation)
    changes = {
        "class_counts": counts,
        "measure": measure,
        "shared": experiment.shared.model_copy(update={"data": data}),
    }
    save_plan(directory, experiment.model_copy(update=changes))
    for trial in plan(load_plan(directory)):
        mean = {"crop+color": accuracy, "untrained": accuracy - 0.2}.get(trial.label, accuracy - 0.05)
        value = mean + 0.001 * (-1) ** trial.seed
        names = ("linear_val_balanced_accuracy", "linear_balanced_accuracy", "knn_balanced_accuracy")
        names = (*names, "linear_val_top1", "linear_top1", "knn_top1")
        write_record(directory, record(trial, metrics=dict.fromkeys(names, value)))
    return read_sweep(directory)


CASES = [  # accuracy, validation images, measure, whether it is clearly better
    (0.99, (99, 1), "top1", False),  # the same
    (1.0, (59, 1), "top1", False),  # the one image of the other class cannot show it
    (0.72, (84, 16), "top1", False),  # below
    (0.89, (84, 16), "top1", False),  # by five images, which chance gives
    (0.91, (84, 16), "top1", True),
    (0.52, (297, 3), "balanced", False),  # half is what predicting one class of two has
    (0.80, (297, 3), "balanced", True),
    (0.60, (50, 50), "top1", True),
]


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(("accuracy", "validation", "measure", "useful"), CASES)
def test_nothing_is_recommended_that_is_not_clearly_better_than_the_largest_class(
    accuracy, validation, measure, useful, tmp_path
):
    found = sweep(tmp_path, accuracy, validation, measure)
    assert is_useful(found, order(found.grid)) == useful
    advised = advise(found)
    assert (advised.final is not None) == useful
    said = "always predicting the largest class (" in " ".join(verdict(found, order(found.grid)))
    assert said == (not useful and "guessing" not in conclusion(advised))
    write_report(tmp_path)
    page = (tmp_path / "report" / "index.html").read_text()
    assert ("Recommended, provisionally: " in page) == useful  # every seed has the same numbers
    assert ("too easy" in shown(advised)) is False
    if not useful:
        assert conclusion(advised).startswith("No recommendation. No composition is clearly better than ")


def test_the_bar_is_what_guesses_reach_in_one_of_twenty_cases(tmp_path):
    found = sweep(tmp_path, 0.9, (84, 16))
    assert majority_bar(found) == pytest.approx(0.84 + 1.64 * (0.84 * 0.16 / 100) ** 0.5)
    balanced = sweep(tmp_path, 0.9, (84, 16), "balanced")
    assert majority_bar(balanced) == pytest.approx(0.5 + 1.64 / 2 * (0.25 / 84 + 0.25 / 16) ** 0.5)


def test_a_one_branch_sweep_says_it_too(tmp_path):
    found = sweep(tmp_path, 0.72, (84, 16), branches="one")
    (sentence,) = verdict(found, order(found.grid))
    assert sentence == (
        "No composition is clearly better than always predicting the largest class (84.0 % validation accuracy); "
        "with 100 validation images, that takes more than 90.0 %. Train longer, or take more images."
    )


def test_two_classes_are_judged_by_balanced_accuracy_where_one_has_most_images():
    assert measure_for((297, 3)) == "balanced"
    assert measure_for((60, 40)) == "top1"


def test_a_confirmation_keeps_what_the_sweep_was_planned_with(tmp_path, monkeypatch):
    """``--metric`` asks for once; without it sweep and confirmation are judged alike, by every command."""
    sweep(tmp_path, 0.8, (297, 3), "balanced", branches="one")
    planned = []
    monkeypatch.setattr("ablate.planning.images.images_of", lambda *_: None)
    monkeypatch.setattr("ablate.planning.about.about_images", lambda *_: "images")

    def run(directory, experiment, *_, **__):
        planned.append(experiment)
        return 1

    monkeypatch.setattr("ablate.launch.start.run_here", run)
    CliRunner().invoke(app, ["recommend", str(tmp_path), "--metric", "top1", "--confirm"])
    assert [experiment.measure for experiment in planned] == ["balanced"]


GAPS = [  # images of validation and test, validation and test accuracy, measure, words of the advice
    ((8, 8), (20, 20), 0.82, 0.60, "top1", "which chance can do with 16 validation images and 40 for the test"),
    ((16, 16), (200, 200), 0.82, 0.60, "top1", "which chance can do"),  # 2.4 standard errors, the best of four cells
    ((500, 500), (900, 900), 0.82, 0.60, "top1", "in one inner folder or group"),
    ((500, 500), (900, 900), 0.60, 0.82, "top1", "in one inner folder or group"),
    ((900, 4), (900, 20), 0.82, 0.60, "balanced", "which chance can do"),
    ((500, 500), (900, 900), 0.82, 0.60, "auroc", "in one inner folder or group"),
    ((500, 500), (900, 900), 0.82, 0.80, "top1", ""),
]


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize(("validation", "test", "chosen", "shown", "measure", "words"), GAPS)
def test_a_gap_between_validation_and_test_is_told_with_advice(
    validation, test, chosen, shown, measure, words, tmp_path
):
    sweep(tmp_path, chosen, validation, measure)
    experiment = load_plan(tmp_path)
    counts = experiment.class_counts.model_copy(update={"test": test})
    save_plan(tmp_path, experiment.model_copy(update={"class_counts": counts}))
    for trial in plan(load_plan(tmp_path)):
        drop = 0.1 * (trial.label != "crop+color")
        metrics = {
            f"{name}_{kind}": value - drop
            for name, value in (("linear_val", chosen), ("linear", shown), ("knn", shown))
            for kind in ("top1", "balanced_accuracy", "auroc")
        }
        write_record(tmp_path, record(trial, metrics=metrics))
    found = read_sweep(tmp_path)
    ranking = order(found.grid)
    told = far_from_test(found, ranking, ranking.best)
    write_report(tmp_path)
    page = (tmp_path / "report" / "index.html").read_text().replace("\N{NO-BREAK SPACE}", " ")
    if not words:
        assert told == []
        assert "a little high" in page
        return
    (sentence,) = told
    here, there = {
        "top1": ("test accuracy", "validation accuracy"),
        "balanced": ("balanced test accuracy", "balanced validation accuracy"),
        "auroc": ("test AUROC", "validation AUROC"),
    }[measure]
    assert f"Its {here} is 22.0 points {'below' if shown < chosen else 'above'} its {there}" in sentence
    assert words in sentence
    assert page.count(sentence) == 2  # beside the answer and among the statistics
    assert "a little high" not in page
