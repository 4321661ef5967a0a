"""The verdict on a sweep: whether its accuracies are too high or too low to choose by."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

from ablate.config.measure import on_split
from ablate.console import counted
from ablate.report.data.grid import MAJORITY, ROTATION, Cell, Grid
from ablate.report.data.results import Results
from ablate.report.stats.order import Ranking
from ablate.report.stats.untrained import beats_untrained, is_unclear
from ablate.report.stats.words import judge, mentioned, percent
from ablate.sweep.again import adding_untrained

CEILING = 0.99  # accuracy from which on cells can no longer be told apart
EASY = 0.97  # test accuracy below which images are not called easy, whatever a few validation images say
GUESSING = 1.1  # times the accuracy of guessing: an encoder that is not above it has learned next to nothing
UNTRAINED = 5  # seeds of the untrained encoder that are advised
BROAD = 0.1  # standard error of R² from which on validation images are called few
LUCK = 1.64  # standard errors that an accuracy of guesses exceeds in one of twenty cases
FAR = 0.05  # difference of validation and test accuracy from which on selection alone does not explain it
BY_CHANCE = 0.05  # probability that chance alone takes the selected cell that far from its test accuracy
MOST_OF_ONE = 0.01  # accuracy that one validation image may be worth; beyond it, chance and ties decide


def few_images(sweep: Results) -> list[str]:
    """Return the sentence that there are few validation images, if one of them is worth more than a point."""
    if sweep.task and sweep.task.kind == "regression":
        return _few_values(sweep.task.images[1])
    counts = sweep.class_counts
    known = [count for count in counts.validation if count] if counts and sweep.grid.is_linear else []
    if not known:
        return []
    if sweep.grid.measure != "top1":
        least = min(known)
        which = f": one of the smallest class's {least}" if least > 1 else ": the only one of the smallest class"
        worth = 1 / (len(known) * least)
    else:
        worth, which = 1 / sum(known), ": one"
    if worth <= MOST_OF_ONE:
        return []
    return [
        f"There are only {counted(sum(known), 'validation image')} to choose by{which} is worth {100 * worth:.1f} "
        "points, so ties and chance decide. More training images give more validation images."
    ]


def _few_values(images: int) -> list[str]:
    """Return the sentence that there are few images for R², whose variance is about 4 R² (1 - R²)² / n.

    That is largest where R² is a third (Olkin and Finn 1995).
    """
    error = math.sqrt(4 / 3 * (2 / 3) ** 2 / max(1, images))
    if error < BROAD:
        return []
    return [
        f"There are only {counted(images, 'validation image')} to choose by: on so few, R² is uncertain by up to "
        f"{100 * error:.0f} points (one standard error), and more below 0. More images make it reliable."
    ]


def far_from_test(sweep: Results, ranking: Ranking, cell: Cell) -> list[str]:
    """Return the sentence that a chosen cell's validation and test accuracy are far apart, and the advice for that."""
    score, test, counts = ranking.score(cell), cell.mean(), sweep.class_counts
    if score is None or test is None or abs(score - test) < FAR:
        return []
    side = "below" if test < score else "above"
    chosen, shown = (on_split(sweep.grid.measure, split) for split in ("validation", "test"))
    gap = f"Its {shown} is {100 * abs(score - test):.1f} points {side} its {chosen}"
    if counts is None or not sweep.grid.is_linear:
        return [f"{gap}: expect the {shown}, and more images make both more reliable."]
    by_class, validation = sweep.grid.measure != "top1", sum(counts.validation)
    error = math.hypot(*(_standard_error(test, images, by_class) for images in (counts.validation, counts.test)))
    # The cell was selected from all of them, so the largest of as many errors counts (Bonferroni's bound).
    sure = NormalDist().inv_cdf(1 - BY_CHANCE / 2 / len(ranking.cells))
    if abs(score - test) < sure * error:
        return [
            f"{gap}, which chance can do with {counted(validation, 'validation image')} and "
            f"{sum(counts.test)} for the test: expect something between, and add images."
        ]
    return [
        f"{gap}, more than chance and selection explain: the test images are of another kind. Check how the set was "
        "split, and keep images that belong together (of a patient, of a slide) in one inner folder or group."
    ]


def _standard_error(share: float, images: Sequence[int], by_class: bool) -> float:
    """Return the standard error of an accuracy ``share`` on as many images of each class.

    Top-1 is one share of all images, balanced accuracy the mean of a share for each class (``by_class``). For AUROC it
    is an upper bound where the rest has more images than the class (Birnbaum and Klose 1957); for average precision
    (Boyd et al. 2013) and F1 it is an approximation.
    """
    present = [count for count in images if count]
    each = [1 / count / len(present) ** 2 for count in present] if by_class else [1 / sum(present)]
    return math.sqrt(share * (1 - share) * sum(each))


def absent_classes(sweep: Results) -> list[str]:
    """Return a sentence for each split, validation and test, that lacks classes; its numbers do not judge them."""
    counts = sweep.class_counts
    if counts is None or not sweep.grid.is_linear:
        return []
    largest = counts.train.index(max(counts.train))
    sentences = []
    for split, images in (("validation", counts.validation), ("test", counts.test)):
        absent = [number for number, count in enumerate(counts.train) if count and not images[number]]
        if not absent:
            continue
        share = f"{100 * counts.train[largest] / sum(counts.train):.0f} % of the training images"
        which = f"{len(absent)} of {len(counts.train)} classes {'has' if len(absent) == 1 else 'have'} no {split} image"
        among = f", among them the largest, which has {share}" if largest in absent else ""
        says = f"{on_split(sweep.grid.measure, split)} says nothing about"
        sentences.append(f"{which}{among}: {says} {'it' if len(absent) == 1 else 'them'}.")
    return sentences


def verdict(sweep: Results, ranking: Ranking) -> list[str]:
    """Return the sentences for accuracies that are too high or too low to choose by; empty if they are neither."""
    if is_majority(sweep, ranking) and not is_guessing(sweep, ranking):
        return [_like_the_majority(sweep, ranking)]
    if is_mean(sweep, ranking):
        return [
            f"No composition predicts {sweep.task_name} better than its mean does, which has R² 0: take more images, "
            "train longer, or look for a fault."
        ]
    grid, by = sweep.grid, judge(sweep.grid)
    untrained = grid.references.get("untrained")
    floor = (untrained.mean(ranking.metric) if untrained else None) or 0.0
    top = sum(score >= CEILING for score in ranking.scores.values())
    if floor >= CEILING or top > 1:
        reached = [
            f"{top} of {counted(len(ranking.cells), 'composition')} "
            f"{'reaches' if len(ranking.cells) == 1 else 'reach'} {100 * CEILING:.0f} % {by}"
        ] * (top > 0)
        reached += [f"{grid.start} reaches {100 * floor:.1f} %"] * (floor >= CEILING)
        reached = [f"{'; '.join(reached)}: {_ceiling(sweep, ranking)}."]
        return [reached[0][0].upper() + reached[0][1:]]
    if is_guessing(sweep, ranking):
        classes = _classes(sweep)
        return [
            f"No composition is clearly better than guessing one of {classes} classes ({100 * _chance(sweep):.1f} %): "
            "train longer, or look for a fault."
        ]
    return _against(sweep, ranking, untrained) if untrained else []


def _against(sweep: Results, ranking: Ranking, untrained: Cell) -> list[str]:
    """Return the sentence that the best composition is not, or not clearly, better than the untrained encoder."""
    grid, by = sweep.grid, judge(sweep.grid)
    if ranking.best and beats_untrained(grid, ranking, ranking.best) is False:
        return [
            f"No composition is better than {grid.start} ({percent(untrained, ranking.metric)} {by})"
            f"{_above_on_test(ranking, untrained)}: {_instead(grid)}."
        ]
    if ranking.best and is_unclear(grid, ranking):
        test, there = ranking.best.mean(), untrained.mean()
        is_below = test is not None and there is not None and test < there
        below = ", and on the test set it is below it" if is_below else ""
        more = "images" if few_images(sweep) or sweep.experiment.rounds else "seeds"
        return [
            f"{mentioned(ranking.best.label, start=True)} is not clearly better than {grid.start} by {by} "
            f"(95 %){below}: add {more}, or train longer.",
            *_more_untrained(sweep, ranking.best.std(ranking.metric), untrained, untrained.std(ranking.metric)),
        ]
    return []


def _more_untrained(sweep: Results, of_best: float | None, untrained: Cell, spread: float | None) -> list[str]:
    """Return the advice to evaluate more untrained encoders, if it is these that differ between seeds."""
    again = adding_untrained(sweep.directory, sweep.experiment, UNTRAINED)
    if not again or sweep.grid.given or of_best is None or spread is None or spread < of_best:
        return []
    if untrained.planned >= UNTRAINED:
        return []
    return [
        f"Untrained encoders differ by {100 * spread:.1f} points between seeds (standard deviation of "
        f"{judge(sweep.grid)}): `{again}` evaluates more of them, which takes seconds each and trains nothing."
    ]


def _instead(grid: Grid) -> str:
    """Return the advice for cells that are no better than the encoder from which they started."""
    if grid.given:
        return "use it as it is, or train it with a lower rate (--init-lr-scale), longer, or on more images"
    return "train longer, or look for a fault"


def _ceiling(sweep: Results, ranking: Ranking) -> str:
    """Explain accuracies that are too high to choose by: the images are easy, or the validation images too few."""
    test = max((mean for cell in ranking.cells if (mean := cell.mean()) is not None), default=1.0)
    if few_images(sweep) or test < EASY:
        return f"validation cannot tell them apart (the best on the test set has {100 * test:.1f} %), more images can"
    return "these images are too easy to tell augmentations apart; take harder ones"


def _above_on_test(ranking: Ranking, untrained: Cell) -> str:
    """Return words for compositions that are above the untrained encoder on the test set; empty if there are none."""
    floor = untrained.mean()
    above = sum(floor is not None and (cell.mean() or 0.0) > floor for cell in ranking.cells)
    return f", though {above} of {len(ranking.cells)} are on the test set ({percent(untrained)})" if above else ""


def is_useful(sweep: Results, ranking: Ranking) -> bool:
    """Return True if the best composition can be recommended.

    It must be better than the untrained encoder, if that is known, better than guessing, and better than always
    predicting the largest class, or the mean.
    """
    useless = ranking.best is None or beats_untrained(sweep.grid, ranking, ranking.best) is False
    like_none = (is_guessing(sweep, ranking), is_majority(sweep, ranking), is_mean(sweep, ranking))
    return not useless and not any(like_none)


def is_mean(sweep: Results, ranking: Ranking) -> bool:
    """Return True if no composition predicts a number better than always predicting its mean."""
    return sweep.grid.measure == "r2" and max(ranking.scores.values(), default=1.0) <= 0


def is_guessing(sweep: Results, ranking: Ranking) -> bool:
    """Return True if the best composition has learned next to nothing."""
    return bool(_classes(sweep)) and max(ranking.scores.values(), default=0.0) <= GUESSING * _chance(sweep)


def _chance(sweep: Results) -> float:
    """Return what guessing has on average: a share of the classes or, as AUROC, a half."""
    return 0.5 if sweep.grid.measure == "auroc" else 1 / _classes(sweep)


def is_majority(sweep: Results, ranking: Ranking) -> bool:
    """Return True if no composition is clearly better than always predicting the largest class; False if unknown."""
    bar = majority_bar(sweep)
    return bar is not None and max(ranking.scores.values(), default=0.0) <= bar


def majority_bar(sweep: Results) -> float | None:
    """Return the validation accuracy above which a composition clearly beats always predicting the largest class.

    Guesses of the accuracy of that class exceed it, on so many validation images, in one of twenty cases. The bar may
    lie above 1: then the images are too few to show a difference. None if it is unknown.
    """
    grid, counts = sweep.grid, sweep.class_counts
    majority = grid.references.get(MAJORITY)
    floor = majority.mean(grid.validation_metric) if majority else None
    if floor is None or counts is None:
        return None
    return floor + LUCK * _standard_error(floor, counts.validation, grid.measure != "top1")


def _like_the_majority(sweep: Results, ranking: Ranking) -> str:
    bar, counts, majority = majority_bar(sweep), sweep.class_counts, sweep.grid.references[MAJORITY]
    assert bar is not None and counts is not None
    images = counted(sum(counts.validation), "validation image")
    if bar >= 1:
        rest = f"{images} are too few to show a difference. Take more images, above all of the smaller classes"
    else:
        rest = f"with {images}, that takes more than {100 * bar:.1f} %. Train longer, or take more images"
    return (
        "No composition is clearly better than always predicting the largest class "
        f"({percent(majority, ranking.metric)} {judge(sweep.grid)}); {rest}."
    )


def _classes(sweep: Results) -> int:
    """Return the number of classes to predict: the data's, four for rotation prediction, or 0 without labels."""
    return 4 if sweep.grid.metric == ROTATION else sweep.classes
