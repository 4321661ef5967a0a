"""Rehearsal of ops before a sweep: whether they fail at its image size, and whether they change its images."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import torch
from torch import Tensor

from ablate.errors import UsageError, first_line
from ablate.ops.grammar import to_string
from ablate.ops.op import Op, counts
from ablate.ops.registry import get, names

IMAGES = 2
HALF_A_LEVEL = 0.5 / 255


def rehearse(op: Op, size: int, channels: int | None = None) -> None:
    """Apply ``op`` to two random images, float ``[2, channels, size, size]``, with every draw acting.

    Args:
        op: the op.
        size: side of the images in pixels.
        channels: their channels; None where the images are not known yet: 3, if the op takes so many.

    Raises:
        UsageError: the op refuses or fails, or returns anything but finite images of that shape and dtype in [0, 1].
    """
    channels = channels or (3 if 3 in op.channels else op.channels[0])
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(IMAGES, channels, size, size, generator=generator)
    name = to_string(op)
    try:
        params = op.sample(IMAGES, (size, size), generator)
        result = op.apply(images, {**params, "mask": torch.ones(IMAGES, dtype=torch.bool)})
    except UsageError:
        raise
    except Exception as error:
        raise UsageError(
            f"op {name} fails on {size} x {size} images of {channels} channels: {type(error).__name__}: "
            f"{first_line(error)}"
        ) from error
    if not isinstance(result, torch.Tensor) or result.shape != images.shape or result.dtype != images.dtype:
        got = f"{list(result.shape)} {result.dtype}" if isinstance(result, torch.Tensor) else type(result).__name__
        raise UsageError(
            f"op {name} must return the shape and dtype that it takes, {list(images.shape)} {images.dtype}, not {got}"
        )
    if not bool(((result >= 0) & (result <= 1)).all()):
        raise UsageError(f"op {name} must return values in [0, 1]; clamp them")


def refuse_channels(op: Op, channels: int, images: str) -> None:
    """Raise UsageError if ``op`` does not take images of so many ``channels``; it names ops that do.

    Args:
        op: the op.
        channels: the channels of the images.
        images: the name of the images.
    """
    if channels not in op.channels:
        fitting = [name for name in op.instead or names() if channels in get(name).channels]
        raise UsageError(
            f"op {to_string(op)} takes images of {counts(op.channels)} channels, but those of {images} have "
            f"{channels}; allowed in its place: {', '.join(fitting)}"
        )


def without_effect(ops: Sequence[Op], images: Tensor) -> list[str]:
    """Return sentences on the ops, and on the parameters, that change nothing on ``images``.

    Parameters are reported if they change nothing because the images are grey. Each op is applied to every image.
    Nothing means less than half a grey level.

    Args:
        ops: the ops.
        images: a sample of the images, float ``[n, 3, h, w]`` in [0, 1].
    """
    tried = [op for op in ops if not op.is_identity]
    idle = idle_on(tried, images)
    sentences = []
    if idle:
        names = _listed([to_string(op) for op in idle])
        sentences.append(f"{names} change{'s' * (len(idle) == 1)} nothing on these images (tried on {len(images)})")
    if _are_grey(images):
        parts = [
            f"{_listed([name for name in op.chromatic if getattr(op, name)])} of {to_string(op)}"
            for op in tried
            if op not in idle and any(getattr(op, name) for name in op.chromatic)
        ]
        if parts:
            sentences.append(f"these images are grey (three equal channels), so {_listed(parts)} change nothing")
    return sentences


def idle_on(ops: Sequence[Op], images: Tensor) -> list[Op]:
    """Return the ops that change nothing on any of ``images`` (float ``[n, 3, h, w]`` in [0, 1])."""
    return [op for op in ops if op.is_identity or _is_idle(op.acting(1.0), images)]


def acts_on(op: Op, images: Tensor) -> float:
    """Return the share of ``images`` on which the op acts: 0 where it is idle, without its colours on grey images.

    Args:
        op: the op.
        images: a sample of the images, float ``[n, 3, h, w]`` in [0, 1].
    """
    if idle_on([op], images):
        return 0.0
    return dataclasses.replace(op, **dict.fromkeys(op.chromatic, 0.0)).acts if _are_grey(images) else op.acts


def _are_grey(images: Tensor) -> bool:
    return float((images.amax(1) - images.amin(1)).max()) < HALF_A_LEVEL


def _is_idle(op: Op, images: Tensor) -> bool:
    generator = torch.Generator().manual_seed(0)
    try:
        params = op.sample(len(images), (images.shape[2], images.shape[3]), generator)
        return float((op.apply(images, params) - images).abs().max()) < HALF_A_LEVEL
    except Exception:  # an op that passed its rehearsal and fails on these images fails its own cells, on record
        return False


def _listed(words: Sequence[str]) -> str:
    *others, last = words
    return f"{', '.join(others)} and {last}" if others else last
