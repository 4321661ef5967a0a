"""Sentences on the best composition, which is chosen by validation accuracy and shown with test accuracy."""

from __future__ import annotations

from ablate.report.data.grid import Cell, Grid
from ablate.report.data.results import Results
from ablate.report.stats.adapting import adapting
from ablate.report.stats.failures import failures
from ablate.report.stats.order import Ranking, order
from ablate.report.stats.predicted import known_beforehand, predicted
from ablate.report.stats.untrained import over_untrained
from ablate.report.stats.verdict import absent_classes, far_from_test, few_images, verdict
from ablate.report.stats.words import judge, mentioned, named, percent, points, so_far
from ablate.sweep.batches import not_asked_for


def summary(sweep: Results) -> list[str]:
    """Return sentences on the best composition of the sweep, and on anything that makes the choice doubtful."""
    grid, ranking = sweep.grid, order(sweep.grid)
    if ranking.best is None:
        return ["No composition has a result yet.", *failures(sweep), *_not_judged(grid)]
    return [
        *adapting(sweep, ranking),
        *lead(sweep, ranking),
        *against(sweep, ranking),
        *verdict(sweep, ranking),
        *predicted(sweep),
        *known_beforehand(sweep),
        *failures(sweep),
        *few_images(sweep),
        *absent_classes(sweep),
        *_collapsed(grid),
        *_not_judged(grid),
    ]


def lead(sweep: Results, ranking: Ranking) -> list[str]:
    """Name the best composition, the part of the sweep that this is based on, and the cells not compared with it."""
    best = ranking.best
    assert best is not None
    grid, by = sweep.grid, judge(sweep.grid)
    after = so_far(sweep)
    shown = f"test {percent(best)}, n = {best.n}"
    if len(ranking.cells) == 1:
        only = "was compared" if len(grid.compositions) == 1 else "has a result"
        alone = pruned(grid, after) or f"Only one composition {only}{after}"
        alone = f"No two compositions share a seed{after}: they cannot be compared" if ranking.apart else alone
        return [f"{alone}. {mentioned(best.label, start=True)}: {ranking.percent(best)} {by} ({shown})."]
    part = "trained to the end" if sweep.experiment.prune else "trained" if not_asked_for(sweep.experiment) else ""
    among = f" of the {len(grid.with_results)} {part}" if part else ""
    if sweep.protect:
        among = " that keeps the protected classes"
    apart = far_from_test(sweep, ranking, best) or ["It was selected by this number, which is therefore a little high."]
    sentences = [
        f"Best composition{f'{after},' if after else ''}{among} by {by}: {mentioned(best.label)}, "
        f"{ranking.percent(best)} ({shown}){tied(ranking)}.",
        *apart,
    ]
    if ranking.is_adjusted:
        sentences.append(
            f"Not all compositions have the same seeds: {by} is adjusted for those that each of them lacks."
        )
    if ranking.apart:
        labels = [cell.label for cell in ranking.apart]
        share = "shares no seed with the others and is" if len(labels) == 1 else "share no seed with the others and are"
        sentences.append(f"Not compared: {named(labels)}, which {share} on another scale.")
    return sentences


def tied(ranking: Ranking) -> str:
    """Return the words that name the compositions with the same accuracy as the best; nothing without any."""
    others = [mentioned(cell.label) for cell in ranking.equals[1:]]
    return f", tied with {named(others)}" if others else ""


def against(sweep: Results, ranking: Ranking) -> list[str]:
    """Compare the best composition with the best single op and the untrained encoder, and a pair with that op."""
    best, grid = ranking.best, sweep.grid
    assert best is not None
    sentences, by = [], judge(grid)
    single = ranking.best_of(grid.singles)
    if single is not None and single is not best:
        sentences.append(
            f"{best.label} against the best single op, {single.label}: {points(ranking.difference(best, single), by)}."
        )
    difference = over_untrained(grid, ranking, best)
    if difference and not grid.given:  # otherwise the first sentence of all says it
        name = mentioned(best.label, start=True)
        sentences.append(f"{name} against the untrained encoder: {points(difference, by)}.")
    pair = _best_pair(grid, ranking)
    if pair is not None and single is not None:
        a, b = pair
        both = ranking.contrast({a.label: 0.5, b.label: 0.5, single.label: -1.0})
        if both.mean > 0:
            first, second = next(position for position, cell in grid.cells.items() if cell is a)
            sentences.append(
                f"{first} with {second}, mean of both orders, against {single.label} alone: {points(both, by)}."
            )
    return sentences


def pruned(grid: Grid, after: str = "") -> str:
    """Return words for a sweep in which only one composition was trained to the end, with the number of pruned ones.

    The text is empty if nothing was pruned.
    """
    others = sum(cell.status == "pruned" for cell in grid.compositions)
    if not others:
        return ""
    were = "1 other was" if others == 1 else f"{others} others were"
    return f"Only one composition was trained to the end{after}: {were} pruned, by validation kNN at a rung"


def _best_pair(grid: Grid, ranking: Ranking) -> tuple[Cell, Cell] | None:
    """Return both orders of the pair of ops with the highest mean score over both, or None without such a pair."""
    pairs = [
        (grid.cells[a, b], grid.cells[b, a])
        for i, a in enumerate(grid.ops)
        for b in grid.ops[i + 1 :]
        if {grid.cells[a, b].label, grid.cells[b, a].label} <= ranking.scores.keys()
    ]
    return max(pairs, key=lambda pair: sum(ranking.scores[cell.label] for cell in pair), default=None)


def _collapsed(grid: Grid) -> list[str]:
    labels = [cell.label for cell in grid.with_results if "collapsed" in cell.flags]
    of_z = [cell.label for cell in grid.with_results if "collapsed-z" in cell.flags]
    return [
        *([f"Collapsed (all representations equal): {named(labels)}."] if labels else []),
        *([f"Collapsed (all projections have nearly one direction): {named(of_z)}."] if of_z else []),
    ]


def _not_judged(grid: Grid) -> list[str]:
    labels = [cell.label for cell in grid.cells.values() if cell.status == "not judged"]
    sentence = f"Not judged, since rotation prediction cannot judge compositions that turn images: {', '.join(labels)}."
    return [sentence] if labels else []
