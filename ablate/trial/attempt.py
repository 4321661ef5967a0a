"""One attempt at a trial: train, pause, resume, evaluate."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from ablate.config.sweep import KNN_POINTS, Trial
from ablate.data import DataSet
from ablate.distributed import World
from ablate.errors import Interrupted, NoProgress, Parked
from ablate.evaluation.collapse import collapse
from ablate.evaluation.frozen import Frozen
from ablate.evaluation.knn import knn_on_validation
from ablate.evaluation.protocols import evaluate
from ablate.sweep.attempts import UNBEGUN
from ablate.sweep.images import ImageResults, to_bytes
from ablate.sweep.layout import SweepDir
from ablate.sweep.lease import Lease
from ablate.sweep.record import TrialResult, to_json
from ablate.training import checkpoint
from ablate.training.trainer import Trainer
from ablate.trial import encoders
from ablate.trial.context import STOPPED, Context
from ablate.trial.encoders import Keep
from ablate.trial.pace import CheckpointPace
from ablate.trial.provenance import host, versions

logger = logging.getLogger("ablate")


class TrialAttempt:
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
        self.running = SweepDir(directory).begun(trial.id)
        self.path = SweepDir(directory).checkpoint(trial.id)
        self.history: list[dict[str, Any]] = []
        self.timings: dict[str, float] = {"train": 0.0, "evaluate": 0.0, "cpu": 0.0}
        self.frozen: Frozen | None = None
        self.images: ImageResults | None = None
        self.asked_to_stop = False
        self.pace = CheckpointPace()

    def train(self) -> None:
        """Train to the end of the last epoch, with checkpoints after epochs, every five minutes and on stopping.

        Where an epoch takes little longer than writing a checkpoint, as on a GPU, only some are followed by one.

        Raises:
            Interrupted: a process of the trial was asked to stop; the checkpoint is written.
            Parked: the trial has reached the epoch at which it pauses; the checkpoint is written.
        """
        self._refuse_without_progress(UNBEGUN, "end before its first step")
        trained = self.config.objective != "untrained"
        online = self.online and trained
        init = encoders.init_file(self.directory, self.config)
        trainer = Trainer(self.config, self.trial.seed, self.data, self.device, self.world, online=online, init=init)
        frozen = self.frozen = Frozen(
            *trainer.evaluated,
            self.config,
            self.trial.seed,
            self.data,
            self.device,
            trained_on=trainer.images,
            stop_if_asked=self._check_stop,
        )
        self._resume(trainer)
        frozen.probe = trainer.probe
        if not trained:
            # Given weights come with the statistics that belong to them: the reference is the encoder as it was given.
            if not self.config.encoder.init:
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
            self._save(trainer, due=not entry or self._is_due(trainer.epoch))
            if entry:
                self._report(entry)
            elif self.world.any(self.asked_to_stop):
                raise Interrupted

    def _park_if_due(self, trainer: Trainer) -> None:
        if self.context.until is None or trainer.epoch < self.context.until:
            return
        self.lease.write(SweepDir(self.directory).parked(self.trial.id), to_json(self.result({"status": "pruned"})))
        raise Parked

    def _should_pause(self) -> bool:
        """Return True to pause between steps: to stop or, on process 0, to write a checkpoint that is due.

        One answer serves for both, so that the processes exchange one message per step. Once the epoch is paused, they
        agree on which of the two it was.
        """
        self.asked_to_stop = self.asked_to_stop or self.context.stop_requested()
        return self.asked_to_stop or (self.world.rank == 0 and self.pace.is_overdue())

    def _is_due(self, epoch: int) -> bool:
        """Return True to write a checkpoint after ``epoch``: the last one, one to stop at, or one that is worth it."""
        stops = epoch in (self.config.epochs, self.context.until) or self.context.stop_requested()
        return stops or self.pace.is_worth_it()

    def _save(self, trainer: Trainer, *, due: bool) -> None:
        """Write a checkpoint if it is due; either way, raise LostLease if another process has taken the trial over."""
        if self.world.rank > 0:
            return
        if not due:
            self.lease.check()
            return
        with self.pace.writing():
            self.lease.write(self.path, checkpoint.to_bytes(self._state(trainer)))

    def _report(self, entry: dict[str, Any]) -> None:
        if self.world.rank == 0:
            logger.info("%s", " ".join(f"{k}={v:.6g}" for k, v in entry.items()))
            self.context.report(entry["epoch"], entry)

    @contextlib.contextmanager
    def _timed(self, part: str) -> Iterator[None]:
        """Add the wall time of the block to ``part``, and the processor time of all threads to ``cpu``."""
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
            done = (trainer.epoch, trainer.steps_done % trainer.steps_per_epoch, self.lease.number)
            logger.info("resumed after epoch %d, step %d, attempt %d", *done)
        steps = trainer.steps_done
        self._refuse_without_progress(steps, f"begin at step {steps}")
        if self.world.rank == 0:
            self.lease.begin(steps)

    def _refuse_without_progress(self, step: int, what: str) -> None:
        """Raise NoProgress on all processes if process 0 sees that a Slurm job's attempts all begin at ``step``."""
        if self.world.broadcast(self.lease.is_fruitless(step) if self.world.rank == 0 else None):
            raise NoProgress(
                f"no progress between two requeues: attempt {self.lease.number} would be the third to {what}; "
                "a longer --time may help; --retry-failed continues from there"
            )

    def _checkpoint(self, trainer: Trainer) -> dict[str, Any] | None:
        state, damaged = checkpoint.load(self.path, self._state(trainer))
        if damaged is not None:
            logger.warning("the checkpoint of %s was damaged; set aside as %s, starting over", self.trial.id, damaged)
            self.context.report(0, {"damaged_checkpoint": str(damaged)})
        return state

    def evaluate(self, protocols: Sequence[str]) -> dict[str, Any]:
        """Return the results of ``protocols`` for the frozen encoder; process 0 evaluates, the others wait for it.

        Raises:
            Interrupted: this process was asked to stop; the others are told.
        """
        assert self.frozen is not None
        self._check_stop()
        with self._timed("evaluate"):
            flags = collapse(self.frozen)
            possible = [name for name in protocols if name != "online" or self.frozen.probe]
            evaluation = evaluate(self.frozen, possible)
        self.images = evaluation.images
        return {
            "status": "done",
            "metrics": evaluation.metrics,
            "flags": (*flags, *evaluation.flags),
            "protocols": evaluation.protocols,
        }

    def _check_stop(self) -> None:
        if self.context.stop_requested():
            self.world.tell(STOPPED)
            raise Interrupted

    def keep(self, choice: Keep, metrics: dict[str, float]) -> None:
        """Write to disk what belongs beside the record: the results for every image, and the encoder if it is kept.

        The record is written afterwards, so that wherever it is, these files are there too.
        """
        assert self.frozen is not None
        parts = self.frozen.encoder, self.frozen.head
        encoders.save(self.lease, self.trial, *parts, metrics, choice, self.frozen.measure, self.data.ranges)
        if self.images is not None:
            self.lease.write(SweepDir(self.directory).image_results(self.trial.id), to_bytes(self.images))

    def result(self, outcome: dict[str, Any]) -> TrialResult:
        """Return the record of this attempt."""
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
