"""Accuracy along an axis: a setting that varies, or one number of one op (Table 1, Figures 8 and 9 of the paper)."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ablate.config.base import OpSpec
from ablate.config.measure import heading, measured_by
from ablate.config.sweep import Trial
from ablate.report.data.grid import Cell, Grid, composition
from ablate.report.data.results import Results
from ablate.report.figures.labels import NAMES
from ablate.report.figures.style import STYLE, as_svg
from ablate.report.section import Section
from ablate.report.stats.words import percent, sample_size

FEWEST = 3  # strengths needed for an axis: two compositions may differ in one number by chance
MOST = 12  # lines at most that can be told apart in one figure
WIDE = 8  # ratio of the highest to the lowest value from which on an axis is logarithmic
STEP = 0.012  # distance between the points of neighbouring lines, as a fraction of the axis
CLOSE = 0.05  # fraction of the axis: references that are closer share a label
ABOVE = 4  # lines at most for which the legend has room above the axes
COLOURS = ("#31688e", "#b2182b", "#35b779", "#8a6d00", "#7b3294", "#000000")
MARKERS = "os^D"
BESIDE = {"z_linear_top1": ("--", " at z"), "classifier_top1": (":", ", its classifier")}
"""Metrics shown beside linear evaluation at h: the style of their lines, and the suffix of their names."""


@dataclass(frozen=True)
class Line:
    """The cells along an axis that have everything else in common, keyed by the name of their value."""

    name: str
    cells: dict[str, Cell]


@dataclass(frozen=True)
class Axis:
    """An axis with the names of its ``values``, in their order.

    Every cell of the sweep with a result is on one of ``lines``.
    """

    name: str
    values: tuple[str, ...]
    lines: tuple[Line, ...]


def axis(sweep: Results) -> Axis | None:
    """Return the axis that shows a sweep best: a strength, else a setting with numbers, else the longest axis.

    Return None if there is none, or if its figure would need more than twelve lines.
    """
    if sweep.experiment.search:
        return None  # a search has no design: along an axis other things vary too, depending on where it looked
    trials = {trial.label: trial for trial in sweep.trials if trial.reference is None}
    along = _strength(sweep, trials) or _setting(sweep, trials)
    return along if along and 0 < len(along.lines) <= MOST else None


def _setting(sweep: Results, trials: Mapping[str, Trial]) -> Axis | None:
    axes = {name: values for name, values in sweep.experiment.axes.items() if len(values) > 1}
    if not axes:
        return None
    name = max(axes, key=lambda name: (numbers(axes[name]) is not None, len(axes[name])))
    points = [variant.values for variant in sweep.experiment.variants]
    # An axis that goes hand in hand with the chosen one says nothing more.
    tied = {other for other in axes if len({(point[name], point[other]) for point in points}) == len(axes[name])}
    lines: dict[tuple[str, ...], dict[str, Cell]] = defaultdict(dict)
    for cell in sweep.grid.with_results:
        point = trials[cell.label].point
        rest = [_called(other, value) for other, value in point.items() if other in axes and other not in tied]
        lines[composition(trials[cell.label]), *rest][point[name]] = cell
    values = sorted(axes[name], key=float) if numbers(axes[name]) else axes[name]
    return Axis(name, tuple(values), _named(lines))


def _strength(sweep: Results, trials: Mapping[str, Trial]) -> Axis | None:
    """Return the number of an op that takes the most values among compositions that are otherwise equal."""
    groups: dict[tuple[str, str], dict[tuple[str, ...], dict[str, Cell]]] = defaultdict(lambda: defaultdict(dict))
    for cell in sweep.grid.with_results:
        trial = trials[cell.label]
        rest = [_called(name, value) for name, value in trial.point.items()]
        ops = trial.config.every_op
        for index, spec in enumerate(ops):
            for name, value in spec.params.items():
                if isinstance(value, int | float) and not isinstance(value, bool):
                    line = trial.config.op_names, *rest, _others(ops, index, name)
                    groups[spec.name, name][line].setdefault(f"{value:g}", cell)
    longest = {key: max(map(len, lines.values())) for key, lines in groups.items()}
    if max(longest.values(), default=0) < FEWEST:
        return None
    (op, parameter), lines = max(groups.items(), key=lambda item: longest[item[0]])
    values = sorted({value for cells in lines.values() for value in cells}, key=float)
    return Axis(f"{parameter} of {op}", tuple(values), _named({key[:-1]: cells for key, cells in lines.items()}))


def _named(lines: Mapping[tuple[str, ...], dict[str, Cell]]) -> tuple[Line, ...]:
    """Name each line by the parts of its key in which the lines differ."""
    telling = [len(set(parts)) > 1 for parts in zip(*lines, strict=True)]
    return tuple(
        Line(", ".join(part for part, tells in zip(key, telling, strict=True) if tells), cells)
        for key, cells in lines.items()
    )


def _called(name: str, value: str) -> str:
    return value if numbers([value]) is None else f"{in_words(name)} = {value}"


def in_words(name: str) -> str:
    """Turn the name of a setting into words: ``batch_size`` becomes ``batch size``."""
    return name.replace("_", " ").replace(".", " ")


def numbers(values: Sequence[str]) -> list[float] | None:
    """Return ``values`` as numbers, or None if one of them is not a number."""
    try:
        return [float(value) for value in values]
    except ValueError:
        return None


def _others(composition: Sequence[OpSpec], index: int, name: str) -> str:
    """Return the composition without that one number, as JSON."""
    plain = [spec.model_dump(mode="json") for spec in composition]
    plain[index]["params"] = {key: value for key, value in plain[index]["params"].items() if key != name}
    return json.dumps([index, plain], sort_keys=True)


def section(sweep: Results) -> list[Section]:
    """Return the axis as a figure of the page, with a table per metric; nothing without an axis."""
    along = axis(sweep)
    if along is None:
        return []
    name = in_words(along.name)
    made = [Section(f"{heading(sweep.grid.measure)} by {name}", figure=as_svg(draw([(sweep, along)])))]
    for metric in _known(sweep.grid, along):
        rows = tuple((line.name, *(_percent(line, value, metric) for value in along.values)) for line in along.lines)
        made.append(Section(f"{title(metric)} by {name}", (), (name, *along.values), rows))
    return made


def _percent(line: Line, value: str, metric: str) -> str:
    """Return the value in percent, without the unit, which is in the title.

    The text is empty if the line has no such cell, or the cell no such metric.
    """
    cell = line.cells.get(value)
    return percent(cell, metric).removesuffix(" %") if cell and cell.seeds(metric) else ""


def title(metric: str) -> str:
    """Return the metric as a title, such as ``Linear evaluation top-1 (%)``."""
    return NAMES[metric][0].upper() + NAMES[metric][1:]


def _known(grid: Grid, along: Axis) -> list[str]:
    cells = [cell for line in along.lines for cell in line.cells.values()]
    beside = [measured_by(metric, grid.measure) for metric in BESIDE]
    return [grid.metric, *(metric for metric in beside if any(cell.seeds(metric) for cell in cells))]


def draw(sweeps: Sequence[tuple[Results, Axis]]) -> Figure:
    """Draw means with standard deviations over seeds; the first sweep's references are dashed lines across the figure.

    Solid lines are linear evaluation of h, dashed ones of z, dotted ones a supervised encoder's own classifier.
    """
    first, along = sweeps[0]
    values = list(dict.fromkeys(value for _, own in sweeps for value in own.values))
    known = numbers(values)
    at = dict(zip(values, known or range(len(values)), strict=True))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(3.6, 2.7), layout="constrained")
        axes = figure.subplots()
        logarithmic = _ticks(axes, at, numeric=known is not None)
        drawn = [(sweep, own, line) for sweep, own in sweeps for line in own.lines]
        for number, (sweep, own, line) in enumerate(drawn):
            name = ", ".join(filter(None, [_sweep_name(sweep, sweeps), line.name]))
            places = _apart(at, number - (len(drawn) - 1) / 2, logarithmic=logarithmic)
            _draw_line(axes, sweep.grid, own, line, places, name, number)
        _references(axes, first)
        axes.set_xlabel(in_words(along.name), fontsize=7.5, parse_math=False)
        axes.set_ylabel("\n".join([NAMES[first.grid.metric], *_bars(drawn)]), fontsize=7.5)
        axes.tick_params(labelsize=6.5)
        axes.spines[["top", "right"]].set_visible(False)
        names = axes.get_legend_handles_labels()[1]
        if len(names) > ABOVE:
            figure.set_figwidth(3.7 + 0.06 * max(map(len, names)))
            figure.legend(loc="outside right upper", fontsize=6.5, frameon=False)
        else:
            figure.legend(loc="outside upper center", ncols=2, fontsize=6.5, frameon=False)
    return figure


def _bars(drawn: Sequence[tuple[Results, Axis, Line]]) -> list[str]:
    """Return the text that says what the bars are; empty if there are none, since every cell has one seed."""
    seeds = {cell.n for _, _, line in drawn for cell in line.cells.values()}
    return [f"± standard deviation, {sample_size(seeds)}"] if max(seeds) > 1 else []


def _sweep_name(sweep: Results, sweeps: Sequence[tuple[Results, Axis]]) -> str:
    """Return the text that tells sweeps apart: the objective if all differ, else the directory.

    For a single sweep with one line it is the objective; with several lines it is empty.
    """
    objectives = [other.experiment.shared.objective for other, _ in sweeps]
    if len(sweeps) == 1:
        return "" if len(sweeps[0][1].lines) > 1 else objectives[0]
    return sweep.experiment.shared.objective if len(set(objectives)) == len(sweeps) else sweep.directory.name


def _draw_line(
    axes: Axes, grid: Grid, along: Axis, line: Line, at: Mapping[str, float], name: str, number: int
) -> None:
    colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number // len(COLOURS) % len(MARKERS)]
    for metric in _known(grid, along):
        cells = [(at[v], line.cells[v]) for v in along.values if v in line.cells and line.cells[v].seeds(metric)]
        if cells:
            means = [100 * (cell.mean(metric) or 0.0) for _, cell in cells]
            spread = [100 * (cell.std(metric) or 0.0) for _, cell in cells]
            x = [value for value, _ in cells]
            style, beside = BESIDE.get(measured_by(metric, "top1"), ("-", ""))
            axes.errorbar(
                x, means, spread, label=name + beside, color=colour, marker=marker, ms=3, lw=1, ls=style, capsize=2
            )


def _apart(at: Mapping[str, float], steps: float, *, logarithmic: bool) -> dict[str, float]:
    """Move a line's points ``steps`` small steps to the right, so that error bars do not cover each other."""
    low, high = min(at.values()), max(at.values())
    if logarithmic:
        return {name: x * (high / low) ** (STEP * steps) for name, x in at.items()}
    return {name: x + (high - low) * STEP * steps for name, x in at.items()}


def _ticks(axes: Axes, at: Mapping[str, float], *, numeric: bool) -> bool:
    """Name the values on their axis, and return True if the axis is logarithmic."""
    places = list(at.values())
    logarithmic = numeric and min(places) > 0 and max(places) / min(places) >= WIDE
    if logarithmic:
        axes.set_xscale("log")
        axes.minorticks_off()
    if not numeric or len(places) <= WIDE:
        axes.set_xticks(places, list(at), parse_math=False)
    return logarithmic


def _references(axes: Axes, sweep: Results) -> None:
    """Draw a line across the figure for each reference, named outside at its right end.

    References that are too close together share a label.
    """
    named = sweep.grid.called
    means = {named(name): mean for name, cell in sweep.grid.references.items() if (mean := cell.mean()) is not None}
    known = sorted((100 * mean, name) for name, mean in means.items())
    for mean, _ in known:
        axes.axhline(mean, color="#999999", ls="--", lw=0.8)
    low, high = axes.get_ylim()
    labels: list[tuple[float, str]] = []
    for mean, name in known:
        if labels and mean - labels[-1][0] < CLOSE * (high - low):
            labels[-1] = labels[-1][0], f"{labels[-1][1]}, {name}"
        else:
            labels.append((mean, name))
    for mean, name in labels:
        axes.annotate(
            name,
            (1, mean),
            xytext=(3, 0),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            va="center",
            fontsize=6,
            annotation_clip=False,
        )
