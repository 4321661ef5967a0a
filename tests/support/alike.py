"""Made-up sweeps of the same ops on different images."""

from __future__ import annotations

import random

from ablate.report.data.results import read_sweep
from tests.support.sweeps import sweep

OPS = ["crop(flip_p=0.0)", "flip", "rotate", "color", "cutout", "blur", "sobel", "noise", "$x_1$", "d4"]


def made_up(directory, k, seeds=2, number=0, untrained=0.3, name="images"):
    """A sweep of the first ``k`` ops whose cells lie between 0.2 and 0.6."""
    rng = random.Random(number)
    means = {}

    def value(trial):
        mean = means.setdefault(trial.label, 0.2 + 0.4 * rng.random())
        return untrained if trial.reference else mean + 0.01 * rng.random()

    names = {"name": f"{name} {number} (500 of 900 training images)"}
    return read_sweep(sweep(directory, OPS[:k], seeds, value, references=("untrained",) if untrained else (), **names))
