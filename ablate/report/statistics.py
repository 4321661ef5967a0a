"""What can be said about differences, from trials that are paired by seed."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping

from scipy.special import stdtrit  # the quantile of Student's t; scipy.stats takes half a second to import

from ablate.report.grid import ROTATION, Cell, Grid
from ablate.report.model import CONFIDENCE, Difference, Model, fit


def paired_difference(a: Mapping[int, float], b: Mapping[int, float]) -> Difference | None:
    """``a`` minus ``b`` over the seeds that both have; None if they share none."""
    differences = [a[seed] - b[seed] for seed in sorted(a.keys() & b.keys())]
    n = len(differences)
    if not n:
        return None
    mean = statistics.fmean(differences)
    if n == 1:
        return Difference(mean, None, None, 1)
    half = float(stdtrit(n - 1, (1 + CONFIDENCE) / 2)) * statistics.stdev(differences) / math.sqrt(n)
    return Difference(mean, mean - half, mean + half, n)


def best_by_validation(cells: list[Cell]) -> Cell | None:
    """The cell with the highest mean validation accuracy, among those with the most seeds; the first among equals."""
    best = _best(cells)
    return best[0] if best else None


def ranked(grid: Grid) -> list[Cell]:
    """All compositions with a result, by mean validation accuracy; those with fewer seeds behind the others."""
    most = max((cell.n for cell in grid.with_results), default=0)
    return sorted(grid.with_results, key=lambda cell: (cell.n < most, -(cell.validation or 0.0)))


def _best(cells: list[Cell]) -> list[Cell]:
    """Every cell that shares the highest mean validation accuracy; a mean over fewer seeds does not compete."""
    seeds = max((cell.n for cell in cells), default=0)
    scores = {cell.label: cell.validation or 0.0 for cell in cells if cell.n == seeds}
    highest = max(scores.values(), default=0.0)
    return [cell for cell in cells if scores.get(cell.label, -1.0) == highest]


def choosing(grid: Grid) -> Model | None:
    """The model of validation accuracy, by which cells are chosen; None where seeds or cells are too few."""
    return fit(grid.with_results, grid.validation_metric)


def summary(grid: Grid) -> list[str]:
    """What the grid says, in sentences: chosen by validation accuracy, shown with test accuracy."""
    equals, single = _best(grid.with_results), best_by_validation(grid.singles)
    if not equals:
        return ["No cell has a result yet."]
    best = equals[0]
    tied = f", tied with {', '.join(cell.label for cell in equals[1:])}" if len(equals) > 1 else ""
    judged = " of rotation prediction" if grid.metric == ROTATION else ""
    lines = [f"Best composition by validation accuracy{judged}: {best.label}, test {percent(best)}{tied}."]
    untrained = grid.references.get("untrained")
    if untrained and (untrained.mean() or 0.0) >= max(cell.mean() or 0.0 for cell in grid.with_results):
        lines.append(
            f"No cell is better than the untrained encoder ({percent(untrained)}): train longer, or look for a fault."
        )
    if single is not None and single is not best:
        difference = paired_difference(best.seeds(), single.seeds())
        told = f"the best composition has {difference}" if difference else "the two share no seed"
        lines.append(f"Best single op: {single.label}, test {percent(single)}; {told}.")
    pair = _best_pair(grid)
    if pair is not None and single is not None:
        label, seeds = pair
        both = paired_difference(seeds, single.seeds())
        if both:
            lines.append(f"{label}, mean of both orders: {both} over {single.label} alone.")
    collapsed = [cell.label for cell in grid.with_results if "collapsed" in cell.flags]
    if collapsed:
        lines.append(f"Collapsed (all representations equal): {', '.join(collapsed)}.")
    unjudged = [cell.label for cell in grid.cells.values() if cell.status == "not judged"]
    if unjudged:
        lines.append(f"Not judged, since rotation prediction cannot judge what turns images: {', '.join(unjudged)}.")
    return lines


def percent(cell: Cell, metric: str | None = None) -> str:
    """``63.1 ± 0.7 %`` (mean, standard deviation over seeds), without the deviation for one seed."""
    mean, std = cell.mean(metric), cell.std(metric)
    if mean is None:
        return cell.status
    return f"{100 * mean:.1f} %" if std is None else f"{100 * mean:.1f} ± {100 * std:.1f} %"


def _best_pair(grid: Grid) -> tuple[str, dict[int, float]] | None:
    """The unordered pair of ops that is best over both orders by validation accuracy, and its per-seed test means.

    Pairs with the most shared seeds come first.
    """
    best: tuple[tuple[int, float], str, dict[int, float]] | None = None
    for i, a in enumerate(grid.ops):
        for b in grid.ops[i + 1 :]:
            one, other = grid.cells[a, b], grid.cells[b, a]
            shared = one.seeds().keys() & other.seeds().keys()
            if not shared:
                continue
            score = len(shared), (one.validation or 0) + (other.validation or 0)
            if best is None or score > best[0]:
                means = {seed: (one.seeds()[seed] + other.seeds()[seed]) / 2 for seed in shared}
                best = score, f"{a} with {b}", means
    return None if best is None else best[1:]
