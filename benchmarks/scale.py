"""Sweeps of 10 to 10,000 trials: what planning, surveying, reading and reporting them takes, and how it grows.

``python -m benchmarks.scale``; about five minutes and 0.2 GB of temporary disk. Records are synthetic and as large as a
run's: 100 epochs of history, metrics, timings, versions. Of 100 trials 85 are done, 5 have failed, 2 run, 2 were
interrupted (these four with progress files) and 6 are missing. Two shapes: more ops and seeds, and 7 ops, more seeds.
Files are in the page cache: disks play no part. Each function runs in this process, seconds of wall and of processor
time; ``ablate status`` and ``ablate report`` run as commands, imports and output included, with their peak memory.
``exponent`` is the slope of log processor seconds over log trials: 1 is linear, below it a constant part still shows.
"""

from __future__ import annotations

import gc
import io
import json
import random
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from ablate.launch.display import Progress
from rich.console import Console

from ablate.config.base import OpSpec
from ablate.config.sweep import NamedOp, SweepPlan, Trial
from ablate.config.trial import DataIdentity, TrialConfig
from ablate.launch import dry_run
from ablate.launch.screen import print_status
from ablate.launch.status import sweep_status
from ablate.launch.timing import TrialTime
from ablate.report import write_report
from ablate.report.data.load import load_results
from ablate.sweep.layout import SweepDir
from ablate.sweep.plan import load_plan, plan, save_plan
from ablate.sweep.survey import survey
from ablate.trial.provenance import versions
from benchmarks.harness import save

SHAPES = {  # by name: (ops, seeds) of each size
    "more and more cells": ((3, 1), (10, 1), (10, 10), (32, 10)),
    "49 cells, many seeds": ((7, 20), (7, 50), (7, 100), (7, 200)),
}
EPOCHS = 100
ROUNDS, COMMAND_ROUNDS = 3, 3
HOST = {"name": "node", "device": "cpu", "processor": "a processor", "cpu_capability": "AVX512"}
TRACEBACK = "Traceback (most recent call last):\n" + '  File "trainer.py", line 1, in step\n' * 12

Run = dict[str, float]


def experiment(ops: int, seeds: int) -> SweepPlan:
    """``ops`` strengths of color distortion, as a grid's axis."""
    strengths = [i / 50 for i in range(1, ops + 1)]
    specs = {s: OpSpec(name="color", version=1, params={"strength": s, "p": 1.0}) for s in strengths}
    named = [NamedOp(label=f"color(strength={s:g})", op=spec) for s, spec in specs.items()]
    data = DataIdentity(name="made-up", fingerprint="f00d", classes=10)
    return SweepPlan(
        command="ablate grid --ops ...",
        data="folder:/images",
        seeds=tuple(range(seeds)),
        ops=tuple(named),
        reference_crop=OpSpec(name="crop", version=1, params={"area": [0.08, 1.0], "ratio": [0.75, 4 / 3], "p": 1.0}),
        shared=TrialConfig(composition=(), data=data, epochs=EPOCHS),
    )


def synthesize(directory: Path, content: SweepPlan) -> None:
    """A sweep's directory in the middle of its run."""
    save_plan(directory, content)
    (directory / "trials").mkdir()
    rng, known = random.Random(0), versions()
    for number, trial in enumerate(plan(content)):
        place = number % 100
        if place < 90:
            text = json.dumps(record(trial, rng, known, failed=place % 18 == 7), indent=1)
            SweepDir(directory).record(trial.id).write_text(text + "\n")
        elif place < 94:
            folder = SweepDir(directory).begun(trial.id)
            folder.mkdir(parents=True)
            (folder / "progress.json").write_text(json.dumps(progress(trial, rng)))
            (folder / "attempt-1.json").write_text(json.dumps(attempt(alive=place < 92)))


def record(trial: Trial, rng: random.Random, known: dict[str, str], *, failed: bool) -> dict[str, object]:
    names = ("linear_top1", "linear_val_top1", "linear_balanced_accuracy", "linear_l2", "knn_top1")
    error = {"type": "Diverged", "message": "the loss became nan in epoch 7", "traceback": TRACEBACK}
    return {
        "schema_version": 1,
        "key": trial.config.key,
        **trial.model_dump(mode="json"),
        "status": "failed" if failed else "done",
        "flags": [],
        "metrics": {} if failed else {name: rng.random() for name in names},
        "protocols": {} if failed else {"linear": "logistic regression on h, " * 6, "knn": "20 neighbours, " * 6},
        "history": [epoch(number, rng) for number in range(1, (6 if failed else EPOCHS) + 1)],
        "timings": {name: 1000 * rng.random() for name in ("train", "evaluate", "cpu", "total")},
        "attempts": 1,
        "versions": known,
        "host": HOST,
        "when": "2026-01-01T00:00:00Z",
        "error": error if failed else None,
    }


def epoch(number: int, rng: random.Random) -> Run:
    names = ("loss", "contrastive_top1", "lr", "images_per_second", *(("knn_val_top1",) if number % 12 == 0 else ()))
    return {"epoch": float(number), **{name: rng.random() for name in names}}


def progress(trial: Trial, rng: random.Random) -> dict[str, object]:
    when = {"started": time.time(), "updated": time.time()}
    return {"label": trial.label, "seed": trial.seed, "epoch": 3, "epochs": EPOCHS, "metrics": epoch(3, rng), **when}


def attempt(*, alive: bool) -> dict[str, object]:
    """On another machine, which shows signs of life (its file is fresh) or has left the trial in order."""
    return {"number": 1, "host": "node4", "machine": "another", "pid": 4711, "job": "17_3", "released": not alive}


def functions(directory: Path) -> dict[str, Callable[[], object]]:
    content = load_plan(directory)
    dry_run.measure_trial = lambda *_: TrialTime(
        1.0, "untimed"
    )  # the measurement of a trial's steps, which is not what grows

    def display() -> None:
        """Two looks at a sweep of which half is done."""
        trials = plan(content)
        shown = Progress(quiet(), directory, trials[: len(trials) // 2], len(trials) // 2, 2)
        shown.seconds_left()
        shown.finish(trials[: len(trials) // 4])
        shown.seconds_left()

    return {
        "plan, with every id": lambda: {trial.id: trial for trial in plan(load_plan(directory))},
        "survey": lambda: survey(directory, plan(content)),
        "dry run, untimed": lambda: dry_run.show_plan(directory, content, ["cpu"], directory, False, quiet()),
        "status": lambda: print_status(sweep_status(directory), quiet()),
        "display, a quarter of the records": display,
        "load_results": lambda: load_results(directory),
        "write_report": lambda: write_report(directory),
    }


def quiet() -> Console:
    return Console(file=io.StringIO(), width=120)


def timed(call: Callable[[], object]) -> Run:
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    call()
    return {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}


def command(*arguments: str) -> Run:
    """One command, alone: its seconds, and its peak memory."""
    before, started, peak = children_cpu(), time.perf_counter(), 0.0
    process = subprocess.Popen([sys.executable, "-m", "ablate", *arguments], stdout=subprocess.DEVNULL)
    while process.poll() is None:
        peak = max(peak, memory(process.pid))
        time.sleep(0.01)
    assert process.returncode == 0, arguments
    return {"wall": time.perf_counter() - started, "cpu": children_cpu() - before, "MiB": peak}


def children_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def memory(pid: int) -> float:
    """Peak resident memory in MiB; 0 of a process that has ended."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1024 if found else 0.0


def sweep(ops: int, seeds: int) -> tuple[int, dict[str, object]]:
    """How many trials it has, and by operation its runs' quartiles."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        content = experiment(ops, seeds)
        synthesize(directory, content)
        calls = functions(directory)
        runs: dict[str, list[Run]] = {operation: [] for operation in calls}
        for _ in range(ROUNDS):
            for operation, call in calls.items():
                runs[operation].append(timed(call))
        for what in ("status", "report"):
            runs[f"ablate {what}"] = [command(what, name) for _ in range(COMMAND_ROUNDS)]
        return len(plan(content)), {operation: quartiles(rows) for operation, rows in runs.items()}


def quartiles(runs: list[Run]) -> dict[str, dict[str, float]]:
    row = {}
    for measure in runs[0]:
        q1, median, q3 = statistics.quantiles([run[measure] for run in runs], n=4, method="inclusive")
        row[measure] = {"median": median, "iqr": q3 - q1}
    return row


def by_operation(sizes: dict[int, dict[str, dict]]) -> dict[str, object]:
    """Operation -> its exponent, and its quartiles by the number of trials."""
    rows = {}
    for operation in next(iter(sizes.values())):
        of = {trials: row[operation] for trials, row in sizes.items()}
        slope, _ = np.polyfit(np.log(list(of)), np.log([row["cpu"]["median"] for row in of.values()]), 1)
        rows[operation] = {"exponent": float(slope), "by trials": of}
    return rows


def main() -> None:
    rows: dict[str, object] = {"conditions": {"epochs": EPOCHS, "rounds": ROUNDS, "rounds of commands": COMMAND_ROUNDS}}
    for shape, sizes in SHAPES.items():
        rows[shape] = by_operation(dict(sweep(*size) for size in sizes))
    save("scale", rows)


if __name__ == "__main__":
    main()
