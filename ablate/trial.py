"""One trial, start to record: train, evaluate, write what happened."""

from __future__ import annotations

import contextlib
import logging
import os
import platform
import shutil
import signal
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ablate import __version__, encoders
from ablate.composition import Composition
from ablate.config import Trial, TrialConfig
from ablate.data import DataSet, cache_dir, read_entry
from ablate.distributed import ALONE, GRACE, World, is_communication_error, join, leave, lost
from ablate.encoders import Keep, check_keep
from ablate.evaluation.features import collapsed
from ablate.evaluation.frozen import Frozen
from ablate.evaluation.knn import knn_on_validation
from ablate.evaluation.protocols import check_protocols, default_protocols, evaluate
from ablate.lease import Held, Lease, LostLease, claim, running_directory
from ablate.results import (
    MEMORY_ADVICE,
    OUT_OF_MEMORY,
    BadRecord,
    DiskTrouble,
    Failure,
    TrialResult,
    read_record,
    record_path,
    set_aside,
    to_json,
    write_record,
)
from ablate.simclr import checkpoint
from ablate.simclr.trainer import Trainer

logger = logging.getLogger("ablate")

KNN_POINTS = 8


class Interrupted(Exception):
    """The trial was asked to stop; its last epoch's checkpoint is on disk."""


class NoProgress(RuntimeError):
    """A Slurm job was requeued twice without a step forward in this trial."""


@dataclass
class Context:
    """What a trial tells whoever runs it, and asks of them; the defaults are those of a trial run by hand."""

    report: Callable[[int, dict[str, Any]], None] = field(default=lambda epoch, metrics: None)
    stop_requested: Callable[[], bool] = field(default=lambda: False)


@dataclass(frozen=True)
class Part:
    """This process's part in a trial: the world it belongs to, its device, and whether it was asked to stop."""

    world: World
    device: torch.device
    stop_requested: Callable[[], bool]


@contextlib.contextmanager
def taking_part(config: TrialConfig, timeout: float) -> Iterator[Part]:
    """Join the processes that torchrun started, if it did, for one trial; each has the GPU of its number on its host.

    SIGTERM, which torchrun sends to the others when one dies, asks to stop; all processes stop at the same step.
    """
    if config.world_size == 1:
        yield Part(ALONE, torch.device(config.device), lambda: False)
        return
    asked = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda number, frame: asked.set())
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"])) if config.device == "cuda" else torch.device("cpu")
    try:
        yield Part(join(device, timeout), device, asked.is_set)
    finally:
        signal.signal(signal.SIGTERM, before)
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
        Interrupted, DiskTrouble: as :func:`run_trial`.
    """
    torch.set_num_threads(trial.config.threads)
    protocols = default_protocols(data) if protocols is None else protocols
    run = _Run(trial, directory, data, device, lease, context, world, online="online" in protocols)
    resumable = False  # where another process was lost, the checkpoint is as good as ever
    try:
        run.train()
        if world.rank > 0:
            return TrialResult.model_validate_json(world.hear())
        outcome = run.evaluate(protocols)
        run.keep(keep_encoders, outcome["metrics"])
    except (Interrupted, KeyboardInterrupt, DiskTrouble, LostLease):
        raise
    except Exception as error:  # a record, so that the sweep goes on
        logger.exception("trial %s (%s, seed %d) failed", trial.id, trial.label, trial.seed)
        if (told := _told_by_another(record_path(directory, trial.id), error, world)) is not None:
            return told
        outcome = {"status": "failed", "error": _failure(error, device, world)}
        resumable = is_communication_error(error) or isinstance(error, NoProgress)
    result = run.result(outcome)
    lease.check()
    write_record(directory, result)
    if not resumable:
        shutil.rmtree(run.running, ignore_errors=True)
    if world.rank == 0:
        world.tell(to_json(result))
    return result


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

    def train(self) -> None:
        """Train to the last epoch, checkpointing at every epoch's end."""
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
            with self._timed("train"):
                entry = trainer.train_epoch(self.context.stop_requested)
                if entry is None:
                    raise Interrupted
                if trainer.epoch in knn_epochs and self.data.classes and self.world.rank == 0:
                    entry["knn_val_top1"] = knn_on_validation(frozen)
            self.history.append(entry)
            if self.world.rank > 0:
                continue
            logger.info("%s", " ".join(f"{k}={v:.6g}" for k, v in entry.items()))
            self.lease.check()
            if trainer.epoch < self.config.epochs:
                checkpoint.save(self.path, self._state(trainer))
            self.context.report(trainer.epoch, entry)

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
            logger.info("resumed at epoch %d, attempt %d", trainer.epoch, self.lease.number)
        steps = trainer.epoch * trainer.steps_per_epoch
        if self.lease.is_fruitless(steps):
            raise NoProgress(
                f"no progress between two requeues: attempt {self.lease.number} would be the third to begin at step "
                f"{steps}; a longer --time, or a larger --grace, may help; --retry-failed goes on from there"
            )
        if self.world.rank == 0:
            self.lease.begin(steps)

    def _checkpoint(self, trainer: Trainer) -> dict[str, Any] | None:
        state, damaged = checkpoint.load(self.path, self._state(trainer))
        if damaged is not None:
            logger.warning("the checkpoint of %s was damaged; set aside as %s, starting over", self.trial.id, damaged)
            self.context.report(0, {"damaged_checkpoint": str(damaged)})
        return state

    def evaluate(self, protocols: Sequence[str]) -> dict[str, Any]:
        """What ``protocols`` say of the frozen encoder, for the record."""
        assert self.frozen is not None
        with self._timed("evaluate"):
            flags = ("collapsed",) if collapsed(self.frozen.test()[0]) else ()
            possible = [name for name in protocols if name != "online" or self.frozen.probe]
            found = evaluate(self.frozen, possible)
        return {
            "status": "done",
            "metrics": found.metrics,
            "flags": (*flags, *found.flags),
            "protocols": found.protocols,
        }

    def keep(self, choice: Keep, metrics: dict[str, float]) -> None:
        """Write the encoder to disk if it is to be kept."""
        assert self.frozen is not None
        self.lease.check()
        encoders.save(self.directory, self.trial, self.frozen.encoder, self.frozen.head, metrics, choice)

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


def _failure(error: Exception, device: torch.device, world: World) -> Failure:
    message = str(error) or type(error).__name__
    if is_communication_error(error):
        return Failure(type="LostRank", message=str(lost(error)), traceback=traceback.format_exc())
    kind = type(error).__name__
    if is_out_of_memory(error):
        kind, message = OUT_OF_MEMORY, f"out of memory; {MEMORY_ADVICE} ({message})"
        with contextlib.suppress(Exception):
            torch.cuda.empty_cache()
    if world.size > 1:
        message = f"process {world.rank} of {world.size}: {message}"
    return Failure(type=kind, message=message, traceback=traceback.format_exc())


def is_out_of_memory(error: BaseException) -> bool:
    """True for every way in which torch, CUDA and Python say that memory is used up."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    signs = ("out of memory", "can't allocate memory", "not enough memory", "alloc_failed")
    return isinstance(error, RuntimeError) and any(sign in str(error).lower() for sign in signs)


def versions() -> dict[str, str]:
    """The versions that a result depends on."""
    import kornia
    import torchvision

    return {
        "ablate": __version__,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "torchvision": str(torchvision.__version__),
        "kornia": str(kornia.__version__),
    }


def host(device: torch.device) -> dict[str, str]:
    """Where the trial ran: host, device, processor and the vector instructions that torch uses (they change bits)."""
    cuda = device.type == "cuda"
    return {
        "name": socket.gethostname(),
        "device": torch.cuda.get_device_name(device) if cuda else "cpu",
        "processor": _processor(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
    }


def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
