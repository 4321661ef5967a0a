"""Colours: noise does not look like a result, and the untrained encoder is on the scale."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.text import Text

from ablate.report.data.grid import Cell, Grid
from ablate.report.data.results import read_sweep
from ablate.report.figures.comparison import draw
from ablate.report.figures.heatmap import heatmap
from ablate.report.figures.scale import BELOW, UNKNOWN, scale
from ablate.report.page.layers import layers
from ablate.report.stats.comparison import compare
from ablate.report.text.caption import caption
from ablate.sweep.plan import plan, save_plan
from tests.support.sweeps import make_experiment, record, write_record

OPS = tuple("abcdefg")
METRICS = ("linear_top1", "linear_val_top1")


def grid(value, seeds=3, untrained=None, ops=OPS):
    """``value(row, column, seed)`` in every cell."""

    def cell(label, known):
        return Cell(label, dict.fromkeys(METRICS, known), len(known))

    cells = {
        (a, b): cell(a if a == b else f"{a}+{b}", {s: value(i, j, s) for s in range(seeds)})
        for i, a in enumerate(ops)
        for j, b in enumerate(ops)
    }
    references = {} if untrained is None else {"untrained": cell("untrained", {0: untrained})}
    return Grid(tuple(ops), cells, references)


def noise(sigma, seed=0):
    draws = sigma * np.random.default_rng(seed).standard_normal((7, 7, 9))
    return lambda i, j, s: 0.5 + draws[i, j, s]


@pytest.mark.parametrize("sigma", [0.001, 0.01, 0.03])
@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_noise_alone_takes_little_of_the_colours(sigma, seeds):
    found = grid(noise(sigma), seeds)
    colours = scale(found)
    shares = [colours.share(cell.mean()) for cell in found.cells.values()]
    assert max(shares) - min(shares) < 0.35
    assert 0.25 < np.mean(shares) < 0.75
    assert colours.why.startswith("The colours span")


def test_one_seed_has_twenty_points_at_least():
    colours = scale(grid(noise(0.02), 1))
    assert colours.high - colours.low == pytest.approx(UNKNOWN)
    assert "the noise is unknown" in colours.why


@pytest.mark.parametrize(
    ("low", "high", "ends"),
    [
        (-0.6, -0.1, (-0.6, -0.1)),  # no cell is better than the mean of the values
        (-0.3, 0.5, (-0.3, 0.5)),
        (-40.0, 0.2, (-0.8, 0.2)),  # one cell that diverged
        (-40.0, -0.2, (-1.2, -0.2)),
        (0.2, 0.9, (0.2, 0.9)),
    ],
)
def test_r2_below_0_has_colours_of_its_own(low, high, ends):
    def value(i, j, s):
        return low if i == j == 0 else high - 0.01 * (6 - j) * (high - max(low, high - 1)) - 0.001 * (s == i % 3)

    made = grid(value)
    cells = {place: Cell(c.label, {"linear_r2": c.seeds()}, 3, metric="linear_r2") for place, c in made.cells.items()}
    r2 = Grid(made.ops, cells, {}, "linear_r2")
    colours = scale(r2)
    assert (colours.low, colours.high) == (pytest.approx(ends[0], abs=0.002), pytest.approx(ends[1], abs=0.002))
    shares = {colours.share(cell.mean()) for cell in r2.cells.values()}
    assert len(shares) > 7
    assert min(shares) == pytest.approx(0.0, abs=0.01) and max(shares) > 0.99


def test_a_result_takes_all_of_them():
    colours = scale(grid(lambda i, j, s: 0.1 + 0.1 * i + 0.001 * (s == j % 3)))
    assert (colours.low, colours.high) == (pytest.approx(0.1, abs=0.002), pytest.approx(0.7, abs=0.002))
    assert colours.why == ""


@pytest.mark.parametrize("value", [0.0, 0.05, 0.97, 1.0])
def test_the_ends_are_accuracies(value):
    colours = scale(grid(lambda i, j, s: value, 1))
    assert 0 <= colours.low < colours.high <= 1
    assert colours.high - colours.low == pytest.approx(UNKNOWN)


@pytest.mark.parametrize(
    ("untrained", "said"), [(0.45, "untrained"), (0.05, "untrained 5.0 ↓"), (0.95, "untrained 95.0 ↑")]
)
def test_untrained_is_on_the_scale_and_what_lies_below_is_marked(untrained, said):
    found = grid(lambda i, j, s: 0.3 + 0.05 * i, untrained=untrained)
    below = sum(cell.mean() < untrained for cell in found.cells.values())
    texts = [text.get_text() for text in heatmap(found).findobj(Text)]
    assert texts.count(BELOW) == below
    assert said in texts
    assert any("below the untrained encoder" in text for text in texts) == (below > 0)


@pytest.mark.parametrize(("untrained", "beyond"), [(0.45, ""), (0.05, "below"), (0.95, "above")])
def test_no_sentence_speaks_of_a_line_that_is_not_drawn(untrained, beyond, tmp_path):
    experiment = make_experiment(["a", "b"], 1)
    save_plan(tmp_path, experiment)
    for trial in plan(experiment):
        write_record(tmp_path, record(trial, untrained if trial.reference else 0.5))
    whole = read_sweep(tmp_path)
    assert scale(whole.grid).beyond == beyond
    said = caption(whole)
    assert ("The line on the colour bar is the untrained encoder." in said) == (not beyond)
    assert (f"The untrained encoder is {beyond} the colour bar." in said) == bool(beyond)


@pytest.mark.parametrize("width", [None, 3.25, 6.75])
@pytest.mark.parametrize("ops", [1, 4, 7])
def test_the_colour_bar_is_as_tall_as_the_grid(ops, width):
    figure = heatmap(grid(noise(0.1), ops=OPS[:ops]), width=width)
    figure.draw_without_rendering()
    main, bar = figure.axes[0].get_window_extent(), figure.axes[1].child_axes[0].get_window_extent()
    assert (bar.y0, bar.y1) == pytest.approx((main.y0, main.y1), abs=1)


def test_layers_of_the_page_have_the_same_floor():
    noisy = grid(noise(0.02))
    found = {layer.key: layer for layer in layers(noisy)}
    span = scale(noisy).high - scale(noisy).low
    assert found["accuracy"].limits == (scale(noisy).low, scale(noisy).high)
    assert found["error"].limits[0] == 0
    assert found["order"].limits == (pytest.approx(-span / 2), pytest.approx(span / 2))


@pytest.mark.parametrize(("ops", "wide"), [(1, 2), (7, 1)])
def test_a_comparison_says_that_scales_differ_and_fits_a_page(ops, wide):
    found = grid(noise(0.1), ops=OPS[:ops])
    figure = draw(compare(found, found, "itself"), ("a short title", "a long title " * 12))
    assert figure.get_figwidth() <= 10
    assert any("a colour scale of its own" in text.get_text().replace("\n", " ") for text in figure.findobj(Text))
    figure.draw_without_rendering()
    first, second = (figure.axes[i].get_window_extent() for i in (0, 2))
    assert (abs(first.y0 - second.y0) < 1) == (wide == 2)
    assert first.height == pytest.approx(second.height, rel=0.02)
