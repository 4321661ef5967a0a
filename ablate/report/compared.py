"""The grids beside that of a sweep: other sweeps, the points of its axes, its tasks, and Figure 5 of the paper."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ablate.config.measure import in_full
from ablate.console import command
from ablate.errors import UsageError
from ablate.report.data.results import Results, read_sweep
from ablate.report.figures import side_by_side
from ablate.report.figures.labels import NAMES
from ablate.report.figures.paper import TITLE, beside_the_paper, is_its_setting, published
from ablate.report.stats.comparison import Comparison, compare
from ablate.report.stats.winners import sides_of
from ablate.report.text import agreement, tasks
from ablate.report.text.agreement import Agreement
from ablate.report.text.tasks import Tasks


@dataclass(frozen=True)
class Compared:
    """The grids beside that of a sweep: those of ``others`` and Figure 5, each compared with it, with a title.

    ``agreement`` is what the sweeps, or the points of the axes of one, say of each other. ``same`` are the sweeps with
    the same ops, itself among them, that are shown side by side. ``tasks`` are the sweep's tasks, if several.
    ``judged`` are sentences on the others that are not judged here by the measure that they were planned with.
    """

    others: Sequence[Results] = ()
    titled: Sequence[tuple[Comparison, str]] = ()
    agreement: Agreement | None = None
    same: Sequence[Results] = ()
    tasks: Tasks | None = None
    judged: Sequence[str] = ()

    @property
    def comparisons(self) -> list[Comparison]:
        """The comparisons without their titles."""
        return [comparison for comparison, _ in self.titled]

    @property
    def said(self) -> list[str]:
        """The sentences on comparisons that are not those of the agreement: on measures, and on Figure 5."""
        return [*self.judged, *(str(comparison) for comparison, title in self.titled if title == TITLE)]


def compare_with(sweep: Results, others: Sequence[str | Path] = (), paper: bool = False) -> Compared:
    """Compare the sweep with others and, for ``paper``, with Figure 5; without others, the points of its axes."""
    for number, other in enumerate(others):
        if Path(other).resolve() in {Path(one).resolve() for one in (sweep.directory, *others[:number])}:
            raise UsageError(f"{other} is given twice: a report compares a sweep with other ones")
    beside = [read_sweep(other, sweep.grid.measure, sweep.task_name, sweep.interval) for other in others]
    titled = [*(_with_sweep(sweep, other) for other in beside), *([_with_paper(sweep)] if paper else [])]
    agreed = agreement.of_sides(sides_of(sweep, beside))
    judged = [said for other in beside for said in _judged(sweep, other)]
    return Compared(beside, titled, agreed, side_by_side.alike(sweep, beside), tasks.tasks_of(sweep), judged)


def _judged(sweep: Results, other: Results) -> list[str]:
    """Return the sentence that another sweep is judged by the first one's measure, if it was planned with its own."""
    own, here = other.experiment.measure, other.grid.measure
    if own == here or sweep.experiment.measure != here:  # the same, or --metric chose it
        return []
    return [
        f"{other.directory} is judged by {in_full(here)} here, as {sweep.directory} is; it was planned with "
        f"{in_full(own)}, by which {command('ablate', 'report', other.directory)} judges it."
    ]


def _with_sweep(sweep: Results, other: Results) -> tuple[Comparison, str]:
    if sweep.grid.metric != other.grid.metric:
        both_linear = sweep.grid.is_linear and other.grid.is_linear
        ours, theirs = (NAMES.get(one.grid.metric, one.grid.metric).removesuffix(" (%)") for one in (sweep, other))
        raise UsageError(
            f"{sweep.directory} was judged by {ours} and {other.directory} by {theirs}, so "
            f"they cannot be compared{'; --metric top1 compares them by top-1' * both_linear}"
        )
    comparison = compare(sweep.grid, other.grid, str(other.directory))
    if comparison is None:
        if without := next((one for one in (sweep, other) if not one.grid.ops), None):
            why = "has no grid: sweeps are compared by the cells of their grids"
            if axes := ", ".join(without.experiment.axes):
                why = f"varies {axes} without a grid of ops: {command('ablate', 'report', without.directory)} draws it"
            if without.by_variant:
                why = "has a grid for each point of its axes; its own report compares these, without another directory"
            raise UsageError(f"{without.directory} {why}")
        raise UsageError(f"the grids of {sweep.directory} and {other.directory} have no op in common")
    return comparison, f"{other.directory}: {other}"


def _with_paper(sweep: Results) -> tuple[Comparison, str]:
    if not is_its_setting(sweep.experiment.shared):
        raise UsageError("Figure 5 shows one-branch SimCLR and this sweep does not: leave out --paper")
    comparison = beside_the_paper(sweep.grid)
    if comparison is None:
        raise UsageError(f"--paper needs linear evaluation and at least one op of Figure 5: {', '.join(published())}")
    return comparison, TITLE
