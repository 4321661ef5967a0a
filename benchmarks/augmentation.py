"""Two views (crop+flip, colour, blur) beside kornia's classes and torchvision v2, images per second per core.

``python -m benchmarks.augmentation``
"""

from __future__ import annotations

import kornia.augmentation as K
import torch
from torchvision.transforms import v2

from ablate.composition import Streams, TransformPair
from benchmarks.harness import measure, save

SIZES = ((32, 256), (96, 128), (224, 32))


def contenders(size: int, batch: int) -> dict[str, object]:
    images = torch.randint(0, 256, (batch, 3, size, size), dtype=torch.uint8)
    pair = TransformPair.two_branch("crop+color+blur", size=size)
    streams = Streams(0, 0, "cpu")
    kernel = max(5, int(size * 0.1) // 2 * 2 + 1)
    eager = K.AugmentationSequential(
        K.RandomResizedCrop((size, size), scale=(0.08, 1.0), resample="bilinear"),
        K.RandomHorizontalFlip(p=0.5),
        K.ColorJitter(0.8, 0.8, 0.8, 0.2, p=0.8),
        K.RandomGrayscale(p=0.2),
        K.RandomGaussianBlur((kernel, kernel), (0.1, 2.0), p=0.5),
        data_keys=["input"],
    )
    per_image = v2.Compose(
        [
            v2.RandomResizedCrop(size, antialias=True),
            v2.RandomHorizontalFlip(),
            v2.RandomApply([v2.ColorJitter(0.8, 0.8, 0.8, 0.2)], p=0.8),
            v2.RandomGrayscale(0.2),
            v2.RandomApply([v2.GaussianBlur(kernel, (0.1, 2.0))], p=0.5),
            v2.ToDtype(torch.float32, scale=True),
        ]
    )

    def kornia_two_views() -> None:
        floats = images / 255
        eager(floats)
        eager(floats)

    return {
        "kornia, eager": kornia_two_views,
        "torchvision v2, per image": lambda: [torch.stack([per_image(image) for image in images]) for _ in range(2)],
        "ablate": lambda: pair(images, streams),
    }


if __name__ == "__main__":
    save("augmentation", {f"{size} px, B{batch}": measure(contenders(size, batch), batch) for size, batch in SIZES})
