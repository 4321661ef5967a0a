"""Does the best augmentation depend on the data set, the method, ...? Several grids: their ranks, and their winners."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import ClassVar

from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ablate.config.measure import ACCURACIES
from ablate.console import say, shortened
from ablate.report.figures import differences
from ablate.report.figures.labels import LONGEST
from ablate.report.figures.panel import MARK
from ablate.report.figures.style import as_svg
from ablate.report.section import Section
from ablate.report.stats.comparison import LEVEL, Comparison, compare, in_words, too_few
from ablate.report.stats.winners import Cost, Side, costs
from ablate.report.stats.words import in_points, judge, mentioned

PARAMETERS = re.compile(r"\((?:[^()]|\([^()]*\))*\)")
Row = tuple[str, ...]
MOST = 8  # grids that are compared: all pairs of more would fill pages


@dataclass(frozen=True)
class Agreement:
    """At least two grids that are compared, each with every other; ``left_out`` counts grids beyond the first eight.

    ``noun`` is what sentences call them.
    """

    noun: ClassVar[str] = "grid"
    sides: Sequence[Side]
    left_out: int = 0

    @cached_property
    def pairs(self) -> dict[tuple[str, str], Comparison | None]:
        """The comparison of every two grids, by their names; None without an op in common."""
        return {(a.name, b.name): compare(a.grid, b.grid, b.name) for a, b in combinations(self.sides, 2)}

    @cached_property
    def costs(self) -> list[Cost]:
        """The cost of the winner of every grid under every other one."""
        return costs(self.sides)

    @property
    def ranked(self) -> dict[tuple[str, str], Comparison]:
        """The pairs with a rank correlation."""
        return {names: pair for names, pair in self.pairs.items() if pair and pair.ranks}

    @property
    def with_first(self) -> list[Comparison]:
        """The comparisons of the first grid with the others."""
        return [pair for (a, _), pair in self.pairs.items() if a == self.sides[0].name and pair]

    def sentences(self) -> list[str]:
        """Say in at most three sentences how much the ranks agree, and what the winners cost."""
        if len(self.sides) == 2:
            [(names, pair)], both = self.pairs.items(), list(map(_said, self.costs))
            ranks = pair.sentence(names[0]) if pair else f"{' and '.join(names)} have no op in common."
            return [ranks, *both]
        return [*self._ranks(), *self._winners(), *self._cut()]

    def _cut(self) -> list[str]:
        return [f"The first {MOST} of {MOST + self.left_out} {self.noun}s are compared."] if self.left_out else []

    def _ranks(self) -> list[str]:
        known = self.ranked
        if not known:
            return [f"No two of these {self.noun}s have enough cells in common for a rank correlation."]
        low, high = min(known, key=lambda names: known[names].rho), max(known, key=lambda names: known[names].rho)
        tested = [pair for pair in known.values() if not math.isnan(pair.p)]
        few = {said for pair in tested if (said := too_few(len(pair.ours.ops)))}
        beyond = sum(pair.p <= LEVEL for pair in tested)
        found = (
            f"{beyond} of {len(tested)} agree by more than chance, each pair by itself (p at most {LEVEL}, one-sided, "
            "permuting ops)"
        )
        return [
            f"Spearman's rank correlations of these {len(self.sides)} {self.noun}s lie between {known[low].rho:+.2f} "
            f"({' and '.join(low)}) and {known[high].rho:+.2f} ({' and '.join(high)}); "
            f"{f'p, by permuting ops, says little: {min(few)}' if few else found}."
        ]

    def _winners(self) -> list[str]:
        known = [cost for cost in self.costs if cost.score is not None]
        if not known:
            return [f"No winner of one {self.noun} has a result in another one."]
        held = [cost for cost in known if cost.is_best or cost.contends]
        most = max(known, key=lambda cost: cost.mean)
        told = any(cost.contends is not None for cost in known)
        same = f"is the best of another{' or cannot be told from it' if told else ''}"
        winner = f"{mentioned(most.winner)}, of {most.of}"
        worst = f"; {winner}, costs most: {_points(most)} under {most.under}" if most.cost else ""
        return [f"In {len(held)} of {len(known)} cases, the winner of one {self.noun} {same}{worst}."]


def of_sides(sides: Sequence[Side]) -> Agreement | None:
    """Compare grids, the first eight of them; return None for fewer than two."""
    return Agreement(sides[:MOST], max(0, len(sides) - MOST)) if len(sides) > 1 else None


def show(agreement: Agreement, console: Console) -> None:
    """Print what winners cost as a table; nothing for two grids, of which the sentences say all."""
    if len(agreement.sides) == 2:
        return
    say(console, f"what the winner of a row costs under a column, in points; {MARK} cannot be told from the best there")
    table = Table(box=None, pad_edge=False, header_style="bold")
    names = [side.name for side in agreement.sides]
    for heading in ("", "winner of", ""):
        table.add_column(heading, overflow="fold")
    for number in range(1, len(names) + 1):  # names would be too wide
        table.add_column(str(number), justify="right", no_wrap=True)
    known = {(cost.of, cost.under): cost for cost in agreement.costs}
    for number, side in enumerate(agreement.sides, start=1):
        best = PARAMETERS.sub("", side.ranking.best.label) if side.ranking.best else "no result"
        row = [_short(known[side.name, name]) if name != side.name else "" for name in names]
        table.add_row(*map(Text, (str(number), side.name, shortened(best, LONGEST), *row)))
    console.print(table)


def differences_of(agreement: Agreement) -> Figure | None:
    """Draw the differences of the other grids from the first one; None where there is nothing to draw."""
    return differences.draw(agreement.sides[0].name, agreement.with_first)


def section(agreement: Agreement | None) -> list[Section]:
    """Return the section of the page: tables of ranks and of winners, and the figure of differences."""
    if agreement is None:
        return []
    parts = [ranks(agreement), winners(agreement)]
    if figure := differences_of(agreement):
        parts.append(Section("Where ops matter differently", figure=as_svg(figure)))
    return [Section("Agreement of the grids", tuple(agreement.sentences()), parts=tuple(parts))]


def ranks(agreement: Agreement) -> Section:
    """Return the table of the rank correlations of every two grids."""
    rows = []
    for (a, b), pair in agreement.pairs.items():
        if pair is None:
            rows.append((f"{a}, {b}", "no op in common", "", "0", ""))
            continue
        p = "" if math.isnan(pair.p) else in_words(pair.p).removeprefix("p ").removeprefix("= ")
        highest = "" if math.isnan(pair.attainable) else f"{pair.attainable:.2f}"
        rows.append((f"{a}, {b}", pair.words if pair.ranks else "none", p, str(pair.n), highest))
    least = sorted({said for pair in agreement.pairs.values() if pair and (said := too_few(len(pair.ours.ops)))})
    texts = (
        "Spearman's rank correlation over the cells in common, with its 95 % interval by resampling ops. "
        "p is one-sided, by permuting ops, for each pair by itself.",
        *(f"{said[0].upper()}{said[1:]}." for said in least),
        *["“Noise allows”: the correlation to expect, by the noise of both, if both truly rank alike."]
        * any(row[-1] for row in rows),
    )
    return Section(
        "Do the ranks agree?", texts, *_filled((f"{agreement.noun}s", "Spearman", "p", "cells", "noise allows"), rows)
    )


def winners(agreement: Agreement) -> Section:
    """Return the table of what the winner of every grid costs under every other one."""
    by = " or ".join(dict.fromkeys(judge(side.grid) for side in agreement.sides))
    rows = [
        (
            f"{cost.of}: {cost.winner}" if cost.winner else cost.of,
            cost.under,
            cost.why if cost.score is None else f"{100 * cost.score:.1f}",
            "best there, too" if cost.is_best else in_points(cost.cost) if cost.cost else "",
            "" if cost.contends is None else "yes" if cost.contends else "no",
        )
        for cost in agreement.costs
    ]
    text = (
        f"The best composition of one {agreement.noun} by {by}, and what it costs under another one against the best "
        f"there, with the 95 % interval of that {agreement.noun}'s own model. The best there was selected by these "
        "numbers, so costs are a little too large, which the intervals do not take into account.",
    )
    shown = "accuracy" if all(side.grid.measure in ACCURACIES for side in agreement.sides) else "score"
    headings = ("winner of", "under", f"its {shown} there, %", "costs, points", "a contender there")
    return Section("Whose winner costs how much?", text, *_filled(headings, rows))


def _filled(headings: Row, rows: Sequence[Row]) -> tuple[Row, tuple[Row, ...]]:
    """Return the headings and rows of a table without columns that are empty throughout."""
    shown = [number for number in range(len(headings)) if any(row[number] for row in rows)]
    chosen = [tuple(row[number] for number in shown) for row in (headings, *rows)]
    return chosen[0], tuple(chosen[1:])


def _short(cost: Cost) -> str:
    """Return a cost as in ``+3.1``, marked if the winner cannot be told from the best there."""
    if cost.score is None:
        return "-"
    return f"{'best' if cost.cost is None else f'{100 * cost.cost.mean:+z.1f}'}{f' {MARK}' * bool(cost.contends)}"


def _said(cost: Cost) -> str:
    """Return words on one cost, as in ``the winner of a, crop, costs 3.1 [1.0, 5.2] points under b``."""
    if not cost.winner:
        return f"{cost.why[0].upper()}{cost.why[1:]}."
    start = f"The winner of {cost.of}, {mentioned(cost.winner)}, "
    if cost.is_best:
        return f"{start}is the best under {cost.under}, too."
    if cost.score is None:
        return f"{start}cannot be compared under {cost.under} ({cost.why})."
    told = ", where it cannot be told from the best" if cost.contends else ""
    return f"{start}costs {_points(cost)} under {cost.under}{told}."


def _points(cost: Cost) -> str:
    points = in_points(cost.cost) if cost.cost else ""
    if points.startswith("+0.0"):
        points = points.replace("+0.0", "less than 0.1", 1)
    return f"{points} points" if points else ""
