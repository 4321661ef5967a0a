"""Sweeps with a recommendation."""

from __future__ import annotations

import io
import re

from rich.console import Console

from ablate.ops.composition import Composition
from ablate.report.recommendation import terminal
from ablate.report.recommendation.choice import to_confirm
from ablate.report.recommendation.recommend import recommend
from ablate.sweep.confirm import confirmation
from ablate.sweep.layout import CONFIRMATION
from ablate.sweep.plan import load_plan, plan, save_plan
from tests.support.sweeps import failure, make_experiment, record, write_record

MEANS = {"crop": 0.3, "color": 0.5, "crop+color": 0.8, "color+crop": 0.79}

NOISE = {"crop": 0.01, "color": -0.01, "crop+color": 0.02, "color+crop": -0.015}

SECONDS = {"crop": 10.0, "color": 20.0, "crop+color": 40.0, "color+crop": 30.0}


def value(trial):
    """A cell's mean, a seed's own offset, and residuals that alternate in sign."""
    mean = MEANS.get(trial.label, 0.1)
    return mean + 0.02 * trial.seed + NOISE.get(trial.label, 0.0) * (-1) ** trial.seed


def make(directory, seeds=3, branches="one", value=value, skip=()):
    """A 2x2 sweep of crop and color with timings."""
    experiment = make_experiment(["crop", "color"], seeds)
    ops = tuple(named.model_copy(update={"op": Composition.parse(named.label).specs()[0]}) for named in experiment.ops)
    base = {} if branches == "one" else {"branches": "two", "base": None}
    shared = experiment.shared.model_copy(update=base)
    experiment = experiment.model_copy(update={"ops": ops, "shared": shared})
    save_plan(directory, experiment)
    for trial in plan(experiment):
        if trial.label not in skip:
            timings = {"cpu": SECONDS.get(trial.label, 1.0), "total": 1.0}
            write_record(directory, record(trial, value(trial), timings=timings))
    return directory


def shown(found, code=False):
    console = Console(width=200, record=True, file=io.StringIO())
    terminal.show(found, console, code)
    return console.export_text()


def confirm(directory, value=lambda trial: 0.9 - 0.1 * bool(trial.reference), fail=(), skip=(), seeds=3):
    """What ``--confirm`` leaves behind."""
    choice = recommend(directory).choice
    planned = confirmation(choice.sweep.experiment, to_confirm(choice), seeds, f"ablate recommend {directory}")
    save_plan(directory / CONFIRMATION, planned)
    for trial in plan(planned):
        if trial.label not in skip:
            write_record(
                directory / CONFIRMATION, failure(trial) if trial.label in fail else record(trial, value(trial))
            )


def trial_of(directory, label, seed):
    """The trial of a cell with a seed."""
    return next(t for t in plan(load_plan(directory)) if (t.label, t.seed) == (label, seed))


def lead(directory):
    """The page's first sentence."""
    html = (directory / "report" / "index.html").read_text()
    return re.search(r'<p class="lead">(.*?)</p>', html)[1].replace("\N{NO-BREAK SPACE}", " ")
