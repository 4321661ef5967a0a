"""The trainer: it trains by an objective, on stored images, epoch by epoch, in one process or several.

It owns the lasting state: weights, optimiser, epochs, learning rate, and the point where training was paused. The
computation of one step is in :mod:`ablate.training.step`.

An epoch is a pure function of (configuration, seed, epoch, state before it): its order and every augmentation draw come
from streams named by seed and epoch. An epoch can be paused between two of its steps. To continue, it needs only the
number of the next step, its sums and the states of its streams, beside weights and optimiser; so training resumed from
a checkpoint of any step is bit-identical on the CPU. Every process has the order and the draws of the whole batch, and
then makes its own part of the views.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ablate.config.trial import TrialConfig
from ablate.data import DataSet, Resident
from ablate.data.resident import Batch
from ablate.distributed import ALONE, World, gather
from ablate.errors import Diverged
from ablate.ops import center_crop
from ablate.ops.pair import Streams
from ablate.rng import derive_seed, stream
from ablate.training.eager import EagerOptimizer
from ablate.training.encoder import build_encoder
from ablate.training.given import start_from
from ablate.training.global_bn import make_global
from ablate.training.layout import memory_format
from ablate.training.objectives.registry import objective_of
from ablate.training.probe import OnlineProbe
from ablate.training.remedy import remedy
from ablate.training.schedule import learning_rate
from ablate.training.step import choose_step
from ablate.training.target import momentum_at
from ablate.training.update import Update

CALIBRATION_IMAGES = 2048


@dataclass
class Pause:
    """The point where an epoch is interrupted, the same on every process; plain values and tensors.

    Args:
        step: the next step of the epoch, from 0.
        seconds: the time that the epoch has taken so far.
        totals: float ``[world.size, 2]``: every process's sums of loss and metric, kept apart, since another order of
            summation would change the last bits of the epoch's means.
        streams: the states of the epoch's generators, see :class:`~ablate.ops.pair.Streams`.
    """

    step: int
    seconds: float
    totals: Tensor
    streams: dict[str, Tensor]


def build_model(config: TrialConfig, seed: int, classes: int, init: Path | None = None) -> nn.ModuleDict:
    """Build ``encoder`` and the modules of the objective behind it, with the initial weights of ``seed``, on the CPU.

    Args:
        config: the trial's configuration.
        seed: the trial's seed.
        classes: the number of classes; the head of a supervised trial is their classifier.
        init: the file of the weights that ``config.encoder.init`` names, if it names any.

    Raises:
        UsageError: the file is missing, damaged, or holds other weights.
    """
    # The draws depend on the seed alone, so all cells of a seed start from the same weights and can be compared in
    # pairs. They are made on the CPU, so that they are the same on every device. The fork restores the caller's state.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "weights"))
        encoder = build_encoder(config.encoder, config.image_size, config.data.channels)
        if config.encoder.init:
            start_from(encoder, init, config.encoder.init)
        return nn.ModuleDict({"encoder": encoder, **objective_of(config).modules(encoder.dim, classes)})


class Trainer:
    """Encoder, head and optimiser of one trial, and the loop over its epochs.

    Args:
        config: the trial's configuration.
        seed: the trial's seed; names every random stream.
        data: the images. Objectives without labels train on ``data.pretrain``; those that need labels use the labelled
            training images outside the validation split, for equally many steps.
        device: the device of encoder, images and augmentation.
        world: the processes that train together; each has a trainer of its own.
        online: train an :class:`OnlineProbe` along, on the labels outside the validation split.
        init: the file of the weights from which the encoder starts, if the configuration names any.

    Raises:
        UsageError: as in :func:`build_model`.
        ValueError: a supervised trial has a ``loss_scale``, which is for NT-Xent. Earlier versions applied it to
            supervised trials too, and trials that they began cannot be continued.
    """

    def __init__(
        self,
        config: TrialConfig,
        seed: int,
        data: DataSet,
        device: torch.device,
        world: World = ALONE,
        *,
        online: bool = False,
        init: Path | None = None,
    ) -> None:
        self.config, self.seed, self.device, self.world = config, seed, device, world
        self.objective = objective_of(config)
        if config.loss_scale != 1 and "loss_scale" not in self.objective.kind.settings:
            raise ValueError(
                f"loss_scale {config.loss_scale:g} is for NT-Xent, and this trial is {config.objective}: it was "
                "planned by an earlier version; plan it again in another directory"
            )
        split = data.pretrain
        self.pool = torch.arange(len(split.labels))
        if self.objective.kind.needs_labels:
            split = data.train
            # The objective may see labels, but not those by which the cells are compared.
            self.pool = data.labelled[~data.val_mask[data.labelled]]
        self.images = Resident(split.images, device)
        # Winners are chosen by accuracy on the validation split, so training must never see its labels. The online
        # probe ignores labels of -1.
        hidden = data.val_mask if split is data.train else torch.zeros_like(split.labels, dtype=torch.bool)
        self.labels = split.labels.masked_fill(hidden, -1).to(device)
        # The same if fewer images have labels: supervised training is a reference only with equally many steps.
        self.steps_per_epoch = len(data.pretrain.labels) // config.batch_size
        self.model = build_model(config, seed, len(data.classes), init).to(device=device)
        # Converted once: with weights in another layout than the views, every convolution would convert them again.
        self.model = self.model.to(memory_format=memory_format(config))
        # Before the optimiser is made, which keeps the parameters that it is given here.
        make_global(self.model, world, device)
        self.encoder, self.head = self.model["encoder"], self.model["head"]
        self.target = self.objective.target(self.model, world)
        probe = OnlineProbe(int(self.encoder.dim), len(data.classes), device) if online else None  # type: ignore[arg-type]
        self.update = Update(config, self.model, self.target, world, probe)
        # One object for all epochs, restarted by each: a CUDA graph keeps the generators that it was captured with.
        self.streams = Streams(seed, 0, device)
        self.step = choose_step(
            config, self.model, self.images, self.labels, self.streams, world, self.target, self.update
        )
        self.epoch, self.rate = 0, 0.0
        self.paused: Pause | None = None

    @property
    def steps_done(self) -> int:
        """The number of optimiser steps done; valid between epochs, or while one is paused."""
        return self.epoch * self.steps_per_epoch + (self.paused.step if self.paused else 0)

    @property
    def optimiser(self) -> EagerOptimizer:
        """The optimiser of encoder and head."""
        return self.update.optimiser

    @property
    def probe(self) -> OnlineProbe | None:
        """The online probe; None if none is trained along."""
        return self.update.probe

    @property
    def evaluated(self) -> tuple[nn.Module, nn.Module]:
        """The encoder and the head that are evaluated and kept: the trained ones, or those of the target."""
        return self.objective.evaluated(self.model, self.target)

    def train_epoch(self, should_stop: Callable[[], bool] = lambda: False) -> dict[str, float] | None:
        """Train for one pass over the images, or finish a paused one.

        Args:
            should_stop: asked before every step, except before the first step after a pause, so that training advances
                however often it is stopped.

        Returns:
            ``epoch, loss, lr`` (of the last step), ``images_per_second`` and the objective's metric by its name, such
            as ``contrastive_top1``, a fraction; None if ``should_stop`` returned True on any process.
            The epoch is then paused on all processes: :meth:`state` is that of the steps done, and the next call, here
            or on a trainer that has restored this state, finishes the epoch with the same result.

        Raises:
            Diverged: the mean loss is not finite.
            LostRank: another process of the trial is gone.
        """
        # The time of the steps before a pause counts towards the speed, the pause itself does not.
        started = time.perf_counter() - (self.paused.seconds if self.paused else 0.0)
        totals = self._train(self._batches(), should_stop)
        if totals is None:
            assert self.paused is not None
            self.paused.seconds = time.perf_counter() - started
            return None
        # Summed before the check below, so that all processes see the same loss and give up together.
        self.world.sum_([totals])
        # The epoch's only wait for the device: reading the loss at every step would leave the GPU idle each time.
        loss, metric = (totals / self.steps_per_epoch).tolist()
        # Weights never recover from a loss that is not finite, so the rest of the training would be wasted.
        if not math.isfinite(loss):
            raise Diverged(f"the loss became {loss} in epoch {self.epoch + 1}; {remedy(self.config)}")
        self.epoch += 1
        if self.epoch == self.config.epochs:
            self.step.forget()  # frees the memory of a graph for evaluation
        seconds = time.perf_counter() - started
        return {
            "epoch": self.epoch,
            "loss": loss,
            self.objective.metric: metric,
            "lr": self.rate,
            "images_per_second": self.steps_per_epoch * self.config.batch_size / seconds,
        }

    def train_steps(self, count: int, images: int | None = None) -> None:
        """Train for the first steps of the current epoch, to measure their time.

        Args:
            count: the number of steps.
            images: use only so many images of each batch; for one process without micro-batches.
        """
        if images:
            self.step.forget()  # a graph holds one batch size
        self._train([batch[:images] for batch in self._batches()[:count]], lambda: False)

    def _train(self, batches: Sequence[Tensor], should_stop: Callable[[], bool]) -> Tensor | None:
        """Train on ``batches``, and return this process's sums of loss and metric.

        The sums are float ``[2]`` on the device. If the epoch was paused, return None.
        """
        self.model.train()  # an evaluation between epochs may have left it in another mode
        if self.target is not None:
            self.target.train()  # as in the papers: its batch norms normalise by the batch, too
        dtype = next(self.model.parameters()).dtype
        start = self.paused or Pause(0, 0.0, torch.zeros(self.world.size, 2, dtype=dtype), {})
        # The generators continue from their states, so the draws of the steps before a pause need not be repeated.
        self.streams.restart(self.epoch, start.streams)
        # A copy, since the sums grow in place and the pause must keep its own until the epoch is finished.
        totals = start.totals[self.world.rank].to(self.device, copy=True)
        left, paused_at = batches[start.step :], self.paused.step if self.paused else None
        # The encoder draws from torch's global generators, seeded at every step. The fork restores them for the
        # caller, so training neither depends on the state outside nor changes it.
        devices = [self.device] if self.device.type == "cuda" else []
        with self.step.pixels(left) as pixels, torch.random.fork_rng(devices=devices):
            for number, index in enumerate(left, start.step):
                # All processes ask each other at every step, since any of them may be told to stop, and the others
                # would wait for a process that left the loop alone.
                if number != paused_at and self.world.any(should_stop()):
                    # Sums are kept per process: adding them up here would add floats in another order than in an
                    # epoch without a pause, and the last bits of its means would differ.
                    self.paused = Pause(number, start.seconds, gather(totals, self.world), self.streams.states())
                    return None
                totals += self._update(number, index, pixels)
        self.paused = None
        return totals

    def _update(self, number: int, index: Tensor, pixels: Iterator[Batch]) -> Tensor:
        """Take step ``number`` of the epoch, and return this process's shares of loss and metric."""
        config, done = self.config, self.epoch * self.steps_per_epoch + number
        steps = config.epochs * self.steps_per_epoch
        # The rate follows the step, not the epoch: trials of a few epochs would otherwise have only a few rates.
        self.rate = learning_rate(done, steps, round(config.warmup_epochs * self.steps_per_epoch), config.optimiser.lr)
        first = config.method.target_momentum
        self.update.prepare(self.epoch, self.rate, 0.0 if first is None else 1 - momentum_at(done, steps, first))
        return self.step.take(number, index, pixels)

    def _batches(self) -> tuple[Tensor, ...]:
        """Return the epoch's image indices in whole batches, from as many permutations of the pool as they need.

        Batches are whole, since the number of negatives, and with it the loss, depends on the size of the batch.
        """
        needed = self.steps_per_epoch * self.config.batch_size
        # The stream depends on seed and epoch only, so all cells of a seed see the images in the same order, and
        # differences between cells are paired.
        order = stream(self.seed, "order", self.epoch)
        # Whole permutations, so that images are seen equally often; draws with replacement would miss a third of them.
        rounds = math.ceil(needed / len(self.pool))
        shuffled = torch.cat([self.pool[torch.randperm(len(self.pool), generator=order)] for _ in range(rounds)])
        batches: tuple[Tensor, ...] = shuffled[:needed].split(self.config.batch_size)
        return batches

    @torch.no_grad()
    def calibrate(self) -> None:
        """Set batch-norm statistics to their plain average over up to 2048 images (for the untrained reference).

        The images are taken at even distances, since folders come sorted by class, and in whole batches only.
        """
        # Evaluation normalises by running statistics. In an untrained encoder these have their initial values, mean 0
        # and variance 1, which do not fit its activations; it would be no fair reference.
        norms = [m for m in self.encoder.modules() if isinstance(m, _BatchNorm)]
        momenta = [norm.momentum for norm in norms]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # cumulative average
        self.model.train()
        out = (self.config.image_size, self.config.image_size)
        spread = self.pool[:: math.ceil(len(self.pool) / CALIBRATION_IMAGES)]
        size = min(self.config.batch_size, len(spread))
        # A cumulative average gives every batch the same weight, so the images of a smaller last one would count more.
        for index in spread[: len(spread) // size * size].split(size):
            images, sizes = self.images.batch(index)
            self.encoder(center_crop(images, out, 1.0, sizes).contiguous(memory_format=memory_format(self.config)))
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum

    def state(self) -> dict[str, Any]:
        """Return the state for a checkpoint, tensors and plain values only, loadable with ``weights_only=True``.

        The state of any process can restore all of them. ``steps`` is the number of optimiser steps done.
        """
        # No objects of our classes: loading a checkpoint that came from elsewhere must not run code.
        return {
            "model": self.model.state_dict(),
            **self.update.state(),
            "epoch": self.epoch,
            "paused": dict(vars(self.paused)) if self.paused else None,
            "steps": self.steps_done,
            # Without a target there is no such key, so that checkpoints of earlier versions have the same ones.
            **({"target": self.target.state_dict()} if self.target is not None else {}),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a state that :meth:`state` returned.

        Training that began without a probe continues without one.
        """
        self.model.load_state_dict(state["model"])
        if self.target is not None:
            self.target.load_state_dict(state["target"])
        self.update.restore(state)
        self.step.forget()  # a graph would go on with the optimiser's earlier tensors
        self.epoch = state["epoch"]
        # Checkpoints of earlier versions call the states of the streams their places.
        paused = {"streams" if name == "places" else name: value for name, value in (state["paused"] or {}).items()}
        self.paused = Pause(**paused) if paused else None
