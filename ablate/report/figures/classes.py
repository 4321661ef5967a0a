"""Classes by compositions, and ops by classes: which class gains or loses, as a figure, tables and a CSV file."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ablate.console import filled, shortened
from ablate.report.data.grid import Grid
from ablate.report.data.results import Results
from ablate.report.figures.fonts import told
from ablate.report.figures.labels import short_names, spelled_out
from ablate.report.figures.palette import SIGNED, colour, ink_on
from ablate.report.figures.style import STYLE, as_svg
from ablate.report.section import Section
from ablate.report.stats.classes import ClassEffect, Profile, effects_of, profile_of
from ablate.report.stats.words import in_points, judge, mentioned, named

MOST_ROWS, MOST_COLUMNS = 25, 20  # compositions and classes in a figure or a table: the best, the largest
LONGEST = 22, 36  # characters of the name of a class, and of a composition
CELL = 0.42, 0.2  # inches
LEAST, MOST = 0.1, 0.3  # ends of the colour scale, as fractions: noise stays pale, and bad cells do not hide the others
MARK = "●"


def section(sweep: Results) -> list[Section]:
    """Return the section on classes; nothing without results for every image, as in sweeps of earlier versions."""
    profile = profile_of(sweep)
    if profile is None:
        return []
    effects, best = effects_of(sweep), mentioned(profile.cells[0].label)
    shown = columns(profile)
    texts = [
        f"Recall is the share of a class's test images that is classified correctly, here under {best}, the best "
        "composition with results for every image. “Highest” is that of any composition, and a little high by chance.",
        *_left_out(sweep, profile),
        *told(profile.names[number] for number in shown),
    ]
    headings = ("class", "images: validation, test", "recall %", "highest %", "under", "most often taken for")
    rows = tuple(_row(profile, number) for number in shown)
    figure = as_svg(draw(sweep.grid, profile, effects))
    return [Section("Classes", tuple(texts), headings, rows, figure, parts=tuple(_effects(profile, effects)))]


def _left_out(sweep: Results, profile: Profile) -> list[str]:
    """Return sentences on the trials that are not counted and the classes that are not shown."""
    sentences, done = [], sum(cell.n for cell in profile.cells)
    if done > sum(profile.seeds):
        sentences.append(f"{sum(profile.seeds)} of {done} trials of these compositions have results for every image.")
    if len(profile.names) > MOST_COLUMNS:
        sentences.append(f"The {MOST_COLUMNS} largest of {len(profile.names)} classes; classes.csv has all.")
    return sentences


def columns(profile: Profile) -> list[int]:
    """Return the classes to show, in their order: those with test images, at most twenty of them, the largest."""
    there = [number for number, (_, test) in enumerate(profile.images) if test]
    return sorted(sorted(there, key=lambda number: -profile.images[number][1])[:MOST_COLUMNS])


def _row(profile: Profile, number: int) -> tuple[str, ...]:
    recall = profile.test[:, number]
    highest = int(recall.argmax())
    taken = profile.confused[number].copy()
    taken[number] = 0.0
    other = int(taken.argmax())
    confused = f"{profile.names[other]} ({100 * taken[other]:.0f} %)" if taken[other] > 0 else ""
    validation, test = profile.images[number]
    name, under = profile.names[number], profile.cells[highest].label
    return name, f"{validation}, {test}", f"{100 * recall[0]:.1f}", f"{100 * recall[highest]:.1f}", under, confused


def _effects(profile: Profile, effects: Sequence[ClassEffect]) -> list[Section]:
    if not effects:
        return []
    largest = sorted(effects, key=lambda effect: -abs(effect.difference.mean))
    clear = [f"{effect.op} on {effect.of} {in_points(effect.difference)}" for effect in largest if effect.is_clear]
    texts = (
        "Mean recall of the cells with an op minus that of the cells without it, in points. The 95 % intervals hold "
        f"for all ops and classes at once (max-T), over {_over(effects)}.",
        f"Clear, the largest first: {named(clear)}." if clear else "No effect is clear.",
    )
    known = {(effect.op, effect.of): in_points(effect.difference) for effect in effects}
    ops, shown = dict.fromkeys(effect.op for effect in effects), [profile.names[number] for number in columns(profile)]
    rows = tuple((name, *(known[op, name] for op in ops)) for name in shown)
    return [Section("What each op does to each class", texts, ("class", *ops), rows)]


def draw(grid: Grid, profile: Profile, effects: Sequence[ClassEffect]) -> Figure:
    """Draw the recalls minus those of the best composition, and below them the effects of ops, a column per class.

    Args:
        grid: the grid, or other compositions.
        profile: the recalls.
        effects: the effects of ops; may be empty.
    """
    shown, rows = columns(profile), profile.cells[:MOST_ROWS]
    labels = [shortened(profile.names[number], LONGEST[0]) for number in shown]
    ops, known = dict.fromkeys(effect.op for effect in effects), {(effect.op, effect.of): effect for effect in effects}
    there = [[known[op, profile.names[number]] for number in shown] for op in ops]
    against = (profile.test - profile.test[:1])[: len(rows), shown]
    below = np.array([[effect.difference.mean for effect in row] for row in there]).reshape(-1, len(shown))
    limit = min(MOST, max(LEAST, *(float(np.abs(part).max(initial=0.0)) for part in (against, below))))
    width = max(4.2, CELL[0] * len(shown) + 2.4)
    notes = [*filled(_caption(grid, profile, effects, limit), int(16 * width)), *spelled_out(grid.ops, int(16 * width))]
    height = CELL[1] * (len(rows) + len(ops) + 2) + 0.08 * max(map(len, labels)) + 0.14 * len(notes) + 0.5
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        panels = figure.subplots(1 + bool(ops), 1, height_ratios=[len(rows), *[len(ops)] * bool(ops)], squeeze=False)
        best = [f"{100 * value:.0f} %" for value in profile.test[0, shown]]
        _panel(panels[0, 0], against, limit, _short(grid, [cell.label for cell in rows]), labels, first=best)
        if ops:
            clear = {(y, x) for y, row in enumerate(there) for x, effect in enumerate(row) if effect.is_clear}
            _panel(panels[1, 0], below, limit, _short(grid, list(ops)), [], marked=clear)
        figure.supxlabel("\n".join(notes), fontsize=7, parse_math=False)
    return figure


def _short(grid: Grid, labels: Sequence[str]) -> list[str]:
    """Return labels of compositions with the short names of a grid's ops."""
    for op, name in sorted(zip(grid.ops, short_names(grid.ops), strict=True), key=lambda pair: -len(pair[0])):
        labels = [label.replace(op, name) for label in labels]
    return [shortened(label, LONGEST[1]) for label in labels]


def _panel(
    axes: Axes,
    values: np.ndarray[Any, Any],
    limit: float,
    rows: Sequence[str],
    labels: Sequence[str],
    first: Sequence[str] = (),
    marked: Collection[tuple[int, int]] = (),
) -> None:
    """Draw a cell for each row and class; ``first`` are the texts of the first row, ``marked`` get a dot."""
    for (y, x), value in np.ndenumerate(values):
        background = colour((value / limit + 1) / 2, SIGNED)
        axes.add_artist(Rectangle((x, y), 1, 1, facecolor=background, edgecolor="white", lw=0.8))
        text = first[x] if first and y == 0 else f"{100 * value:+z.0f}"
        sign = f" {MARK}" if (y, x) in marked else ""
        drawn = axes.text(
            x + 0.5, y + 0.5, text + sign, ha="center", va="center", fontsize=6.5, color=ink_on(background)
        )
        drawn.set_in_layout(False)
    axes.set_xlim(0, values.shape[1])
    axes.set_ylim(len(rows), 0)
    axes.xaxis.tick_top()
    upright = max(map(len, labels), default=0) > 6
    axes.set_xticks([i + 0.5 for i in range(len(labels))], labels, rotation=90 if upright else 0, parse_math=False)
    axes.set_yticks([i + 0.5 for i in range(len(rows))], rows, parse_math=False)
    axes.tick_params(length=0, labelsize=7)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _caption(grid: Grid, profile: Profile, effects: Sequence[ClassEffect], limit: float) -> str:
    sentences = [
        f"Top: recall on test images under {mentioned(profile.cells[0].label)}, the best by {judge(grid)}, and the "
        "difference of the other compositions from it in points, the best first. Colours end at "
        f"{100 * limit:.0f} points."
    ]
    if len(profile.cells) > MOST_ROWS:
        sentences.append(f"The best {MOST_ROWS} of {len(profile.cells)}.")
    if effects:
        sentences.append(
            f"Bottom: mean of the cells with an op minus those without it; {MARK} differs from 0 by its 95 % interval; "
            f"these hold for all at once, over {_over(effects)}."
        )
    return " ".join(sentences)


def _over(effects: Sequence[ClassEffect]) -> str:
    """Return what the intervals hold: ``seeds and images``, or ``images only``."""
    return effects[0].difference.how.partition(",")[0]
