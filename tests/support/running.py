"""Trials that have begun: what they leave on disk."""

from __future__ import annotations

import json
import os
import time

from ablate.processes.identity import start_time
from ablate.sweep.layout import SweepDir
from ablate.sweep.lease import claim


def the_attempt_of_a_live_process(folder):
    """This process's parent's, which outlives the test."""
    with claim(folder, "any") as lease:
        attempt = json.loads(lease.path.read_text())
    return json.dumps({**attempt, "pid": os.getppid(), "born": start_time(os.getppid())})


def begin(directory, trial, touched=None, **changes):
    folder = SweepDir(directory).begun(trial.id)
    folder.mkdir(parents=True)
    now = time.time()
    progress = {
        "label": trial.label, "seed": 0, "epoch": 2, "epochs": 3, "metrics": {"loss": 1.25}, "started": now,
        "updated": now,
    }  # fmt: skip
    (folder / "progress.json").write_text(json.dumps(progress))
    attempt = json.loads(the_attempt_of_a_live_process(folder))
    (folder / "attempt-1.json").write_text(json.dumps({**attempt, **changes}))
    if touched is not None:
        os.utime(folder / "attempt-1.json", (touched, touched))
