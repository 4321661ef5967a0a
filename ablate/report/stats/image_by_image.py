"""Two compositions image by image: what both get right, McNemar's test, agreement, and images only one gets right."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ablate.config.measure import ACCURACIES, Accuracy, Measure
from ablate.console import command
from ablate.errors import UsageError, unknown
from ablate.inference.over_images import influence_of, over_images
from ablate.inference.two_classifiers import Counts, agreement, counts, kappa
from ablate.report.data.results import Results, read_sweep
from ablate.report.stats.model import Difference
from ablate.report.stats.order import order
from ablate.report.stats.untrained import paired_difference, with_images
from ablate.sweep.images import SplitResults, image_results_of
from ablate.sweep.layout import SweepDir

Split = Literal["validation", "test"]
Seeds = Mapping[int, SplitResults]


@dataclass(frozen=True)
class OneSeed:
    """Two compositions with one seed: counts of images, and how far both give the same class, as a share and kappa."""

    seed: int
    counts: Counts
    agreement: float
    kappa: float


@dataclass(frozen=True, eq=False)
class ImagesCompared:
    """Two compositions, compared on the images of a split.

    ``seeds`` has an entry for each seed for which both have image results. ``within`` is the share of images that
    two seeds of the first, and of the second, give the same class; None with one seed. ``only_first`` and
    ``only_second`` are the numbers of the images that only one of the two gets right, those with the largest
    difference of margins first, int64 ``[n]``: it is right with more than half of the seeds, and the other with
    fewer. ``seeds_alone``, ``images_alone`` and ``both`` are the difference of their ``measure``, first minus
    second, with 95 % intervals that hold other seeds, other images, or both. ``results`` holds what each image was
    given, by composition and seed.
    """

    first: str
    second: str
    split: Split
    measure: Accuracy
    seeds: tuple[OneSeed, ...]
    within: tuple[float | None, float | None]
    only_first: npt.NDArray[np.int64]
    only_second: npt.NDArray[np.int64]
    seeds_alone: Difference
    images_alone: Difference
    both: Difference
    results: tuple[Seeds, Seeds]

    def __repr__(self) -> str:
        return f"<{self.first} and {self.second} on {self.split} images: {self.both}>"


def compare_images(
    directory: str | Path, first: str | None = None, second: str | None = None, split: Split = "test"
) -> ImagesCompared:
    """Compare two compositions of a sweep image by image.

    Args:
        directory: the sweep's directory.
        first: the label of a composition or a reference; default: the best composition.
        second: the label of another one; default: the best composition but the first.
        split: ``validation`` or ``test``.

    Raises:
        UsageError: it is not a sweep's directory; there is no such label or split; the two share no seed for which both
            have image results; or a file of these is damaged.
    """
    sweep = read_sweep(directory)
    ranked = [cell.label for cell in order(sweep.grid).cells]
    first = first or next(iter(ranked), "")
    second = second or next((label for label in ranked if label != first), "")
    known = list(dict.fromkeys(trial.label for trial in sweep.trials))
    for label in (first, second):
        if label not in known:
            raise unknown("composition", label, known)
    if split not in ("validation", "test"):
        raise unknown("split", split, ("validation", "test"))
    if first == second:
        raise UsageError(f"{first} is given twice: two compositions are compared")
    return compared(sweep, first, second, split)


def compared(sweep: Results, first: str, second: str, split: Split = "test") -> ImagesCompared:
    """Compare two labels of a sweep that has been read, like :func:`compare_images`."""
    a, b = (_by_seed(sweep, label, split) for label in (first, second))
    shared = sorted(a.keys() & b.keys())
    if not shared:
        again = command("ablate", "evaluate", sweep.directory, "--protocol", "linear", "--again")
        raise UsageError(
            f"{first} and {second} of {sweep.directory} share no seed with results for every image; {again} writes "
            "them where encoders were kept"
        )
    if any(not np.array_equal(of.label, a[shared[0]].label) for of in (*a.values(), *b.values())):
        raise UsageError(f"the {split} images of {first} and {second} of {sweep.directory} are not the same")
    measure = _measure(sweep.grid.measure)
    alone, images_alone, both = _differences(a, b, shared, measure)
    return ImagesCompared(
        first=first,
        second=second,
        split=split,
        measure=measure,
        seeds=tuple(_one_seed(seed, a[seed], b[seed]) for seed in shared),
        within=(_within(a), _within(b)),
        only_first=_only(a, b, shared),
        only_second=_only(b, a, shared),
        seeds_alone=alone,
        images_alone=images_alone,
        both=both,
        results=(a, b),
    )


def _measure(measure: Measure) -> Accuracy:
    return measure if measure in ACCURACIES else "balanced"


def _by_seed(sweep: Results, label: str, split: Split) -> dict[int, SplitResults]:
    records = (sweep.records.get(trial.id) for trial in sweep.trials if trial.label == label)
    done = [record for record in records if record and record.status == "done" and "linear_top1" in record.metrics]
    kept = [record for record in done if SweepDir(sweep.directory).image_results(record.id).is_file()]
    return {record.seed: getattr(image_results_of(sweep.directory, record), split) for record in kept}


def _one_seed(seed: int, a: SplitResults, b: SplitResults) -> OneSeed:
    both = a.predicted, b.predicted
    return OneSeed(seed, counts(a.correct, b.correct), agreement(*both), kappa(*both))


def _within(seeds: Seeds) -> float | None:
    """Return the agreement of two seeds of one composition, the mean over all pairs of them."""
    pairs = combinations(seeds.values(), 2)
    known = [agreement(a.predicted, b.predicted) for a, b in pairs]
    return statistics.fmean(known) if known else None


def _only(one: Seeds, other: Seeds, shared: Sequence[int]) -> npt.NDArray[np.int64]:
    """Return the images that only the first gets right, those with the largest difference of margins first."""
    right, wrong = (np.mean([of[seed].correct for seed in shared], axis=0) for of in (one, other))
    lead = np.mean([one[seed].margin.astype(float) - other[seed].margin.astype(float) for seed in shared], axis=0)
    found = np.flatnonzero((right > 0.5) & (wrong < 0.5))
    return np.asarray(found[np.argsort(-lead[found], kind="stable")])


def _differences(a: Seeds, b: Seeds, shared: Sequence[int], measure: Accuracy) -> list[Difference]:
    """Return the difference of the two accuracies with intervals over seeds, over images and over both."""
    balanced = measure == "balanced"
    values: list[dict[int, float]] = []
    parts: dict[str, dict[int, Any]] = {}
    group = next((split.group for of in (a, b) for split in of.values() if split.group is not None), None)
    adds = influence_of(a[shared[0]].label, group, balanced=balanced)  # files of earlier versions lack the group
    for name, of in (("a", a), ("b", b)):
        values.append({seed: _accuracy(of[seed], balanced=balanced) for seed in shared})
        parts[name] = {seed: adds(of[seed].correct) for seed in shared}
    seeds = paired_difference(*values)
    assert seeds is not None
    found = [seeds]
    for alone in (True, False):
        over = over_images(parts, len(a[shared[0]].label), alone=alone)
        found.append(with_images(seeds, over, ("a", "b")))
    return found


def _accuracy(of: SplitResults, *, balanced: bool) -> float:
    if not balanced:
        return float(of.correct.mean())
    images = np.bincount(of.label)
    return float(np.mean((np.bincount(of.label, weights=of.correct) / np.maximum(images, 1))[images > 0]))
