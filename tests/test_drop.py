"""`ablate drop`: the cells that it makes of a recipe, their sweep, and what the report says of each op."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from ablate.config.sweep import NamedComposition
from ablate.errors import UsageError
from ablate.ops.composition import Composition
from ablate.planning.drop import done_twice, dropping
from ablate.report.data.results import read_sweep
from ablate.report.figures import forest
from ablate.report.figures.style import fix_layout
from ablate.report.page.answer import answer
from ablate.report.recommendation.conclusion import conclusion
from ablate.report.recommendation.recommend import recommend
from ablate.report.stats.baseline import effects_of, findings, order_found
from ablate.report.stats.effect import Effect
from ablate.report.stats.model import Difference
from ablate.report.stats.order import order
from ablate.report.stats.words import mentioned
from ablate.report.write import write_report
from ablate.sweep.layout import SweepDir
from ablate.sweep.plan import load_plan, plan, save_plan
from tests.support.cli import ablate, one_sentence
from tests.support.sweeps import failure, make_experiment, record, write_record
from tests.support.wishes import wish

RECIPE = "crop(flip_p=0.0)+flip+color+blur"
SMALL = ("--size", "16", "--epochs", "2", "--batch-size", "16", "--set", "encoder.name=resnet8")
SMALL += ("--set", "encoder.width=4", "--device", "cpu", "--preset", "one-gpu")


def cells(recipe, *added, strengths=False, in_order=(), **content):
    asked = wish(branches="two", preset="one-gpu", **content)
    found = dropping(asked, recipe, added, in_order, strengths=strengths)
    assert found.baseline == next(iter(found.compositions))
    return found.compositions


def test_every_op_is_left_out_once_and_the_order_of_the_others_stays():
    assert cells(RECIPE, "rotate(p=0.5)", "noise") == {
        RECIPE: RECIPE,
        "without crop": "flip+color+blur",
        "without flip": "crop(flip_p=0.0)+color+blur",
        "without color": "crop(flip_p=0.0)+flip+blur",
        "without blur": "crop(flip_p=0.0)+flip+color",
        "with rotate(p=0.5)": f"{RECIPE}+rotate(p=0.5)",
        "with noise": f"{RECIPE}+noise",
    }


def test_an_op_leaves_and_joins_both_branches():
    found = cells("recipe:byol", "rotate")
    assert list(found) == [
        "recipe:byol",
        *(f"without {name}" for name in ("crop", "flip", "jitter", "gray", "blur", "solarize")),
        "with rotate",
    ]
    whole = Composition.parse("recipe:byol")
    for label, text in found.items():
        made = Composition.parse(text)
        for branch in (1, 2):
            ops = [op.name for op in whole.branch(branch)]
            gone = label.removeprefix("without ")
            more = ["rotate"] if label == "with rotate" else []
            assert [op.name for op in made.branch(branch)] == [name for name in ops if name != gone] + more
    assert cells("crop+blur(p=1.0)|crop+blur(p=0.1)")["without blur"] == "crop"  # no branch differs any more


def test_strengths_are_halved_and_doubled_where_the_op_has_one_that_goes_so_far():
    found = cells("crop+color(strength=0.5)+affine+blur|crop+color", strengths=True)
    assert found["color at half strength"] == "crop+color(strength=0.25)+affine+blur|crop+color(strength=0.5)"
    assert found["color at double strength"] == "crop+color+affine+blur|crop+color(strength=2.0)"
    assert found["affine at half strength"].startswith("crop+color(strength=0.5)+affine(strength=0.5)")
    assert "affine at double strength" not in found  # its strength ends at 1
    assert not [label for label in found if label.startswith("crop at")]
    assert not [label for label in cells("crop+color(strength=0.0)", strengths=True) if "strength" in label[-8:]]


def test_ops_leave_one_after_the_other_in_the_order_that_is_asked_for(tmp_path):
    asked = wish(branches="two", preset="one-gpu")
    found = dropping(asked, "crop+flip+color+blur|crop+color", in_order=["blur", "crop", "flip"]).compositions
    assert list(found)[5:] == ["without blur+crop", "without blur+crop+flip"]
    assert list(found.values())[5:] == ["flip+color|color", "color"]
    for gone, expected in (
        ("blur,jitter", "unknown op of the recipe 'jitter'; allowed: crop, blur"),
        ("blur,blur", "an op is listed twice in 'blur,blur'"),
        ("blur,crop", "let one op stay"),
        ("blur", "ops in order are at least two, not 'blur'"),
        ("blur,", "empty item"),
    ):
        assert expected in one_sentence(ablate("drop", "crop+blur", "--in-order", gone, cwd=tmp_path))


def test_parameters_that_a_preset_replaces_stay_what_they_are(cache):
    """On glyphs, crop has another area: the cell's text is read with the same defaults again."""
    asked = wish(branches="two", data="glyphs")
    for text in dropping(asked, "recipe:simclr").compositions.values():
        assert "crop(area=(0.08, 1.0))" in text or "crop" not in text


@pytest.mark.parametrize(
    ("recipe", "added", "expected"),
    [
        ("crop", (), "at least two, not of 'crop'"),
        ("none", (), "at least two"),
        ("crop+crop", (), "at least two"),
        ("recipe:boyl", (), "did you mean 'byol'"),
        ("crop+colr", (), "did you mean 'color'"),
        ("crop+color", ("rotate+noise",), "cannot read 'rotate+noise'"),
        ("crop+color", ("found",), "unknown op 'found'"),
        ("crop+color", ("noise", "blur", "noise"), "op 'noise' is listed twice in 'noise,blur,noise'"),
    ],
)
def test_what_cannot_be_ablated_is_refused(recipe, added, expected, tmp_path):
    with pytest.raises(UsageError) as caught:
        cells(recipe, *added)
    assert expected in str(caught.value)
    line = ["drop", recipe, *(["--add", ",".join(added)] if added else [])]
    assert expected in one_sentence(ablate(*line, cwd=tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_an_op_that_another_does_too_is_named():
    asked = wish(branches="two", preset="one-gpu")
    (crop,) = done_twice(asked, "crop+flip+blur")
    assert crop.startswith("crop does what flip does too, since flip_p is 0.5: with or without flip, little")
    assert [sentence.split()[3] for sentence in done_twice(asked, "color+gray+jitter|color")] == ["gray", "jitter"]
    (crop,) = done_twice(asked, "crop(flip_p=0.0)+crop+blur", ["flip", "noise"])  # the second one flips
    assert crop.startswith("crop does what flip does too")
    assert done_twice(asked, "crop+gray", ["color"])[0].startswith("color does what gray does too")
    assert done_twice(asked, "recipe:byol") == [] == done_twice(asked, "crop|flip")


def test_the_order_is_found_of_three_ops_or_more(monkeypatch, tmp_path):
    refused = one_sentence(ablate("drop", "crop+color", "--in-order", "found", cwd=tmp_path))
    assert "--in-order found leaves out two ops or more, and one stays: there are only 2" in refused
    asked = []
    monkeypatch.setattr("ablate.cli.drop.run_sweep", lambda wish, *_, **__: asked.append(list(wish.compositions)) or 0)
    made(tmp_path / "done")
    line = ("drop", RECIPE, "--in-order", "found", "--dry-run")
    assert "found order: color,flip,blur,crop" in ablate(*line, "--out", tmp_path / "done").stdout
    assert asked[1][-2:] == ["without color+flip", "without color+flip+blur"]
    assert "the same command finds the order" in ablate(*line, "--out", tmp_path / "none").stdout
    assert len(asked) == 3


@pytest.mark.slow
def test_a_recipe_is_dropped_from_the_command_line_to_the_page(tiny_folder, cache, tmp_path):
    line = ["drop", "crop+flip+color", "--add", "noise", "--seeds", "2", "--data", f"folder:{tiny_folder}"]
    line += ["--cache", cache, *SMALL]
    done = ablate(*line, cwd=tmp_path)
    assert done.returncode == 0, done.stderr + done.stdout
    (out,) = (tmp_path / "results").iterdir()
    assert out.name.endswith("-drop-crop-flip-color")
    assert "crop does what flip does too" in done.stdout
    whole = load_plan(out)
    assert whole.baseline == "crop+flip+color" and whole.shared.branches == "two"
    assert [trial.label for trial in plan(whole)][:7] == [
        *("untrained", "no-op", "crop+flip+color"),
        *("without crop", "without flip", "without color", "with noise"),
    ]
    assert {path.name for path in (out / "report").glob("forest.*")} == {"forest.png", "forest.svg", "forest.pdf"}
    assert "Against crop+flip+color" in (out / "report" / "index.html").read_text()
    assert "Compared with crop+flip+color" in " ".join(done.stdout.split())
    again = ablate("run", out / "experiment.toml", "--out", out, "--cache", cache)
    assert again.returncode == 0 and "0 to run" in again.stdout, again.stderr
    other = ablate("drop", "crop+color", "--out", out, *line[2:])
    assert "baseline was 'crop+flip+color', is 'crop+color'" in one_sentence(other)


@pytest.mark.slow
def test_the_order_is_found_and_then_used(tiny_folder, cache, tmp_path):
    line = ["drop", "crop+flip+color", "--in-order", "found", "--seeds", "2", "--data", f"folder:{tiny_folder}"]
    line += ["--cache", cache, *SMALL]
    dry = ablate(*line, "--dry-run", cwd=tmp_path)
    assert dry.returncode == 0 and "the same command finds the order" in " ".join(dry.stdout.split())
    done = ablate(*line, cwd=tmp_path)
    assert done.returncode == 0, done.stderr + done.stdout
    (out,) = (tmp_path / "results").iterdir()
    assert done.stdout.count("report: ") == 1
    first, second, _ = order_found(read_sweep(out))
    assert load_plan(out).compositions[-1].label == f"without {first}+{second}"
    again = ablate(*line, cwd=tmp_path)
    assert again.returncode == 0 and again.stdout.count("0 to run") == 2


def test_a_baseline_is_a_cell_of_one_setting(tmp_path):
    file = tmp_path / "own.toml"
    for more, expected in (
        ('baseline = "crop+blur"', "baseline: 'crop+blur' is not a cell of this sweep; did you mean 'crop+color'?"),
        (
            'baseline = "crop"\n[axes]\ntemperature = [0.1, 0.5]',
            "baseline is for one setting: this experiment has axes",
        ),
    ):
        file.write_text(f'compositions = ["crop", "crop+color"]\ndevice = "cpu"\n{more}\n')
        assert expected in one_sentence(ablate("run", file, cwd=tmp_path))


EFFECTS = {"crop": -0.30, "flip": -0.001, "color": 0.05, "blur": -0.01, "noise": 0.04, "rotate": -0.06}


def made(directory, seeds=4, noise=0.001, effects=EFFECTS):
    """A sweep of a recipe whose ops have these effects; without blur they scatter more than ``noise``."""
    rng = np.random.default_rng(0)
    found = cells("crop(flip_p=0.0)+flip+color+blur", "noise", "rotate")
    named = []
    for label, text in found.items():
        parsed = Composition.parse(text)
        named.append(NamedComposition(label=label, ops=parsed.specs(), second=parsed.second_specs()))
    old = make_experiment([], seeds)
    shared = old.shared.replace(branches="two", base=None)
    whole = old.replace(compositions=tuple(named), baseline=named[0].label, shared=shared)
    save_plan(directory, whole)
    assert load_plan(directory).baseline == named[0].label
    shift = rng.normal(0, 0.03, seeds)
    for trial in plan(whole):
        own = effects.get(trial.label.split()[-1], 0.0) if trial.reference is None else -0.5
        spread = 0.02 if trial.label == "without blur" else noise
        write_record(
            directory, record(trial, 0.7 + own + shift[trial.seed] + rng.normal(0, spread), timings={"cpu": 1.0})
        )
    return directory


def test_each_op_gets_the_finding_that_its_interval_has(tmp_path):
    sweep = read_sweep(made(tmp_path / "sweep"))
    effects = {effect.label: effect for effect in effects_of(sweep)}
    assert {label: (effect.kind, effect.finding) for label, effect in effects.items()} == {
        "without crop": ("removal", "lowers"),
        "without flip": ("removal", "costs little"),
        "without color": ("removal", "raises"),
        "without blur": ("removal", "undecided"),
        "with noise": ("addition", "raises"),
        "with rotate": ("addition", "lowers"),
    }
    model_free = {label: effect.difference.mean for label, effect in effects.items()}
    for label, mean in model_free.items():  # paired: the seeds' own shifts are gone
        assert abs(mean - EFFECTS[label.split()[-1]]) < (0.06 if label == "without blur" else 0.003)
    said = findings(sweep)
    assert said[0].startswith("Compared with crop(flip_p=0.0)+flip+color+blur, ")
    starts = [sentence.split(":")[0] for sentence in said[1:]]
    assert starts == [
        *(
            "What hurts (accuracy rises without it)",
            "What you can delete (accuracy falls by less than 1 point without it)",
            "What is needed (accuracy falls without it)",
            "Undecided (keep these, or add seeds)",
        ),
        *("What would help", "What would harm"),
        "These 2 ops were left out one at a time; with --in-order color,flip, ablate drop also leaves them out "
        "together.",
    ]
    assert "): color +" in said[1] and "flip -0." in said[2] and "crop -30" in said[3]


def test_the_order_found_begins_with_the_op_that_costs_least(tmp_path):
    directory = made(tmp_path / "sweep")
    assert order_found(read_sweep(directory)) == ["color", "flip", "blur", "crop"]
    trial = next(trial for trial in plan(load_plan(directory)) if trial.label == "without flip")
    write_record(directory, record(trial, status="failed"))
    assert order_found(read_sweep(directory))  # other seeds of this cell have results
    SweepDir(directory).record(trial.id).unlink()
    assert order_found(read_sweep(directory)) == []


def test_what_was_left_out_together_is_not_advised_again(tmp_path):
    directory = made(tmp_path / "sweep")
    whole = load_plan(directory)
    rest = [spec for spec in whole.compositions[0].ops if spec.name not in {"flip", "color"}]
    both = NamedComposition(label="without color+flip", ops=tuple(rest))
    save_plan(directory, whole.replace(compositions=(*whole.compositions, both)))
    for trial in plan(load_plan(directory)):
        if trial.label == both.label:
            write_record(directory, record(trial, 0.75 + 0.01 * trial.seed))
    sweep = read_sweep(directory)
    (effect,) = [effect for effect in effects_of(sweep) if effect.label == both.label]
    assert (effect.kind, set(effect.ops)) == ("removal", {"color", "flip"})
    assert not [sentence for sentence in findings(sweep) if "--in-order" in sentence]


def test_it_never_advises_to_leave_out_every_op(tmp_path):
    """The command that it names would be refused: one op has to stay."""
    spare = {"crop": 0.04, "flip": 0.03, "color": 0.05, "blur": 0.06}
    (advice,) = [said for said in findings(read_sweep(made(tmp_path, effects=spare))) if "--in-order" in said]
    assert advice.startswith("These 3 ops") and "--in-order blur,color,crop," in advice


def test_intervals_hold_at_once_so_they_are_wider_than_single_ones(tmp_path):
    same = dict.fromkeys(EFFECTS, 0.0)
    sweep = read_sweep(made(tmp_path / "sweep", seeds=4, effects=same))
    narrow = [e for e in effects_of(sweep) if e.label != "without blur"]
    alone = order(sweep.grid).model
    for effect in narrow:
        low, high = effect.difference.bounds()
        single = alone.difference(effect.label, sweep.experiment.baseline)
        assert high - low > 1.1 * (single.high - single.low)
        assert effect.difference.how == "two-way model, jointly"


def test_the_page_the_figure_and_recommend_say_the_same(tmp_path):
    directory = made(tmp_path / "sweep")
    report = write_report(directory)
    page = (directory / "report" / "index.html").read_text()
    for sentence in findings(report.sweep):
        assert sentence.split()[0] in page
        assert sentence in recommend(directory).choice.evidence
    figure = forest.draw(report.sweep, effects_of(report.sweep))
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == [effect.label for effect in effects_of(report.sweep)]
    (section,) = forest.section(report.sweep)
    assert [row[0] for row in section.rows] == labels
    assert section.rows[0][-1] == "lowers"


def test_a_sentence_says_the_recipe_without_an_op(tmp_path):
    for label in list(cells(RECIPE, "rotate", strengths=True, in_order=["flip", "blur"]))[1:]:
        assert mentioned(label) == f"the recipe {'with ' * label.endswith('strength')}{label}"
    assert mentioned("crop+color", start=True) == "crop+color"
    directory = made(tmp_path / "sweep", effects={"color": 0.05, "blur": 0.05})
    labels = [cell.label for cell in load_plan(directory).compositions[1:]]
    advice = recommend(directory)
    said = " ".join([*advice.choice.evidence, conclusion(advice), answer(advice.choice.sweep).lead])
    for label in labels:
        for before in ("told from", "tell", "accuracy:", "Recommended:", "provisionally:", "worse than", "tied with"):
            assert f"{before} {label}" not in said
    assert "Recommended: the recipe without " in said
    assert "The recipe without color against the untrained encoder" in said or "The recipe without blur against" in said


def test_no_text_of_the_forest_plot_leaves_it(tmp_path, monkeypatch):
    monkeypatch.setattr(forest, "judge", lambda grid: "balanced validation accuracy of rotation prediction")
    sweep = read_sweep(made(tmp_path / "sweep"))
    long = [dataclasses.replace(effect, label=f"{effect.label} " + "w" * 60) for effect in effects_of(sweep)]
    figure = forest.draw(sweep, long)
    fix_layout(figure)
    drawn, whole = figure.axes[0].get_tightbbox(), figure.bbox
    assert whole.x0 <= drawn.x0 and drawn.x1 <= whole.x1 and whole.y0 <= drawn.y0 and drawn.y1 <= whole.y1


def test_the_forest_plot_shows_where_there_is_no_interval(tmp_path):
    for seeds, hollow in ((1, True), (4, False)):
        sweep = read_sweep(made(tmp_path / str(seeds), seeds=seeds))
        axes = forest.draw(sweep, effects_of(sweep)).axes[0]
        assert ("hollow: no interval" in axes.get_xlabel()) is hollow
        assert (f"lines: 95 % intervals for all at once, n = {seeds}" in axes.get_xlabel()) is not hollow
        points = [line for line in axes.lines if line.get_marker() in forest.MARKERS.values()]
        assert {line.get_markerfacecolor() == "white" for line in points} == {hollow}


def test_a_baseline_that_failed_is_named_and_one_that_lacks_a_seed_is_compared_by_the_others(tmp_path):
    directory = made(tmp_path / "sweep", seeds=3)
    for trial in plan(load_plan(directory)):
        if trial.label == RECIPE and trial.seed == 0:
            write_record(directory, failure(trial))
    lacking = {effect.label: effect.difference for effect in effects_of(read_sweep(directory))}
    assert abs(lacking["without crop"].mean + 0.30) < 0.01 and lacking["without crop"].n == 2
    for trial in plan(load_plan(directory)):
        if trial.label == RECIPE:
            write_record(directory, failure(trial))
    assert findings(read_sweep(directory)) == [f"Nothing is compared with {RECIPE}: it has no result."]
    SweepDir(directory).record(next(trial.id for trial in plan(load_plan(directory)) if trial.label == RECIPE)).unlink()
    (said,) = findings(read_sweep(directory))
    assert "so far" in said


def test_without_a_baseline_nothing_is_said(tmp_path):
    directory = made(tmp_path / "sweep", seeds=1)
    one = read_sweep(directory)
    assert findings(one) == [f"{findings(one)[0]}"] and "one seed cannot tell" in findings(one)[0]
    assert {effect.finding for effect in effects_of(one)} == {"undecided"}
    save_plan(directory, load_plan(directory).replace(baseline=None))
    assert effects_of(read_sweep(directory)) == findings(read_sweep(directory)) == []
    assert forest.section(read_sweep(directory)) == []


def test_an_effect_without_an_interval_says_so():
    """With two seeds an interval may hold all possible values; the difference alone would look certain."""
    wide, narrow = Difference(0.0, -1.2, 1.2, 2), Difference(-0.02, -0.05, 0.01, 2)
    said = [str(Effect("without crop", None, "removal", ("crop",), one, None)) for one in (wide, narrow)]
    assert said == ["crop +0.0 (no interval)", "crop -2.0 [-5.0, +1.0]"]
