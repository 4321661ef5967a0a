"""The weights from which an encoder starts: their hash, their file in a sweep's directory, and how they are loaded."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from ablate.errors import UsageError
from ablate.training.body import WRAPPER
from ablate.training.weight_file import digest


def content_of(tensors: Mapping[str, Tensor]) -> bytes:
    """Return the content of the file that keeps ``tensors`` for the trials of a sweep."""
    whole = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
    return to_bytes(whole, metadata={"format": "pt"})


def start_from(encoder: nn.Module, file: Path | None, expected: str) -> None:
    """Load the weights in ``file`` into the encoder; what it lacks stays as it was drawn.

    Args:
        encoder: the encoder.
        file: as in :func:`planned_weights`.
        expected: the weights' hash, as it was planned.

    Raises:
        UsageError: as in :func:`planned_weights`.
    """
    tensors = planned_weights(file, expected)
    prefix = WRAPPER if hasattr(encoder, "net") else ""
    own = encoder.state_dict()
    encoder.load_state_dict({**own, **{prefix + name: value for name, value in tensors.items()}})


def planned_weights(file: Path | None, expected: str) -> dict[str, Tensor]:
    """Read the weights from which trials start.

    Args:
        file: the file that planning wrote; None if there is none.
        expected: the weights' hash, as it was planned.

    Raises:
        UsageError: the file is missing or damaged, or holds other weights than planned.
    """
    again = "repeat the command that planned the sweep, with the same --init, which writes them again"
    if file is None or not file.is_file():
        raise UsageError(f"the weights {expected} are missing{f', {file}' if file else ''}: {again}")
    try:
        tensors = load(file.read_bytes())
    except (OSError, SafetensorError) as error:
        raise UsageError(f"{file} is damaged ({error}): {again}") from None
    if (here := digest(tensors)) != expected:
        raise UsageError(f"{file} holds other weights ({here}) than planned ({expected}): {again}")
    return tensors
