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
from ablate.config.sweep import ClassCounts, NamedComposition
from ablate.errors import NotExportable, UsageError
from ablate.files import names_in
from ablate.launch.screen import headline
from ablate.launch.status import sweep_status
from ablate.report.correction import take_back
from ablate.report.recommendation import files
from ablate.report.recommendation.choice import to_confirm
from ablate.report.recommendation.conclusion import conclusion, doubt, next_steps
from ablate.report.recommendation.recommend import recommend
from ablate.report.stats.noise import EXACT
from ablate.report.write import publish, write_report
from ablate.sweep.confirm import confirmation
from ablate.sweep.layout import CONFIRMATION, KORNIA_CODE, TORCHVISION_CODE, SweepDir
from ablate.sweep.plan import load_plan, plan, save_plan
from ablate.sweep.prune import RUNGS
from ablate.sweep.record import read_record
from ablate.sweep.withdrawal import withdraw
from tests.support.recommendations import MEANS, NOISE, confirm, make, shown, value
from tests.support.sweeps import failure, record, write_record

pytestmark = pytest.mark.usefixtures("undrawn")


def trial_of(directory, label, seed):
    return next(t for t in plan(load_plan(directory)) if (t.label, t.seed) == (label, seed))


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


def test_one_branch_is_confirmed_before_a_pipeline_is_printed(tmp_path):
    found = recommend(make(tmp_path))
    assert found.final is None and not found.pipelines
    text = shown(found)
    assert f"ablate recommend {tmp_path} --confirm" in text
    assert "2 compositions with 3 fresh seeds, about 3 min 30 s of CPU time" in text
    assert "Recommended" not in text


def test_two_branches_need_no_confirmation(tmp_path):
    found = recommend(make(tmp_path, branches="two"))
    assert found.final is found.choice.best
    assert {path.name for path in files.write(found)} == {
        "recommendation.json",
        KORNIA_CODE,
        TORCHVISION_CODE,
    }
    code = (tmp_path / "report" / KORNIA_CODE).read_text()
    assert "# Both views are augmented" in code
    text = shown(found)
    last = text.strip().splitlines()[-1]
    assert last.startswith("Recommended: crop+color (P(best) ")
    assert last.endswith(" %). 1 other composition cannot be told from it: color+crop.")
    assert "AugmentationSequential(" not in text
    assert "AugmentationSequential(" in shown(found, code=True)
    assert shown(found, code=True).strip().splitlines()[-1] == last
    assert str(tmp_path / "report" / TORCHVISION_CODE) in text
    assert (
        json.loads((tmp_path / "report" / "recommendation.json").read_text())["recommended"]["ops"][0]["name"] == "crop"
    )


def test_a_confirmation_decides(tmp_path):
    confirm(make(tmp_path), value=lambda trial: 0.9 if trial.label == "color+crop" else 0.8 + 0.001 * trial.seed)
    found = recommend(tmp_path)
    assert found.choice.best.cell.label == "crop+color"
    assert found.final is not None and found.final.cell.label == "color+crop"
    assert found.confirmed is not None
    assert found.confirmed.sweep.experiment.seeds == (3, 4, 5)
    assert found.confirmed.sweep.experiment.shared.branches == "two"
    told = files.as_json(found)
    assert told["recommended"]["composition"] == "color+crop"
    assert told["confirmation"]["branches"] == "two"
    json.dumps(told, allow_nan=False)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"skip": ("color+crop",)}, "The confirmation has 6 of 9 trials"),
        ({"fail": ("crop+color", "color+crop")}, "Every trial of the confirmation failed"),
    ],
)
def test_a_confirmation_that_says_nothing_yet(changes, sentence, tmp_path):
    confirm(make(tmp_path), **changes)
    found = recommend(tmp_path)
    assert found.final is None
    assert found.confirming.startswith(sentence)
    assert f"ablate status {tmp_path / CONFIRMATION}" in found.confirming


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


def test_a_confirmation_of_one_seed_is_provisional(tmp_path):
    confirm(make(tmp_path), seeds=1)
    assert conclusion(recommend(tmp_path)).startswith("Recommended, provisionally: ")


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


def test_a_confirmation_waits_for_the_whole_sweep(tmp_path):
    choice = recommend(make(tmp_path, skip=("crop",))).choice
    with pytest.raises(UsageError, match=r"3 of 15 trials of .* are missing and could change which compositions"):
        to_confirm(choice)


def test_a_confirmation_of_an_earlier_choice_decides_nothing(tmp_path):
    make(tmp_path, value=lambda trial: value(trial) - 0.6 * (trial.label == "crop"))
    confirm(tmp_path)
    assert recommend(tmp_path).final is not None
    for seed in (0, 1, 2):
        write_record(tmp_path, record(trial_of(tmp_path, "crop", seed), 0.95 + 0.01 * seed))
    found = recommend(tmp_path)
    assert found.final is None
    assert conclusion(found).startswith(
        "The confirmation is of an earlier choice and lacks crop, which is the best now"
    )


def test_one_cell(tmp_path):
    choice = recommend(make(tmp_path, skip=("color", "crop", "color+crop"))).choice
    told = "Only one composition has a result so far, after 6 of 15 trials. crop+color: "
    assert choice.evidence[0].startswith(told)


def test_no_results_yet(tmp_path):
    with pytest.raises(UsageError, match=r"has no results yet; to run it: `ablate grid --ops x --out .*`"):
        recommend(make(tmp_path, skip=(*MEANS, "untrained")))


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
    assert set(found.pipelines) == {KORNIA_CODE}
    text = shown(found)
    assert "mine.Tint is not an op of ablate's" in text


def test_a_confirmation_is_the_same_experiment_but_for_branches_seeds_and_cells(tmp_path):
    experiment = load_plan(make(tmp_path))
    chosen = [NamedComposition(label="crop+color", ops=tuple(op.op for op in experiment.ops))]
    planned = confirmation(experiment, chosen, seeds=2, command="ablate recommend DIR --confirm")
    assert sorted(trial.label for trial in plan(planned)) == ["crop+color", "crop+color", "untrained", "untrained"]
    assert {trial.seed for trial in plan(planned)} == {3, 4}
    for trial in plan(planned):
        assert trial.config.base is None
        assert trial.config.epochs == experiment.shared.epochs or trial.reference


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
    assert recommend(directory).pipelines.keys() == {KORNIA_CODE, TORCHVISION_CODE}
    for code in recommend(directory).pipelines.values():
        assert "load = LoadDeep(ranges=((96.0, 3871.0),), channels=3)" in code


def lead(directory):
    """The page's first sentence."""
    html = (directory / "report" / "index.html").read_text()
    return re.search(r'<p class="lead">(.*?)</p>', html)[1].replace("\N{NO-BREAK SPACE}", " ")


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


def test_a_confirmation_that_goes_on_withdraws_what_the_earlier_one_said(tmp_path):
    confirm(make(tmp_path))
    write_report(tmp_path)
    publish(recommend(tmp_path))
    assert lead(tmp_path).startswith("Recommended, provisionally: ")
    fresh = load_plan(tmp_path / CONFIRMATION)
    save_plan(tmp_path / CONFIRMATION, fresh.model_copy(update={"seeds": (*fresh.seeds, 9)}))
    console = Console(width=200, record=True, file=io.StringIO())
    take_back(tmp_path / CONFIRMATION, [t for t in plan(load_plan(tmp_path / CONFIRMATION)) if t.seed == 9], console)
    assert f"withdrawn: the recommendation in {tmp_path / 'report'}" in console.export_text()
    assert lead(tmp_path).startswith("Best composition: ")
    assert not {"recommendation.json", KORNIA_CODE, TORCHVISION_CODE} & names_in(tmp_path / "report")


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


def test_where_nothing_is_better_than_the_untrained_encoder_there_is_nothing_to_confirm(tmp_path):
    make(tmp_path, value=lambda trial: 0.9 if trial.reference else value(trial))
    for trial in plan(load_plan(tmp_path)):
        if trial.reference:
            old = read_record(SweepDir(tmp_path).record(trial.id))
            write_record(tmp_path, old.model_copy(update={"metrics": {**old.metrics, "linear_top1": 0.6}}))
    last = conclusion(recommend(tmp_path))
    assert last.startswith("There is nothing to confirm. No composition is better than the untrained encoder (91.0")
    assert ", though 2 of 4 are on the test set (60.0 ± 0.0 %): train longer" in last
    write_report(tmp_path)
    html = (tmp_path / "report" / "index.html").read_text()
    assert lead(tmp_path).startswith("No composition to recommend; the highest accuracy: crop+color. ")
    assert html.partition("<main>")[0].count("No composition is better than") == 1
    assert "--confirm" not in html.partition("<main>")[0]


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


def test_a_confirmation_says_how_many_it_takes_of_how_many(tmp_path, monkeypatch):
    for module in ("choice", "conclusion"):
        monkeypatch.setattr(f"ablate.report.recommendation.{module}.MOST", 2)
    found = recommend(make(tmp_path, seeds=1))
    said = "2 compositions, the best of 4 by validation accuracy, since a confirmation takes 2, with 3 fresh seeds"
    assert said in conclusion(found)
    assert "and 2 more that cannot be told from these either" in shown(found)
    assert recommend(make(tmp_path / "few")).choice.is_shortened is False


def test_one_seed_is_advised_more_before_its_pipeline_is_used(tmp_path):
    found = recommend(make(tmp_path, seeds=1, branches="two"))
    first, then = next_steps(found)
    assert first.startswith("Take more seeds. Run --seeds 3 (")
    assert then.startswith("Until then the pipeline below")
    assert next_steps(recommend(make(tmp_path / "sure", branches="two")))[0].startswith("Use the")


def test_the_report_names_what_stands_beside_the_page(tmp_path):
    def last(directory):
        console = Console(width=200, record=True, file=io.StringIO())
        write_report(directory).show(console)
        return console.export_text().strip().splitlines()[-1]

    confirm(make(tmp_path))
    assert last(tmp_path).endswith("index.html, and the figures and the tables beside it")
    assert last(tmp_path / CONFIRMATION).endswith("index.html, and table.csv beside it")
