"""Grids within a budget that were never trained."""

from __future__ import annotations

import io

import numpy as np
from rich.console import Console

from ablate.config.sweep import Budgeted
from ablate.errors import ExitCode
from ablate.launch.batches import run_batches
from ablate.sweep.batches import started
from ablate.sweep.extend import merge_with_existing
from ablate.sweep.plan import load_plan, plan, save_plan
from ablate.sweep.survey import survey
from tests.support.sweeps import failure, make_experiment, record, write_record

OPS = ("a", "b", "c", "d")


def experiment(budget="8", seeds=1, ops=OPS, **changes):
    return make_experiment(list(ops), seeds).replace(budgeted=Budgeted(**{"budget": budget, "within": 1.0, **changes}))


def value_of(label, seed):
    """Made up: b is good, and best first; two ops are a little better than one."""
    first, _, second = label.partition("+")
    mean = 0.3 + 0.3 * (first == "b") + 0.1 * (second == "b") + 0.05 * bool(second)
    return mean + 0.002 * np.random.default_rng([seed, *label.encode()]).standard_normal()


class Training:
    """In place of a launcher: writes the missing records, or stops. ``batches`` holds the new cells of each call."""

    def __init__(self, directory, fails=(), stops=None):
        self.directory, self.fails, self.stops = directory, fails, stops
        self.batches = []

    def __call__(self, planned):
        whole = merge_with_existing(self.directory, planned)
        save_plan(self.directory, whole)
        missing = survey(self.directory, plan(whole)).missing
        self.batches.append({trial.label for trial in missing if not trial.reference})
        for trial in missing[: self.stops]:
            there = record(trial, 0.1 if trial.reference else value_of(trial.label, trial.seed))
            write_record(self.directory, failure(trial) if trial.label in self.fails else there)
        return ExitCode.DONE


def train(directory, planned, **kwargs):
    """Train as a command does; return the exit code, the training and the lines that were printed."""
    training, said = Training(directory, **kwargs), io.StringIO()
    whole = started(merge_with_existing(directory, planned))
    code = run_batches(directory, whole, training, Console(file=said, width=10_000, highlight=False))
    return code, training, said.getvalue().splitlines()


def trained(directory):
    return load_plan(directory).budgeted.cells
