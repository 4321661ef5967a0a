"""Several grids beside each other: their ranks, whose winner costs how much, and where ops matter differently."""

from __future__ import annotations

import random
from dataclasses import replace
from io import StringIO

import numpy as np
import pytest
from rich.console import Console

from ablate.config.sweep import NamedComposition, Variant
from ablate.errors import UsageError
from ablate.report import write_report
from ablate.report.data.grid import Cell, Grid
from ablate.report.data.results import read_sweep
from ablate.report.figures import differences
from ablate.report.figures.panel import MARK
from ablate.report.figures.panels import WIDTH
from ablate.report.stats.comparison import compare
from ablate.report.stats.model import Difference
from ablate.report.stats.order import order
from ablate.report.stats.winners import Side, costs, sides_of, told_apart
from ablate.report.text import agreement
from ablate.sweep.plan import load_plan, plan, save_plan
from tests.conftest import op_spec
from tests.support.alike import made_up
from tests.support.sweeps import extents, make_experiment, record, sweep, write_record

ABC = ["crop", "color", "blur"]


def world(root, name, means, ops=ABC, seeds=3, noise=0.002, **kwargs):
    """A sweep on images of that name; ``means`` by label, 0.3 for the others."""

    def value(trial):
        mean = 0.1 if trial.reference else means.get(trial.label, 0.3)
        return mean + random.Random(f"{name} {trial.label} {trial.seed}").gauss(0, noise) + 0.01 * trial.seed

    return read_sweep(sweep(root / name, ops, seeds, value, name=name, **kwargs))


@pytest.fixture
def two(tmp_path):
    """The winner of the first costs 10 points in the second; that of the second costs 5 in the first."""
    one = world(tmp_path, "leaves", {"crop+color": 0.6, "color+crop": 0.55, "crop": 0.4})
    other = world(tmp_path, "cells", {"crop+color": 0.7, "color+crop": 0.8, "crop": 0.6})
    return one, other


def test_costs_are_those_of_the_other_sweeps_own_model(two):
    first, second = costs(sides_of(two[0], two[1:]))
    assert (first.of, first.under, first.winner) == ("leaves", "cells", "crop+color")
    ranking = order(two[1].grid)
    there = {cell.label: cell for cell in ranking.cells}
    assert first.cost == ranking.difference(ranking.best, there["crop+color"])
    assert first.cost.mean == pytest.approx(0.1, abs=0.005)
    assert first.cost.low < first.cost.mean < first.cost.high
    assert (first.contends, first.is_best) == (False, False)
    assert first.score == ranking.scores["crop+color"]
    assert second.cost.mean == pytest.approx(0.05, abs=0.005)


def test_a_winner_can_be_the_best_or_a_contender_elsewhere(tmp_path):
    one = world(tmp_path, "a", {"crop": 0.6})
    same = world(tmp_path, "b", {"crop": 0.7})
    near = world(tmp_path, "c", {"crop": 0.7, "color": 0.701}, noise=0.02)
    found = {(cost.of, cost.under): cost for cost in costs(sides_of(one, [same, near]))}
    assert (found["a", "b"].is_best, found["a", "b"].cost, found["a", "b"].mean) == (True, None, 0)
    assert found["a", "c"].contends
    nothing = replace(found["a", "c"], is_best=False, cost=Difference(0.0002, -0.01, 0.01, 3))
    assert "costs less than 0.1 [-1.0, +1.0] points under c" in agreement._said(nothing)
    assert (
        agreement.of_sides(sides_of(one, [same])).sentences()[1] == "The winner of a, crop, is the best under b, too."
    )


def test_what_cannot_be_compared_has_a_reason(tmp_path):
    whole = world(tmp_path, "whole", {"crop+color": 0.6})
    few = world(tmp_path, "few", {"color": 0.6}, ops=["color", "blur"])
    failed = world(tmp_path, "failed", {"blur": 0.6}, fail=["crop+color"])
    empty = world(tmp_path, "empty", {}, skip=[*(f"{a}+{b}" for a in ABC for b in ABC if a != b), *ABC])
    sides = sides_of(whole, [few, failed, empty])
    found = {(cost.of, cost.under): cost for cost in costs(sides)}
    cells = whole.grid.cells | {("crop", "color"): Cell("crop+color", planned=3, pruned=3)}
    pruned = Side("pruned", replace(whole.grid, cells=cells))
    assert costs([sides[0], pruned])[0].why == "pruned"
    assert found["whole", "few"].why == "not in its grid"
    assert found["whole", "failed"].why == "failed"
    assert found["whole", "empty"].why == "missing"
    assert found["empty", "whole"].why == "empty has no result"
    assert found["few", "whole"].score
    every = agreement.of_sides(sides_of(whole, [few, failed, empty]))
    assert len(every.sentences()) == 2
    (page,) = agreement.section(every)
    assert any("failed" in row for row in page.parts[1].rows)
    said = agreement.of_sides(sides_of(whole, [failed])).sentences()
    assert said[1] == "The winner of whole, crop+color, cannot be compared under failed (failed)."
    assert agreement.of_sides(sides_of(empty, [whole])).sentences()[1] == "Empty has no result."


def test_one_seed_has_costs_without_intervals(tmp_path):
    one, other = (world(tmp_path, name, {name: 0.6}, seeds=1) for name in ("crop", "color"))
    first = costs(sides_of(one, [other]))[0]
    assert (first.contends, first.cost.low) == (None, None)
    three = agreement.of_sides(sides_of(one, [other, world(tmp_path, "blur", {"blur": 0.7}, seeds=1)]))
    assert "cannot be told" not in " ".join(three.sentences())
    (page,) = agreement.section(three)
    assert [part.headings[-1] for part in page.parts[:2]] == ["cells", "costs, points"]  # no empty column


def test_sweeps_are_called_by_what_tells_them_apart(tmp_path):
    a, b = (made_up(tmp_path / name, 2, number=number) for number, name in enumerate("ab"))
    assert told_apart([a, b]) == ["images 0", "images 1"]
    same = [made_up(tmp_path / place, 2) for place in ("c", "d")]
    assert told_apart(same) == ["c", "d"]
    deep = [made_up(tmp_path / place / "s", 2) for place in ("c", "d")]
    assert told_apart(deep) == [str(tmp_path / "c" / "s"), str(tmp_path / "d" / "s")]


def test_three_ops_say_that_they_show_little(two):
    sentence = agreement.of_sides(sides_of(two[0], two[1:])).sentences()[0]
    assert sentence.startswith("Spearman rank correlation of leaves with cells: +")
    assert "with 3 ops no p is below 0.167" in sentence


def test_many_grids_have_two_sentences_and_a_table(tmp_path):
    worlds = [world(tmp_path, f"set {n}", {label: 0.6}) for n, label in enumerate(["crop", "crop", "blur", "color"])]
    every = agreement.of_sides(sides_of(worlds[0], worlds[1:]))
    assert len(every.pairs) == 6
    ranks, winners = every.sentences()
    assert ranks.startswith("Spearman's rank correlations of these 4 grids lie between -")
    assert "with 3 ops no p is below 0.167" in ranks
    assert winners.startswith(
        "In 2 of 12 cases, the winner of one grid is the best of another or cannot be told from it"
    )
    console = Console(file=StringIO(), width=80)
    agreement.show(every, console)
    lines = console.file.getvalue().splitlines()
    assert lines[1].split() == ["winner", "of", "1", "2", "3", "4"]
    assert lines[2].split()[:4] == ["1", "set", "0", "crop"]
    assert "best" in lines[2]
    assert max(map(len, lines[1:])) <= 80


def test_at_most_eight_grids_are_compared(tmp_path):
    worlds = [world(tmp_path, f"set {n}", {"crop": 0.6}, ops=["crop", "color"], seeds=1) for n in range(9)]
    every = agreement.of_sides(sides_of(worlds[0], worlds[1:]))
    assert len(every.sides) == 8
    assert every.sentences()[-1] == "The first 8 of 9 grids are compared."


@pytest.mark.usefixtures("undrawn")
def test_a_sweep_is_not_compared_with_itself_or_twice(two):
    one, other = (sweep.directory for sweep in two)
    with pytest.raises(UsageError, match="leaves is given twice: a report compares a sweep with other ones"):
        write_report(one, [other.parent / ".." / other.parent.name / "leaves"])
    with pytest.raises(UsageError, match="cells is given twice"):
        write_report(one, [other, other])


@pytest.mark.usefixtures("undrawn")
def test_the_report_of_several_sweeps_has_all_of_it_once(two):
    one, other = (sweep.directory for sweep in two)
    report = write_report(one, [other])
    assert (one / "report" / "differences.pdf").exists()
    page = (one / "report" / "index.html").read_text()
    assert page.count("<h2>Agreement of the grids</h2>") == 1
    assert "<h3>Whose winner costs how much?</h3>" in page
    console = Console(file=StringIO(), width=200)
    report.show(console)
    shown = console.file.getvalue()
    assert shown.count("Spearman rank correlation of leaves with cells") == 1
    assert "The winner of leaves, crop+color, costs +" in shown


def along_an_axis(directory, objectives, means, seeds=2):
    """A sweep with a grid for each objective; ``means`` by objective and label."""
    planned = make_experiment(["crop", "color"], seeds)
    variants = tuple(
        Variant(values={"objective": name}, shared=planned.shared.replace(objective=name)) for name in objectives
    )
    planned = planned.replace(variants=variants)
    save_plan(directory, planned)
    for trial in plan(planned):
        label = trial.label.partition(", ")[0]
        mean = 0.1 if trial.reference else means.get((trial.point["objective"], label), 0.3)
        write_record(directory, record(trial, mean + 0.01 * trial.seed + 0.001 * len(label) * trial.seed))
    return directory


@pytest.mark.usefixtures("undrawn")
def test_the_points_of_an_axis_are_compared_without_another_directory(tmp_path):
    means = {("simclr", "crop+color"): 0.6, ("supervised", "color+crop"): 0.7, ("supervised", "crop+color"): 0.65}
    report = write_report(along_an_axis(tmp_path, ["simclr", "supervised"], means))
    sides = report.compared.agreement.sides
    assert [side.name for side in sides] == ["objective=simclr", "objective=supervised"]
    first = costs(sides)[0]
    assert (first.winner, first.cost.mean) == ("crop+color", pytest.approx(0.05))
    page = (tmp_path / "report" / "index.html").read_text()
    assert "objective=supervised minus objective=simclr" not in page  # the figure is an image
    assert "<h3>Whose winner costs how much?</h3>" in page
    assert (tmp_path / "report" / "differences.png").exists()


@pytest.mark.usefixtures("undrawn")
def test_a_sweep_with_axes_is_not_compared_with_another(two, tmp_path):
    axes = along_an_axis(tmp_path / "axes", ["simclr", "supervised"], {})
    with pytest.raises(UsageError, match="axes has a grid for each point of its axes; its own report compares these"):
        write_report(axes, [two[0].directory])


@pytest.mark.usefixtures("undrawn")
def test_a_sweep_that_is_judged_by_the_first_ones_measure_is_named(two, tmp_path):
    first, other = (each.directory for each in two)
    save_plan(other, load_plan(other).replace(measure="balanced"))
    (said,) = write_report(first, [other]).compared.said
    assert said == (
        f"{other} is judged by top-1 accuracy here, as {first} is; it was planned with balanced accuracy, by which "
        f"`ablate report {other}` judges it."
    )
    assert said.partition("; ")[0] in (first / "report" / "index.html").read_text()


@pytest.mark.usefixtures("undrawn")
def test_a_sweep_that_only_varies_a_setting_says_how_to_draw_it(two, tmp_path):
    planned = make_experiment([], 1)
    shared = planned.shared
    variants = tuple(Variant(values={"batch_size": str(n)}, shared=shared.replace(batch_size=n)) for n in (32, 64))
    beside = NamedComposition(label="crop", ops=(op_spec("crop"),))
    save_plan(tmp_path / "along", planned.replace(variants=variants, compositions=(beside,)))
    with pytest.raises(
        UsageError, match=r"along varies batch_size without a grid of ops: `ablate report .*along` draws"
    ):
        write_report(two[0].directory, [tmp_path / "along"])


def test_a_sweep_alone_has_no_agreement(two):
    assert agreement.of_sides(sides_of(two[0])) is None
    assert agreement.section(None) == []


@pytest.mark.parametrize(
    ("count", "k", "name"), [(2, 3, "a"), (3, 5, "blood cells"), (5, 7, "images " * 9), (3, 10, "a")]
)
def test_differences_can_be_read_in_a_readme(tmp_path, count, k, name):
    sweeps = [made_up(tmp_path / str(n), k, seeds=1, number=n, name=name) for n in range(count)]
    first, *others = sides_of(sweeps[0], sweeps[1:])
    figure = differences.draw(first.name, [compare(first.grid, other.grid, other.name) for other in others])
    assert figure.get_figwidth() == WIDTH
    inside = figure.bbox
    for text, box in extents(figure).items():
        assert inside.x0 <= box.x0 <= box.x1 <= inside.x1, text
        assert inside.y0 <= box.y0 <= box.y1 <= inside.y1, text
        assert text.get_fontsize() >= 5 or text.get_text() == MARK, text
    above = [axes.title.get_window_extent() for axes in figure.axes if axes.get_title()]
    assert len(above) == count - 1
    assert not any(a.overlaps(b) for n, a in enumerate(above) for b in above[:n])


def test_a_single_panel_is_not_stretched(tmp_path):
    one, two = (made_up(tmp_path / name, 2, seeds=1) for name in "ab")
    first, other = sides_of(one, [two])
    figure = differences.draw(first.name, [compare(first.grid, other.grid, other.name)])
    figure.draw_without_rendering()
    box = figure.axes[0].get_window_extent()
    assert 0.7 < box.height / box.width < 0.8


def test_differences_leave_out_the_mean_and_mark_what_is_no_noise(tmp_path):
    one = world(tmp_path, "one", {"crop": 0.4})
    other = world(
        tmp_path, "other", {"crop": 0.6, "color": 0.5, **{f"{a}+{b}": 0.5 for a in ABC for b in ABC}, "blur": 0.5}
    )
    pair = compare(one.grid, other.grid, "other")
    assert sum(value.mean for value in pair.beyond.values()) == pytest.approx(0)
    assert pair.mean_difference == pytest.approx(0.2, abs=0.005)
    assert all(value.low < 0 < value.high for value in pair.beyond.values())
    lower = world(tmp_path, "lower", {"crop": 0.2})
    pair = compare(one.grid, lower.grid, "lower")
    apart = {place for place, value in pair.beyond.items() if value.low > 0 or value.high < 0}
    assert ("crop", "crop") in apart
    assert pair.beyond["crop", "crop"].mean == pytest.approx(-0.2 * 8 / 9, abs=0.005)
    words = " ".join(text.get_text() for text in extents(differences.draw("one", [pair])))
    assert MARK in words
    assert "on average -2.2 points" in words


def test_cells_that_share_no_seed_have_a_difference_without_an_interval():
    def grid(seeds):
        cells = {(a, b): Cell(a + b, {"linear_top1": dict.fromkeys(seeds(a, b), 0.5)}, 4) for a in "ab" for b in "ab"}
        return Grid(("a", "b"), cells, {})

    apart = compare(grid(lambda a, b: (2, 3) if a == b == "b" else (0, 1)), grid(lambda a, b: (0, 1)), "b")
    assert {(value.mean, value.low) for value in apart.beyond.values()} == {(0.0, None)}


def test_grids_of_different_ops_are_compared_over_those_in_common(tmp_path):
    one = made_up(tmp_path / "one", 4, seeds=1)
    few, many = (made_up(tmp_path / str(k), k, seeds=1, number=k) for k in (2, 6))
    first, *others = sides_of(one, [few, many])
    figure = differences.draw(first.name, [compare(first.grid, other.grid, other.name) for other in others])
    numbers = [[t.get_text() for t in axes.texts if t.get_text()[0] in "+-"] for axes in figure.axes[:2]]
    assert list(map(len, numbers)) == [4, 16]
    assert "Empty: one of the two has no result." in " ".join(figure.get_supxlabel().split())


def test_the_intervals_of_a_panel_hold_together():
    """Of 60 pairs of grids that differ nowhere, one in twenty or so has a marked cell."""
    rng = np.random.default_rng(0)
    places = [(a, b) for a in ABC for b in ABC]

    def noisy():
        cells = [
            Cell("+".join(place), {"linear_top1": dict(enumerate(rng.normal(0.5, 0.02, 3)))}, 3) for place in places
        ]
        return Grid(tuple(ABC), dict(zip(places, cells, strict=True)), {})

    found = [compare(noisy(), noisy(), "b").beyond.values() for _ in range(60)]
    wrong = sum(any(value.low > 0 or value.high < 0 for value in values) for values in found)
    assert wrong <= 8
