"""Decode shards in parallel: with worker processes for a large folder, in this process for a small one.

Processes are used rather than threads, since Python holds its lock for a part of every image, and 64 cores would wait
for it. They are not those of multiprocessing, which import the caller's script again and survive a killed caller.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack

from ablate.data.decoding.shards import Task, finish, line_of
from ablate.errors import UsageError

SMALL = 256  # up to so many files are decoded in less time than processes take to start

Worker = subprocess.Popen[str]


def finish_all(tasks: Sequence[Task], progress: Callable[[int, int], None], processes: int | None = None) -> None:
    """Make every shard that does not exist yet.

    Args:
        tasks: the shards to make, each with its own target.
        progress: called after each shard with (files done, files in all).
        processes: the number of processes; 0 decodes here; by default the number of cores, or 0 for up to 256 files.

    Raises:
        UsageError: a process died, or a file needs a package that is not installed.
        OSError: the disk refused a shard; the others stay.
    """
    done, total = 0, sum(len(task.relpaths) for task in tasks)
    if processes is None:
        processes = cores() if total > SMALL else 0
    for task in _in_processes(tasks, min(processes, len(tasks))) if processes else _here(tasks):
        done += len(task.relpaths)
        progress(done, total)


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _here(tasks: Sequence[Task]) -> Iterator[Task]:
    for task in tasks:
        finish(task)
        yield task


def _in_processes(tasks: Sequence[Task], count: int) -> Iterator[Task]:
    """Yield the tasks as they are finished.

    One thread per process hands tasks down and waits for the answers.
    """
    workers = [_start() for _ in range(count)]
    idle: queue.SimpleQueue[Worker] = queue.SimpleQueue()
    for worker in workers:
        idle.put(worker)
    with ExitStack() as stack:
        for worker in workers:
            stack.callback(worker.communicate)  # waits for the worker to end and closes its pipes
        pool = stack.enter_context(ThreadPoolExecutor(count))
        try:
            for future in as_completed([pool.submit(_hand, idle, task) for task in tasks]):
                yield future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            for worker in workers:
                worker.kill()  # it is idle by now, unless something went wrong


def _start() -> Worker:
    return subprocess.Popen(
        [sys.executable, "-m", "ablate.data.decoding.shards"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        start_new_session=True,  # Ctrl-C is ours to handle
    )


def _hand(idle: queue.SimpleQueue[Worker], task: Task) -> Task:
    worker = idle.get()
    assert worker.stdin is not None
    assert worker.stdout is not None
    try:
        worker.stdin.write(line_of(task))
        worker.stdin.flush()
        answer = worker.stdout.readline()
    except BrokenPipeError:
        answer = ""
    finally:
        idle.put(worker)
    if not answer:
        raise UsageError(
            "a process that decodes images died (was it out of memory?); run the same command again to continue"
        )
    trouble = json.loads(answer)
    if "usage" in trouble:
        raise UsageError(trouble["usage"])
    if trouble:
        raise OSError(trouble["errno"], trouble["strerror"], trouble["filename"])
    return task
