"""Kernels: loops over images that numba compiles, run in as many threads as torch would take."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar, cast

import numba
import torch
from torch import Tensor

from ablate.errors import UsageError

F = TypeVar("F", bound=Callable[..., Any])

# Sums may be reordered for the vector units, so the last bits depend on the processor, as torch's do. NaNs must be
# kept: a broken op has to show in the loss.
OPTIONS: dict[str, Any] = {
    "nogil": True,
    "error_model": "numpy",
    "fastmath": {"nsz", "contract", "arcp", "reassoc"},
}


def kernel(function: F) -> F:
    """Compile ``function`` at its first call, once per machine: the code is kept beside the module or in the home.

    Where neither can be written, each process compiles for itself.
    """
    return _compiled(function, OPTIONS)


def exact(function: F) -> F:
    """Compile as :func:`kernel` does, but with every operation rounded by itself, as torch rounds it."""
    return _compiled(function, {**OPTIONS, "fastmath": False})


def _compiled(function: F, options: dict[str, Any]) -> F:
    try:
        return cast(F, numba.njit(function, cache=True, **options))
    except RuntimeError:
        return cast(F, numba.njit(function, **options))


def run(loop: Callable[..., None], n: int, *arguments: Any) -> None:
    """Run ``loop(begin, end, *arguments)`` over images 0 to ``n``; tensors become arrays that share their memory.

    Every image is the work of one thread and no image sees another, so the number of threads changes no bit.
    """
    arrays = [value.contiguous().numpy() if isinstance(value, Tensor) else value for value in arguments]
    threads = min(torch.get_num_threads(), n)
    if threads <= 1:
        loop(0, n, *arrays)
        return
    edges = [n * i // threads for i in range(threads + 1)]
    for done in [_pool(threads).submit(loop, *span, *arrays) for span in itertools.pairwise(edges)]:
        done.result()


def check_boxes(boxes: Tensor, images: Tensor) -> None:
    """Refuse boxes that do not lie inside the images: a kernel would read, and write, beyond their end.

    Args:
        boxes: ``[n, 4]``: top, left, height and width in pixels.
        images: ``[n, c, h, w]``.

    Raises:
        UsageError: there is such a box, or there are more or fewer boxes than images.
    """
    if len(boxes) != len(images):
        raise UsageError(f"there are boxes of {len(boxes)} images for {len(images)} images")
    size = images.shape[2:]
    start, side = boxes[:, :2], boxes[:, 2:]
    if not bool(((start >= 0) & (side >= 0) & (start + side <= torch.tensor(size))).all()):
        raise UsageError(
            f"a box reaches beyond images of {size[0]} x {size[1]} px: were its parameters drawn for others?"
        )


@functools.cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, "ablate-op")
