"""The content of checkpoint files; a damaged one is set aside and never used."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch

from ablate.files import set_aside


def to_bytes(state: dict[str, Any]) -> bytes:
    """Return the content of a checkpoint file with ``state``: tensors and plain values."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def load(path: Path, expected: dict[str, Any]) -> tuple[dict[str, Any] | None, Path | None]:
    """Read the state in ``path`` onto the CPU, and set a damaged file aside.

    Args:
        path: a file with the content that :func:`to_bytes` returned.
        expected: a state of the same trial; a file with other keys, or another ``trial``, counts as damaged.

    Returns:
        The state and None; for a damaged file, None and its new path; without a file, None twice.
    """
    if not path.exists():
        return None, None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        if state.keys() == expected.keys() and state["trial"] == expected["trial"]:
            return state, None
    except Exception:  # the exception that torch raises depends on the place of the damage
        pass
    return None, set_aside(path)


def steps_done(path: Path) -> int:
    """Return the number of optimiser steps that the checkpoint at ``path`` holds; 0 without a readable one.

    This is cheap: tensors are mapped into memory, not read.
    """
    try:
        return int(torch.load(path, map_location="cpu", weights_only=True, mmap=True)["steps"])
    except Exception:  # as in load, any exception is possible
        return 0
