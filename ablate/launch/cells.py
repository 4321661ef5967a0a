"""The grid of a running sweep in a terminal: every cell has a symbol or a number, and the heatmap's colours are added.

This module turns the known facts about each cell (a :class:`Spot`) into lines of text, in the roomiest layout that
fits.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rich.cells import cell_len, set_cell_size
from rich.text import Span, Text

from ablate.console import shortened
from ablate.launch.status import Status, TrialState
from ablate.report.data.grid import Cell, Grid
from ablate.report.figures.scale import Scale, scale
from ablate.report.stats.order import best_first
from ablate.report.stats.words import numbers
from ablate.sweep.progress import TrialProgress

MARKS: dict[TrialState, str] = {
    "running": "►",
    "failed": "✗",
    "lost": "?",
    "interrupted": "‖",
    "queued": "○",
    "parked": "◇",
    "missing": "·",
    "done": "✓",
}
"""The marks of a cell without a result, by importance: the first state that one of its trials has is shown."""
PLAIN: dict[TrialState, str] = {**MARKS, "running": ">", "failed": "x", "interrupted": "=", "missing": ".", "done": "+"}
PLAIN |= {"queued": "o", "parked": "p"}
STYLES: dict[TrialState, str] = {
    "running": "bold cyan",
    "failed": "bold red",
    "lost": "yellow",
    "interrupted": "yellow",
    "queued": "blue",
    "parked": "blue",
    "missing": "dim",
    "done": "",
}
TROUBLE: tuple[TrialState, ...] = ("running", "failed", "lost", "interrupted")  # shown beside the seeds that are done
WITHOUT = {"left out": ("", " "), "pruned": ("pruned", "-"), "not judged": ("n/a", "-")}
"""The texts of a cell that will have no result, the longest first; the last one has one character."""
SCALE = "scale "  # the prefix of a style that is a place on the colour scale, 0 to 100
CORNER = "first \\ second"
ROOMY, TALL = 12, 9  # columns of a cell at most, in one line and in two
LEAST_TALL, LEAST = 5, 3  # columns of a cell at least, in two lines and in one; below, it is a single character

Words = tuple[str, str]
"""The text of a cell: the first part, and the part after or below it."""


@dataclass(frozen=True)
class Spot:
    """A cell or reference of a running sweep: its results, the states of its trials, and the furthest running one."""

    cell: Cell
    states: Counter[TrialState]
    ahead: TrialProgress | None

    @property
    def state(self) -> TrialState:
        """The most important state of its trials, shown if the cell has no result."""
        return next((state for state in MARKS if self.states[state]), "missing")


@dataclass(frozen=True)
class View:
    """The content of a status and its grid for every cell, with their colour scale."""

    grid: Grid
    cells: dict[tuple[str, str], Spot]
    references: list[Spot]
    further: list[Spot]
    colours: Scale

    def hundredth(self, mean: float) -> int:
        """Return the place of ``mean`` on the colour scale, 0 to 100."""
        return round(100 * self.colours.share(mean))


def view(status: Status, grid: Grid) -> View:
    """Collect all that a terminal shows; of the compositions beside the grid, the best come first."""
    where: dict[tuple[bool, str], Counter[TrialState]] = {}
    ahead: dict[tuple[bool, str], TrialProgress] = {}
    for trial in status.trials:
        key, state = (trial.reference is not None, trial.label), status.states[trial.id]
        where.setdefault(key, Counter())[state] += 1
        if state == "running":
            ahead[key] = max(
                ahead.get(key, status.begun[trial.id].progress), status.begun[trial.id].progress, key=_epoch
            )

    def spot(cell: Cell, reference: bool = False) -> Spot:
        key = reference, cell.label
        return Spot(cell, where.get(key, Counter()), ahead.get(key))

    return View(
        grid,
        {position: spot(cell) for position, cell in grid.cells.items()},
        [spot(cell, reference=True) for cell in grid.references.values()],
        [spot(cell) for cell in best_first(grid, grid.further.values())],
        scale(grid),
    )


def coloured(line: Text) -> Text:
    """Return ``line`` in the heatmap's colours.

    Its styles, such as ``scale 37``, are places on the colour scale.
    """
    spans = [Span(span.start, span.end, _shade(str(span.style))) for span in line.spans]
    return Text(line.plain, style=line.style, spans=spans)


@functools.cache
def _shade(style: str) -> str:
    if not style.startswith(SCALE):
        return style
    from ablate.report.figures.palette import (  # needs Matplotlib, and lines without colours do not
        as_hex,
        colour,
        ink_on,
    )

    background = colour(int(style.removeprefix(SCALE)) / 100)
    return f"{ink_on(background)} on {as_hex(background)}"


def _epoch(progress: TrialProgress) -> int:
    return progress.epoch


class Layout(NamedTuple):
    """Columns of row labels, of cells and between cells; True if cells have two lines; and the ops with numbers."""

    label: int
    width: int
    gap: int
    tall: bool
    numbered: frozenset[int]


def layout(ops: Sequence[str], width: int, height: int | None) -> Layout | None:
    """Return the roomiest layout for ``width`` columns and ``height`` lines, or None if no row fits.

    Rows beyond ``height`` must be left out by the caller.

    Args:
        ops: the ops of the grid.
        width: the columns.
        height: the lines; None for any number.
    """
    tall = _layout(ops, width, TALL, tall=True)
    if tall and tall.width >= LEAST_TALL and (height is None or 1 + 2 * len(ops) <= height):
        return tall
    return _layout(ops, width, ROOMY, tall=False)


def _layout(ops: Sequence[str], width: int, most: int, *, tall: bool) -> Layout | None:
    k = len(ops)
    longest = max(len(CORNER), *(cell_len(op) for op in ops))
    label, numbered = longest, frozenset[int]()
    for prefix in (0, len(str(k)) + 3):  # first without numbers, then with them
        label = min(longest + prefix, max(len(CORNER), width // 4))
        wide = min(most, (width - label) // k - 1)
        numbered = frozenset(i for i, op in enumerate(ops) if cell_len(op) > wide)
        if not numbered:
            break
    if wide >= LEAST:
        return Layout(label, wide, 1, tall, numbered)
    label = min(label, max(len(str(k)) + 2, width - 2 * k))
    gap = 1 if label + 2 * k <= width else 0
    return Layout(label, 1, gap, False, frozenset(range(k))) if label + k <= width else None


def draw(seen: View, width: int, *, ascii_only: bool = False, height: int | None = None) -> list[Text]:
    """Draw the grid as lines of text, with a legend of its marks.

    Args:
        seen: the content of the grid.
        width: the highest number of columns.
        ascii_only: use ASCII characters alone.
        height: the highest number of lines; None for any number.
    """
    ops = seen.grid.ops
    marks = PLAIN if ascii_only else MARKS
    fit = layout(ops, width, None if height is None else height - 1)
    if fit is None:
        return [Text(f"a grid of {len(ops)} x {len(ops)} cells needs a wider terminal", style="dim")]
    lines = _heading(ops, fit, ascii_only=ascii_only)
    key = legend(seen, fit, marks)
    per_row = 1 + fit.tall
    room = len(ops) if height is None else max(0, (height - len(lines) - 1) // per_row)
    shown = ops if room >= len(ops) else ops[: max(0, room - 1)]
    for number, row in enumerate(shown):
        spots = [seen.cells[row, column] for column in ops]
        lines += _row(_label(number, row, fit, ascii_only=ascii_only), spots, seen, fit, marks)
    if len(shown) < len(ops):
        lines.append(Text(f"... and {len(ops) - len(shown)} more rows, in a taller terminal", style="dim"))
    return [*lines, key] if key else lines


def phrases(spot: Spot, seen: View, marks: dict[TrialState, str]) -> tuple[list[Words], str]:
    """Return the possible texts of a cell and its style.

    The longest text comes first, and the last one has one character.
    """
    cell, mean = spot.cell, spot.cell.mean()
    if mean is not None:
        hundredth = seen.hundredth(mean)
        return (
            _complete(cell, mean, hundredth) if cell.status == "done" else _partial(spot, mean, marks)
        ), f"{SCALE}{hundredth}"
    if cell.status in WITHOUT:
        return [(word, "") for word in WITHOUT[cell.status]], "dim"
    mark, style = marks[spot.state], STYLES[spot.state]
    if spot.ahead:
        return _running(spot.ahead, mark), style
    if spot.state == "missing":
        return [(mark, "")], style
    return [(mark, spot.state), (mark, "")], style


def _complete(cell: Cell, mean: float, hundredth: int) -> list[Words]:
    std = cell.std()
    spread = [(f"{100 * mean:.1f}", f"±{100 * std:.1f}")] if std is not None else []
    return [*spread, (f"{100 * mean:.1f}", ""), (f"{100 * mean:.0f}", ""), (str(min(9, hundredth // 10)), "")]


def _partial(spot: Spot, mean: float, marks: dict[TrialState, str]) -> list[Words]:
    value, seeds = 100 * mean, f"{spot.cell.n}/{spot.cell.planned}"
    mark = "".join(marks[state] for state in TROUBLE if spot.states[state])[:1]
    return [(f"{value:.1f}", seeds + mark), (f"{value:.1f}", seeds), (f"{value:.0f}", seeds), ("", seeds), ("/", "")]


def _running(progress: TrialProgress, mark: str) -> list[Words]:
    if not progress.epochs:  # the untrained encoder
        return [(mark, "")]
    epochs, loss = f"{mark}{progress.epoch}/{progress.epochs}", progress.metrics.get("loss")
    both = [(epochs, f"{loss:.3f}"), (epochs, f"{loss:.1f}")] if isinstance(loss, float) else []
    return [*both, (epochs, ""), (f"{mark}{progress.epoch}", ""), (mark, "")]


def one_line(spot: Spot, seen: View, marks: dict[TrialState, str], width: int = ROOMY) -> str:
    """Return the longest text of a cell that fits in ``width`` columns."""
    return _fitting(phrases(spot, seen, marks)[0], width, tall=False)[0]


def _fitting(words: Iterable[Words], width: int, *, tall: bool) -> list[str]:
    """Return the lines of the first of ``words`` that fits."""
    for head, tail in words:
        lines = [head, tail] if tail or tall else [head]
        if not tall:
            lines = [" ".join(filter(None, lines))]
        if max(map(cell_len, lines)) <= width:
            return lines
    return [" " * width] * (1 + tall)


def _row(label: Text, spots: list[Spot], seen: View, fit: Layout, marks: dict[TrialState, str]) -> list[Text]:
    lines = [label, *([Text(" " * fit.label)] if fit.tall else [])]
    for spot in spots:
        words, style = phrases(spot, seen, marks)
        for line, text in zip(lines, _fitting(words, fit.width, tall=fit.tall), strict=True):
            line.append(" " * fit.gap)
            line.append(text.center(fit.width), style)
    return lines


def _label(number: int, op: str, fit: Layout, *, ascii_only: bool) -> Text:
    prefix = f"[{number + 1}] " if number in fit.numbered else ""
    if len(prefix) >= fit.label:
        prefix = f"{number + 1} "
    text = prefix + shortened(op, fit.label - len(prefix), ascii_only=ascii_only)
    return Text(set_cell_size(text, fit.label))


def _heading(ops: Sequence[str], fit: Layout, *, ascii_only: bool) -> list[Text]:
    corner = set_cell_size(CORNER if fit.label >= len(CORNER) else "", fit.label)
    if fit.width < LEAST:  # numbers, from top to bottom
        digits = len(str(len(ops)))
        numbers = [f"{number:>{digits}}" for number in range(1, len(ops) + 1)]
        rows = ["".join(" " * fit.gap + number[digit] for number in numbers) for digit in range(digits)]
        return [Text((corner if i == digits - 1 else " " * fit.label) + row, style="dim") for i, row in enumerate(rows)]
    names = [f"[{i + 1}]" if i in fit.numbered else op for i, op in enumerate(ops)]
    centred = (set_cell_size(" " * ((fit.width - cell_len(name)) // 2) + name, fit.width) for name in names)
    return [Text(corner + "".join(" " * fit.gap + name for name in centred), style="dim")]


def legend(seen: View, fit: Layout, marks: dict[TrialState, str]) -> Text:
    """Explain the marks that are visible, and the ends of the scale if cells show their place on it."""
    spots = [*seen.cells.values(), *seen.references, *seen.further]
    said: list[tuple[str, str]] = []
    if fit.width < LEAST and any(spot.cell.n for spot in seen.cells.values()):
        said.append((f"0 to 9: {100 * seen.colours.low:.1f} to {100 * seen.colours.high:.1f} %", ""))
    if any(spot.cell.n for spot in spots):
        said.append((numbers(seen.grid), ""))
    if partial := [spot.cell for spot in spots if spot.cell.status == "partial"]:
        example = f"{partial[0].n}/{partial[0].planned}"
        of = f"{partial[0].n} of {partial[0].planned} seeds done"
        said.append(("/ some seeds done" if fit.width < LEAST else f"{example} = {of}", ""))
    meanings: dict[TrialState, str] = {"running": "running: epoch, loss" if fit.tall else "running: epoch"}
    for state, mark in marks.items():
        if state != "done" and any(spot.states[state] for spot in spots):
            said.append((f"{mark} {meanings.get(state, state)}", STYLES[state]))
    return Text("   ").join(Text(words, style=style) for words, style in said)
