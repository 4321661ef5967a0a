"""The lines that a command prints about a planned sweep or trial before it begins: preset, given weights, images."""

from __future__ import annotations

from ablate.config.experiment import Experiment
from ablate.config.sweep import SweepPlan, Trial
from ablate.data import DataSet
from ablate.planning.images import described
from ablate.planning.init import about_init
from ablate.planning.outline import outline_of
from ablate.planning.request import about_preset


def about_sweep(wish: Experiment, resolved: Experiment, planned: SweepPlan, images: DataSet) -> str:
    """Return the lines on the preset, the weights that encoders start from, the images, and ops without effect.

    Args:
        wish: the description as it was given.
        resolved: the same with its preset.
        planned: its plan.
        images: its images.
    """
    about = about_preset(wish, resolved) + about_init(resolved, planned.configs)
    return about + about_images(planned, images)


def about_images(planned: SweepPlan, images: DataSet) -> str:
    """Return the lines on the images of a plan, on what ranks its compositions, and on ops without effect."""
    measure = planned.measure if "linear" in planned.protocols else None
    return described(images, planned.shared.image_size, planned.every_op, measure, planned.limit)


def about_trial(wish: Experiment, resolved: Experiment, trial: Trial, images: DataSet) -> str:
    """Return :func:`about_sweep` for a single trial, and a summary of its training; the arguments are alike."""
    config = trial.config
    about = about_preset(wish, resolved) + about_init(resolved, [config])
    measure = config.measure or images.measure
    by_rule = measure == images.measure == "top1"  # the accuracy that nobody asks about
    said = described(images, config.image_size, config.every_op, None if by_rule else measure, wish.limit)
    return f"{about}{said}\n{outline_of([config])}"
