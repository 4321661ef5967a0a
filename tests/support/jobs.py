"""In place of a cluster: jobs that write made-up records at once."""

from __future__ import annotations

import numpy as np

from ablate.files import write_atomically
from ablate.launch import start as launch
from ablate.launch.slurm.submission import note_cancelling
from ablate.sweep.extend import merge_with_existing
from ablate.sweep.plan import plan, save_plan
from tests.support.sweeps import failure, record, write_record

MEANS = {"a": 0.9, "b": 0.5, "a+b": 0.9, "b+a": 0.6}


class Jobs:
    """In place of sbatch and the jobs: what is missing gets its record, or as many as ``lame`` says."""

    def __init__(self, monkeypatch, lame=(), cancelled_after=None, fails=""):
        self.submitted: list[set[str]] = []
        self.lame, self.cancelled_after, self.fails = list(lame), cancelled_after, fails
        monkeypatch.setattr(launch, "submit_sweep", self.submit)
        monkeypatch.setattr(launch, "looks", lambda directory, every: iter(()))

    def submit(self, directory, experiment, cache, retry_failed, console, *, until):
        whole = merge_with_existing(directory, experiment)
        save_plan(directory, whole)
        waiting = launch.short_of(directory, plan(whole), until)
        self.submitted.append({f"{t.label} s{t.seed}" for t in waiting if not t.reference})
        if waiting:
            write_atomically(directory / "jobs" / f"{len(self.submitted)}.json", "")
        if len(self.submitted) == self.cancelled_after:
            note_cancelling(directory)
        for trial in waiting[: self.lame.pop(0) if self.lame else None]:
            noise = 0.002 * np.random.default_rng([trial.seed, *trial.label.encode()]).standard_normal()
            there = record(trial, MEANS.get(trial.label, 0.1) + noise)
            write_record(directory, failure(trial) if trial.label == self.fails else there)
        return 0
