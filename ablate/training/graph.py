"""Capture a function of image indices as one CUDA graph, whose kernels are replayed as a whole.

A training step of a small network consists of hundreds of kernels that run for a few microseconds each; launching them
takes longer than running them. A replay runs the same kernels with the same draws, so training does not change.
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
        function: takes an index tensor on the device. It must not wait for the device, and its work on the host happens
            only once, at the capture. It must have run before, so that nothing is initialised or compiled during the
            capture.
        index: an example.
        generators: the CUDA generators that the function draws from; between replays they may be seeded again.
    """

    def __init__(self, function: Callable[[Tensor], T], index: Tensor, generators: Iterable[torch.Generator]) -> None:
        torch.cuda.empty_cache()  # the graph cannot use the memory pools of earlier steps
        self._index = index.clone()
        self._graph = torch.cuda.CUDAGraph()
        for generator in generators:
            self._graph.register_generator_state(generator)
        # other threads (a heartbeat, a reader of images) may call CUDA meanwhile
        with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):
            self._result = function(self._index)

    def __call__(self, index: Tensor) -> T:
        """Replay the graph for ``index``; the next call overwrites the memory of the result."""
        self._index.copy_(index, non_blocking=True)
        self._graph.replay()
        return self._result


@contextlib.contextmanager
def aside(device: torch.device) -> Iterator[None]:
    """Run the body on a second stream, ordered between the earlier and the later work of the current stream.

    A function runs this way before it is captured. Otherwise autograd would remember the current stream and wait for
    it.
    """
    current, side = torch.cuda.current_stream(device), torch.cuda.Stream(device)
    side.wait_stream(current)
    with torch.cuda.stream(side):
        yield
    current.wait_stream(side)


def is_captured(device: torch.device) -> bool:
    """Return True if the work submitted now on ``device`` is being captured."""
    return device.type == "cuda" and torch.cuda.is_current_stream_capturing()
