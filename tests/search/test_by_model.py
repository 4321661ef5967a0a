"""A search by the Gaussian process: where it looks, spaces too large to list, when it stops, and resumption."""

from __future__ import annotations

import io
import random

import pytest
from rich.console import Console

from ablate.planning.request import sampler_in
from ablate.search.by_model import LARGEST, _candidates
from ablate.search.measured import Measured
from ablate.search.points import drawn, everything, neighbours
from ablate.search.propose import propose
from ablate.search.run import run_search
from ablate.sweep.budget import UNLIKELY, Budget
from ablate.sweep.plan import load_plan
from benchmarks import searching
from tests.support.cli import ablate, one_sentence
from tests.support.searches import OPS, Machine, begun, labels, search_there, space, value_of, walk


def found(directory, budget, within=0.01, **changes):
    """Search, and return the lines that were printed."""
    stream = io.StringIO()
    console = Console(file=stream, width=10_000, highlight=False)
    limits = Budget(budget, "trials", within)
    assert run_search(directory, begun(**changes), limits, {}, Machine(directory), lambda sweep: None, console) == 0
    return stream.getvalue().splitlines()


def test_the_order_of_the_records_of_a_batch_is_all_that_it_depends_on():
    known = [Measured(item, value_of(item)) for item in walk(space(), 2)]
    once, again = (propose(space(), known, {}) for _ in range(2))
    assert once == again
    assert 0 < once.better <= 1


def test_seeds_and_knn_at_rungs_change_what_it_believes():
    known = [Measured(item, value_of(item)) for item in walk(space(), 3)]
    noisy = [Measured(m.composition, m.value, {}, {0: m.value - 0.2, 1: m.value + 0.2}) for m in known]
    pruned = [Measured(m.composition, m.value if i < 3 else None, {1: m.value / 2}) for i, m in enumerate(known)]
    chances = [propose(space(), results, {}).better for results in (known, noisy, pruned)]
    assert len(set(chances)) == 3
    assert all(len(propose(space(), results, {}).batch) == 4 for results in (noisy, pruned))
    assert not {m.composition.label for m in known} & {item.label for item in propose(space(), pruned, {}).batch}


def test_neighbours_are_one_change_away_and_within_the_space():
    search = space(strength=(0.25, 1.0), max_length=2)
    at = drawn(search.replace(max_length=2), random.Random(3), {})
    near = list(neighbours(search, at, random.Random(0), {}))
    names = [tuple(op.name for op in item.ops) for item in near]
    own = tuple(op.name for op in at.ops)
    assert all(len(set(name)) == len(name) <= 2 for name in names)
    assert own[::-1] in names
    assert own in names  # with another strength
    for item in near:
        for op in item.ops:
            assert 0.25 <= op.params.get("strength", 1.0) <= 1.0


def test_a_space_too_large_to_list_is_sampled_near_the_best_and_everywhere():
    search = space(strength=(0.25, 1.0), p=(0.5, 1.0))
    known = [Measured(item, value_of(item)) for item in walk(search, 2)]
    taken = {item.composition.label for item in known}
    pool = [item.label for item in _candidates(search, known, random.Random(0), taken, {})]
    assert len(pool) == len(set(pool)) <= LARGEST - len(known)
    assert not taken & set(pool)
    assert len(pool) > 500
    assert len({item.label for item in walk(search, 3)}) == 12


def test_it_stops_when_a_better_one_is_unlikely_and_a_smaller_difference_continues(tmp_path):
    lines = found(tmp_path, 80, within=0.2)
    chances = [float(line.split()[-2]) / 100 for line in lines if "the probability that" in line]
    assert lines[-1].startswith("stop: ")
    assert chances[-1] < UNLIKELY <= min(chances[:-1])
    ended = labels(tmp_path)
    assert len(ended) < 40
    best = max(map(value_of, everything(space(), {})))
    assert max(map(value_of, load_plan(tmp_path).compositions)) > best - 0.2
    assert found(tmp_path, 80, within=0.2)[-1] == lines[-1]
    assert labels(tmp_path) == ended
    found(tmp_path, 80, within=0.01)
    assert labels(tmp_path)[: len(ended)] == ended
    assert len(labels(tmp_path)) > len(ended)


def test_it_tries_the_whole_space_if_nothing_counts_as_enough(tmp_path):
    lines = found(tmp_path, 80, within=0.0, max_length=1, seeds=2)
    assert sorted(labels(tmp_path)) == sorted(OPS)
    assert "the whole space has been tried" in lines[-1]


def test_a_search_begins_with_the_best_of_another_sweep_and_draws_the_others():
    means = {item.label: value_of(item) for item in everything(space(max_length=2), {})}
    search = space(max_length=2, prior=({"name": "there", "means": means},))
    first = [item.label for item in propose(search, [], {}).batch]
    assert first[0] == max(means, key=means.__getitem__)
    assert len(set(first)) == 4
    assert len({item.label for item in walk(search, 3)}) == 12


def test_another_sweep_needs_the_model(tmp_path):
    line = ["search", "--ops", "crop,color", "--budget", "4", "--sampler", "tpe", "--prior", tmp_path]
    assert "--prior needs a model of compositions" in one_sentence(ablate(*line, "--device", "cpu", cwd=tmp_path))


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_a_search_that_another_sampler_began_continues_with_it(tmp_path, sampler):
    assert sampler_in(tmp_path, prunes=False) == "gp"
    assert sampler_in(tmp_path, prunes=True) == "tpe"
    search_there(tmp_path, 8, sampler=sampler)
    assert {sampler_in(tmp_path, prunes=prunes) for prunes in (False, True)} == {sampler}


def test_nothing_was_proposed_by_optuna(tmp_path):
    search_there(tmp_path, 20)
    assert load_plan(tmp_path).search.optuna == ()


@pytest.mark.parametrize("grid", searching.every_grid(), ids=lambda grid: grid.name)
def test_intervals_hold_on_whole_grids(grid, monkeypatch):
    """If half of the cells are known, at least 85 % of the others lie within their 90 % intervals, but not all.

    On Fashion-MNIST nearly all do: the page says that the intervals are too wide there.
    """
    monkeypatch.setattr(searching, "REPLAYS", 60)
    most = 1.0 if grid.name.endswith("fashion-mnist") else 0.97
    assert 0.85 <= searching.held(grid, 0.5) <= most


@pytest.mark.slow
def test_the_page_says_how_intervals_hold_and_what_the_model_finds():
    page = searching.PAGE.read_text()
    *_, last = searching.every_grid()  # of the grids of five ops, one: each takes ten seconds
    for line in searching.calibration_rows([*searching.grids(), last]):
        assert line in page
    (found,) = (row for row in _rows_of_the_model(searching.Whole.paper()) if row.startswith("| GP |"))
    assert found in page


@pytest.mark.slow
def test_the_page_says_what_another_sweep_is_worth(monkeypatch):
    """A search that knows nothing is that of the table above, so it is not replayed again."""
    paper, other = searching.Whole.paper(), searching.Whole.committed(searching.TRIED_ON)
    (of_gp,) = (row for row in _table(f"{paper.name}, 49 compositions:") if row.startswith("| GP |"))
    rows = _table(f"{paper.name}, with another grid known beforehand:")
    assert of_gp.replace("| GP |", "| nothing |") in rows
    priors = searching.priors(other)
    del priors["nothing"]
    monkeypatch.setattr(searching, "priors", lambda _: priors)
    found = searching.prior_rows(paper, other)
    assert [row for row in rows if not row.startswith("| nothing |")] == found


def _table(title):
    """The rows of the page's table with a title."""
    _, _, rest = searching.PAGE.read_text().partition(f"\n{title}\n\n")
    return rest.partition("\n\n")[0].splitlines()


def _rows_of_the_model(grid):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(searching, "POLICIES", {"GP": searching.POLICIES["GP"]})
        return searching.regret_rows(grid)
