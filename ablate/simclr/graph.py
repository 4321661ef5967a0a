"""A function of image indices as one CUDA graph: its kernels are launched once and replayed as a whole.

A training step of a small network is hundreds of kernels of a few microseconds each, whose launches take longer than
they do. A replay makes the same kernels with the same draws, so nothing that is trained changes.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

import torch
from torch import Tensor

T = TypeVar("T")


class Graph(Generic[T]):
    """``function``, captured for indices of one shape.

    Args:
        function: of an index tensor on the device; it must not wait for the device, and what it does on the host
            happens once, at the capture. It has run before, so that nothing is initialised or compiled in it.
        index: an example.
        generators: the CUDA generators that it draws from; between replays they may be seeded anew.
    """

    def __init__(self, function: Callable[[Tensor], T], index: Tensor, generators: Iterable[torch.Generator]) -> None:
        torch.cuda.empty_cache()  # what earlier steps left is in pools that the graph cannot use
        self._index = index.clone()
        self._graph = torch.cuda.CUDAGraph()
        for generator in generators:
            self._graph.register_generator_state(generator)
        # other threads (a heartbeat, a reader of images) may call CUDA meanwhile
        with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):
            self._result = function(self._index)

    def __call__(self, index: Tensor) -> T:
        """What ``function`` gives, in memory that the next call overwrites."""
        self._index.copy_(index, non_blocking=True)
        self._graph.replay()
        return self._result


@contextlib.contextmanager
def aside(device: torch.device) -> Iterator[None]:
    """On a stream beside the current one, after what that did before and before what it does next.

    What is to be captured runs there first: autograd would otherwise remember the current stream, and wait for it.
    """
    current, side = torch.cuda.current_stream(device), torch.cuda.Stream(device)
    side.wait_stream(current)
    with torch.cuda.stream(side):
        yield
    current.wait_stream(side)


def is_captured(device: torch.device) -> bool:
    """Whether what runs now on ``device`` is being captured."""
    return device.type == "cuda" and torch.cuda.is_current_stream_capturing()
