"""Sentences on the best composition, which is chosen by validation accuracy and shown with test accuracy."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence

from scipy.special import stdtrit  # the quantile of Student's t; scipy.stats takes half a second to import

from ablate.console import counted
from ablate.report.data.grid import MAJORITY, ROTATION, Cell, Grid
from ablate.report.data.results import Results
from ablate.report.stats.model import CONFIDENCE, Difference
from ablate.report.stats.order import Order, order
from ablate.sweep.again import completing
from ablate.sweep.failures import reason

CEILING = 0.99  # accuracy from which on cells can no longer be told apart
EASY = 0.97  # test accuracy below which images are not called easy, whatever a few validation images say
GUESSING = 1.1  # times the accuracy of guessing: an encoder that is not above it has learned next to nothing
LUCK = 1.64  # standard errors that an accuracy of guesses exceeds in one of twenty cases
NAMED = 6  # cells that a sentence names
MOST_OF_ONE = 0.01  # accuracy that one validation image may be worth; beyond it, chance and ties decide


def paired_difference(a: Mapping[int, float], b: Mapping[int, float]) -> Difference | None:
    """Return ``a`` minus ``b`` over the seeds that both have, or None if they share none."""
    differences = [a[seed] - b[seed] for seed in sorted(a.keys() & b.keys())]
    n = len(differences)
    if not n:
        return None
    mean = statistics.fmean(differences)
    if n == 1:
        return Difference(mean, None, None, 1)
    half = float(stdtrit(n - 1, (1 + CONFIDENCE) / 2)) * statistics.stdev(differences) / math.sqrt(n)
    return Difference(mean, mean - half, mean + half, n)


def summary(sweep: Results) -> list[str]:
    """Return sentences on the best composition of the sweep, and on anything that makes the choice doubtful."""
    grid, found = sweep.grid, order(sweep.grid)
    if found.best is None:
        return ["No composition has a result yet.", *failures(sweep), *_not_judged(grid)]
    return [
        *lead(sweep, found),
        *against(sweep, found),
        *verdict(sweep, found),
        *failures(sweep),
        *few_images(sweep),
        *_collapsed(grid),
        *_not_judged(grid),
    ]


def lead(sweep: Results, found: Order) -> list[str]:
    """Name the best composition, the part of the sweep that this is based on, and the cells not compared with it."""
    best = found.best
    assert best is not None
    grid, by = sweep.grid, judge(sweep.grid)
    after = so_far(sweep)
    shown = f"test {percent(best)}, n = {best.n}"
    if len(found.cells) == 1:
        only = "was compared" if len(grid.compositions) == 1 else "has a result"
        alone = pruned(grid, after) or f"Only one composition {only}{after}"
        alone = f"No two compositions share a seed{after}: they cannot be compared" if found.apart else alone
        return [f"{alone}. {best.label}: {found.percent(best)} {by} ({shown})."]
    equals = found.equals
    tied = f", tied with {named([cell.label for cell in equals[1:]])}" if len(equals) > 1 else ""
    among = f" of the {len(grid.with_results)} trained to the end" if sweep.experiment.prune else ""
    told = [
        f"Best composition{f'{after},' if after else ''}{among} by {by}: {best.label}, {found.percent(best)} ({shown})"
        f"{tied}. It was selected by this number, which is therefore a little high."
    ]
    if found.is_adjusted:
        told.append(f"Not all compositions have the same seeds: {by} is adjusted for those that each of them lacks.")
    if found.apart:
        labels = [cell.label for cell in found.apart]
        share = "shares no seed with the others and is" if len(labels) == 1 else "share no seed with the others and are"
        told.append(f"Not compared: {named(labels)}, which {share} on another scale.")
    return told


def against(sweep: Results, found: Order) -> list[str]:
    """Compare the best composition with the best single op and the untrained encoder, and a pair with that op."""
    best, grid = found.best, sweep.grid
    assert best is not None
    told, by = [], judge(grid)
    single = found.best_of(grid.singles)
    if single is not None and single is not best:
        told.append(
            f"{best.label} against the best single op, {single.label}: {points(found.difference(best, single), by)}."
        )
    difference = over_untrained(grid, found, best)
    if difference:
        told.append(f"{best.label} against the untrained encoder: {points(difference, by)}.")
    pair = _best_pair(grid, found)
    if pair is not None and single is not None:
        a, b = pair
        both = found.contrast({a.label: 0.5, b.label: 0.5, single.label: -1.0})
        if both.mean > 0:
            first, second = next(position for position, cell in grid.cells.items() if cell is a)
            told.append(
                f"{first} with {second}, mean of both orders, against {single.label} alone: {points(both, by)}."
            )
    return told


def pruned(grid: Grid, after: str = "") -> str:
    """Return words for a sweep in which only one composition was trained to the end, with the number of pruned ones.

    The text is empty if nothing was pruned.
    """
    others = sum(cell.status == "pruned" for cell in grid.compositions)
    if not others:
        return ""
    were = "1 other was" if others == 1 else f"{others} others were"
    return f"Only one composition was trained to the end{after}: {were} pruned, by validation kNN at a rung"


def over_untrained(grid: Grid, found: Order, cell: Cell) -> Difference | None:
    """Return a cell minus the untrained encoder, paired by seed, or None if they share no seed."""
    untrained = grid.references.get("untrained")
    return paired_difference(cell.seeds(found.metric), untrained.seeds(found.metric)) if untrained else None


def beats_untrained(grid: Grid, found: Order, cell: Cell) -> bool | None:
    """Return True if a cell's validation accuracy is above the untrained encoder's, or None if that is unknown."""
    difference = over_untrained(grid, found, cell)
    return None if difference is None else difference.mean > 0


def is_unclear(grid: Grid, found: Order) -> bool:
    """Return True if the best composition is above the untrained encoder, but by no more than noise.

    This is so if the interval of the difference contains 0.
    """
    difference = over_untrained(grid, found, found.best) if found.best else None
    if difference is None or difference.low is None or difference.is_constant:
        return False
    return difference.mean > 0 >= difference.low


def few_images(sweep: Results) -> list[str]:
    """Return the sentence that there are few validation images, if one of them is worth more than a point."""
    counts = sweep.experiment.class_counts
    known = [count for count in counts.validation if count] if counts and sweep.grid.is_linear else []
    if not known:
        return []
    if sweep.grid.measure == "balanced":
        worth, which = 1 / (len(known) * min(known)), f": one of the smallest class's {min(known)}"
    else:
        worth, which = 1 / sum(known), ": one"
    if worth <= MOST_OF_ONE:
        return []
    return [
        f"There are only {counted(sum(known), 'validation image')} to choose by{which} is worth {100 * worth:.1f} "
        "points, so ties and chance decide. More training images give more validation images."
    ]


def verdict(sweep: Results, found: Order) -> list[str]:
    """Return the sentences for accuracies that are too high or too low to choose by; empty if they are neither."""
    if is_majority(sweep, found) and not is_guessing(sweep, found):
        return [_like_the_majority(sweep, found)]
    grid, by = sweep.grid, judge(sweep.grid)
    untrained = grid.references.get("untrained")
    floor = (untrained.mean(found.metric) if untrained else None) or 0.0
    top = sum(score >= CEILING for score in found.scores.values())
    if floor >= CEILING or top > 1:
        told = [
            f"{top} of {counted(len(found.cells), 'composition')} {'reaches' if len(found.cells) == 1 else 'reach'} "
            f"{100 * CEILING:.0f} % {by}"
        ] * (top > 0)
        told += [f"the untrained encoder reaches {100 * floor:.1f} %"] * (floor >= CEILING)
        told = [f"{'; '.join(told)}: {_ceiling(sweep, found)}."]
        return [told[0][0].upper() + told[0][1:]]
    if is_guessing(sweep, found):
        classes = _classes(sweep)
        return [
            f"No composition is clearly better than guessing one of {classes} classes ({100 / classes:.1f} %): train "
            "longer, or look for a fault."
        ]
    if untrained and found.best and beats_untrained(grid, found, found.best) is False:
        return [
            f"No composition is better than the untrained encoder ({percent(untrained, found.metric)} {by})"
            f"{_above_on_test(found, untrained)}: train longer, or look for a fault."
        ]
    if untrained and found.best and is_unclear(grid, found):
        test, there = found.best.mean(), untrained.mean()
        is_below = test is not None and there is not None and test < there
        below = ", and on the test set it is below it" if is_below else ""
        return [
            f"{found.best.label} is not clearly better than the untrained encoder by {by} (95 %){below}: add seeds, or "
            "train longer."
        ]
    return []


def _ceiling(sweep: Results, found: Order) -> str:
    """Explain accuracies that are too high to choose by: the images are easy, or the validation images too few."""
    test = max((mean for cell in found.cells if (mean := cell.mean()) is not None), default=1.0)
    if few_images(sweep) or test < EASY:
        return f"validation cannot tell them apart (the best on the test set has {100 * test:.1f} %), more images can"
    return "these images are too easy to tell augmentations apart; take harder ones"


def _above_on_test(found: Order, untrained: Cell) -> str:
    """Return words for compositions that are above the untrained encoder on the test set; empty if there are none."""
    floor = untrained.mean()
    above = sum(floor is not None and (cell.mean() or 0.0) > floor for cell in found.cells)
    return f", though {above} of {len(found.cells)} are on the test set ({percent(untrained)})" if above else ""


def is_useful(sweep: Results, found: Order) -> bool:
    """Return True if the best composition can be recommended.

    It must be better than the untrained encoder, if that is known, better than guessing, and better than always
    predicting the largest class.
    """
    useless = found.best is None or beats_untrained(sweep.grid, found, found.best) is False
    return not useless and not is_guessing(sweep, found) and not is_majority(sweep, found)


def is_guessing(sweep: Results, found: Order) -> bool:
    """Return True if the best composition has learned next to nothing."""
    classes = _classes(sweep)
    return bool(classes) and max(found.scores.values(), default=0.0) <= GUESSING / classes


def is_majority(sweep: Results, found: Order) -> bool:
    """Return True if no composition is clearly better than always predicting the largest class; False if unknown."""
    bar = majority_bar(sweep)
    return bar is not None and max(found.scores.values(), default=0.0) <= bar


def majority_bar(sweep: Results) -> float | None:
    """Return the validation accuracy above which a composition clearly beats always predicting the largest class.

    Guesses of the accuracy of that class exceed it, on so many validation images, in one of twenty cases. The bar may
    lie above 1: then the images are too few to show a difference. None if it is unknown.
    """
    grid, counts = sweep.grid, sweep.experiment.class_counts
    majority = grid.references.get(MAJORITY)
    floor = majority.mean(grid.validation_metric) if majority else None
    if floor is None or counts is None:
        return None
    present = [count for count in counts.validation if count]
    # Balanced accuracy is the mean of a share for each class, top-1 one share of all images.
    each = [1 / count / len(present) ** 2 for count in present] if grid.measure == "balanced" else [1 / sum(present)]
    return floor + LUCK * math.sqrt(floor * (1 - floor) * sum(each))


def _like_the_majority(sweep: Results, found: Order) -> str:
    bar, counts, majority = majority_bar(sweep), sweep.experiment.class_counts, sweep.grid.references[MAJORITY]
    assert bar is not None and counts is not None
    images = counted(sum(counts.validation), "validation image")
    if bar >= 1:
        rest = f"{images} are too few to show a difference. Take more images, above all of the smaller classes"
    else:
        rest = f"with {images}, that takes more than {100 * bar:.1f} %. Train longer, or take more images"
    return (
        "No composition is clearly better than always predicting the largest class "
        f"({percent(majority, found.metric)} {judge(sweep.grid)}); {rest}."
    )


def _classes(sweep: Results) -> int:
    """Return the number of classes to predict: the data's, four for rotation prediction, or 0 without labels."""
    return 4 if sweep.grid.metric == ROTATION else sweep.experiment.shared.data.classes


def without_results(sweep: Results) -> str:
    """Return the words that follow "has no results yet": the reason, if trials failed, and the command to run next."""
    failed = sweep.failed
    told = f": {counted(len(failed), 'trial')} failed (the first: {reason(failed[0])})" if failed else ""
    what = "the others" if failed else "it"
    if failed and not sweep.pending:
        what = "it" if len(failed) == 1 else "them"
        return f"{told}; to run {what} again: `{completing(sweep.directory, sweep.experiment, retry_failed=True)}`"
    return f"{told}; to run {what}: `{completing(sweep.directory, sweep.experiment)}`"


def failures(sweep: Results) -> list[str]:
    """Return a sentence on the failed trials that leave a gap in the comparison, and its effect."""
    known = {cell.label: cell for cell in sweep.grid.compositions}
    apart = {cell.label for cell in order(sweep.grid).apart}
    untrained = sweep.grid.references.get("untrained")
    seeds: dict[tuple[bool, str], list[int]] = {}
    for record in sweep.failed:
        if record.reference in (None, "untrained"):
            seeds.setdefault((record.reference is not None, record.label), []).append(record.seed)
    told = []
    for (reference, label), failed in seeds.items():
        cell = untrained if reference else known.get(label)
        which = f"{label} failed with seed{'s' if len(failed) > 1 else ''} {named(list(map(str, failed)))}"
        if not reference and label in apart:
            told.append(f"{which} and is not compared")
        elif cell is not None and cell.n:
            told.append(f"{which} and is compared by its other {'seed' if cell.n == 1 else f'{cell.n} seeds'}")
        else:
            told.append(f"{which} and {'cannot be compared' if reference else 'cannot be chosen'}")
    more = [f"and {len(told) - NAMED} more compositions lack trials that failed"] if len(told) > NAMED else []
    return [f"{'; '.join([*told[:NAMED], *more])}."] if told else []


def so_far(sweep: Results) -> str:
    """Return `` so far, after 33 of 83 trials`` while trials that could change the choice are missing, else nothing."""
    if not sweep.pending:
        return ""
    return f" so far, after {sweep.ended} of {counted(len(sweep.trials), 'trial')}"


def judge(grid: Grid) -> str:
    """Name the metric by which cells are chosen: ``validation accuracy`` or ``balanced validation accuracy``."""
    balanced = "balanced " if grid.measure == "balanced" else ""
    return f"{balanced}validation accuracy{' of rotation prediction' if grid.metric == ROTATION else ''}"


def points(difference: Difference, of: str) -> str:
    """Return the text ``+16.0 points [+11.7, +20.3] (validation accuracy, 95 %, two-way model, n = 3)``."""
    return str(difference).replace(" (", f" ({of}, ", 1)


def named(labels: Sequence[str]) -> str:
    """Join labels into a text such as ``a, b, c and 3 more``."""
    more = f" and {len(labels) - NAMED} more" if len(labels) > NAMED else ""
    return ", ".join(labels[:NAMED]) + more


def percent(cell: Cell, metric: str | None = None) -> str:
    """Return mean and standard deviation over seeds, as in ``63.1 ± 0.7 %``; for one seed the mean alone."""
    mean, std = cell.mean(metric), cell.std(metric)
    if mean is None:
        return cell.status
    return f"{100 * mean:.1f} %" if std is None else f"{100 * mean:.1f} ± {100 * std:.1f} %"


def _best_pair(grid: Grid, found: Order) -> tuple[Cell, Cell] | None:
    """Return both orders of the pair of ops with the highest mean score over both, or None without such a pair."""
    pairs = [
        (grid.cells[a, b], grid.cells[b, a])
        for i, a in enumerate(grid.ops)
        for b in grid.ops[i + 1 :]
        if {grid.cells[a, b].label, grid.cells[b, a].label} <= found.scores.keys()
    ]
    return max(pairs, key=lambda pair: sum(found.scores[cell.label] for cell in pair), default=None)


def _collapsed(grid: Grid) -> list[str]:
    labels = [cell.label for cell in grid.with_results if "collapsed" in cell.flags]
    return [f"Collapsed (all representations equal): {', '.join(labels)}."] if labels else []


def _not_judged(grid: Grid) -> list[str]:
    labels = [cell.label for cell in grid.cells.values() if cell.status == "not judged"]
    told = f"Not judged, since rotation prediction cannot judge compositions that turn images: {', '.join(labels)}."
    return [told] if labels else []
