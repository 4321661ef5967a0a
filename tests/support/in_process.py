"""Run sweeps in the test's own process, where neither the command's process nor its workers are what is tested.

A new process imports torch, which takes longer than a tiny trial does. The results are the same to the bit.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from ablate.data import read_entry
from ablate.errors import Parked
from ablate.launch import worker
from ablate.launch.nodes import Crew
from ablate.launch.pool import WorkerPool
from ablate.sweep.plan import load_plan, plan
from tests.support.cli import ablate
from tests.support.figures import without_figures


def train_here(out: Path, cache: Path, directory: Path) -> None:
    """Train the trials of the sweep ``out`` into ``directory``, one after the other."""
    _train(directory, cache, load_plan(out), plan(load_plan(out)))


@contextlib.contextmanager
def without_workers() -> Iterator[None]:
    """Let the local launcher run trials here, one after the other, as a worker would."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WorkerPool, "run", _run)
        yield


def run_here(line):
    """Run ``python -m ablate ARGUMENT...`` here, and its trials too; the report's figures are empty files."""
    with without_workers(), without_figures():
        return ablate(*line[3:])


def _run(launcher, trials, on_change, *, until=None):
    _train(launcher.directory, launcher.cache, load_plan(launcher.directory), trials, on_change, until)


def _train(directory, cache, sweep, trials, on_change=lambda running: None, until=None):
    data = read_entry(cache, sweep.shared.data.fingerprint)
    with Crew.of_this_job() as crew:
        runner = worker._Runner(directory, torch.device("cpu"), cache, sweep, data, lambda: False, crew)
        for trial in trials:
            on_change([trial])
            with contextlib.suppress(Parked):
                runner.run(trial, until)
        on_change([])
