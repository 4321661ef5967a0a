"""Which cell is best: by means that are adjusted for the seeds that a cell lacks."""

from __future__ import annotations

import numpy as np
import pytest

from ablate.inference.adjusted import adjusted, connected
from ablate.report.data.grid import Cell, Grid
from ablate.report.page.layers import order_effect, synergy
from ablate.report.stats.model import fit
from ablate.report.stats.order import ordered, scores

METRIC = "linear_val_top1"


def cells(values):
    return [Cell(label, {METRIC: seeds}) for label, seeds in values.items()]


def order_of(values):
    return ordered(cells(values), METRIC)


def labels(found):
    return [cell.label for cell in found.cells]


def test_a_lucky_seed_of_one_cell_does_not_make_it_the_best():
    values = {"good": {0: 0.8, 1: 0.7}, "bad": {0: 0.6, 1: 0.5, 2: 0.9}, "worse": {0: 0.5, 1: 0.4, 2: 0.8}}
    assert labels(order_of(values)) == ["good", "bad", "worse"]


def test_more_seeds_make_no_cell_the_best():
    assert labels(order_of({"good": {0: 0.8}, "bad": {0: 0.2, 1: 0.3, 2: 0.25}})) == ["good", "bad"]


def test_means_where_every_cell_has_every_seed_are_plain():
    values = {"a": {0: 0.1, 1: 0.25}, "b": {0: 0.3, 1: 0.7}}
    assert adjusted(values) == {"a": pytest.approx(0.175, abs=0), "b": pytest.approx(0.5, abs=0)}
    assert not order_of(values).is_adjusted


@pytest.mark.parametrize("seed", range(5))
def test_adjusted_means_are_those_of_the_two_way_model(seed):
    rng = np.random.default_rng(seed)
    values = {
        f"c{c}": {s: float(v) for s, v in enumerate(rng.normal(0.5, 0.1, 4)) if s == 0 or rng.random() < 0.6}
        for c in range(6)
    }
    found, model = order_of(values), fit(cells(values), METRIC)
    assert [found.scores[label] for label in model.labels] == pytest.approx(model.means.tolist(), abs=1e-12)
    assert found.contenders[0] == found.best.label


def test_equal_contenders_are_in_the_order_of_the_cells():
    values = {"a": (0.5, 0.62, 0.58), "b": (0.3, 0.6, 0.53), "c": (0.3, 0.6, 0.53 + 2e-16), "d": (0.2, 0.1, 0.15)}
    found = order_of({label: dict(enumerate(of)) for label, of in values.items()})
    assert found.contenders == ("a", "b", "c")
    assert found.contenders != found.model.contenders  # which sees a difference in the last bit


@pytest.mark.parametrize("seed", range(5))
def test_a_cell_with_every_seed_keeps_its_plain_mean(seed):
    """So numbers can be compared with fixed ones: guessing, 99 %, the largest class."""
    rng = np.random.default_rng(seed)
    y = 0.4 + 0.1 * np.arange(4)[:, None] + 0.2 * rng.standard_normal(5)
    values = {
        f"c{c}": {s: float(y[c, s]) for s in range(5) if s == 0 or c == 2 or rng.random() < 0.5} for c in range(4)
    }
    found = adjusted(values)
    assert found["c2"] == pytest.approx(np.mean(y[2]))
    assert list(found.values()) == pytest.approx(y.mean(axis=1).tolist())  # what each would have had with every seed


def test_a_chain_of_shared_seeds_compares_cells_that_share_none():
    found = order_of({"a": {0: 0.5}, "b": {0: 0.6, 1: 0.3}, "c": {1: 0.2}})
    assert labels(found) == ["b", "a", "c"] or found.scores["a"] == pytest.approx(found.scores["c"])
    assert found.scores["b"] - found.scores["a"] == pytest.approx(0.1)
    assert found.scores["b"] - found.scores["c"] == pytest.approx(0.1)
    assert found.model is None
    assert found.difference(*found.cells[:2]).low is None


def test_cells_that_share_no_seed_are_not_compared():
    values = {"high": {7: 0.99}, "a": {0: 0.3}, "b": {0: 0.4}, "also": {8: 0.98}}
    found = order_of(values)
    assert labels(found) == ["b", "a"]
    assert [cell.label for cell in found.apart] == ["high", "also"]
    assert connected(values) == [["high"], ["a", "b"], ["also"]]
    assert found.percent(found.apart[0]) == "99.0 %"


def test_a_late_cell_joins_two_groups():
    assert connected({"a": {0: 1}, "b": {1: 1}, "c": {0: 1, 1: 1}, "d": {2: 1}}) == [["a", "b", "c"], ["d"]]


def test_the_model_is_of_what_is_compared():
    values = {f"c{i}": {0: 0.1 * i, 1: 0.1 * i + 0.01 * (i % 2)} for i in range(4)}
    found = order_of({**values, "apart": {9: 1.0}})
    assert found.model is not None
    assert set(found.model.labels) == values.keys()


def test_equals_stand_in_the_order_of_the_plan():
    found = order_of({"b": {0: 0.5, 1: 0.6}, "a": {0: 0.6, 1: 0.5}, "c": {0: 0.1, 1: 0.1}})
    assert labels(found) == ["b", "a", "c"]
    assert [cell.label for cell in found.equals] == ["b", "a"]


def test_nothing_and_one():
    assert order_of({}).best is None
    assert order_of({"a": {3: 0.5}}).best.label == "a"


def test_synergy_and_order_effect_are_no_artefact_of_who_has_run():
    """An additive grid in which one cell alone has the seed that lifts all."""
    means = {("a", "a"): 0.4, ("a", "b"): 0.6, ("b", "a"): 0.55, ("b", "b"): 0.5}
    lift = {0: 0.0, 1: 0.02, 2: 0.3}
    seeds = {place: (0, 1, 2) if place == ("b", "a") else (0, 1) for place in means}
    made = {
        place: Cell(str(place), {"linear_top1": {seed: mean + lift[seed] for seed in seeds[place]}})
        for place, mean in means.items()
    }
    grid = Grid(("a", "b"), made, {})
    assert synergy(grid).values["b", "a"] == pytest.approx(0.05)
    assert order_effect(grid).values["a", "b"] == pytest.approx(0.05)
    known = scores(list(made.values()), "linear_top1")
    assert known[1] == max(known)
