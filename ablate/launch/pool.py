"""The local launcher: worker processes on this machine, one per GPU or per CPU core, alive across trials."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from ablate.config.at_hand import as_option
from ablate.config.sweep import Trial
from ablate.errors import DiskError, UsageError, WorkerError
from ablate.files import tail
from ablate.launch.oom import oom_kills
from ablate.sweep.attempts import Attempt, last_attempt
from ablate.sweep.holders import holder, is_alive, is_made_by
from ablate.sweep.layout import SweepDir
from ablate.sweep.lease import inherit, release
from ablate.sweep.record import MEMORY_ADVICE, OUT_OF_MEMORY, Failure, failed_from_outside, write_record

STOP_GRACE = 3.0  # seconds between asking a worker to end and killing it
POLL = 0.25
LOOK = 5.0  # seconds between looks at trials that other processes hold
MAX_CRASHES = 2  # a trial whose workers died this many times is recorded as failed


@dataclass
class _Worker:
    number: int
    process: subprocess.Popen[str]
    log: Path
    ready: bool = False
    trial: Trial | None = None


@dataclass
class WorkerPool:
    """A launcher that runs trials in ``len(devices)`` worker processes.

    ``devices`` holds one entry per worker (``cpu``, ``cuda:0``); ``threads`` is the number of threads of each trial.
    """

    directory: Path
    cache: Path
    devices: list[str]
    threads: int
    prefix: str = "worker"  # the prefix of the workers' logs, DIR/logs/<prefix>-<n>.log
    grace: Callable[[], float] = lambda: STOP_GRACE  # seconds that workers have to end in order; called repeatedly
    waits_for: Callable[[Attempt], bool] = lambda holder: True  # True: wait for a trial that another process runs
    is_guest: bool = False  # True: it stops if workers are killed, as for lack of memory that other machines may have
    _workers: list[_Worker] = field(default_factory=list)
    _messages: queue.Queue[tuple[int, str | None]] = field(default_factory=queue.Queue)
    _crashes: dict[str, int] = field(default_factory=dict)
    _oom_kills: int = field(default_factory=oom_kills)
    _held: dict[str, Trial] = field(default_factory=dict)
    _looked: float = 0.0
    _until: int | None = None

    def run(
        self, trials: Iterable[Trial], on_change: Callable[[list[Trial]], None], *, until: int | None = None
    ) -> None:
        """Run every trial to a record, or to the end of epoch ``until``.

        If ``waits_for(holder)`` is true, a trial that another process runs is waited for; else it is left to that
        process. An exception of ``on_change`` ends the run, and is raised once the workers have ended in order.

        Args:
            trials: the trials to run.
            on_change: ``on_change(running)`` is called at each event, and about four times a second.
            until: the epoch at whose end trials stop; None: run them to their records.

        Raises:
            DiskError: a worker could not write.
            WorkerError: a worker died before its first trial; a guest's workers were killed in a trial.
            Interruption: a signal ended the run; raised once the workers are gone.
        """
        waiting, self._until = deque(trials), until
        count = min(len(self.devices), len(waiting))
        try:
            self._workers = [self._start(number) for number in range(count)]
            while waiting or self._held or any(worker.trial for worker in self._workers):
                for worker in self._workers:
                    if worker.ready and worker.trial is None and waiting:
                        self._assign(worker, waiting.popleft())
                on_change([worker.trial for worker in self._workers if worker.trial])
                self._look_at_held(waiting)
                try:
                    self._handle_next_message(waiting)
                except WorkerError:
                    on_change([])  # the launcher may have been told to end together with the worker
                    raise
        finally:
            self._stop()

    def _start(self, number: int) -> _Worker:
        log = SweepDir(self.directory).log(f"{self.prefix}-{number}")
        log.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "ablate.launch.worker", str(self.directory), self.devices[number]]
        with log.open("a", encoding="utf-8") as errors, _deaf_to_warnings():
            process = subprocess.Popen(
                [*command, str(self.cache)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env=worker_environment(self.threads),
                start_new_session=True,  # only the launcher handles Ctrl-C
            )
        assert process.stdout is not None
        listener = threading.Thread(target=self._listen, args=(process.pid, process.stdout), daemon=True)
        listener.start()
        return _Worker(number, process, log)

    def _listen(self, pid: int, stdout: IO[str]) -> None:
        with stdout:
            for line in stdout:
                self._messages.put((pid, line.strip()))
        self._messages.put((pid, None))

    def _assign(self, worker: _Worker, trial: Trial) -> None:
        assert worker.process.stdin is not None
        worker.trial = trial
        with contextlib.suppress(BrokenPipeError):  # a dead worker is noticed by the end of its output
            worker.process.stdin.write(f"{trial.id}\n" if self._until is None else f"{trial.id} {self._until}\n")
            worker.process.stdin.flush()

    def _handle_next_message(self, waiting: deque[Trial]) -> None:
        try:
            pid, line = self._messages.get(timeout=POLL)
        except queue.Empty:
            return
        worker = next((worker for worker in self._workers if worker.process.pid == pid), None)
        if worker is None:
            return  # a late message of a worker that was replaced, or that ended at the last rung
        if line is None:
            self._replace(worker, waiting)
        elif line == "ready":
            worker.ready = True
        elif line.startswith("disk "):
            raise DiskError(line.removeprefix("disk "))
        elif line.startswith("done "):
            worker.trial = None
        elif line.startswith("held ") and worker.trial:
            self._held[worker.trial.id], worker.trial = worker.trial, None

    def _look_at_held(self, waiting: deque[Trial]) -> None:
        """Take back trials that no other process runs any more; drop those that are finished or left to others."""
        if not self._held or time.monotonic() - self._looked < LOOK:
            return
        self._looked = time.monotonic()
        for trial in list(self._held.values()):
            attempt = holder(self.directory, trial.id)
            if attempt and self.waits_for(attempt):
                continue
            del self._held[trial.id]
            if not attempt and not SweepDir(self.directory).record(trial.id).exists():
                waiting.append(trial)

    def _replace(self, worker: _Worker, waiting: deque[Trial]) -> None:
        """Replace a worker that died, and put its trial back, or record it as failed the second time."""
        code = worker.process.wait()
        assert worker.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            worker.process.stdin.close()
        if not worker.ready:
            advice = " (out of memory? Fewer --workers need less)" if code == -signal.SIGKILL else ""
            last = f"; {worker.log} ends:\n{words}" if (words := tail(worker.log)) else ""
            raise WorkerError(
                f"a worker ended with {ending(code)}{advice} before its first trial; run the same command again to "
                f"continue{last}"
            )
        trial = worker.trial
        if trial is not None and code == 0:
            waiting.appendleft(trial)  # it was asked to end and did so in order; the launcher will be asked at once
        elif trial is not None and not SweepDir(self.directory).record(trial.id).exists():
            self._crashes[trial.id] = self._crashes.get(trial.id, 0) + 1
            if self._crashes[trial.id] < MAX_CRASHES:
                waiting.appendleft(trial)
            elif self.is_guest and code == -signal.SIGKILL:  # its trial is released as the run ends
                raise WorkerError(
                    f"workers were killed {MAX_CRASHES} times in {trial.called} seed {trial.seed}, often for lack of "
                    "memory; the trial is left to other machines. Join again with fewer --workers, which need less"
                )
            else:
                self._record_crash(trial, code, worker.log)
        self._workers[worker.number] = self._start(worker.number)

    def _record_crash(self, trial: Trial, code: int, log: Path) -> None:
        kind, advice = "WorkerDied", ""
        if code == -signal.SIGKILL and oom_kills() > self._oom_kills:
            kind, advice = OUT_OF_MEMORY, f"; the kernel killed it for lack of memory: {MEMORY_ADVICE}, or ask for more"
        elif code == -signal.SIGKILL:
            advice = f"; killed from outside, often for lack of memory: {MEMORY_ADVICE}"
        failure = Failure(
            type=kind,
            message=f"the worker died {MAX_CRASHES} times in this trial, last with {ending(code)}{advice}"
            + (f"; its last words: {last.splitlines()[-1]}" if (last := tail(log)) else ""),
            traceback=last,
        )
        attempt = last_attempt(self.directory, trial.id)
        if attempt and is_alive(self.directory, trial.id, attempt):  # another process has taken the trial over
            self._held[trial.id] = trial
            return
        result = failed_from_outside(trial, failure, attempt.number if attempt else MAX_CRASHES)
        write_record(inherit(self.directory, trial.id, attempt), result)

    def _stop(self) -> None:
        """End the workers: busy ones stop at their next step and save; a worker that takes too long is killed."""
        for worker in self._workers:
            worker.process.terminate()
        began = time.monotonic()
        while any(worker.process.poll() is None for worker in self._workers):
            if time.monotonic() - began > self.grace():
                break
            time.sleep(POLL / 5)
        for worker in self._workers:
            if worker.process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(worker.process.pid, signal.SIGKILL)
            worker.process.wait()
            assert worker.process.stdin is not None
            with contextlib.suppress(BrokenPipeError):
                worker.process.stdin.close()
            if worker.trial:
                self._release(worker.trial, worker.process.pid)

    def _release(self, trial: Trial, pid: int) -> None:
        """Release the trial of a worker that was killed."""
        attempt = last_attempt(self.directory, trial.id)
        if attempt and is_made_by(attempt, pid) and not attempt.released:
            release(self.directory, trial.id, attempt.number)


@contextlib.contextmanager
def _deaf_to_warnings() -> Iterator[None]:
    """Block SIGUSR2 for processes that are started inside the block.

    Slurm sends this warning to every process of a job, and only the launcher handles it.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def worker_environment(threads: int) -> dict[str, str]:
    """Return this environment with one trial's thread count and an allocator that keeps large tensors.

    By default glibc returns every block of 32 MiB or more to the kernel; page faults were 39 % of a training step.
    """
    return {
        **os.environ,
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "MALLOC_MMAP_THRESHOLD_": str(1 << 32),
        "MALLOC_TRIM_THRESHOLD_": str(1 << 33),
        "PYTHONUNBUFFERED": "1",
    }


def default_devices(device: str, workers: int | None, threads: int, world_size: int) -> list[str]:
    """Return the device of each worker.

    There is one worker per ``world_size`` GPUs, or per ``world_size * threads`` CPU cores. A worker whose trials take
    several GPUs is given the first of them.

    Args:
        device: ``cuda`` or ``cpu``.
        workers: how many workers there are, instead of the default.
        threads: threads of each process of a trial.
        world_size: processes of a trial.

    Raises:
        UsageError: a trial needs more GPUs than there are.
    """
    if device == "cuda":
        import torch

        gpus = torch.cuda.device_count()
        if world_size > gpus:
            raise UsageError(f"{as_option('world_size', world_size)} needs as many GPUs; this machine has {gpus}")
        groups = gpus // world_size
        return [f"cuda:{number % groups * world_size}" for number in range(workers or groups)]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return ["cpu"] * (workers or max(1, cores // (threads * world_size)))


def ending(code: int) -> str:
    """Describe how a process ended."""
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
