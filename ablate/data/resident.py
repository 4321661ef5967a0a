"""Batches by index, from the device's own memory if the images fit there, else streamed to it."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import closing

import torch
from torch import Tensor

from ablate.data.dataset import Images
from ablate.data.gather import gather, on_device
from ablate.data.prefetch import ahead

SHARE = 0.5  # the share of the device's free memory that images may take

Batch = tuple[Tensor, Tensor | None]


class Resident:
    """Images on ``device`` if they fit into half of its free memory, else gathered on the CPU and copied per batch."""

    def __init__(self, images: Images, device: torch.device) -> None:
        self.images, self.device = images, device
        self.fits = device.type != "cpu" and images.nbytes < SHARE * torch.cuda.mem_get_info(device)[0]
        self.stored = on_device(images, device) if self.fits else images

    def batch(self, index: Tensor) -> Batch:
        """Return the images of ``index`` (int64 ``[n]``, on the CPU) as ``[n, c, h, w]`` of their dtype on the device.

        Images of several sizes are padded with zeros below and to the right, and the second value is their ``sizes``,
        int64 ``[n, 2]``, on the device; otherwise it is None.
        """
        pixels = gather(self.stored, index, pin=self.device.type != "cpu" and not self.fits)
        return pixels.to(self.device, non_blocking=True), self.sizes(index)

    def sizes(self, index: Tensor) -> Tensor | None:
        """Return the height and width of the images of ``index``, int64 ``[n, 2]`` on the device.

        The result is None if all images have one size. No pixels are read.
        """
        sizes = self.images.sizes
        return None if sizes is None else sizes[index].to(self.device, non_blocking=True)

    def extents(self, index: Tensor) -> tuple[int, int] | Tensor:
        """Return :meth:`sizes`, or the one (height, width) that all images have."""
        sizes, pixels = self.sizes(index), self.images.pixels
        if sizes is not None:
            return sizes
        assert isinstance(pixels, Tensor)
        return pixels.shape[-2], pixels.shape[-1]

    def stream(self, indices: Iterable[Tensor]) -> Generator[Batch]:
        """Return an iterator over :meth:`batch` of every index, in order.

        If batches must be gathered or copied, a background thread does so ahead of the consumer. Closing the iterator
        early ends the thread.
        """
        if self.fits or (self.device.type == "cpu" and self.images.sizes is None):
            return (self.batch(index) for index in indices)
        return ahead(self.batch, indices) if self.device.type == "cpu" else self._copied_ahead(indices)

    def _copied_ahead(self, indices: Iterable[Tensor]) -> Generator[Batch]:
        """Yield batches that are copied on a separate CUDA stream, while the consumer works on its current one."""
        side = torch.cuda.Stream(self.device)

        def copy(index: Tensor) -> tuple[Batch, torch.cuda.Event]:
            with torch.cuda.stream(side):
                return self.batch(index), side.record_event()

        with closing(ahead(copy, indices)) as batches:
            for batch, copied in batches:
                current = torch.cuda.current_stream(self.device)
                current.wait_event(copied)
                for tensor in batch:
                    if tensor is not None:
                        tensor.record_stream(current)  # keeps the side stream from reusing it too early
                yield batch
