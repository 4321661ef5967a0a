"""What is recommended, how sure it is, and what is said where nothing is."""

from __future__ import annotations

import dataclasses
import io
import json

import pytest
from rich.console import Console

from ablate.config.sweep import ClassCounts
from ablate.errors import UsageError
from ablate.launch.screen import headline
from ablate.launch.status import sweep_status
from ablate.report.data.results import read_sweep
from ablate.report.recommendation import files
from ablate.report.recommendation.conclusion import conclusion, doubt, next_steps
from ablate.report.recommendation.recommend import recommend
from ablate.report.stats.noise import EXACT
from ablate.report.stats.verdict import few_images
from ablate.report.stats.words import named
from ablate.report.write import write_report
from ablate.sweep.layout import SweepDir
from ablate.sweep.plan import load_plan, plan, save_plan
from ablate.sweep.prune import RUNGS
from ablate.sweep.record import read_record
from tests.support.recommendations import MEANS, NOISE, confirm, make, shown, trial_of, value
from tests.support.sweeps import failure, record, write_record

pytestmark = pytest.mark.usefixtures("undrawn")


def test_the_candidates_are_those_that_cannot_be_told_from_the_best_best_first(tmp_path):
    found = recommend(make(tmp_path))
    choice = found.choice
    assert choice.best.cell.label == "crop+color"
    assert [(candidate.cell.label, candidate.seconds) for candidate in choice.candidates] == [
        ("crop+color", 40.0),
        ("color+crop", 30.0),
    ]
    text = shown(found)
    assert text.index("crop+color  ") < text.index("color+crop  ")


def test_the_sentences_are_those_of_the_report_and_name_split_and_method(tmp_path):
    choice = recommend(make(tmp_path)).choice
    console = Console(width=200, record=True, file=io.StringIO())
    write_report(tmp_path).show(console)
    report = console.export_text()
    for sentence in choice.evidence:
        assert sentence in report
    single, untrained, doubt = (
        next(line for line in choice.evidence if start in line)
        for start in ("against the best single op, color: ", "against the untrained encoder: ", "cannot be told from")
    )
    assert "(validation accuracy, 95 %, two-way model, n = 3)" in single
    assert "(validation accuracy, 95 %, paired by seed, n = 3)" in untrained
    assert " cannot be told from crop+color, P(best) " in doubt


def test_a_pair_is_told_of_only_where_it_is_better_than_the_best_single_op(tmp_path):
    better = recommend(make(tmp_path / "a")).choice.evidence
    assert any("mean of both orders" in line for line in better)
    worse = make(tmp_path / "b", value=lambda trial: value(trial) + 0.5 * (trial.label == "color"))
    assert not any("mean of both orders" in line for line in recommend(worse).choice.evidence)


def test_what_is_not_above_the_untrained_encoder_is_marked(tmp_path):
    make(tmp_path, seeds=1, value=lambda trial: 0.4 if trial.reference else value(trial))
    found = recommend(tmp_path)
    above = {candidate.cell.label: candidate.above for candidate in found.choice.candidates}
    assert above == {"crop+color": True, "color+crop": True, "color": True, "crop": False}
    assert shown(found).count("(validation not above untrained)") == 1


def test_one_that_was_trained_to_the_end_was_compared_with_those_that_were_pruned(tmp_path):
    make(tmp_path)
    for trial in plan(load_plan(tmp_path)):
        if not trial.reference and trial.label != "crop+color":
            write_record(tmp_path, record(trial, status="pruned", metrics={}, flags=[]))
    save_plan(tmp_path, load_plan(tmp_path).model_copy(update={"prune": RUNGS}))
    told = "Only one composition was trained to the end: 3 others were pruned, by validation kNN at a rung."
    found = recommend(tmp_path)
    assert found.choice.evidence[0].startswith(told)
    assert doubt(found.choice) == told
    assert "15 done (9 of them pruned)" in str(headline(sweep_status(tmp_path)))


def test_the_best_is_chosen_by_validation_accuracy(tmp_path):
    make(tmp_path)
    for trial in plan(load_plan(tmp_path)):
        if trial.label == "color+crop":  # the better test accuracy
            found = read_record(SweepDir(tmp_path).record(trial.id))
            write_record(tmp_path, found.model_copy(update={"metrics": {**found.metrics, "linear_top1": 0.99}}))
    assert recommend(tmp_path).choice.best.cell.label == "crop+color"


def test_nothing_is_recommended_that_training_did_not_improve(tmp_path):
    make(tmp_path, branches="two", value=lambda trial: 0.5 if trial.reference else 0.3 + 0.01 * trial.seed)
    found = recommend(tmp_path)
    assert found.final is None
    text = shown(found)
    assert "No recommendation" in text


def test_one_seed_names_the_next_best_and_is_provisional(tmp_path):
    found = recommend(make(tmp_path, seeds=1, branches="two"))
    assert {candidate.cell.label for candidate in found.choice.candidates} == set(MEANS)
    assert any("With one seed, real differences and noise" in line for line in found.choice.evidence)
    said = "Recommended, provisionally: crop+color. With one seed, none of 4 compositions can be told from the others."
    assert shown(found).strip().endswith(said)
    assert files.as_json(found)["recommended"]["provisional"] is True


def test_nothing_is_recommended_while_a_trial_is_missing_that_could_change_it(tmp_path):
    make(tmp_path, branches="two")
    files.write(recommend(tmp_path))
    SweepDir(tmp_path).record(trial_of(tmp_path, "crop", 2).id).write_text("{")  # damaged: it runs again
    found = recommend(tmp_path)
    assert found.final is None and not found.pipelines
    assert found.choice.evidence[0].startswith("Best composition so far, after 14 of 15 trials, by validation accuracy")
    said = f"Nothing is recommended yet: 1 of 15 trials of {tmp_path} is missing and could change the choice."
    assert shown(found).strip().splitlines()[-1].startswith(said)
    files.write(found)
    assert json.loads((tmp_path / "report" / "recommendation.json").read_text())["recommended"] is None
    assert not list((tmp_path / "report").glob("pipeline_*"))


@pytest.mark.parametrize("reference", ["supervised", "no-op"])
def test_a_reference_that_changes_no_choice_is_not_waited_for(reference, tmp_path):
    make(tmp_path, branches="two")
    experiment = load_plan(tmp_path)
    save_plan(tmp_path, experiment.model_copy(update={"references": ("untrained", reference)}))
    assert recommend(tmp_path).final is not None
    SweepDir(tmp_path).record(trial_of(tmp_path, "untrained", 0).id).unlink()
    assert recommend(tmp_path).final is None


def test_a_failed_trial_is_named_and_its_cell_competes_with_what_it_has(tmp_path):
    make(tmp_path, branches="two")
    write_record(tmp_path, failure(trial_of(tmp_path, "crop+color", 1)))
    for seed in (0, 1, 2):
        write_record(tmp_path, failure(trial_of(tmp_path, "crop", seed)))
    found = recommend(tmp_path)
    assert found.final is not None and found.final.cell.label == "crop+color"
    (told,) = (line for line in found.choice.evidence if "failed" in line)
    assert "crop+color failed with seed 1 and is compared by its other 2 seeds" in told
    assert "crop failed with seeds 0, 1, 2 and cannot be chosen" in told
    assert told in conclusion(found)
    assert "2 of 3" in shown(found)


@pytest.mark.parametrize(
    ("of", "sentence"),
    [
        (lambda trial: 0.99, "reach 99 % validation accuracy; the untrained encoder reaches 100.0 %"),
        (lambda trial: 0.5 if trial.reference else 0.985, "4 of 4 compositions reach 99 % validation accuracy: these"),
        (lambda trial: 0.1 if trial.reference else 0.33, "than guessing one of 3 classes (33.3 %): train longer"),
        (lambda trial: 0.6 if trial.reference else 0.5, "better than the untrained encoder (61.0 ± 0.0 % validation"),
    ],
)
def test_a_set_that_is_too_easy_or_too_hard_is_called_that(of, sentence, tmp_path):
    found = recommend(make(tmp_path, branches="two", value=of))
    (told,) = (line for line in found.choice.evidence if sentence in line)
    assert ("train longer" in told) != ("too easy to tell augmentations apart" in told)
    assert (found.final is None) == ("4 of 4 compositions reach 99 % validation accuracy: these" not in told)
    if found.final is None:
        assert conclusion(found) == f"No recommendation. {told}"


def test_one_cell(tmp_path):
    choice = recommend(make(tmp_path, skip=("color", "crop", "color+crop"))).choice
    told = "Only one composition has a result so far, after 6 of 15 trials. crop+color: "
    assert choice.evidence[0].startswith(told)


def test_no_results_yet(tmp_path):
    with pytest.raises(UsageError, match=r"has no results yet; to run it: `ablate grid --ops x --out .*`"):
        recommend(make(tmp_path, skip=(*MEANS, "untrained")))


def test_seeds_that_agree_exactly_make_no_choice_certain(tmp_path):
    make(tmp_path, branches="two", value=lambda trial: {"crop": 0.5, "color": 0.4}.get(trial.label, 0.3))
    found = recommend(tmp_path)
    assert found.final.cell.label == "crop"
    assert conclusion(found).startswith(
        "Recommended, provisionally: crop. All seeds show exactly the same differences."
    )
    assert files.as_json(found)["sweep"]["candidates"][0]["p_best"] is None
    write_report(tmp_path)
    for text in (shown(found), (tmp_path / "report" / "index.html").read_text()):
        assert "100 %" not in text and "P(best) %" not in text
        assert "Every other composition" not in text
        assert EXACT.split(".")[0] in " ".join(text.replace("\N{NO-BREAK SPACE}", " ").split())


def test_the_only_contender_is_not_said_to_be_the_best_for_certain(tmp_path):
    make(tmp_path, branches="two", value=lambda trial: value(trial) + 0.5 * (trial.label == "color"))
    assert conclusion(recommend(tmp_path)).startswith("Recommended: color (P(best) > 95 %).")


def untrained_at(value, noise):
    """The 2x2 sweep's values, with the untrained encoder at ``value`` and noise that alternates over seeds."""
    return lambda trial: value + noise * (-1) ** trial.seed if trial.reference else 0.7 + 0.01 * NOISE[trial.label]


@pytest.mark.parametrize("branches", ["one", "two"])
def test_what_is_not_clearly_better_than_the_untrained_encoder_is_provisional_and_says_so(branches, tmp_path):
    make(tmp_path, seeds=2, branches=branches, value=untrained_at(0.66, 0.05))
    if branches == "one":
        confirm(tmp_path, value=untrained_at(0.66, 0.05), seeds=2)
    decided = recommend(tmp_path).decided.sweep
    for trial in plan(decided.experiment):
        if trial.reference:  # on the test set it is better
            old = read_record(SweepDir(decided.directory).record(trial.id))
            write_record(decided.directory, old.model_copy(update={"metrics": {**old.metrics, "linear_top1": 0.75}}))
    found = recommend(tmp_path)
    said = (
        "crop+color is not clearly better than the untrained encoder by validation accuracy (95 %), and on the test "
        "set it is below it: add seeds, or train longer."
    )
    last = conclusion(found)
    assert last.startswith("Recommended, provisionally: crop+color")
    assert said in last
    assert said in found.decided.evidence
    assert files.as_json(found)["recommended"]["provisional"] is True
    write_report(tmp_path)
    text = (tmp_path / "report" / "index.html").read_text()
    assert "Recommended, provisionally: crop+color." in text
    assert "Take more seeds" in text and "Use the pipeline below" not in text
    with_images(decided.directory, (6, 5, 5))
    assert next_steps(recommend(tmp_path))[0].startswith("Take more images")


def with_images(directory, validation):
    counts = ClassCounts(train=(50, 50, 50), validation=validation, test=(20, 20, 20))
    save_plan(directory, load_plan(directory).model_copy(update={"class_counts": counts}))
    return directory


def test_few_validation_images_are_named_and_are_not_easy_ones(tmp_path):
    make(tmp_path, branches="two", value=lambda trial: 0.5 if trial.reference else 0.985)
    few = recommend(with_images(tmp_path, (6, 5, 5)))
    text = shown(few)
    assert "There are only 16 validation images to choose by: one is worth 6.2 points" in text
    assert "too easy" not in text and "validation cannot tell them apart" in text
    text = shown(recommend(with_images(tmp_path, (60, 50, 50))))
    assert "validation images to choose by" not in text and "too easy" in text


@pytest.mark.parametrize(
    ("validation", "words"),
    [
        ((6, 5, 2), "13 validation images to choose by: one of the smallest class's 2 is worth 16.7 points"),
        ((6, 5, 1), "12 validation images to choose by: the only one of the smallest class is worth 33.3 points"),
    ],
)
def test_one_image_of_the_smallest_class_may_be_all_of_it(validation, words, tmp_path):
    sweep = read_sweep(with_images(make(tmp_path), validation))
    balanced = dataclasses.replace(sweep, grid=dataclasses.replace(sweep.grid, metric="linear_balanced_accuracy"))
    assert words in few_images(balanced)[0]


def test_lists_of_labels_that_have_commas_can_be_read():
    assert named(["crop", "color"]) == "crop, color"
    points = ["crop, objective=simclr", "crop, objective=barlow"]
    assert named(points) == "crop, objective=simclr; crop, objective=barlow"


def test_one_seed_is_advised_more_before_its_pipeline_is_used(tmp_path):
    found = recommend(make(tmp_path, seeds=1, branches="two"))
    first, then = next_steps(found)
    assert first.startswith("Take more seeds. Run --seeds 3 (")
    assert then.startswith("Until then the pipeline below")
    assert next_steps(recommend(make(tmp_path / "sure", branches="two")))[0].startswith("Use the")
