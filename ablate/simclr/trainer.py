"""The one trainer: contrastive (SimCLR) or supervised, on device-resident uint8 images, epoch by epoch.

An epoch is a pure function of (configuration, seed, epoch, state before it): its order and every augmentation draw come
from streams named by seed and epoch, so training resumed from an epoch's checkpoint is bit-identical on the CPU.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ablate.composition import Streams, TransformPair
from ablate.config import TrialConfig
from ablate.data import DataSet, Resident
from ablate.ops import center_crop
from ablate.rng import derive_seed, stream
from ablate.simclr.encoder import build_encoder
from ablate.simclr.head import ProjectionHead
from ablate.simclr.loss import nt_xent_with_top1
from ablate.simclr.optim import build_optimiser
from ablate.simclr.schedule import learning_rate

CALIBRATION_IMAGES = 2048


class Diverged(FloatingPointError):
    """The training loss became NaN or infinite."""


class Trainer:
    """Encoder, head and optimiser of one trial, and the loop over its epochs.

    Args:
        config: what to train; ``objective`` chooses NT-Xent over both views or cross-entropy over the first.
        seed: the trial's seed; names every random stream.
        data: images. SimCLR trains on ``data.pretrain``; supervised training on the labelled training images outside
            the validation split, for equally many steps.
        device: where encoder, images and augmentation live.
    """

    def __init__(self, config: TrialConfig, seed: int, data: DataSet, device: torch.device) -> None:
        self.config, self.seed, self.device = config, seed, device
        self.pair = TransformPair.from_config(config)
        split = data.pretrain
        if config.objective == "supervised":
            split = data.train
            self.pool = (~data.val_mask).nonzero()[:, 0]
        else:
            self.pool = torch.arange(len(split.labels))
        self.images = Resident(split.images, device)
        self.labels = split.labels.to(device)
        self.steps_per_epoch = len(data.pretrain.labels) // config.batch_size
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(seed, "weights"))
            self.encoder = build_encoder(config.encoder, config.image_size)
            self.head = self._build_head(data)
        self.model = (
            nn.ModuleDict({"encoder": self.encoder, "head": self.head})
            .to(device=device)
            .to(memory_format=self.memory_format)
        )
        self.optimiser = build_optimiser(config.optimiser, self.model)
        self.epoch = 0

    def _build_head(self, data: DataSet) -> nn.Module:
        if self.config.objective == "supervised":
            return nn.Linear(self.encoder.dim, len(data.classes))
        return ProjectionHead(self.encoder.dim, self.config.head.hidden, self.config.head.output)

    @property
    def memory_format(self) -> torch.memory_format:
        """The configured layout of activations and weights."""
        return torch.channels_last if self.config.memory_format == "channels_last" else torch.contiguous_format

    def train_epoch(self, should_stop: Callable[[], bool] = lambda: False) -> dict[str, float] | None:
        """One pass over the images.

        Returns:
            ``epoch, loss, lr`` (of the last step), ``images_per_second`` and, by objective, ``contrastive_top1`` or
            ``train_top1`` as fractions; None if ``should_stop`` said so (the state is then mid-epoch: discard it).

        Raises:
            Diverged: the mean loss is not finite.
        """
        started = time.perf_counter()
        totals = self._train(self._batches(), should_stop)
        if totals is None:
            return None
        loss, top1 = (totals / self.steps_per_epoch).tolist()  # the epoch's only wait for the device
        if not math.isfinite(loss):
            raise Diverged(f"the loss became {loss} in epoch {self.epoch + 1}; a lower learning rate may help")
        self.epoch += 1
        seconds = time.perf_counter() - started
        return {
            "epoch": self.epoch,
            "loss": loss,
            "train_top1" if self.config.objective == "supervised" else "contrastive_top1": top1,
            "lr": self.optimiser.param_groups[0]["lr"],
            "images_per_second": self.steps_per_epoch * self.config.batch_size / seconds,
        }

    def train_steps(self, count: int) -> None:
        """The current epoch's first ``count`` steps, to measure their time."""
        self._train(self._batches()[:count], lambda: False)

    def _train(self, batches: Sequence[Tensor], should_stop: Callable[[], bool]) -> Tensor | None:
        """Sums of loss and top-1 over ``batches``, float ``[2]`` on the device; None if told to stop."""
        self.model.train()
        streams = Streams(self.seed, self.epoch, self.device)
        totals = torch.zeros(2, device=self.device)
        for step, index in enumerate(batches):
            if should_stop():
                return None
            self._set_learning_rate(self.epoch * self.steps_per_epoch + step)
            totals += self._step(index, streams)
        return totals

    def _batches(self) -> tuple[Tensor, ...]:
        """The epoch's image indices: whole batches only, from as many permutations of the pool as they need."""
        needed = self.steps_per_epoch * self.config.batch_size
        order = stream(self.seed, "order", self.epoch)
        rounds = math.ceil(needed / len(self.pool))
        shuffled = torch.cat([self.pool[torch.randperm(len(self.pool), generator=order)] for _ in range(rounds)])
        batches: tuple[Tensor, ...] = shuffled[:needed].split(self.config.batch_size)
        return batches

    def _set_learning_rate(self, step: int) -> None:
        config = self.config
        warmup = round(config.warmup_epochs * self.steps_per_epoch)
        lr = learning_rate(step, config.epochs * self.steps_per_epoch, warmup, config.optimiser.lr)
        for group in self.optimiser.param_groups:
            group["lr"] = lr

    def _step(self, index: Tensor, streams: Streams) -> Tensor:
        """One optimiser step on the images of ``index``; float ``[2]``: loss and top-1, still on the device."""
        images, sizes = self.images.batch(index)
        loss, top1 = (
            self._supervised(images, sizes, index, streams)
            if (self.config.objective == "supervised")
            else self._contrastive(images, sizes, streams)
        )
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        return torch.stack([loss.detach(), top1])

    def _contrastive(self, images: Tensor, sizes: Tensor | None, streams: Streams) -> tuple[Tensor, Tensor]:
        views = torch.cat(self.pair(images, streams, sizes)).contiguous(memory_format=self.memory_format)
        with self.autocast():
            z = self.head(self.encoder(views))
        return nt_xent_with_top1(z, self.config.temperature)

    def _supervised(
        self, images: Tensor, sizes: Tensor | None, index: Tensor, streams: Streams
    ) -> tuple[Tensor, Tensor]:
        view = self.pair.first_view(images, streams, sizes).contiguous(memory_format=self.memory_format)
        with self.autocast():
            logits = self.head(self.encoder(view)).float()
        labels = self.labels[index.to(self.device)]
        return F.cross_entropy(logits, labels), (logits.detach().argmax(1) == labels).float().mean()

    def autocast(self) -> torch.autocast:
        """bfloat16 autocast when the configuration asks for it, else a no-op."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.precision == "bfloat16")

    @torch.no_grad()
    def calibrate(self) -> None:
        """Set batch-norm statistics to their plain average over up to 2048 images (the untrained reference).

        They are taken at even distances, since folders come sorted by class; whole batches only.
        """
        norms = [m for m in self.encoder.modules() if isinstance(m, nn.BatchNorm2d)]
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
        """What a checkpoint holds; tensors and plain values only, loadable with ``weights_only=True``."""
        return {"model": self.model.state_dict(), "optimiser": self.optimiser.state_dict(), "epoch": self.epoch}

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from what :meth:`state` returned."""
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.epoch = state["epoch"]
