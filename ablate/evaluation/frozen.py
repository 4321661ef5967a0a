"""The input of an evaluation protocol, a frozen encoder with its images, and the protocol's outcome."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ablate.config.measure import Measure
from ablate.config.trial import TrialConfig
from ablate.data import DataSet, Resident, Split
from ablate.errors import Diverged
from ablate.evaluation.features import unaugmented
from ablate.sweep.images import ImageResults
from ablate.training.probe import OnlineProbe

BATCH = 256  # images encoded at once

At = Literal["h", "z"]


@dataclass(frozen=True)
class Outcome:
    """The result of a protocol: ``metrics`` by name, one sentence that describes the evaluation exactly, and flags.

    ``images`` are the results for every image, of the one protocol for which they are kept.
    """

    metrics: dict[str, float]
    description: str
    flags: tuple[str, ...] = ()
    images: ImageResults | None = None


@dataclass
class Frozen:
    """An encoder and head, evaluated in evaluation mode, without gradient and in the trial's precision.

    Args:
        encoder: views ``[n, c, size, size]`` -> ``h [n, dim]``.
        head: ``h`` -> ``z``; for supervised trials it is the classifier, and ``z`` are its logits.
        config: the trial's configuration.
        seed: the trial's seed; names the random streams of the protocols that draw.
        data: the images that ``config`` names.
        device: the device of encoder, head and images.
        trained_on: the images that are on the device already, if any.
        probe: the online probe that was trained along with the encoder, if any.
        stop_if_asked: called before each protocol, and before each step of those that train; an exception that it
            raises ends the evaluation.
    """

    encoder: nn.Module
    head: nn.Module
    config: TrialConfig
    seed: int
    data: DataSet
    device: torch.device
    trained_on: Resident | None = None
    probe: OnlineProbe | None = None
    stop_if_asked: Callable[[], None] = lambda: None
    _residents: dict[int, Resident] = field(default_factory=dict)
    _cached: dict[tuple[str, At], Tensor] = field(default_factory=dict)
    _once: dict[str, Any] = field(default_factory=dict)

    @property
    def labelled(self) -> Tensor:
        """The int64 index of the training images that have a label; classifiers are fitted on these only."""
        return self.data.labelled

    @property
    def measure(self) -> Measure:
        """The measure that chooses l2 and the best encoder: the configuration's own, else that of the rule."""
        return self.config.measure or self.data.measure

    def train(self, at: At = "h") -> tuple[Tensor, Tensor, Tensor]:
        """Return features, labels and validation mask of the labelled training images.

        Features are computed once and kept, like those of :meth:`test`, so training must be over.

        Returns:
            Features ``[N, d]``, labels int64 ``[N]`` and validation mask bool ``[N]``.

        Raises:
            Diverged: a feature is NaN or infinite.
        """
        index, split = self.labelled, self.data.train
        features = self._remembered("train", split, index, at)
        return features, split.labels[index].to(features.device), self.data.val_mask[index].to(features.device)

    def every_training_image(self) -> Tensor:
        """Return the features ``h [N, d]`` of all training images, with and without a label; they are kept, too.

        Raises:
            Diverged: a feature is NaN or infinite.
        """
        split, index = self.data.train, self.labelled
        if len(index) == len(split.labels):
            return self._remembered("train", split, index, "h")
        return self._remembered("every", split, torch.arange(len(split.labels)), "h")

    def test(self, at: At = "h") -> tuple[Tensor, Tensor]:
        """Return features ``[M, d]`` and labels int64 ``[M]`` (-1 where there is none) of the test images.

        Raises:
            Diverged: a feature is NaN or infinite.
        """
        split = self.data.test
        features = self._remembered("test", split, torch.arange(len(split.labels)), at)
        return features, split.labels.to(features.device)

    def _remembered(self, name: str, split: Split, index: Tensor, at: At) -> Tensor:
        if (name, "h") not in self._cached:
            h = self._cached[name, "h"] = self.features(split, index)
            if not bool(torch.isfinite(h).all()):
                raise Diverged("the encoder's features are not finite")
        if (name, at) not in self._cached:
            self._cached[name, at] = self.project(self._cached[name, "h"])
        return self._cached[name, at]

    def features(self, split: Split, index: Tensor, at: At = "h", quarter_turns: int = 0) -> Tensor:
        """Return features of un-augmented images, float32 ``[len(index), d]`` on the device, without keeping them.

        Args:
            split: the split that contains the images.
            index: int64 ``[N]``, the images of ``split`` to use.
            at: ``h``, the encoder's pooled output, or ``z``, the head's.
            quarter_turns: turn the images so many times by 90 degrees, counter-clockwise; this is exact, since pixels
                only move.
        """
        batch = self.resident(split).batch
        parts = []
        for chunk in index.split(BATCH):
            views = unaugmented(*batch(chunk), self.config.image_size)
            parts.append(self.encode(views.rot90(quarter_turns, (2, 3)) if quarter_turns else views, at))
        return torch.cat(parts)

    def once(self, name: str, make: Callable[[], Any]) -> Any:
        """Return ``make()``, computed once and kept under ``name``: what a protocol needs at both places."""
        if name not in self._once:
            self._once[name] = make()
        return self._once[name]

    @torch.no_grad()
    def encode(self, views: Tensor, at: At = "h") -> Tensor:
        """Return features of float ``views [n, 3, size, size]`` in [0, 1], float32 ``[n, d]``, no gradient."""
        with _evaluating(self.encoder), self.autocast():
            h: Tensor = self.encoder(views.contiguous(memory_format=self.memory_format)).float()
        return h if at == "h" else self.project(h)

    @torch.no_grad()
    def project(self, h: Tensor) -> Tensor:
        """Return ``z = g(h)``, float32 ``[n, output]``, no gradient."""
        with _evaluating(self.head), self.autocast():
            z: Tensor = torch.cat([self.head(part).float() for part in h.split(BATCH)])
        return z

    def resident(self, split: Split) -> Resident:
        """Return the images of ``split``, which are put on the device once."""
        if self.trained_on is not None and split.images is self.trained_on.images:
            return self.trained_on
        if id(split) not in self._residents:
            self._residents[id(split)] = Resident(split.images, self.device)
        return self._residents[id(split)]

    def autocast(self) -> torch.autocast:
        """Return bfloat16 autocast if the configuration asks for it, else a no-op."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.precision == "bfloat16")

    @property
    def memory_format(self) -> torch.memory_format:
        """The configured layout of activations and weights."""
        return torch.channels_last if self.config.memory_format == "channels_last" else torch.contiguous_format

    def called(self, at: At) -> str:
        """Return the representation's name for a protocol's description."""
        if at == "h":
            return "h"
        return "z (the classifier's logits)" if self.config.objective == "supervised" else "z (after the head)"


@contextlib.contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """Put ``module`` into evaluation mode while the context is open, and restore its mode afterwards."""
    was_training = module.training
    module.eval()
    try:
        yield
    finally:
        module.train(was_training)
