"""Run inside a Slurm job: start workers for its pack of trials, and react when Slurm wants the machine back.

Slurm warns with SIGUSR2 (the time limit is near, or another job needs the nodes) and ends a job with SIGTERM and, a
moment later, SIGKILL. On a warning the workers stop at their next step with a checkpoint, and the job requeues itself.
The time limit is also watched here, since its warning can come a minute early, or before the handler is installed. On
SIGTERM the workers stop in the same way, but the job does not requeue itself: Slurm does that, or the job was
cancelled. A requeued job continues from what is on disk.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import submitit

from ablate.config.base import Model
from ablate.config.slurm import Slurm
from ablate.config.sweep import SweepPlan, Trial
from ablate.errors import ExitCode, LostLease
from ablate.files import write_atomically
from ablate.launch.nodes import ADDRESS, NODES, Order, follow
from ablate.launch.pool import WorkerPool
from ablate.launch.slurm import cluster
from ablate.launch.slurm.resources import side_by_side
from ablate.launch.slurm.submission import Submission, read_submission
from ablate.sweep.attempts import Attempt, job_id, last_attempt
from ablate.sweep.holders import STALE, is_alive
from ablate.sweep.layout import SweepDir
from ablate.sweep.lease import inherit
from ablate.sweep.plan import load_plan, plan
from ablate.sweep.prune import short_of
from ablate.sweep.record import Failure, failed_from_outside, write_record

EARLY = 75.0  # seconds by which Slurm's warning of the time limit may be early (its manual says 60)
HURRY = 20.0  # seconds that workers have after SIGTERM: SIGKILL follows after KillWait, by default 30 s
LEAST = 3.0  # seconds that workers have in any case
MARGIN = 10.0  # seconds of the warning time that are kept for requeueing
FEW_STARTS = 2  # starts without progress after which the next start gives up
BEGAN = "ABLATE_JOB_BEGAN"
"""The variable in which the batch script stores when the job began, in unix seconds.

The script's setup lines count against the time limit."""


@dataclass(frozen=True)
class Job:
    """The job for pack ``number`` of submission ``token``.

    It holds only a directory and keys, nothing that could become outdated in a pickle.
    """

    directory: str
    token: str
    number: int

    def __call__(self) -> None:
        """Run the pack's trials to records."""
        directory = Path(self.directory)
        submission = read_submission(directory, self.token)
        experiment = load_plan(directory)
        watchman = Watchman(submission.slurm)
        wanted = set(submission.packs[self.number])
        trials = [trial for trial in plan(experiment) if trial.id in wanted]
        missing = short_of(directory, trials, submission.until)
        if not missing:
            return
        if int(os.environ.get("SLURM_PROCID", "0")) > 0:
            _follow(directory, submission, experiment)
            return
        if self._never_begins(directory, missing):
            sys.exit(ExitCode.FAILED)  # Slurm then ends the job on its other nodes, too
        try:
            launcher = _launcher(directory, submission, experiment, self.number, watchman)
            launcher.run(missing, watchman.look, until=submission.until)
        except Ended:
            # a cancelled job must not return, even if it is cancelled only while workers save or Slurm is silent
            requeued = cluster.requeue(job_id(), unless=lambda: watchman.ordered)
            sys.exit(ExitCode.DONE if requeued else ExitCode.TERMINATED)

    def _never_begins(self, directory: Path, missing: list[Trial]) -> bool:
        """Record ``missing`` as failed if the job made no progress twice in a row: no record, and no attempt at one.

        Return True if it did so. Starts are counted on disk and not by Slurm, which also counts those that failed on a
        broken node before they reached this point.
        """
        attempts = {trial.id: last_attempt(directory, trial.id) for trial in missing}
        mark = {trial_id: attempt.number if attempt else 0 for trial_id, attempt in attempts.items()}
        path = SweepDir(directory).job(self.token) / f"{self.number}.starts.json"
        before = _read_starts(path)
        starts = Starts(mark=mark, count=before.count + 1 if before.mark == mark else 1)
        write_atomically(path, starts.model_dump_json())
        if starts.count <= FEW_STARTS or any(a and is_alive(directory, t, a) for t, a in attempts.items()):
            return False
        message = (
            f"the job started {FEW_STARTS} times, but no trial began; a longer --time or a smaller --grace may help"
        )
        for trial in missing:
            failure = Failure(type="NoProgress", message=message, traceback=f"job {job_id()}")
            with contextlib.suppress(LostLease):  # it has begun meanwhile
                over = inherit(directory, trial.id, attempts[trial.id])
                write_record(over, failed_from_outside(trial, failure, max(1, mark[trial.id])))
        return True

    def checkpoint(self) -> submitit.helpers.DelayedSubmission:
        """Return this job again, for submitit to requeue when the warning comes before :meth:`__call__` begins."""
        return submitit.helpers.DelayedSubmission(self)


class Starts(Model):
    """The number of times that a job has started since it last made progress.

    ``mark``: the trials without a record at that time, and the number of attempts at each.
    """

    mark: dict[str, int] = {}
    count: int = 0


class Ended(Exception):
    """Slurm wants the job to end; the job then requeues itself, unless the watchman was ordered to end."""


@dataclass
class Watchman:
    """A watchman that receives Slurm's signals and watches the clock; a second signal only shortens the time left."""

    slurm: Slurm
    began: float = field(default_factory=lambda: float(os.environ.get(BEGAN, time.time())))
    warned: bool = False
    ordered: bool = False

    def __post_init__(self) -> None:
        signal.signal(signal.SIGUSR2, self._warn)
        signal.signal(signal.SIGTERM, self._order)

    @property
    def left(self) -> float:
        """Seconds until the time limit."""
        return self.slurm.time * 60 - (time.time() - self.began)

    def patience(self) -> float:
        """Return the seconds that workers have to stop."""
        return HURRY if self.ordered else max(LEAST, self.slurm.warning - MARGIN)

    def look(self, running: list[Trial]) -> None:
        """Raise Ended when it is time for the job to end."""
        if self.ordered:
            raise Ended
        if self.left < self.slurm.warning or (self.warned and not self._is_early()):
            _say(f"stopping with a checkpoint, {self.left:.0f} s before the time limit")
            raise Ended

    def _is_early(self) -> bool:
        """Return True if a warning of the time limit came earlier than necessary; then the clock here decides."""
        return self.left - self.slurm.warning < EARLY

    def _warn(self, number: int, frame: object) -> None:
        self.warned = True

    def _order(self, number: int, frame: object) -> None:
        self.ordered = True


def _launcher(
    directory: Path, submission: Submission, experiment: SweepPlan, number: int, watchman: Watchman
) -> WorkerPool:
    slurm, shared = submission.slurm, experiment.shared
    count = side_by_side(slurm, shared)
    here = max(1, shared.world_size // slurm.nodes)
    gpus = max(1, slurm.gpus // here)
    cuda = [f"cuda:{worker % gpus * here}" for worker in range(count)]
    if slurm.nodes > 1:
        os.environ[ADDRESS], os.environ[NODES] = _address(), str(slurm.nodes)
    return WorkerPool(
        directory,
        Path(submission.cache),
        cuda if shared.device == "cuda" else ["cpu"] * count,
        shared.threads,
        prefix=f"job-{submission.token}-{number}",
        grace=watchman.patience,
        waits_for=_waiting(job_id()),
    )


def _waiting(mine: str) -> Callable[[Attempt], bool]:
    """Return a function that decides if the job ``mine`` waits for the holder of a trial.

    It waits for its own earlier run, and leaves the trials of other jobs to them if they are still alive. A job that
    was killed on another machine a moment ago looks alive until it has been silent for long enough.
    """
    seen: dict[Attempt, float] = {}

    def wait(holder: Attempt) -> bool:
        since = seen.setdefault(holder, time.monotonic())
        return holder.job == mine or time.monotonic() - since <= STALE

    return wait


def _read_starts(path: Path) -> Starts:
    try:
        return Starts.model_validate_json(path.read_bytes())
    except (OSError, ValueError):
        return Starts()


def _address() -> str:
    """Return the first node and a port, which all nodes can derive from the job's number."""
    return f"{submitit.JobEnvironment().hostnames[0]}:{20000 + int(os.environ['SLURM_JOB_ID']) % 20000}"


def _follow(directory: Path, submission: Submission, experiment: SweepPlan) -> None:
    """Run on a further node of a job: start processes of trials as the first node orders."""
    import torch  # seconds, which no job on a single node has to spend

    from ablate.launch.ranks import start_ranks, watch

    signal.signal(signal.SIGUSR2, signal.SIG_IGN)  # only the first node acts on it
    ended = []
    signal.signal(signal.SIGTERM, lambda number, frame: ended.append(True))
    node, nodes = int(os.environ["SLURM_PROCID"]), submission.slurm.nodes
    device, size = torch.device(experiment.shared.device), experiment.shared.world_size
    address, _, port = _address().rpartition(":")

    def carry_out(order: Order) -> None:
        _say(f"starting processes of {order.trial_id}, attempt {order.number}")
        ranks = start_ranks(order, size, directory, device, Path(submission.cache), node, nodes)
        failed, _ = watch(ranks, lambda: bool(ended))
        _say(f"they have ended{f': {failed}' if failed else ''}")

    follow(address, int(port), carry_out, lambda: bool(ended))


def _say(sentence: str) -> None:
    print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} job {job_id()}: {sentence}", file=sys.stderr, flush=True)
