"""Trials that are parked at a rung."""

from __future__ import annotations

from ablate.files import write_atomically
from ablate.sweep.layout import SweepDir
from ablate.sweep.record import to_json as as_json
from tests.support.sweeps import record


def park(directory, trial, knn, epoch=1):
    history = ({"epoch": float(epoch), "loss": 1.0, "knn_val_top1": knn},)
    parked = record(trial, status="pruned", metrics={}, history=history)
    write_atomically(SweepDir(directory).parked(trial.id), as_json(parked))
    return parked
