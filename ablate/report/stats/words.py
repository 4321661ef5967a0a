"""The words that sentences on results have in common: accuracies, differences, lists of cells."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ablate.config.measure import IN_WORDS, ON_VALIDATION
from ablate.console import counted
from ablate.inference.difference import interval_in_points
from ablate.report.data.grid import ROTATION, Cell, Grid
from ablate.report.data.results import Results
from ablate.report.stats.model import Difference

NAMED = 6  # cells that a sentence names


def so_far(sweep: Results) -> str:
    """Return `` so far, after 33 of 83 trials`` while trials that could change the choice are missing, else nothing."""
    if not sweep.pending:
        return ""
    return f" so far, after {sweep.ended} of {counted(len(sweep.trials), 'trial')}"


def judge(grid: Grid) -> str:
    """Name the metric by which cells are chosen, such as ``validation accuracy`` or ``validation AUROC``."""
    return f"{ON_VALIDATION[grid.measure]}{' of rotation prediction' if grid.metric == ROTATION else ''}"


def numbers(grid: Grid) -> str:
    """Name the quantity that cells show, as in ``numbers: test top-1 in %``."""
    return f"numbers: test {IN_WORDS[grid.measure]}{'' if grid.is_linear else ' of rotation prediction'} in %"


def points(difference: Difference, of: str) -> str:
    """Return the text ``+16.0 points [+11.7, +20.3] (validation accuracy, 95 %, two-way model, n = 3)``."""
    return str(difference).replace(" (", f" ({of}, ", 1)


def in_points(difference: Difference, most: float = 1.0) -> str:
    """Return the difference in points, with its 95 % interval if there is one: ``+3.1 [+1.0, +5.2]``.

    Args:
        difference: the difference.
        most: the largest that is possible, at which intervals end, as a fraction.
    """
    mean, bounds = f"{100 * difference.mean:+z.1f}", difference.bounds(most)
    return mean if bounds is None else f"{mean} {interval_in_points(*bounds)}"


def named(labels: Sequence[str]) -> str:
    """Join labels into a text such as ``a, b, c and 3 more``, by semicolons if one of them has a comma."""
    more = f" and {len(labels) - NAMED} more" if len(labels) > NAMED else ""
    shown = labels[:NAMED]
    return ("; " if any("," in label for label in shown) else ", ").join(shown) + more


def sample_size(seeds: Iterable[int]) -> str:
    """Return the numbers of seeds behind several values as ``n = 3`` or ``n = 2 to 3``."""
    several = set(seeds)
    least, most = min(several), max(several)
    return f"n = {least}" if least == most else f"n = {least} to {most}"


def mentioned(label: str, *, start: bool = False) -> str:
    """Return a label as a sentence says it: ``the recipe without blur`` for ``without blur`` of ``ablate drop``.

    Args:
        label: the label of a cell.
        start: True at the start of a sentence.
    """
    the = "The" if start else "the"
    if label.startswith(("without ", "with ")):
        return f"{the} recipe {label}"
    return f"{the} recipe with {label}" if label.endswith(" strength") else label


def percent(cell: Cell, metric: str | None = None) -> str:
    """Return mean and standard deviation over seeds, as in ``63.1 ± 0.7 %``; for one seed the mean alone."""
    mean, std = cell.mean(metric), cell.std(metric)
    if mean is None:
        return cell.status
    return f"{100 * mean:.1f} %" if std is None else f"{100 * mean:.1f} ± {100 * std:.1f} %"
