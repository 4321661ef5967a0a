"""Count the system calls on a sweep's files: of a worker for one trial, and of the command for one look at the sweep.

``python -m benchmarks.file_calls [CHECKOUT]``; a minute or two, twice that with CHECKOUT, an earlier version of ablate
whose calls are counted, too. The trials are tiny; how many calls a trial has depends on that for checkpoints alone: the
shorter an epoch is beside the writing of one, the fewer there are. Linux's ``strace`` records the calls. Counted is
what a file server can be asked: open, stat, list, read, write, sync, rename, link, remove and make. What the kernel
answers by itself is not: seek, close, the state of an open file.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from subprocess import PIPE

from ablate.config.experiment import Experiment
from ablate.config.sweep import Trial
from ablate.data import cache_dir
from ablate.launch.watch import Watcher
from ablate.planning.images import prepare_images
from ablate.planning.understand import plan_sweep
from ablate.sweep.attempts import Attempt, attempt_file, create
from ablate.sweep.layout import SweepDir
from ablate.sweep.plan import plan, save_plan
from ablate.sweep.progress import write_progress
from benchmarks.harness import save

Counts = dict[str, int]
"""Calls by kind."""
RECORDS = 3  # trials that the worker runs, of which the last is counted
FEW, MANY = 4, 12  # their epochs
LOOK = "look"  # the first word of the command line of the process whose looks are counted
KINDS = {
    "open": ("open", "openat", "creat"),
    "stat": ("stat", "lstat", "newfstatat", "statx", "access", "faccessat", "faccessat2", "readlink", "readlinkat"),
    "list": ("getdents64",),
    "read": ("read", "pread64"),
    "write": ("write", "pwrite64", "truncate", "utimensat", "chmod", "fchmod"),
    "sync": ("fsync", "fdatasync"),
    "rename": ("rename", "renameat", "renameat2", "link", "linkat"),
    "remove": ("unlink", "unlinkat", "rmdir"),
    "make": ("mkdir", "mkdirat"),
}
KIND_OF = {name: kind for kind, names in KINDS.items() for name in names}


def kind_of(line: str, directory: str) -> str | None:
    """Return the kind of the call in a line of ``strace -f -y`` that concerns ``directory``; None for any other line.

    Args:
        line: a line such as ``4711 openat(AT_FDCWD</tmp>, "/tmp/sweep/trials", O_RDONLY) = 3``.
        directory: the absolute path of the sweep's directory.
    """
    match = re.match(r"\d+ +(\w+)\((.*)", line)
    if match is None or directory not in match[2].rsplit(" = ", 1)[0]:
        return None
    name, rest = match.groups()
    if "AT_EMPTY_PATH" in rest or (name in ("getdents64", "read") and rest.endswith("= 0")):
        return None  # the state of an open file; the end of a listing or of a file, which its content came with
    return KIND_OF.get(name)


def between(trace: str, directory: str, marks: str) -> list[Counts]:
    """Return the calls by kind from each mark to the next one.

    Args:
        trace: what strace wrote.
        directory: the absolute path of the sweep's directory.
        marks: a pattern; a mark is a write to a pipe that begins with it.
    """
    parts: list[Counter[str]] = []
    for line in trace.splitlines():
        if re.search(rf'write\(\d+<pipe:[^>]*>, "(?:{marks})', line):
            parts.append(Counter())
        elif parts and (kind := kind_of(line, directory)):
            parts[-1][kind] += 1
    return [{kind: part[kind] for kind in KINDS} for part in parts[:-1]]


def planned(directory: Path, epochs: int) -> list[Trial]:
    """Plan a tiny grid in ``directory``, and return the trials of its cells."""
    settings = {"epochs": epochs, "batch_size": 32, "warmup_epochs": 0}
    wish = Experiment(data="glyphs", limit=200, ops=["crop", "color", "blur"], device="cpu", set=settings)
    experiment, _ = plan_sweep(wish, directory, lambda sized: prepare_images(sized, cache_dir(None)), "ablate grid")
    save_plan(directory, experiment)
    return [trial for trial in plan(experiment) if trial.reference is None]


@contextlib.contextmanager
def traced(arguments: list[str], checkout: Path, trace: Path) -> Iterator[subprocess.Popen[str]]:
    """Run ``python ARGUMENTS`` with the ablate of ``checkout`` under strace, which writes to ``trace``."""
    strace = ["strace", "-f", "-y", "-e", "trace=%file,%desc", "-e", "signal=none", "-o", str(trace)]
    environment = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [*strace, sys.executable, *arguments], stdin=PIPE, stdout=PIPE, text=True, env=environment, cwd=checkout
    ) as process:
        yield process
    assert process.returncode == 0, arguments


def of_a_trial(directory: Path, trials: Sequence[Trial], checkout: Path) -> Counts:
    """Return the calls of a worker for the last of ``trials``, by kind; for the first it also makes directories."""
    trace = directory / "trace"
    worker = ["-m", "ablate.launch.worker", str(directory), "cpu", str(cache_dir(None))]
    with traced(worker, checkout, trace) as process:
        assert process.stdin and process.stdout
        for trial in trials:
            process.stdout.readline()  # ready, or done with the one before
            print(trial.id, file=process.stdin, flush=True)
        process.stdout.readline()
        process.stdin.close()
    return between(trace.read_text(errors="replace"), str(directory), "ready|done ")[-1]


def of_a_look(directory: Path) -> dict[str, Counts]:
    """Return the calls of the command for one look: ``each``, and more per ``record`` and per ``running`` trial."""
    trace = directory / "trace"
    with traced(["-m", "benchmarks.file_calls", LOOK, str(directory)], Path(__file__).parents[1], trace) as process:
        assert process.stdout
        process.stdout.read()
    first, fewer, running = between(trace.read_text(errors="replace"), str(directory), "look|over")[::2]
    record, begun = subtract(first, fewer), subtract(running, fewer)
    return {"each": subtract(first, record, RECORDS), "record": record, "running": begun}


def subtract(a: Counts, b: Counts, times: int = 1) -> Counts:
    """Return ``a - times * b``."""
    return {kind: a.get(kind, 0) - times * b.get(kind, 0) for kind in KINDS}


def look(directory: Path) -> None:
    """Look at a sweep with all its records, with one less, and with a trial that runs on another machine."""
    watcher = Watcher(directory, asks=False)
    watcher.look()  # reads the plan and the records, which are then known
    _look_between_marks(watcher)
    records = sorted(SweepDir(directory).trials.glob("*.json"))
    records[0].unlink()
    _look_between_marks(watcher)
    file = attempt_file(SweepDir(directory).begun(records[0].stem), 1)
    file.parent.mkdir(parents=True)
    create(file, Attempt(number=1, machine="another").model_dump_json())
    write_progress(directory, next(t for t in watcher.look().trials if t.id == records[0].stem), 1, {}, 0.0)
    _look_between_marks(watcher)


def _look_between_marks(watcher: Watcher) -> None:
    print("look", flush=True)
    watcher.look()
    print("over", flush=True)


def counted(checkout: Path) -> tuple[dict[str, Counts], dict[str, Counts]]:
    """Return the calls of a trial by its epochs, ``FEW`` and ``MANY``, and those of a look."""
    trials, looks = dict[str, Counts](), dict[str, Counts]()
    for epochs in (FEW, MANY):
        with tempfile.TemporaryDirectory() as name:
            directory = Path(name).resolve()
            trials[str(epochs)] = of_a_trial(directory, planned(directory, epochs)[:RECORDS], checkout)
            looks = looks or of_a_look(directory)
    return trials, looks


def main(earlier: Path | None) -> None:
    trials, looks = counted(Path(__file__).parents[1])
    before = {"trial before": counted(earlier)[0]} if earlier else {}
    save("file_calls", {"trial": trials, "look": looks, **before})


if __name__ == "__main__":
    if sys.argv[1:2] == [LOOK]:
        look(Path(sys.argv[2]))
    else:
        main(Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else None)
