"""One trial, start to record: train, evaluate, write what happened."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ablate import encoders
from ablate.composition import Composition
from ablate.config import KNN_POINTS, Trial, TrialConfig
from ablate.data import DataSet, cache_dir, read_entry
from ablate.distributed import ALONE, GRACE, World, is_communication_error, join, leave, lost
from ablate.encoders import Keep, check_keep
from ablate.evaluation.features import collapsed
from ablate.evaluation.frozen import Frozen
from ablate.evaluation.knn import knn_on_validation
from ablate.evaluation.protocols import check_protocols, default_protocols, evaluate
from ablate.failure import describe
from ablate.lease import UNBEGUN, Held, Lease, LostLease, claim, running_directory
from ablate.previews import write_preview
from ablate.provenance import host, versions
from ablate.results import (
    BadRecord,
    DiskTrouble,
    TrialResult,
    parked_path,
    read_record,
    record_path,
    set_aside,
    to_json,
    write_atomically,
    write_record,
)
from ablate.simclr import checkpoint
from ablate.simclr.trainer import Trainer

logger = logging.getLogger("ablate")

CHECKPOINT_EVERY = 300.0  # seconds of training after which a checkpoint is written within an epoch
STOPPED = "stopped"  # what process 0 tells the others instead of a record


class Interrupted(Exception):
    """The trial was asked to stop; a checkpoint of all that it has trained is on disk."""


class Parked(Exception):
    """The trial has reached the epoch that it was to reach; its checkpoint and ``parked.json`` are on disk."""


class NoProgress(RuntimeError):
    """A Slurm job was requeued twice without a step forward in this trial."""


@dataclass
class Context:
    """What a trial tells whoever runs it, and asks of them; the defaults are those of a trial run by hand.

    ``records_loss``: whether a process that finds another one gone writes the record of it. Otherwise LostRank is
    raised: whoever runs the other one knows better whether that was the trial's fault, or may be gone with it.
    ``until``: the epoch after which a trial of one process is parked, to go on later; None: it goes on to its end.
    """

    report: Callable[[int, dict[str, Any]], None] = field(default=lambda epoch, metrics: None)
    stop_requested: Callable[[], bool] = field(default=lambda: False)
    records_loss: bool = True
    until: int | None = None


@dataclass(frozen=True)
class Part:
    """This process's part in a trial: the world it belongs to, its device, and whether it was asked to stop."""

    world: World
    device: torch.device
    stop_requested: Callable[[], bool]


@contextlib.contextmanager
def taking_part(config: TrialConfig, timeout: float) -> Iterator[Part]:
    """Join the processes that torchrun started, if it did, for one trial; each has the GPU of its number on its host.

    SIGINT (Ctrl-C) and SIGTERM ask to stop. A process alone raises KeyboardInterrupt at the second. Of several, all
    stop at the same step, and one that left before the others would be a lost one: they take further signals for the
    same request, which may well reach them twice, from the terminal or the scheduler and from torchrun.
    """
    alone = config.world_size == 1
    asked: list[int] = []  # a list: an Event's lock must not be taken in a signal handler

    def ask(number: int, frame: object) -> None:
        if asked and alone:
            raise KeyboardInterrupt
        asked.append(number)

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    own_gpu = config.device == "cuda" and not alone
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"])) if own_gpu else torch.device(config.device)
    try:
        yield Part(ALONE if alone else join(device, timeout), device, lambda: bool(asked))
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        leave()


def run_trial(
    config: TrialConfig,
    directory: str | Path,
    context: Context | None = None,
    *,
    data: DataSet | None = None,
    seed: int = 0,
    label: str = "",
    device: str | torch.device | None = None,
    retry_failed: bool = False,
    protocols: Sequence[str] | None = None,
    keep_encoders: Keep = "none",
    world: World = ALONE,
) -> TrialResult:
    """Train and evaluate ``config`` with ``seed``; write ``directory/trials/<key>-s<seed>.json`` and return it.

    A trial whose record is there is returned without work; one with a checkpoint under ``directory/running`` goes on
    from it. An exception inside the trial becomes a record with status ``failed`` and the traceback, which stands until
    ``retry_failed``. A damaged record is set aside, and reported as ``{"damaged_record": path}``.

    Without ``data``, the images are those that the default cache holds under the fingerprint in ``config``.
    ``protocols`` are the evaluations to record, as :func:`ablate.evaluation.protocols.parse_protocols` returns them; by
    default linear evaluation and kNN, or what can be had without labels. ``keep_encoders`` says whether the trained
    encoder is written to ``directory/encoders``, see :func:`ablate.encoders.save`.

    With ``world`` (:func:`ablate.distributed.join`), several processes make the same call with the same ``directory``
    and train together; the first evaluates and writes, and all return the record.

    Raises:
        FileNotFoundError: the default cache does not hold them.
        UsageError: ``config`` names an op that there is not, or not in that version; a protocol needs labels; nothing
            says which encoder is the best.
        ValueError: ``data`` is not the data that ``config`` names, or ``world`` not as large as it says.
        Held: another process is at work on this trial.
        Interrupted: ``context.stop_requested()`` said so; the same call resumes.
        DiskTrouble: the disk refused the checkpoint or the record.
    """
    if data is None:
        data = read_entry(cache_dir(None), config.data.fingerprint)
    if data.fingerprint != config.data.fingerprint:
        raise ValueError(f"the configuration is for data {config.data.fingerprint}, not {data.fingerprint}")
    if world.size != config.world_size:
        raise ValueError(f"the configuration is for {config.world_size} processes, not {world.size}")
    trial = Trial(config=config, seed=seed, label=label or "+".join(op.name for op in config.composition) or "none")
    Composition.from_specs(config.composition)
    protocols = default_protocols(data) if protocols is None else protocols
    check_protocols(protocols, data)
    check_keep(keep_encoders, protocols)
    context, place = context or Context(), Path(directory)
    with _shared_claim(place, trial.id, world) as lease:
        path = record_path(place, trial.id)
        found: TrialResult | None = world.broadcast(
            _on_record(path, context, retry_failed) if world.rank == 0 else None
        )
        if found is not None:
            shutil.rmtree(running_directory(place, trial.id), ignore_errors=True)
            return found
        where = torch.device(device or config.device)
        return execute(trial, place, data, where, lease, context, protocols, keep_encoders, world)


@contextlib.contextmanager
def _shared_claim(directory: Path, trial_id: str, world: World) -> Iterator[Lease]:
    """The first process claims the trial, for all of them."""
    with contextlib.ExitStack() as stack:
        answer: Lease | Held | None = None
        if world.rank == 0:
            try:
                answer = stack.enter_context(claim(directory, trial_id))
            except Held as held:
                answer = held
        answer = world.broadcast(answer)
        if isinstance(answer, Held):
            raise answer
        assert answer is not None
        yield answer


def _on_record(path: Path, context: Context, retry_failed: bool) -> TrialResult | None:
    """The record at ``path``; a damaged one, or a failed one that is to be retried, is set aside."""
    try:
        result = read_record(path)
    except FileNotFoundError:
        return None
    except BadRecord:
        context.report(0, {"damaged_record": str(set_aside(path))})
        return None
    if retry_failed and result.status == "failed":
        set_aside(path, "failed")
        return None
    return result


def execute(
    trial: Trial,
    directory: Path,
    data: DataSet,
    device: torch.device,
    lease: Lease,
    context: Context,
    protocols: Sequence[str] | None = None,
    keep_encoders: Keep = "none",
    world: World = ALONE,
) -> TrialResult:
    """Run ``trial`` whatever is on record, resuming from its checkpoint if there is one; see :func:`run_trial`.

    Raises:
        LostLease: ``lease`` was lost to another process; nothing was written since.
        LostRank: another process is gone, which ``context`` says is not for this one to record.
        Interrupted, DiskTrouble: as :func:`run_trial`.
        Parked: it has reached ``context.until``.
    """
    torch.set_num_threads(trial.config.threads)
    protocols = default_protocols(data) if protocols is None else protocols
    run = _Run(trial, directory, data, device, lease, context, world, online="online" in protocols)
    if world.rank == 0:
        write_preview(directory, trial.config, data, device)
    resumable = False  # where another process was lost, the checkpoint is as good as ever
    try:
        run.train()
        if world.rank > 0:
            return _heard(world)
        outcome = run.evaluate(protocols)
        run.keep(keep_encoders, outcome["metrics"])
    except (Interrupted, Parked, KeyboardInterrupt, DiskTrouble, LostLease):
        raise
    except Exception as error:  # a record, so that the sweep goes on
        logger.exception("trial %s (%s, seed %d) failed", trial.id, trial.label, trial.seed)
        if (told := _told_by_another(record_path(directory, trial.id), error, world)) is not None:
            return told
        if is_communication_error(error) and not context.records_loss:
            raise lost(error) from error
        outcome = {"status": "failed", "error": describe(error, world)}
        resumable = is_communication_error(error) or isinstance(error, NoProgress)
    result = run.result(outcome)
    lease.check()
    write_record(directory, result)
    if not resumable:
        shutil.rmtree(run.running, ignore_errors=True)
    if world.rank == 0:
        world.tell(to_json(result))
    return result


def _heard(world: World) -> TrialResult:
    """The record that process 0 tells; Interrupted if it was asked to stop before there was one."""
    message = world.hear()
    if message == STOPPED:
        raise Interrupted
    return TrialResult.model_validate_json(message)


def _told_by_another(path: Path, error: Exception, world: World) -> TrialResult | None:
    """The failed record that the process at fault has written; the others know only that it is gone."""
    if world.size == 1:
        return None
    if is_communication_error(error):
        time.sleep(GRACE)
    try:
        return read_record(path)
    except (FileNotFoundError, BadRecord):
        return None


class _Run:
    """The state of one attempt at a trial."""

    def __init__(
        self,
        trial: Trial,
        directory: Path,
        data: DataSet,
        device: torch.device,
        lease: Lease,
        context: Context,
        world: World,
        *,
        online: bool,
    ) -> None:
        self.trial, self.data, self.device = trial, data, device
        self.lease, self.context = lease, context
        self.world, self.online = world, online
        self.config = trial.config
        self.directory = directory
        self.running = running_directory(directory, trial.id)
        self.path = self.running / "checkpoint.pt"
        self.history: list[dict[str, Any]] = []
        self.timings: dict[str, float] = {"train": 0.0, "evaluate": 0.0, "cpu": 0.0}
        self.frozen: Frozen | None = None
        self.asked_to_stop = False
        self.saved = time.monotonic()

    def train(self) -> None:
        """Train to the end of the last epoch; a checkpoint at every epoch's end, every five minutes and on stopping.

        Raises:
            Interrupted: a process of the trial was asked to stop; the checkpoint is written.
            Parked: it has reached the epoch until which it was to train; the checkpoint is written.
        """
        self._refuse_without_progress(UNBEGUN, "end before its first step")
        trained = self.config.objective != "untrained"
        online = self.online and trained
        trainer = Trainer(self.config, self.trial.seed, self.data, self.device, self.world, online=online)
        frozen = self.frozen = Frozen(
            trainer.encoder,
            trainer.head,
            self.config,
            self.trial.seed,
            self.data,
            self.device,
            trained_on=trainer.images,
        )
        self._resume(trainer)
        frozen.probe = trainer.probe
        if not trained:
            trainer.calibrate()
            return
        knn_epochs = {round(self.config.epochs * i / KNN_POINTS) for i in range(1, KNN_POINTS + 1)}
        while trainer.epoch < self.config.epochs:
            self._park_if_due(trainer)
            with self._timed("train"):
                entry = trainer.train_epoch(self._should_pause)
                if entry and trainer.epoch in knn_epochs and self.data.classes and self.world.rank == 0:
                    entry |= knn_on_validation(frozen)
            if entry:
                self.history.append(entry)
            self._save(trainer)
            if entry:
                self._report(entry)
            elif self.world.any(self.asked_to_stop):
                raise Interrupted

    def _park_if_due(self, trainer: Trainer) -> None:
        if self.context.until is None or trainer.epoch < self.context.until:
            return
        self.lease.check()
        write_atomically(parked_path(self.directory, self.trial.id), to_json(self.result({"status": "pruned"})))
        raise Parked

    def _should_pause(self) -> bool:
        """Asked between steps: True to stop, or on process 0 to write a checkpoint that is due.

        One answer serves for both, and so does the one message that the processes exchange per step; which of the two
        it was is agreed on afterwards, once the epoch is paused.
        """
        self.asked_to_stop = self.asked_to_stop or self.context.stop_requested()
        return self.asked_to_stop or (self.world.rank == 0 and time.monotonic() - self.saved >= CHECKPOINT_EVERY)

    def _save(self, trainer: Trainer) -> None:
        if self.world.rank == 0:
            self.lease.check()
            checkpoint.save(self.path, self._state(trainer))
            self.saved = time.monotonic()

    def _report(self, entry: dict[str, Any]) -> None:
        if self.world.rank == 0:
            logger.info("%s", " ".join(f"{k}={v:.6g}" for k, v in entry.items()))
            self.context.report(entry["epoch"], entry)

    @contextlib.contextmanager
    def _timed(self, part: str) -> Iterator[None]:
        """Add the wall time of what is inside to ``part``, and the processor time of all threads to ``cpu``."""
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.timings[part] += time.perf_counter() - wall
        self.timings["cpu"] += time.process_time() - cpu

    def _state(self, trainer: Trainer) -> dict[str, Any]:
        mine = {"history": self.history, "timings": self.timings}
        return {"trial": self.trial.id, **trainer.state(), **mine}

    def _resume(self, trainer: Trainer) -> None:
        state = self.world.broadcast(self._checkpoint(trainer) if self.world.rank == 0 else None)
        if state is not None:
            trainer.restore(state)
            self.history, self.timings = state["history"], state["timings"]
            done = (trainer.epoch, trainer.step, self.lease.number)
            logger.info("resumed after epoch %d, step %d, attempt %d", *done)
        steps = trainer.epoch * trainer.steps_per_epoch + trainer.step
        self._refuse_without_progress(steps, f"begin at step {steps}")
        if self.world.rank == 0:
            self.lease.begin(steps)

    def _refuse_without_progress(self, step: int, what: str) -> None:
        """Process 0 judges, for all: a Slurm job's attempts that all begin at ``step`` lead nowhere."""
        if self.world.broadcast(self.lease.is_fruitless(step) if self.world.rank == 0 else None):
            raise NoProgress(
                f"no progress between two requeues: attempt {self.lease.number} would be the third to {what}; "
                "a longer --time may help; --retry-failed goes on from there"
            )

    def _checkpoint(self, trainer: Trainer) -> dict[str, Any] | None:
        state, damaged = checkpoint.load(self.path, self._state(trainer))
        if damaged is not None:
            logger.warning("the checkpoint of %s was damaged; set aside as %s, starting over", self.trial.id, damaged)
            self.context.report(0, {"damaged_checkpoint": str(damaged)})
        return state

    def evaluate(self, protocols: Sequence[str]) -> dict[str, Any]:
        """What ``protocols`` say of the frozen encoder, for the record; on process 0 alone, the others wait for it.

        Raises:
            Interrupted: this process was asked to stop; the others are told.
        """
        assert self.frozen is not None
        self._check_stop()
        with self._timed("evaluate"):
            flags = ("collapsed",) if collapsed(self.frozen.test()[0]) else ()
            possible = [name for name in protocols if name != "online" or self.frozen.probe]
            found = evaluate(self.frozen, possible, self._check_stop)
        return {
            "status": "done",
            "metrics": found.metrics,
            "flags": (*flags, *found.flags),
            "protocols": found.protocols,
        }

    def _check_stop(self) -> None:
        if self.context.stop_requested():
            self.world.tell(STOPPED)
            raise Interrupted

    def keep(self, choice: Keep, metrics: dict[str, float]) -> None:
        """Write the encoder to disk if it is to be kept."""
        assert self.frozen is not None
        self.lease.check()
        parts = self.frozen.encoder, self.frozen.head
        encoders.save(self.directory, self.trial, *parts, metrics, choice, self.data.measure)

    def result(self, outcome: dict[str, Any]) -> TrialResult:
        """The record of this attempt."""
        trial = self.trial
        timings = {**self.timings, "total": self.timings["train"] + self.timings["evaluate"]}
        return TrialResult(
            key=trial.config.key,
            seed=trial.seed,
            label=trial.label,
            row=trial.row,
            column=trial.column,
            reference=trial.reference,
            config=trial.config,
            history=tuple(self.history),
            timings=timings,
            attempts=self.lease.number,
            versions=versions(),
            host=host(self.device),
            when=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            **outcome,
        )
