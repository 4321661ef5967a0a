"""Two views (crop+flip, colour, blur) beside kornia's classes, torchvision v2 and lightly, images per second per core.

``python -m benchmarks.augmentation``; the peers are the extra ``[bench]``. Their images are decoded already, and no
DataLoader's transport is counted.
"""

from __future__ import annotations

from collections.abc import Callable
from unittest import mock

import torch
from lightly.transforms import SimCLRTransform
from torch import Tensor
from torchvision.transforms import v2
from torchvision.transforms.functional import to_pil_image

from ablate.ops.pair import Streams, TransformPair
from benchmarks.harness import measure, save
from benchmarks.with_kornia import kernel_size, kornia_views

SIZES = ((32, 256), (96, 128), (224, 32))


def contenders(size: int, batch: int) -> dict[str, Callable[[], object]]:
    images = torch.randint(0, 256, (batch, 3, size, size), dtype=torch.uint8)
    pair = TransformPair.two_branch("crop+color+blur", size=size)
    streams = Streams(0, 0, "cpu")
    return {
        "kornia, eager": kornia_views(images, size),
        "torchvision v2, image by image": torchvision_views(images, size),
        "lightly, image by image": lightly_views(images, size),
        "ablate in torch (what CUDA runs)": lambda: in_torch(pair, images, streams),
        "ablate": lambda: pair(images, streams),
    }


def torchvision_views(images: Tensor, size: int) -> Callable[[], object]:
    per_image = v2.Compose(
        [
            v2.RandomResizedCrop(size, antialias=True),
            v2.RandomHorizontalFlip(),
            v2.RandomApply([v2.ColorJitter(0.8, 0.8, 0.8, 0.2)], p=0.8),
            v2.RandomGrayscale(0.2),
            v2.RandomApply([v2.GaussianBlur(kernel_size(size), (0.1, 2.0))], p=0.5),
            v2.ToDtype(torch.float32, scale=True),
        ]
    )
    return lambda: [torch.stack([per_image(image) for image in images]) for _ in range(2)]


def lightly_views(images: Tensor, size: int) -> Callable[[], object]:
    decoded = [to_pil_image(image) for image in images]
    transform = SimCLRTransform(input_size=size, cj_strength=1.0, gaussian_blur=0.5, normalize=None)

    def views() -> list[Tensor]:
        pairs = [transform(image) for image in decoded]
        return [torch.stack([pair[branch] for pair in pairs]) for branch in range(2)]

    return views


def in_torch(pair: TransformPair, images: Tensor, streams: Streams) -> None:
    """The tensor code alone: as for float64 images and on CUDA."""
    with mock.patch("ablate.ops.cpu.serves", return_value=False):
        pair(images, streams)


if __name__ == "__main__":
    rows = {f"{size} px, B{batch}": measure(contenders(size, batch), batch) for size, batch in SIZES}
    save("augmentation", rows)
