"""Two classifications of the same images: which they get right, McNemar's test, agreement and Cohen's kappa."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import bdtr

from ablate.inference.over_images import Correct, Integers


@dataclass(frozen=True)
class Counts:
    """The images that both classifications get right, that only the first or the second does, and that neither does."""

    both: int
    first: int
    second: int
    neither: int

    @property
    def p(self) -> float:
        """The two-sided p value of McNemar's exact test: are the two equally often the only one that is right?

        The images are taken as independent. For top-1 accuracy it is the permutation test of SimCLR's appendix B.8.1,
        which exchanges the two predictions of each image.
        """
        n = self.first + self.second
        return min(1.0, 2 * float(bdtr(min(self.first, self.second), n, 0.5))) if n else 1.0


def counts(first: Correct, second: Correct) -> Counts:
    """Count the images by which of two classifications gets them right, both bool ``[n]``."""
    one, other = int(np.count_nonzero(first & ~second)), int(np.count_nonzero(second & ~first))
    both = int(np.count_nonzero(first & second))
    return Counts(both, one, other, len(first) - both - one - other)


def agreement(first: Integers, second: Integers) -> float:
    """Return the share of images that are given the same class, right or wrong; NaN without images."""
    return float(np.mean(first == second)) if len(first) else float("nan")


def kappa(first: Integers, second: Integers) -> float:
    """Return Cohen's kappa of the classes that two classifications give, ``[n]`` each.

    It is the agreement beyond that of two independent classifications that give the classes as often as these do: 1 for
    equal ones and 0 for chance. NaN where chance alone would agree always (Cohen 1960, *Educational and Psychological
    Measurement* 20; the definition is scikit-learn's).
    """
    n = len(first)
    by_chance = float(_frequencies(first, second) @ _frequencies(second, first)) / n**2 if n else 1.0
    return (agreement(first, second) - by_chance) / (1 - by_chance) if by_chance < 1 else float("nan")


def _frequencies(classes: Integers, others: Integers) -> npt.NDArray[np.float64]:
    return np.bincount(classes, minlength=int(max(classes.max(), others.max())) + 1).astype(float)
