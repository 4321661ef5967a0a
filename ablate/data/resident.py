"""Batches by index, from the device's own memory when the images fit there."""

from __future__ import annotations

from collections.abc import Generator, Iterable

import torch
from torch import Tensor

from ablate.data.dataset import Images

SHARE = 0.5  # of the device's free memory that images may take


class Resident:
    """Images on ``device`` if they fit into half of its free memory, else gathered on the CPU and copied per batch."""

    def __init__(self, images: Images, device: torch.device) -> None:
        self.images, self.device = images, device
        fits = device.type != "cpu" and images.pixels.numel() < SHARE * torch.cuda.mem_get_info(device)[0]
        self.pixels = images.pixels.to(device) if fits else images.pixels

    def batch(self, index: Tensor) -> tuple[Tensor, Tensor | None]:
        """The images of ``index`` (int64 ``[n]``, on the CPU): uint8 ``[n, 3, h, w]`` on the device.

        Images of several sizes are padded with zeros below and to the right, and come with ``sizes``, int64 ``[n, 2]``,
        on the device; otherwise the second value is None.
        """
        if self.images.sizes is None or self.images.offsets is None:
            return self._moved(self.pixels[index.to(self.pixels.device, non_blocking=True)]), None
        sizes = self.images.sizes[index]
        height, width = sizes.amax(0).tolist()
        padded = torch.zeros(len(index), 3, height, width, dtype=torch.uint8, device=self.pixels.device)
        for row, (offset, (h, w)) in enumerate(zip(self.images.offsets[index].tolist(), sizes.tolist(), strict=True)):
            padded[row, :, :h, :w] = self.pixels[offset : offset + 3 * h * w].view(3, h, w)
        return self._moved(padded), sizes.to(self.device, non_blocking=True)

    def stored(self, index: Tensor) -> tuple[int, int] | Tensor:
        """The stored sizes of the images of ``index``: (h, w), or int64 ``[n, 2]`` on the device; reads no pixel."""
        if self.images.sizes is None:
            return self.pixels.shape[-2], self.pixels.shape[-1]
        return self.images.sizes[index].to(self.device, non_blocking=True)

    def stream(self, indices: Iterable[Tensor]) -> Generator[tuple[Tensor, Tensor | None], None, None]:
        """The batches of ``indices``, in order."""
        for index in indices:
            yield self.batch(index)

    def _moved(self, batch: Tensor) -> Tensor:
        if batch.device.type != "cpu" or self.device.type == "cpu":
            return batch
        return batch.pin_memory().to(self.device, non_blocking=True)
