"""Made-up sweeps with results for every image, by latent scores as in the tests of statistics."""

from __future__ import annotations

import numpy as np

from ablate.sweep.images import ImageResults, SplitResults, to_bytes
from ablate.sweep.layout import SweepDir
from ablate.sweep.plan import plan, save_plan
from tests.support.sweeps import make_experiment, record, write_record

LEVELS = {"a": 0.2, "a+b": 1.0, "b+a": 0.8, "b": -0.4, "untrained": -1.0}
"""Higher is better; ``a+b`` is the best."""


def with_images(directory, seeds=3, images=200, noise=0.5, levels=LEVELS, skip=(), **changes):
    """A two-branch grid of a and b in which all trials but those of the cells in ``skip`` have image results."""
    experiment = make_experiment(["a", "b"], seeds)
    shared = experiment.shared.model_copy(update={"branches": "two"})
    experiment = experiment.model_copy(update={"shared": shared, **changes})
    save_plan(directory, experiment)
    SweepDir(directory).images.mkdir(parents=True)
    hard = np.random.default_rng(0).standard_normal((2, images))
    for trial in plan(experiment):
        rng = np.random.default_rng([trial.seed, *trial.label.encode()])
        own = 0.5 * np.random.default_rng([*trial.label.encode()]).standard_normal((2, images))  # hard for this cell
        scores = levels[trial.label] + hard + own + noise * rng.standard_normal((2, images))
        validation, test = (split(of > 0) for of in scores)
        metrics = {"linear_val_top1": validation.correct.mean(), "linear_top1": test.correct.mean()}
        made = record(trial, metrics={k: float(v) for k, v in metrics.items()}, protocols={"linear": "as always"})
        write_record(directory, made)
        if trial.label not in skip:
            results = ImageResults(made.id, made.config.data.fingerprint, validation, test)
            SweepDir(directory).image_results(made.id).write_bytes(to_bytes(results))
    return directory


def split(correct):
    """Results of three classes in turn that are right where ``correct`` is True."""
    label = (np.arange(len(correct)) % 3).astype(np.uint8)
    predicted = np.where(correct, label, (label + 1) % 3).astype(np.uint8)
    return SplitResults(label, predicted, np.where(correct, 1, -1).astype(np.float16))
