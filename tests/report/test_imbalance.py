"""Where balanced accuracy chooses: every output follows it, says so, and can be asked for the other."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest
from matplotlib.text import Text
from rich.console import Console
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

import ablate
from ablate.config.experiment_file import validated
from ablate.config.measure import reason
from ablate.config.sweep import ClassCounts, Rung
from ablate.data import prepare
from ablate.errors import UsageError
from ablate.files import write_atomically
from ablate.planning.about import about_sweep
from ablate.planning.settings import trial_config
from ablate.planning.understand import plan_sweep
from ablate.report import write_report
from ablate.report.compared import _with_sweep
from ablate.report.data.results import read_sweep
from ablate.report.data.study import study_of
from ablate.report.figures.heatmap import heatmap
from ablate.report.recommendation import files
from ablate.report.recommendation.recommend import recommend
from ablate.report.recommendation.terminal import show
from ablate.report.stats.order import order
from ablate.report.stats.verdict import is_guessing
from ablate.search.run import values
from ablate.sweep.again import completing
from ablate.sweep.asked import asked_for
from ablate.sweep.extend import extend
from ablate.sweep.layout import SweepDir
from ablate.sweep.plan import load_plan, plan, save_plan
from ablate.sweep.prune import prune
from ablate.sweep.record import read_record
from ablate.sweep.record import to_json as as_json
from ablate.trial.encoders import _best
from ablate.trial.run import run_trial
from tests.support.cli import ablate as command
from tests.support.sweeps import make_experiment, record, write_record

pytestmark = pytest.mark.usefixtures("undrawn")

COUNTS = ClassCounts(train=(30, 5, 5, 10), validation=(3, 1, 0, 1), test=(12, 3, 3, 2))
TOP1 = {"crop": 0.70, "crop+color": 0.68, "color+crop": 0.66, "color": 0.62, "untrained": 0.69}
BALANCED = {"crop": 0.34, "crop+color": 0.41, "color+crop": 0.50, "color": 0.42, "untrained": 0.33}
SENTENCE = "Compositions are ranked by balanced accuracy: the largest class has 60 % of the images."


def measured(label, seed, balanced=True):
    metrics = {}
    known = {"_top1": TOP1[label], "_balanced_accuracy": BALANCED[label]}
    for suffix, value in known.items():
        metrics |= {f"linear{suffix}": value + 0.01 * seed, f"linear_val{suffix}": value + 0.002 * seed}
        metrics |= {f"knn{suffix}": value - 0.05}
    return metrics if balanced else {name: metrics[name] for name in metrics if name not in NEW}


NEW = ("linear_val_balanced_accuracy", "knn_balanced_accuracy")  # what earlier versions did not record


def made(directory, *, measure="balanced", counts=COUNTS, balanced=True, **changes):
    """Two seeds of crop and color: by top-1 crop is best, and by balanced accuracy color+crop."""
    experiment = make_experiment(["crop", "color"], 2).model_copy(
        update={"measure": measure, "class_counts": counts, **changes}
    )
    save_plan(directory, experiment)
    for trial in plan(experiment):
        history = ({"epoch": 3.0, "loss": 1.0, "knn_val_top1": 0.123, "knn_val_balanced_accuracy": 0.456},)
        write_record(
            directory, record(trial, metrics=measured(trial.label, trial.seed, balanced=balanced), history=history)
        )
    return directory


def shown(thing):
    text = io.StringIO()
    thing(Console(file=text, width=200))
    return text.getvalue()


def texts(figure):
    return {text.get_text() for text in figure.findobj(Text)}


@pytest.mark.parametrize("asked", [None, "top1"])
def test_every_output_follows_what_chooses(tmp_path, asked):
    best, numbers = ("color+crop", BALANCED) if asked is None else ("crop", TOP1)
    majority = {None: "majority class 25.0 %", "top1": "majority class 60.0 %"}[asked]
    why = (
        SENTENCE
        if asked is None
        else "Compositions are ranked by top-1 accuracy, although the largest class has 60 % of the images."
    )
    mean = f"{100 * numbers[best] + 0.5:.1f}"
    written = write_report(made(tmp_path), metric=asked)
    terminal = shown(written.show)
    page, caption = ((tmp_path / "report" / name).read_text() for name in ("index.html", "caption.txt"))
    page = page.replace("\N{NO-BREAK SPACE}", " ")
    for text in (terminal, page, caption):
        assert why in text
    assert f"<dt>Chosen by</dt><dd><p>{why}</p>" in page  # which is no gain
    for text in (terminal, page):
        assert mean in text
    for text in (terminal, caption):
        assert majority in text
    judged = "balanced validation accuracy" if asked is None else "validation accuracy"
    assert f"Best composition by {judged}: {best}, " in terminal
    assert f"(test {mean}" in terminal
    assert "majority class" in page
    assert "kNN on validation" in page and ("45.6" in page) == (asked is None)
    assert caption.startswith("Balanced accuracy" if asked is None else "Top-1 accuracy")
    figure = texts(heatmap(written.grid))
    assert mean in figure
    assert any(majority in " ".join(text.split()) for text in figure)
    rows = {row["label"]: row for row in csv.DictReader((tmp_path / "report" / "table.csv").read_text().splitlines())}
    assert rows[best]["contender"] == "1"
    assert rows[best]["seeds"] == f"0={numbers[best]:.6g} 1={numbers[best] + 0.01:.6g}"
    assert (rows["majority class"]["kind"], rows["majority class"]["seeds"]) == ("reference", "")
    assert float(rows["majority class"]["linear_top1_mean"]) == 0.6
    assert float(rows["majority class"]["linear_balanced_accuracy_mean"]) == 0.25
    assert mean in (tmp_path / "report" / "table.tex").read_text()
    assert order(written.grid).best.label == best

    found = recommend(tmp_path, asked)
    assert found.choice.best.cell.label == best
    told = shown(lambda console: show(found, console))
    assert told.startswith(why)
    metric = "linear_balanced_accuracy" if asked is None else "linear_top1"
    assert files.as_json(found)["sweep"]["metric"] == metric
    study = study_of(read_sweep(tmp_path, asked))
    assert study.best_value == pytest.approx(numbers[best] + 0.002)


def test_the_commands_take_it(tmp_path):
    made(tmp_path)
    assert "Best composition by balanced validation accuracy: color+crop" in command("report", tmp_path).stdout
    told = command("report", tmp_path, "--metric", "top1").stdout
    assert "Best composition by validation accuracy: crop," in told
    told = command("recommend", tmp_path, "--metric", "top1", "--json").stdout
    assert json.loads(told)["sweep"]["best"] == "crop"
    assert command("report", tmp_path, "--metric", "recall").returncode == 2


@pytest.mark.parametrize(("options", "again"), [((), ""), (("--metric", "top1"), " --metric top1")])
def test_the_command_that_confirms_makes_the_same_choice(tmp_path, options, again):
    told = " ".join(command("recommend", made(tmp_path, counts=None), *options).stdout.split())
    assert f"`ablate recommend {tmp_path}{again} --confirm`" in told


FURTHER = {
    "f1": ("macro_f1", "macro F1"),
    "auroc": ("auroc", "AUROC"),
    "ap": ("average_precision", "average precision"),
}


@pytest.mark.parametrize("asked", FURTHER)
def test_a_further_measure_chooses_where_it_is_asked_for(tmp_path, asked):
    """By it color is best, which is so by neither accuracy."""
    suffix, words = FURTHER[asked]
    made(tmp_path)
    for trial in plan(load_plan(tmp_path)):
        value = 0.9 if trial.label == "color" else 0.7 + 0.01 * len(trial.label)
        further = {f"linear{name}_{suffix}": value + 0.001 * trial.seed for name in ("", "_val")}
        write_record(tmp_path, record(trial, metrics=measured(trial.label, trial.seed) | further))
    told = command("report", tmp_path, "--metric", asked).stdout
    assert f"Compositions are ranked by {words}, as requested." in told
    assert f"Best composition by validation {words}: color, " in " ".join(told.split())
    page, caption = ((tmp_path / "report" / name).read_text() for name in ("index.html", "caption.txt"))
    page = page.replace("\N{NO-BREAK SPACE}", " ")
    assert f"the best composition by validation {words}." in page
    assert "by validation accuracy" not in page + caption
    assert caption.startswith(f"{words[0].upper()}{words[1:]} (")
    found = json.loads(command("recommend", tmp_path, "--metric", asked, "--json").stdout)["sweep"]
    assert (found["best"], found["metric"]) == ("color", f"linear_{suffix}")
    sweep = read_sweep(tmp_path, asked)
    assert sweep.grid.knn == "knn_balanced_accuracy"  # kNN has no scores that could be ordered
    assert read_sweep(tmp_path, asked_for(tmp_path).measure).grid.metric == sweep.grid.metric


def test_the_majority_class_by_every_measure(tmp_path):
    """As scikit-learn has it for equal scores of all images."""
    y = np.repeat([0, 1, 3], [3, 1, 1])  # the validation images
    flat = [np.zeros(5)] * 3
    expected = {
        "f1": f1_score(y, np.zeros(5), average="macro"),
        "auroc": np.mean([roc_auc_score(y == c, score) for c, score in zip((0, 1, 3), flat, strict=True)]),
        "ap": np.mean([average_precision_score(y == c, score) for c, score in zip((0, 1, 3), flat, strict=True)]),
    }
    made(tmp_path)
    for trial in plan(load_plan(tmp_path)):
        further = {f"linear{name}_{suffix}": 0.51 for name in ("", "_val") for suffix, _ in FURTHER.values()}
        write_record(tmp_path, record(trial, metrics=measured(trial.label, trial.seed) | further))
    for asked, value in expected.items():
        grid = read_sweep(tmp_path, asked).grid
        assert grid.references["majority class"].mean(grid.validation_metric) == pytest.approx(value)
    sweep = read_sweep(tmp_path, "auroc")
    assert is_guessing(sweep, order(sweep.grid))  # 51 % is next to a half
    assert not is_guessing(read_sweep(tmp_path, "ap"), order(sweep.grid))


def test_records_without_a_measure_are_ranked_as_planned_and_the_sentence_names_what_all_have(tmp_path):
    made(tmp_path)
    sweep = read_sweep(tmp_path, "auroc")
    assert sweep.grid.metric == "linear_balanced_accuracy"
    assert sweep.measured[0].startswith(
        "Compositions are ranked by balanced accuracy: 10 of 10 trials have no AUROC on validation, which earlier "
        "versions did not record; all have top-1 accuracy, balanced accuracy. They must be trained again: "
    )


def test_a_split_without_a_class_is_named(tmp_path):
    """Accuracy there says nothing about the class, least of all where it is the largest."""
    made(tmp_path, counts=COUNTS)
    sentence = "1 of 4 classes has no validation image: balanced validation accuracy says nothing about it."
    assert sentence in shown(write_report(tmp_path).show)
    made(tmp_path / "b", counts=ClassCounts(train=(30, 5, 5, 10), validation=(3, 1, 1, 1), test=(0, 0, 3, 2)))
    sentence = (
        "2 of 4 classes have no test image, among them the largest, which has 60 % of the training images: "
        "balanced test accuracy says nothing about them."
    )
    assert sentence in " ".join(shown(write_report(tmp_path / "b").show).split())
    assert sentence in (tmp_path / "b" / "report" / "index.html").read_text().replace("\N{NO-BREAK SPACE}", " ")
    made(tmp_path / "c", counts=ClassCounts(train=(30, 5), validation=(3, 1), test=(2, 2)))
    assert "says nothing about" not in shown(write_report(tmp_path / "c").show)


def test_a_python_table_knows_what_chooses(tmp_path):
    table = ablate.load_results(made(tmp_path))
    assert "50.5" in texts(ablate.heatmap(table))
    assert "70.5" in texts(ablate.heatmap(table, metric="linear_top1"))
    table.attrs.clear()
    assert "70.5" in texts(ablate.heatmap(table))


def test_records_without_balanced_accuracy_on_validation_are_judged_by_top1(tmp_path):
    """Those of an earlier version, which also knew of no rule; one sentence says what is missing."""
    made(tmp_path, measure="top1", counts=None, balanced=False)
    assert read_sweep(tmp_path).measured == ("Compositions are ranked by top-1 accuracy.",)
    assert read_sweep(tmp_path).grid.references.keys() == {"untrained"}
    (sentence,) = read_sweep(tmp_path, "balanced").measured
    assert sentence.startswith(
        "Compositions are ranked by top-1 accuracy: 10 of 10 trials have no balanced accuracy on validation"
    )
    trials = plan(load_plan(tmp_path))
    again, file = completing(tmp_path, load_plan(tmp_path)), SweepDir(tmp_path).record(trials[0].id)
    assert sentence.endswith(
        f". They must be trained again: remove their records ({file} and 9 more), then run `{again}`."
    )
    for trial in trials[1:]:
        write_atomically(SweepDir(tmp_path).encoder(trial.id), b"")
    evaluate = f"Run `ablate evaluate {tmp_path} --protocol linear --again` to add it"
    (sentence,) = read_sweep(tmp_path, "balanced").measured
    assert f"{evaluate} to those with kept encoders. The others must be trained again: " in sentence
    assert f"({file}), then run " in sentence
    write_atomically(SweepDir(tmp_path).encoder(trials[0].id), b"")
    assert read_sweep(tmp_path, "balanced").measured[0].endswith(f"{evaluate}.")
    written = write_report(tmp_path, metric="balanced")
    assert "Best composition by validation accuracy: crop," in shown(written.show)
    trial = plan(load_plan(tmp_path))[0]
    write_record(tmp_path, record(trial, metrics=measured(trial.label, trial.seed)))
    assert "ranked by top-1 accuracy: 9 of 10 trials" in read_sweep(tmp_path, "balanced").measured[0]


def test_two_sweeps_that_are_judged_differently_are_not_compared(tmp_path):
    new, old = made(tmp_path / "new"), made(tmp_path / "old", measure="top1", counts=None, balanced=False)
    with pytest.raises(UsageError, match="cannot be compared; --metric top1 compares them by top-1"):
        _with_sweep(read_sweep(new), read_sweep(old, "balanced"))
    assert _with_sweep(read_sweep(new, "top1"), read_sweep(old, "top1"))


def test_a_rung_goes_by_what_chooses(tmp_path):
    experiment = make_experiment(["a", "b"])
    trials = [t for t in plan(experiment) if not t.reference]
    knn = {"a": (0.9, 0.1), "a+b": (0.5, 0.6), "b+a": (0.2, 0.3), "b": (0.4, 0.4)}  # top-1, balanced
    for measure, place, alive in (("top1", "one", "a"), ("balanced", "other", "a+b")):
        for trial in trials:
            top1, balanced = knn[trial.label]
            history = ({"epoch": 1.0, "knn_val_top1": top1, "knn_val_balanced_accuracy": balanced},)
            parked = record(trial, status="pruned", metrics={}, history=history)
            write_atomically(SweepDir(tmp_path / place).parked(trial.id), as_json(parked))
        prune(tmp_path / place, trials, Rung(eighth=1, keep=0.25), 1, measure)
        assert [t.label for t in trials if not SweepDir(tmp_path / place).record(t.id).exists()] == [alive]


def test_a_search_goes_by_what_chooses(tmp_path):
    experiment = make_experiment(["crop", "color"], 2)
    beside = [t for t in plan(experiment) if t.label == "color+crop" and t.seed == 0]
    items = tuple({"label": t.label, "ops": t.config.composition} for t in beside)
    searched = type(experiment).model_validate(
        {**experiment.model_dump(), "ops": (), "compositions": items, "measure": "balanced"}
    )
    save_plan(tmp_path, searched)
    for trial in plan(searched):
        write_record(tmp_path, record(trial, metrics=measured(trial.label, trial.seed)))
    (known,) = values(read_sweep(tmp_path))
    assert known.value == pytest.approx(BALANCED["color+crop"] + 0.001)


def test_the_best_encoder_is_that_of_what_chooses():
    known = {"a": {"linear_val_top1": 0.9, "linear_val_balanced_accuracy": 0.3}}
    known["b"] = {"linear_val_top1": 0.8, "linear_val_balanced_accuracy": 0.4}
    assert (_best(known, "top1"), _best(known, "balanced")) == ("a", "b")
    known["c"] = {"linear_val_top1": 0.85}  # of an earlier version: all are compared by what all have
    assert _best(known, "balanced") == "a"


def test_a_sweep_keeps_what_it_was_planned_with(tmp_path):
    old = make_experiment(["crop", "color"])
    new = old.model_copy(update={"measure": "balanced", "class_counts": COUNTS})
    assert (extend(old, new, tmp_path).measure, extend(old, new, tmp_path).class_counts) == ("top1", COUNTS)
    assert extend(new, new, tmp_path).measure == "balanced"


def test_why():
    assert reason("top1", (5, 5, 5)) == reason("top1", ()) == "Compositions are ranked by top-1 accuracy."
    assert (
        reason("balanced", (5, 5, 5))
        == reason("balanced", ())
        == "Compositions are ranked by balanced accuracy, as requested."
    )


def test_a_folder_with_one_large_class(tiny_folder, cache, tmp_path):
    """From the images to the record: the rule is planned, said first, and followed by l2."""
    for split, count in (("train", 24), ("test", 6)):
        for number, name in enumerate(("across", "down", "plain")):
            (tmp_path / "set" / split / name).mkdir(parents=True)
            for i in range(count if number == 0 else count // 6):
                source = tiny_folder / split / name / f"{i}.png"
                (tmp_path / "set" / split / name / f"{i}.png").write_bytes(source.read_bytes())
    data = prepare(f"folder:{tmp_path / 'set'}", cache=cache, image_size=16)
    small = {
        "image_size": 16,
        "encoder.name": "resnet8",
        "encoder.width": 4,
        "epochs": 1,
        "batch_size": 8,
        "warmup_epochs": 0,
    }
    file = validated({"data": f"folder:{tmp_path / 'set'}", "ops": ["crop"], "set": small}, "a test")
    experiment, _ = plan_sweep(file, tmp_path / "out", lambda wish: data, "")
    assert experiment.measure == "balanced"
    first = about_sweep(file, file, experiment, data).splitlines()[0]
    assert first.endswith("; compositions are ranked by balanced accuracy: the largest class has 75 % of the images")
    assert experiment.class_counts.train == (24, 4, 4)
    assert experiment.class_counts.test == (6, 1, 1)
    config = trial_config(file, data)
    result = run_trial(config, tmp_path / "out", data=data)
    assert "chosen on the validation split by balanced accuracy, then refitted" in result.protocols["linear"]
    assert set(NEW) < result.metrics.keys()
    assert {"knn_val_top1", "knn_val_balanced_accuracy"} < result.history[-1].keys()
    assert read_record(SweepDir(tmp_path / "out").record(result.id)) == result
