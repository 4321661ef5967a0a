"""Real grids on tiny images: their command lines, their results, and their processes."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from ablate.sweep.layout import SweepDir
from ablate.sweep.record import read_record, read_records
from tests.support import commands
from tests.support.trials import comparable

SETTINGS = [
    *("--size", "16", "--epochs", "2", "--batch-size", "16", "--device", "cpu"),
    *("--set", "encoder.name=resnet8", "--set", "encoder.width=4", "--set", "head.hidden=8", "--set", "head.output=4"),
    *("--set", "optimiser.name=adamw", "--set", "optimiser.lr=0.01", "--set", "warmup_epochs=1"),
]


def command(tiny_folder, cache, out, *extra, ops="crop,color"):
    data = ["--data", f"folder:{tiny_folder}", "--cache", str(cache), "--out", str(out)]
    return [sys.executable, "-m", "ablate", "grid", "--ops", ops, *data, *SETTINGS, *extra]


def run(*args, **kwargs):
    return commands.run(command(*args, **kwargs))


def results(out):
    records, bad = read_records(out)
    assert not bad
    return {name: comparable(read_record(SweepDir(out).record(name))) for name in records}  # with the history


def wait_for(condition, seconds=120):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def mid_trial(out):
    return lambda: any((path.parent / "checkpoint.pt").exists() for path in out.glob("running/*/progress.json"))


def is_at_work(out):
    """Whether a process is left that was started for a sweep, such as a worker whose command was killed."""
    lines = (line for path in Path("/proc").glob("[0-9]*/cmdline") for line in _read(path))
    return any(str(out).encode() in line for line in lines)


def _read(path):
    try:
        return [path.read_bytes()]
    except OSError:
        return []


def worker_pids(out):
    return {json.loads(path.read_text())["pid"] for path in out.glob("running/*/attempt-*.json")}


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except OSError:
        return False
