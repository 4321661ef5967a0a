"""The one trainer: contrastive (SimCLR) or supervised, on uint8 images, epoch by epoch, alone or with other processes.

An epoch is a pure function of (configuration, seed, epoch, state before it): its order and every augmentation draw come
from streams named by seed and epoch. Between two of its steps it can be paused: how far it is, its sums and the places
of its streams are all that going on needs beside weights and optimiser, so training resumed from a checkpoint of any
step is bit-identical on the CPU. Order and draws are those of the whole batch on every process, each of which then
makes its own part of the views.
"""

from __future__ import annotations

import contextlib
import functools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ablate.compiled import compiled
from ablate.config.trial import TrialConfig
from ablate.data import DataSet, Resident
from ablate.data.resident import Batch
from ablate.distributed import ALONE, World, gather
from ablate.ops import center_crop
from ablate.ops.pair import PairParams, Streams, TransformPair
from ablate.rng import derive_seed, stream
from ablate.simclr.encoder import build_encoder
from ablate.simclr.foreign import ForeignEncoder
from ablate.simclr.global_bn import frozen_statistics, make_global
from ablate.simclr.graph import Graph, aside, is_captured
from ablate.simclr.head import ProjectionHead
from ablate.simclr.loss import nt_xent_with_top1
from ablate.simclr.optim import build_optimiser
from ablate.simclr.probe import OnlineProbe
from ablate.simclr.schedule import learning_rate

CALIBRATION_IMAGES = 2048
WARM_STEPS = 3  # before a step is captured: what is initialised or compiled by then stays out of it


class Diverged(FloatingPointError):
    """The training loss became NaN or infinite."""


def _remedy(config: TrialConfig) -> str:
    """Say which setting is the likely reason for a loss that is not finite."""
    optimiser = config.optimiser
    if config.objective == "simclr" and not 0.01 <= config.temperature <= 10:
        return f"the temperature is {config.temperature:g}; 0.05 to 1 are common"
    if optimiser.weight_decay > 0.1 and optimiser.lr * optimiser.weight_decay >= 1:
        return f"weight decay {optimiser.weight_decay:g} at learning rate {optimiser.lr:g} is too strong"
    return f"a learning rate below {optimiser.lr:g} may help"


@dataclass
class Pause:
    """Where an epoch is interrupted, the same on every process; plain values and tensors.

    Args:
        step: the step of the epoch that comes next, from 0.
        seconds: that the epoch has taken so far.
        totals: float ``[world.size, 2]``: every process's sums of loss and top-1, apart, since another order of
            summation would change the last bits of the epoch's means.
        places: of the epoch's generators, see :class:`~ablate.ops.pair.Streams`.
    """

    step: int
    seconds: float
    totals: Tensor
    places: dict[str, Tensor]


def build_model(config: TrialConfig, seed: int, classes: int) -> nn.ModuleDict:
    """``encoder`` and ``head`` with the initial weights of ``seed``, on the CPU.

    The head of a supervised trial is the classifier of ``classes`` classes.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "weights"))
        encoder = build_encoder(config.encoder, config.image_size)
        if config.objective == "supervised":
            return nn.ModuleDict({"encoder": encoder, "head": nn.Linear(encoder.dim, classes)})
        return nn.ModuleDict({"encoder": encoder, "head": ProjectionHead(encoder.dim, config.head)})


class Trainer:
    """Encoder, head and optimiser of one trial, and the loop over its epochs.

    Args:
        config: what to train; ``objective`` chooses NT-Xent over both views or cross-entropy over the first.
        seed: the trial's seed; names every random stream.
        data: images. SimCLR trains on ``data.pretrain``; supervised training on the labelled training images outside
            the validation split, for equally many steps.
        device: where encoder, images and augmentation live.
        world: the processes that train together; each has a trainer of its own.
        online: train an :class:`OnlineProbe` along, on the labels outside the validation split.

    Raises:
        ValueError: a supervised trial with a ``loss_scale``, which is NT-Xent's: earlier versions applied it there too,
            and what they began cannot be gone on with.
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
    ) -> None:
        self.config, self.seed, self.device, self.world = config, seed, device, world
        if self.is_supervised and config.loss_scale != 1:
            raise ValueError(
                f"loss_scale {config.loss_scale:g} is for NT-Xent, and this trial is supervised: it was planned by an "
                "earlier version; plan it again in another directory"
            )
        self.pair = TransformPair.from_config(config)
        split = data.pretrain
        self.pool = torch.arange(len(split.labels))
        if config.objective == "supervised":
            split = data.train
            self.pool = data.labelled[~data.val_mask[data.labelled]]
        self.images = Resident(split.images, device)
        hidden = data.val_mask if split is data.train else torch.zeros_like(split.labels, dtype=torch.bool)
        self.labels = split.labels.masked_fill(hidden, -1).to(device)
        self.steps_per_epoch = len(data.pretrain.labels) // config.batch_size
        self.model = build_model(config, seed, len(data.classes)).to(device=device)
        self.model = self.model.to(memory_format=self.memory_format)
        make_global(self.model, world, device)
        self.encoder, self.head = self.model["encoder"], self.model["head"]
        self.encode = compiled(_encode) if config.compile else _encode
        self.optimiser = build_optimiser(config.optimiser, self.model)
        self.probe = OnlineProbe(int(self.encoder.dim), len(data.classes), device) if online else None  # type: ignore[arg-type]
        self.epoch = 0
        self.paused: Pause | None = None
        self.streams = Streams(seed, 0, device)
        self._eager_steps = 0
        self._graph: Graph[tuple[Tensor, Tensor, Tensor]] | None = None

    @property
    def step(self) -> int:
        """How many steps of the current epoch are done; of use while it is paused."""
        return self.paused.step if self.paused else 0

    @property
    def memory_format(self) -> torch.memory_format:
        """The configured layout of activations and weights."""
        return torch.channels_last if self.config.memory_format == "channels_last" else torch.contiguous_format

    @property
    def is_supervised(self) -> bool:
        """True for cross-entropy over the first view, False for NT-Xent over both."""
        return self.config.objective == "supervised"

    def train_epoch(self, should_stop: Callable[[], bool] = lambda: False) -> dict[str, float] | None:
        """One pass over the images, or what is left of it.

        ``should_stop`` is asked before every step, but not before the one that a paused epoch goes on with: however
        often it is stopped, training advances.

        Returns:
            ``epoch, loss, lr`` (of the last step), ``images_per_second`` and, by objective, ``contrastive_top1`` or
            ``train_top1`` as fractions; None if ``should_stop`` said so on any of the processes. The epoch is then
            paused on all of them: :meth:`state` is that of the steps done, and the next call, here or on a trainer that
            has restored it, finishes the epoch with the same entry.

        Raises:
            Diverged: the mean loss is not finite.
            LostRank: another process of the trial is gone.
        """
        started = time.perf_counter() - (self.paused.seconds if self.paused else 0.0)
        totals = self._train(self._batches(), should_stop)
        if totals is None:
            assert self.paused is not None
            self.paused.seconds = time.perf_counter() - started
            return None
        self.world.sum_([totals])
        loss, top1 = (totals / self.steps_per_epoch).tolist()  # the epoch's only wait for the device
        if not math.isfinite(loss):
            raise Diverged(f"the loss became {loss} in epoch {self.epoch + 1}; {_remedy(self.config)}")
        self.epoch += 1
        if self.epoch == self.config.epochs:
            self._graph = None  # its memory is evaluation's now
        seconds = time.perf_counter() - started
        return {
            "epoch": self.epoch,
            "loss": loss,
            "train_top1" if self.is_supervised else "contrastive_top1": top1,
            "lr": self.optimiser.param_groups[0]["lr"],
            "images_per_second": self.steps_per_epoch * self.config.batch_size / seconds,
        }

    def train_steps(self, count: int, images: int | None = None) -> None:
        """The current epoch's first ``count`` steps, with the first ``images`` of their batches, to measure their time.

        ``images`` is for one process without micro-batches.
        """
        self._graph = None if images else self._graph  # it holds one size of batch
        self._train([batch[:images] for batch in self._batches()[:count]], lambda: False)

    def _train(self, batches: Sequence[Tensor], should_stop: Callable[[], bool]) -> Tensor | None:
        """This process's sums of loss and top-1 over ``batches``, float ``[2]`` on the device; None once paused."""
        self.model.train()
        start = self.paused or Pause(0, 0.0, torch.zeros(self.world.size, 2, dtype=self._dtype), {})
        self.streams.restart(self.epoch, start.places)
        totals = start.totals[self.world.rank].to(self.device, copy=True)
        left, paused_at = batches[start.step :], self.paused.step if self.paused else None
        with (
            contextlib.closing(self.images.stream(self._needed(left))) as pixels,
            torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []),
        ):
            for step, index in enumerate(left, start.step):
                if step != paused_at and self.world.any(should_stop()):
                    self.paused = Pause(step, start.seconds, gather(totals, self.world), self.streams.places())
                    return None
                self._set_learning_rate(self.epoch * self.steps_per_epoch + step)
                totals += self._step(step, index, pixels)
        self.paused = None
        return totals

    @property
    def _dtype(self) -> torch.dtype:
        return next(self.model.parameters()).dtype

    def _batches(self) -> tuple[Tensor, ...]:
        """The epoch's image indices: whole batches only, from as many permutations of the pool as they need."""
        needed = self.steps_per_epoch * self.config.batch_size
        order = stream(self.seed, "order", self.epoch)
        rounds = math.ceil(needed / len(self.pool))
        shuffled = torch.cat([self.pool[torch.randperm(len(self.pool), generator=order)] for _ in range(rounds)])
        batches: tuple[Tensor, ...] = shuffled[:needed].split(self.config.batch_size)
        return batches

    @property
    def _parts(self) -> list[slice]:
        """The places in a batch whose images this process encodes, one slice per micro-batch."""
        size = self.config.micro_batch or self.config.batch_size
        return [self.world.share(size, start) for start in range(0, self.config.batch_size, size)]

    def _needed(self, batches: Sequence[Tensor]) -> Iterator[Tensor]:
        """The image indices of every part, in the order in which :meth:`_step` asks for their pixels."""
        passes = 1 if len(self._parts) == 1 else 2
        return (index[part] for index in batches for _ in range(passes) for part in self._parts)

    def _set_learning_rate(self, step: int) -> None:
        config = self.config
        warmup = round(config.warmup_epochs * self.steps_per_epoch)
        lr = learning_rate(step, config.epochs * self.steps_per_epoch, warmup, config.optimiser.lr)
        for group in self.optimiser.param_groups:
            group["lr"] = lr

    def _step(self, step: int, index: Tensor, pixels: Iterator[Batch]) -> Tensor:
        """One optimiser step on the batch ``index``; float ``[2]``: this process's share of loss and top-1."""
        h, labels, share = self._gradients(step, index, pixels)
        self.world.sum_([p.grad for p in self.model.parameters() if p.grad is not None])
        self.optimiser.step()
        if self.probe is not None:
            self.probe.update(h, labels.repeat(len(h) // len(labels)), self.world)
        return share

    def _gradients(self, step: int, index: Tensor, pixels: Iterator[Batch]) -> tuple[Tensor, Tensor, Tensor]:
        """``.grad`` of all parameters for the batch ``index``; ``h``, its labels, this process's loss and top-1."""
        if not self._can_capture:
            return self._gradients_eagerly(step, index, pixels)
        if self._graph is None and self._eager_steps < WARM_STEPS:
            self._eager_steps += 1
            with aside(self.device):
                return self._gradients_eagerly(step, index, pixels)
        if self._graph is None:
            self.optimiser.zero_grad(set_to_none=True)
            self._graph = Graph(self._gradients_of, index.to(self.device), self.streams.generators.values())
        return self._graph(index)

    @functools.cached_property
    def _can_capture(self) -> bool:
        """Whether a step waits for nothing and does nothing on the host that the next one would do differently.

        That is known of what is ours, not of foreign encoders, kornia's ops or a user's.
        """
        return (
            self.device.type == "cuda"
            and self.world.size == 1
            and len(self._parts) == 1
            and self.images.fits
            and self.images.images.sizes is None
            and not isinstance(self.encoder, ForeignEncoder)
            and all(type(op).__module__.startswith("ablate.") and not op.syncs for op in self.pair.composition.ops)
        )

    def _gradients_of(self, index: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return self._gradients_eagerly(0, index, iter([self.images.batch(index)]))

    def _gradients_eagerly(self, step: int, index: Tensor, pixels: Iterator[Batch]) -> tuple[Tensor, Tensor, Tensor]:
        extents = self.images.extents(index)
        params = self.pair.sample(len(index), extents, self.streams, first_only=self.is_supervised)
        encode = [_Part(self, step, number, params.part(part)) for number, part in enumerate(self._parts)]
        own = torch.cat([index[part] for part in self._parts])
        labels = self.labels[own.to(self.device, non_blocking=True)]
        self.optimiser.zero_grad(set_to_none=True)
        if len(encode) == 1:
            h = encode[0](next(pixels))
            loss, top1 = self._objective(h, labels)
            (self.config.loss_scale * loss).backward()
        else:
            h, loss, top1 = self._cached(encode, labels, pixels)
        return h.detach(), labels, torch.stack([loss.detach(), top1])

    def _cached(self, encode: list[_Part], labels: Tensor, pixels: Iterator[Batch]) -> tuple[Tensor, Tensor, Tensor]:
        """Gradients of a batch whose activations do not fit: representations first, then each part's gradient.

        The loss of the whole batch needs every ``h``, but its gradient reaches the encoder through ``h`` alone: encode
        without gradient, differentiate the loss with respect to ``h``, encode each part again and pull its share of
        that gradient back (Gao et al. 2021, there cached at z). Exact; the encoder's memory is that of one part.
        """
        views = 1 if self.is_supervised else 2
        with torch.no_grad():
            parts = [part(next(pixels)).unflatten(0, (views, -1)) for part in encode]
        h = torch.cat(parts, dim=1).flatten(0, 1).requires_grad_()
        loss, top1 = self._objective(h, labels)
        (self.config.loss_scale * loss).backward()
        assert h.grad is not None
        gradients = h.grad.unflatten(0, (views, -1)).split([part.shape[1] for part in parts], dim=1)
        with frozen_statistics(self.encoder):  # the first pass has updated them
            for part, gradient in zip(encode, gradients, strict=True):
                part(next(pixels)).backward(gradient.flatten(0, 1))
        return h, loss, top1

    def _objective(self, h: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """This process's share of the loss and of its top-1, for all its representations of the batch."""
        with self.autocast():
            z = self.head(h)
        if not self.is_supervised:
            return nt_xent_with_top1(z, self.config.temperature, self.world)
        logits = z if z.dtype == torch.float64 else z.float()
        top1 = (logits.detach().argmax(1) == labels).float().mean()
        return F.cross_entropy(logits, labels) / self.world.size, top1 / self.world.size

    def autocast(self) -> torch.autocast:
        """bfloat16 autocast when the configuration asks for it, else a no-op."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.precision == "bfloat16")

    @torch.no_grad()
    def calibrate(self) -> None:
        """Set batch-norm statistics to their plain average over up to 2048 images (the untrained reference).

        They are taken at even distances, since folders come sorted by class; whole batches only.
        """
        norms = [m for m in self.encoder.modules() if isinstance(m, _BatchNorm)]
        momenta = [norm.momentum for norm in norms]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # cumulative average
        self.model.train()
        out = (self.config.image_size, self.config.image_size)
        spread = self.pool[:: math.ceil(len(self.pool) / CALIBRATION_IMAGES)]
        size = min(self.config.batch_size, len(spread))
        for index in spread[: len(spread) // size * size].split(size):
            images, sizes = self.images.batch(index)
            self.encoder(center_crop(images, out, 1.0, sizes).contiguous(memory_format=self.memory_format))
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum

    def state(self) -> dict[str, Any]:
        """What a checkpoint holds; tensors and plain values only, loadable with ``weights_only=True``.

        Every process's would do for all of them. ``steps`` is the number of optimiser steps done.
        """
        return {
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "probe": self.probe.state() if self.probe else None,
            "epoch": self.epoch,
            "paused": dict(vars(self.paused)) if self.paused else None,
            "steps": self.epoch * self.steps_per_epoch + self.step,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from what :meth:`state` returned; training that began without a probe goes on without."""
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        if self.probe and state["probe"]:
            self.probe.restore(state["probe"])
        else:
            self.probe = None
        self.epoch = state["epoch"]
        self.paused = Pause(**state["paused"]) if state["paused"] else None


@dataclass(frozen=True)
class _Part:
    """Makes the views of one micro-batch and encodes them; twice the same, whatever happened in between."""

    trainer: Trainer
    step: int
    number: int
    params: PairParams

    def __call__(self, pixels: Batch) -> Tensor:
        """``h``: of all first views, then of all second ones."""
        trainer, (images, sizes) = self.trainer, pixels
        if trainer.is_supervised:
            views = trainer.pair.apply_first(images, self.params, sizes)
        else:
            views = torch.cat(trainer.pair.apply(images, self.params, sizes))
        if not is_captured(trainer.device):  # for encoders that draw (dropout); those that are captured do not
            # by rank, since every process has other images
            purpose = f"encoder/rank{trainer.world.rank}/step{self.step}/part{self.number}"
            torch.manual_seed(derive_seed(trainer.seed, purpose, trainer.epoch))
        with trainer.autocast():
            views = views.to(trainer._dtype).contiguous(memory_format=trainer.memory_format)
            h: Tensor = trainer.encode(trainer.encoder, views)
        return h


def _encode(encoder: nn.Module, views: Tensor) -> Tensor:
    h: Tensor = encoder(views)
    return h
