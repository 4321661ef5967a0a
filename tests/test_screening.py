"""`ablate drop --screen`: the designs, the cells that they make of a recipe, and what the report says of each op."""

from __future__ import annotations

import numpy as np
import pytest

from ablate.config.sweep import NamedComposition
from ablate.ops.composition import Composition
from ablate.planning.drop import screening
from ablate.planning.screening import design, is_design, largest_alias
from ablate.report.data.results import read_sweep
from ablate.report.figures import forest
from ablate.report.page.answer import answer
from ablate.report.recommendation.conclusion import conclusion
from ablate.report.recommendation.recommend import recommend
from ablate.report.stats.baseline import effects_of, findings, order_found
from ablate.report.stats.screening import screening_of
from ablate.report.write import write_report
from ablate.sweep.layout import SweepDir
from ablate.sweep.plan import plan, save_plan
from tests.support.cli import ablate, one_sentence
from tests.support.sweeps import make_experiment, record, write_record
from tests.support.wishes import wish

OPS = ("crop(flip_p=0.0)", "flip", "color", "blur", "noise", "rotate", "sobel", "cutout", "solarize")
RECIPE = "+".join(OPS)
TRUE = {"crop": -0.10, "flip": 0.0, "color": 0.03, "blur": -0.02, "noise": 0.02, "rotate": 0.0, "sobel": 0.05}
"""The change of accuracy by leaving an op out; 0 for the others."""


@pytest.mark.parametrize("ops", range(8, 24))
def test_every_design_is_balanced_and_orthogonal_and_leaves_an_op_in_every_cell(ops):
    signs = design(ops)
    assert len(signs) == (12 if ops < 12 else 20 if ops < 20 else 24)
    assert signs.shape[1] == ops and (signs[0] == 1).all() and is_design(signs)
    assert (signs == 1).any(axis=1).all() and len({tuple(row) for row in signs.tolist()}) == len(signs)
    by_hand = max(
        abs(np.mean(signs[:, a] * signs[:, b] * signs[:, c])) for a in range(ops) for b in range(a) for c in range(b)
    )
    assert largest_alias(signs) == pytest.approx(by_hand)
    assert by_hand <= 0.6 + 1e-9  # no effect holds a whole interaction


def cells(recipe):
    return screening(wish(branches="two", preset="one-gpu"), recipe)


def test_each_cell_is_the_recipe_without_some_ops_in_both_branches():
    found = cells(f"{RECIPE}|crop(flip_p=0.0)+blur+solarize")
    assert found.baseline == next(iter(found.compositions)) and len(found.compositions) == 12
    for text, signs in zip(found.compositions.values(), design(len(OPS)), strict=True):
        kept = {op.split("(")[0] for op, sign in zip(OPS, signs, strict=True) if sign > 0}
        made = Composition.parse(text)
        assert {op.name for op in made.branch(1)} == kept
        assert {op.name for op in made.branch(2)} == kept & {"crop", "blur", "solarize"}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (("crop+flip+color", "--screen"), "recipes of 8 to 23 ops, this one has 3: fewer are left out one by one"),
        ((RECIPE, "--screen", "--add", "gray"), "write further ops into the recipe"),
        ((RECIPE, "--screen", "--in-order", "found"), "--screen takes no --add, --in-order"),
        ((RECIPE, "--screen", "--strengths"), "--screen takes no --add"),
        ((RECIPE, "--in-order", ""), "empty"),
        ((RECIPE, "--add", ""), "empty"),
        ((RECIPE, "--in-order", "found,crop"), "takes ops or the word found, not both"),
    ],
)
def test_what_cannot_be_screened_is_refused(line, expected, tmp_path):
    assert expected in one_sentence(ablate("drop", *line, cwd=tmp_path))
    assert list(tmp_path.iterdir()) == []


def made(directory, seeds=4, noise=0.002, together=0.0, missing=(), branches="two"):
    """A sweep by a screening design, whose ops have the effects TRUE, and crop and color ``together`` one more."""
    rng = np.random.default_rng(0)
    named = []
    for label, text in cells(RECIPE).compositions.items():
        parsed = Composition.parse(text)
        named.append(NamedComposition(label=label, ops=parsed.specs(), second=parsed.second_specs()))
    old = make_experiment([], seeds)
    shared = old.shared.replace(branches=branches, base=None) if branches == "two" else old.shared
    whole = old.replace(compositions=tuple(named), baseline=RECIPE, shared=shared)
    save_plan(directory, whole)
    shift = rng.normal(0, 0.03, seeds)
    for trial in plan(whole):
        names = {op.name for op in trial.config.every_op}
        value = 0.6 - sum(change for op, change in TRUE.items() if op in names)
        value += together * ({"crop", "color"} <= names)
        if trial.reference is not None or whole.compositions.index(_cell(whole, trial)) not in missing:
            write_record(directory, record(trial, value + shift[trial.seed] + rng.normal(0, noise)))
    return directory


def _cell(whole, trial):
    return next(cell for cell in whole.compositions if cell.label == trial.label)


def test_the_effects_of_a_simulated_screening_are_found(tmp_path):
    sweep = read_sweep(made(tmp_path / "sweep"))
    effects = {effect.ops[0]: effect for effect in effects_of(sweep)}
    assert list(effects) == [op.split("(")[0] for op in OPS]
    for op, effect in effects.items():
        low, high = effect.difference.bounds()
        assert low <= TRUE.get(op, 0.0) <= high
        assert abs(effect.test - TRUE.get(op, 0.0)) < 0.004
        assert effect.difference.mean == pytest.approx(_by_hand(sweep, op))
    found = {op: effect.finding for op, effect in effects.items()}
    assert [op for op in found if found[op] == "raises"] == ["color", "noise", "sobel"]
    assert [op for op in found if found[op] == "lowers"] == ["crop", "blur"]
    assert [op for op in found if found[op] == "costs little"] == ["flip", "rotate", "cutout", "solarize"]


def _by_hand(sweep, op):
    without, there = [], []
    for cell in sweep.grid.compositions:
        names = {text.split("(")[0] for text in cell.label.split("+")}
        (there if op in names else without).append(cell.mean(sweep.grid.validation_metric))
    assert len(without) == len(there) == 6
    return np.mean(without) - np.mean(there)


def test_a_cell_without_a_result_leaves_the_estimates_right(tmp_path):
    sweep = read_sweep(made(tmp_path / "sweep", missing={0, 5}))
    for effect in effects_of(sweep):
        low, high = effect.difference.bounds()
        assert low <= TRUE.get(effect.ops[0], 0.0) <= high
    assert "so far, after" in findings(sweep)[0]
    assert effects_of(read_sweep(made(tmp_path / "few", missing={0, 3, 5, 7}))) == []


def test_an_interaction_shows_in_other_effects_as_the_report_warns(tmp_path):
    sweep = read_sweep(made(tmp_path / "sweep", noise=1e-4, together=0.12))
    effects = {effect.ops[0]: effect for effect in effects_of(sweep)}
    for op in ("flip", "rotate", "cutout"):  # a third of the coefficient of 0.03, twice, with either sign
        assert abs(effects[op].difference.mean) == pytest.approx(0.02, abs=0.001)
    assert "holds up to 33 % of any interaction of two other ops" in findings(sweep)[-1]


def test_page_figure_and_recommend_say_the_same(tmp_path):
    directory = made(tmp_path / "sweep")
    report = write_report(directory)
    said = findings(report.sweep)
    assert said[0].startswith("Screening of 9 ops by 12 cells: the mean of the 6 cells without an op minus")
    assert said[0].endswith("hold for all ops at once (simulated from the two-way model).")
    assert said[1].startswith("What hurts (accuracy rises without it): color +3")
    evidence = recommend(directory).choice.evidence
    assert all(sentence in evidence for sentence in said)
    page = SweepDir(directory).page.read_text()
    assert f"Screening of {RECIPE}" in page
    top = answer(report.sweep)
    assert top.lead.startswith("What hurts (accuracy rises without it): color +3")
    assert [term for term, _ in top.details][:2] == ["How sure", "Best cell"]
    figure = forest.draw(report.sweep, effects_of(report.sweep))
    assert figure.axes[0].get_yticklabels()[0].get_text() == "without crop"
    assert "cells with the op" in figure.axes[0].get_xlabel()
    (one,) = findings(read_sweep(made(tmp_path / "one", seeds=1)))
    assert "one seed cannot tell" in one


def test_the_effects_of_a_screening_are_no_order_to_leave_ops_out(tmp_path):
    assert order_found(read_sweep(made(tmp_path / "sweep"))) == []


def test_leaving_ops_out_one_by_one_is_no_screening(tmp_path):
    directory = made(tmp_path / "sweep")
    sweep = read_sweep(directory)
    assert screening_of(sweep) is not None
    fewer = sweep.experiment.replace(compositions=sweep.experiment.compositions[:-1])
    save_plan(directory, fewer)
    assert screening_of(read_sweep(directory)) is None


@pytest.mark.parametrize("branches", ["one", "two"])
def test_no_cell_of_a_screening_is_recommended(branches, tmp_path):
    directory = made(tmp_path / "sweep", branches=branches)
    advice = recommend(directory)
    assert advice.final is None and not advice.pipelines
    assert conclusion(advice).startswith("No cell of a screening is recommended")
    assert "nothing to confirm" in one_sentence(ablate("recommend", directory, "--confirm", cwd=tmp_path))


@pytest.mark.parametrize(
    ("given", "advised"),
    [
        (
            "ablate drop recipe:byol --screen --data folder:/x --set epochs=2 --out here --retry-failed",
            "ablate drop recipe:byol --data folder:/x --set epochs=2 --in-order OPS",
        ),
        ("ablate run screening.toml", f"ablate drop '{RECIPE}' --in-order OPS"),
        ("", f"ablate drop '{RECIPE}' --in-order OPS"),
    ],
)
def test_the_check_that_a_screening_advises_has_its_settings(given, advised, tmp_path):
    directory = made(tmp_path / "sweep")
    sweep = read_sweep(directory)
    save_plan(directory, sweep.experiment.replace(command=given))
    assert f"`{advised}`" in findings(read_sweep(directory))[-1]
