"""Recall and confusion of classes, and what ops do to them, against scikit-learn and a bootstrap written out."""

from __future__ import annotations

import csv
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.text import Text
from sklearn.metrics import confusion_matrix, recall_score

from ablate.inference.joint import joint, modelled
from ablate.inference.over_images import influence
from ablate.report import write_report
from ablate.report.data.classes import Outcome, Share, confusion, recalls
from ablate.report.data.results import read_sweep
from ablate.report.figures.classes import MARK, draw, section
from ablate.report.recommendation.recommend import recommend
from ablate.report.stats.classes import effects_of, profile_of, with_minus_without
from ablate.sweep.images import load_image_results, to_bytes
from ablate.sweep.layout import SweepDir
from tests.support.classes import NAMES, made, split_of
from tests.support.sweeps import extents


def test_recall_and_confusion_are_scikit_learns():
    rng = np.random.default_rng(0)
    label, predicted = rng.integers(0, 4, 200), rng.integers(0, 5, 200)  # nothing is of class 4
    split = split_of(label, predicted)
    expected = recall_score(label, predicted, labels=range(5), average=None, zero_division=np.nan)
    np.testing.assert_allclose(recalls(split, 5), expected)
    matrix = confusion_matrix(label, predicted, labels=range(5))
    assert (confusion(split, 5) == matrix).all()
    assert Share(2).value(split) == pytest.approx(expected[2])
    assert Share(2, 0.5, taken_for=4).value(split) == pytest.approx(0.5 * matrix[2, 4] / matrix[2].sum())
    both = Outcome("2 minus 0", (Share(2), Share(0, -1.0)))
    assert both.value(split) == pytest.approx(expected[2] - expected[0])
    assert np.isnan(Share(4).value(split))


def test_with_one_seed_the_intervals_are_those_of_a_bootstrap_of_each_classs_images():
    rng = np.random.default_rng(1)
    labels, sizes = ("a", "b", "a+b", "b+a"), (40, 150, 90)
    contrasts = [{"a": 1.0, "b": -1.0}, {"a": 0.5, "a+b": 0.5, "b": -0.5, "b+a": -0.5}]
    w = np.array([[each.get(label, 0.0) for label in labels] for each in contrasts])
    right = [(rng.random((4, n)) < 0.3 + 0.6 * rng.random(n)) for n in sizes]
    models = []
    for correct in right:
        cells = dict(zip(labels, correct, strict=True))
        values = {label: {0: float(row.mean())} for label, row in cells.items()}
        same = np.zeros(correct.shape[1], int)
        models.append(modelled(values, {label: {0: influence(row, same)} for label, row in cells.items()}, len(same)))
    found = joint(models, contrasts)
    highest, errors = np.zeros(4000), []
    for correct, n in zip(right, sizes, strict=True):
        drawn = w @ (rng.multinomial(n, np.full(n, 1 / n), 4000) @ correct.T / n).T
        errors.append(drawn.std(axis=1))
        highest = np.maximum(highest, np.abs((drawn - (w @ correct.mean(axis=1))[:, None]).T / errors[-1]).max(axis=1))
    multiple = np.quantile(highest, 0.95)
    for differences, correct, error in zip(found, right, errors, strict=True):
        np.testing.assert_allclose([each.mean for each in differences], w @ correct.mean(axis=1))
        half = [(each.high - each.low) / 2 for each in differences]
        one_image = 1 / correct.shape[1]  # as if one more had changed
        np.testing.assert_allclose(half, multiple * np.hypot(error, one_image), rtol=0.06)
        assert {each.how for each in differences} == {"images only, jointly"}


def test_joint_intervals_hold_all_true_values_over_seeds_and_images():
    """Simulated: images that differ in difficulty for each cell, and noise of each training."""
    rng, held, times = np.random.default_rng(2), 0, 40
    labels, truth = ("a", "b", "a+b"), np.array([0.5, 0.6, 0.7])
    contrasts = [{"a": 1.0, "b": -1.0}, {"a+b": 1.0, "b": -1.0}]
    true = [truth[0] - truth[1], truth[2] - truth[1]]
    for _ in range(times):
        models = []
        for n in (60, 120):
            chance = np.clip(truth[:, None] + 0.3 * rng.uniform(-1, 1, (3, n)), 0, 1)
            shift = 0.03 * rng.standard_normal((3, 3))
            correct = rng.random((3, 3, n)) < (chance[:, None] + shift[:, :, None])
            cells = dict(zip(labels, correct, strict=True))
            values = {k: {s: float(row.mean()) for s, row in enumerate(rows)} for k, rows in cells.items()}
            parts = {
                k: {s: influence(row, np.zeros(n, int)) for s, row in enumerate(rows)} for k, rows in cells.items()
            }
            models.append(modelled(values, parts, n))
        found = joint(models, contrasts)
        held += all(d.low <= t <= d.high for row in found for d, t in zip(row, true, strict=True))
    assert held / times > 0.9


def test_images_that_are_all_classified_alike_are_not_certain():
    values = {label: {0: 1.0} for label in "ab"}
    model = modelled(values, {label: {0: np.zeros(12)} for label in "ab"}, 12)
    ((difference,),) = joint([model], [{"a": 1.0, "b": -1.0}])
    assert difference.mean == 0
    assert 0.1 < difference.high < 0.2


def test_a_sweeps_classes(tmp_path):
    sweep = read_sweep(made(tmp_path))
    profile = profile_of(sweep)
    assert profile.names == NAMES
    assert profile.cells[0].label == "crop"
    assert (profile.images, profile.seeds) == (((20, 20),) * 3, (2,) * 4)
    assert profile.test[:, 2].tolist() == [1.0] * 4
    assert profile.confused[0, 1] == pytest.approx(1 - profile.test[0, 0])
    effects = {(effect.op, effect.of): effect for effect in effects_of(sweep)}
    assert len(effects) == 2 * 3
    assert {of for (op, of), effect in effects.items() if effect.is_clear and op == "color"} == {"six", "nine"}
    means = profile.test[:, 0]
    has = np.array(["color" in cell.label for cell in profile.cells])
    assert effects["color", "six"].difference.mean == pytest.approx(means[has].mean() - means[~has].mean())
    assert effects["color", "six"].difference.how == "seeds and images, jointly"
    (mixed,) = effects_of(sweep, [Outcome("six as nine", (Share(0, taken_for=1),))], ["color"])
    assert mixed.difference.mean == pytest.approx(-effects["color", "six"].difference.mean)
    assert mixed.is_clear


def test_without_image_results_there_is_nothing_and_a_hole_in_the_grid_has_no_effects(tmp_path):
    everything = ("crop", "color", "crop+color", "color+crop")
    assert profile_of(read_sweep(made(tmp_path / "old", skip=everything))) is None
    assert effects_of(read_sweep(tmp_path / "old")) == []
    hole = read_sweep(made(tmp_path / "hole", skip=("crop+color",)))
    assert len(profile_of(hole).cells) == 3
    assert effects_of(hole) == []
    one = effects_of(read_sweep(made(tmp_path / "one", seeds=1)))
    assert {effect.difference.how for effect in one} == {"images only, jointly"}


def test_the_page_the_figure_and_the_table_of_classes(tmp_path, undrawn):
    written = write_report(made(tmp_path))
    page = (tmp_path / "report" / "index.html").read_text().replace("\N{NO-BREAK SPACE}", " ")
    assert "<h2>Classes</h2>" in page
    assert "here under crop, the best composition with results for every image" in page
    assert "all ops and classes at once (max-T), over seeds and images." in page
    (classes,) = section(written.sweep)
    six = classes.rows[0]
    profile = profile_of(written.sweep)
    recall, mixed = 100 * profile.test[0, 0], 100 * profile.confused[0, 1]
    assert six == ("six", "20, 20", f"{recall:.1f}", f"{recall:.1f}", "crop", f"nine ({mixed:.0f} %)")
    rows = list(csv.DictReader((tmp_path / "report" / "classes.csv").read_text().splitlines()))
    assert len(rows) == 3 * 4
    assert rows[0]["class"] == "six"
    assert float(rows[0]["test_recall"]) == pytest.approx(profile.test[0, 0], abs=1e-5)
    (tmp_path / "images").rename(tmp_path / "elsewhere")
    assert section(written.sweep) == []


def test_the_figure_marks_clear_effects_and_names_every_class(tmp_path):
    sweep = read_sweep(made(tmp_path))
    effects = effects_of(sweep)
    figure = draw(sweep.grid, profile_of(sweep), effects)
    texts = [text.get_text() for text in figure.findobj(Text)]
    assert {"six", "nine", "two:half", "crop", "crop+color"} <= set(texts)
    assert sum(MARK in text for text in texts) == sum(effect.is_clear for effect in effects) + 1  # and in the caption
    inside = figure.bbox
    for text, box in extents(figure).items():
        assert inside.x0 <= box.x0 <= box.x1 <= inside.x1, text
        assert inside.y0 <= box.y0 <= box.y1 <= inside.y1, text


def test_an_op_is_in_a_cell_alone_or_on_either_side(tmp_path):
    grid = read_sweep(made(tmp_path)).grid
    weights = with_minus_without(grid, "crop")
    assert weights == {"crop": 1 / 3, "crop+color": 1 / 3, "color+crop": 1 / 3, "color": -1.0}


def test_files_of_earlier_versions_which_lack_groups_take_those_of_the_others(tmp_path):
    """A sweep that went on under a later version has the intervals of one whose files all have groups."""
    found = {}
    for name, lacks in (("mixed", 2), ("all", None)):
        directory = made(tmp_path / name)
        results = load_image_results(directory)
        for number, (trial, of) in enumerate(results.items()):
            group = np.arange(len(of.test.label), dtype=np.uint8) // 4
            if lacks is None or number % lacks:
                with_group = replace(of.test, group=group)
                path = SweepDir(directory).image_results(trial)
                path.write_bytes(to_bytes(replace(of, validation=with_group, test=with_group)))
        found[name] = (
            effects_of(read_sweep(directory)),
            str(recommend(directory, interval="both").choice.evidence).replace(str(directory), ""),
        )
    assert found["mixed"] == found["all"]
    assert "groups of images" in found["mixed"][1]


@pytest.mark.usefixtures("undrawn")
def test_cells_of_a_recipe_are_called_as_sentences_call_them(tmp_path):
    sweep = read_sweep(made(tmp_path))
    profile = profile_of(sweep)
    renamed = replace(profile, cells=tuple(replace(cell, label=f"without {cell.label}") for cell in profile.cells))
    drawn = " ".join(text.get_text() for text in draw(sweep.grid, renamed, []).findobj(Text)).replace("\n", " ")
    assert f"under the recipe {renamed.cells[0].label}, the best by" in drawn
