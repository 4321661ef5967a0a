"""Checkpoints at epoch ends: written to a temporary name and renamed; a damaged one is set aside, never trusted."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import torch

from ablate.results import set_aside, write_atomically


def save(path: Path, state: dict[str, Any]) -> None:
    """Write ``state`` (tensors and plain values) to ``path``, atomically."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    write_atomically(path, buffer.getvalue())


def load(path: Path, device: torch.device) -> tuple[dict[str, Any] | None, Path | None]:
    """The state in ``path`` and None; None and where a damaged file was set aside; or, with no file, None twice."""
    if not path.exists():
        return None, None
    try:
        return torch.load(path, map_location=device, weights_only=True), None
    except (RuntimeError, EOFError, ValueError, KeyError, OSError, pickle.UnpicklingError):
        return None, set_aside(path)
