"""Two views (crop+flip, colour, blur) as a user of kornia's classes makes them."""

from __future__ import annotations

from collections.abc import Callable

import kornia.augmentation as K
from torch import Tensor


def kernel_size(size: int) -> int:
    return max(5, int(size * 0.1) // 2 * 2 + 1)


def kornia_views(images: Tensor, size: int) -> Callable[[], object]:
    kernel = kernel_size(size)
    eager = K.AugmentationSequential(
        K.RandomResizedCrop((size, size), scale=(0.08, 1.0), resample="bilinear"),
        K.RandomHorizontalFlip(p=0.5),
        K.ColorJitter(0.8, 0.8, 0.8, 0.2, p=0.8),
        K.RandomGrayscale(p=0.2),
        K.RandomGaussianBlur((kernel, kernel), (0.1, 2.0), p=0.5),
        data_keys=["input"],
    )

    def views() -> None:
        floats = images / 255
        eager(floats)
        eager(floats)

    return views
