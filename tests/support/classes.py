"""Sweeps with made-up results for every image of three classes."""

from __future__ import annotations

import numpy as np

from ablate.config.sweep import ClassCounts
from ablate.sweep.images import ImageResults, SplitResults, to_bytes
from ablate.sweep.layout import SweepDir
from ablate.sweep.plan import plan, save_plan
from tests.support.sweeps import make_experiment, record, write_record

NAMES = ("six", "nine", "two:half")
LABEL = np.repeat([0, 1, 2], 20)


def split_of(label, predicted, group=None):
    arrays = (np.asarray(label, "u1"), np.asarray(predicted, "u1"), np.zeros(len(label), "f2"))
    return SplitResults(*arrays, group)


def mixed_up(label, seed):
    """With color, six and nine are often taken for each other."""
    rng = np.random.default_rng([seed, len(label)])
    swapped = (rng.random(60) < (0.9 if "color" in label else 0.1)) & (LABEL < 2)
    return np.where(swapped, 1 - LABEL, LABEL)


def wrong(six=0, nine=0, two=0):
    """Predictions with some images of each class wrong: of six as nine, of the others as six."""
    predicted = LABEL.copy()
    predicted[:six], predicted[20 : 20 + nine], predicted[40 : 40 + two] = 1, 0, 0
    return predicted


def made(directory, predicted=mixed_up, seeds=2, skip=()):
    """A grid of crop and color in which ``predicted(label, seed)`` are the classes given to the images of LABEL."""
    counts = ClassCounts(train=(100,) * 3, validation=(20,) * 3, test=(20,) * 3)
    experiment = make_experiment(["crop", "color"], seeds).replace(classes=NAMES, class_counts=counts)
    save_plan(directory, experiment)
    for trial in plan(experiment):
        split = split_of(LABEL, predicted(trial.label, trial.seed))
        right = float(split.correct.mean())
        metrics = {"linear_top1": right, "linear_val_top1": right}
        done = record(trial, metrics=metrics, protocols={"linear": "as always"})
        write_record(directory, done)
        if trial.label not in skip:
            path = SweepDir(directory).image_results(done.id)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(to_bytes(ImageResults(done.id, done.config.data.fingerprint, split, split)))
    return directory
