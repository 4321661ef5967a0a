"""What a data set is in memory: splits of uint8 images, labels and groups, over memory-mapped arrays."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ablate.config import DataIdentity


@dataclass(frozen=True)
class Images:
    """uint8 images. Uniform: ``pixels [N, 3, h, w]``. Ragged: flat ``pixels``, each image at its offset."""

    pixels: Tensor
    sizes: Tensor | None = None  # int64 [N, 2]: height, width
    offsets: Tensor | None = None  # int64 [N]

    def __len__(self) -> int:
        return len(self.pixels) if self.sizes is None else len(self.sizes)


@dataclass(frozen=True)
class Split:
    """Images with ``labels`` int64 ``[N]`` (-1 where there is none) and ``groups`` int64 ``[N]``: shared sources."""

    images: Images
    labels: Tensor
    groups: Tensor


@dataclass(frozen=True)
class DataSet:
    """Images to pre-train on, labelled training images with their validation part, and test images.

    ``fingerprint`` names content, split and preparation, not where the files lie. ``val_mask`` is bool
    ``[len(train)]``; no group is on both sides of it. ``corrupt`` names the files that were left out.
    """

    name: str
    fingerprint: str
    classes: tuple[str, ...]
    pretrain: Split
    train: Split
    val_mask: Tensor
    test: Split
    corrupt: tuple[str, ...] = ()

    @property
    def identity(self) -> DataIdentity:
        """What a trial's configuration says of the data."""
        return DataIdentity(name=self.name, fingerprint=self.fingerprint, classes=len(self.classes))

    def __str__(self) -> str:
        validation, extra = int(self.val_mask.sum()), ""
        if self.pretrain is not self.train:
            extra = f", {len(self.pretrain.labels)} images to pre-train on"
        return (
            f"{self.name}: {len(self.classes)} classes, {len(self.train.labels)} training images ({validation} of them "
            f"for validation), {len(self.test.labels)} test images{extra}"
        )


def split_by_group(labels: Tensor, groups: Tensor, fraction: float, seed: int) -> Tensor:
    """A bool mask of about ``fraction`` of every class, made of whole groups, at least one and never all of a class.

    A class with a single group stays outside the mask.
    """
    generator = torch.Generator().manual_seed(seed)
    mask = torch.zeros(len(labels), dtype=torch.bool)
    for label in labels.unique().tolist():
        members = (labels == label).nonzero()[:, 0]
        names, inverse, counts = groups[members].unique(return_inverse=True, return_counts=True)
        if len(names) < 2:
            continue
        order = torch.randperm(len(names), generator=generator)
        reached = counts[order].cumsum(0)
        wanted = max(1, int((reached <= fraction * len(members)).sum()))
        chosen = torch.zeros(len(names), dtype=torch.bool)
        chosen[order[: min(wanted, len(names) - 1)]] = True
        mask[members[chosen[inverse]]] = True
    return mask
