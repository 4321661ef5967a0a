"""Files of weights: safetensors, and torch's own as far as they hold tensors. No code in a file is ever run."""

from __future__ import annotations

import argparse
import hashlib
import json
import pickle
import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ablate.config.encoder import Normalization
from ablate.errors import UsageError, first_line

ALLOWED = "allowed are safetensors files and state dicts that torch.save wrote (.pt, .pth)"
NUMBERS = ("float64", "float32", "float16", "int64", "int32", "bool")
"""NumPy's types of the numbers beside the tensors of a checkpoint."""
SCALARS = ("numpy._core.multiarray.scalar", "numpy.core.multiarray.scalar")
"""What makes such a number, by the names of NumPy 2 and of earlier versions."""
DEEPEST = 3  # dictionaries inside each other: a checkpoint's "student" inside its "model"


@dataclass(frozen=True)
class Weights:
    """The tensors of a file: groups of them by place, such as ``""``, ``state_dict`` or ``model.teacher``.

    ``normalize`` is the normalisation that the file itself names, as the encoders that ablate keeps do.
    """

    groups: Mapping[str, Mapping[str, Tensor]]
    normalize: Normalization | None = None


def read_weights(path: Path) -> Weights:
    """Read the tensors of a file onto the CPU.

    Args:
        path: a safetensors file or one of torch's, told by its first bytes.

    Raises:
        UsageError: there is no such file, it is of another kind, or it needs code to be run.
    """
    if path.is_dir():
        below = sorted(path.glob("*.safetensors")) or sorted(path.glob("*/*.safetensors"))
        files = [file for file in below if not file.name.endswith(".head.safetensors")]
        raise UsageError(f"{path} is a directory; give a file in it" + (f", such as {files[0]}" if files else ""))
    try:
        with path.open("rb") as file:
            start = file.read(9)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}") from None
    if not start:
        raise UsageError(f"{path} is empty; {ALLOWED}")
    if start[8:] == b"{":  # behind the length of the header in eight bytes
        return _safetensors(path)
    content = _torch(path)
    groups = dict(_groups(content, ""))
    if not groups:
        held = ", ".join(map(str, list(content)[:5])) if isinstance(content, Mapping) else type(content).__name__
        raise UsageError(f"{path} holds no state dict, only {held or 'an empty one'}; {ALLOWED}")
    return Weights(groups)


def digest(tensors: Mapping[str, Tensor]) -> str:
    """Return ``sha256 `` and 16 hex digits of the names, types, shapes and values of ``tensors``, in any order."""
    total = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        total.update(f"{name} {value.dtype} {list(value.shape)}\n".encode())
        total.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return f"sha256 {total.hexdigest()[:16]}"


def _safetensors(path: Path) -> Weights:
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # it is no dictionary
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise UsageError(f"{path} is damaged: {first_line(error)}") from None
    return Weights({"": _tensors(tensors)}, normalization_in(metadata))


def normalization_in(metadata: Mapping[str, str]) -> Normalization | None:
    """Return the normalisation that the metadata of a safetensors file names, or None."""
    try:
        return Normalization(**json.loads(metadata["normalize"]))
    except (KeyError, TypeError, ValueError):
        return None


def _torch(path: Path) -> Any:
    """Return what torch's restricted unpickler reads: tensors and containers, and what checkpoints have beside them.

    These are Namespaces, as DINO's options are, and NumPy's numbers, as a best accuracy is.
    """
    scalar = np.float64(0).__reduce__()[0]
    numbers: list[Any] = [np.dtype, *(type(np.dtype(kind)) for kind in NUMBERS), *((scalar, name) for name in SCALARS)]
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals([argparse.Namespace, *numbers]):
            warnings.simplefilter("ignore")  # on old formats and TorchScript, which we name ourselves
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if found := re.search(r"GLOBAL (\S+)", str(error)):
            raise UsageError(
                f"{path} holds Python objects, whose code would have to be run ({found[1]}); only tensors are read: "
                "save the state dict alone, by torch.save(model.state_dict(), FILE)"
            ) from None
        raise UsageError(f"{path} is no file of weights; {ALLOWED}") from None
    except RuntimeError as error:
        if "TorchScript" in str(error):
            raise UsageError(
                f"{path} is a TorchScript program; only tensors are read: save its state dict alone, by "
                "torch.save(torch.jit.load(FILE).state_dict(), OTHER)"
            ) from None
        raise UsageError(f"{path} is damaged or no file of weights; {ALLOWED}") from None
    except Exception:  # what torch raises depends on the place of the damage
        raise UsageError(f"{path} is damaged or no file of weights; {ALLOWED}") from None


def _groups(content: Any, place: str, depth: int = 0) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Yield the dictionaries of tensors in ``content``, outer ones first, each with its place."""
    if not isinstance(content, Mapping) or depth > DEEPEST:
        return
    if tensors := _tensors(content):
        yield place, tensors
    for name, value in content.items():
        yield from _groups(value, f"{place}.{name}" if place else str(name), depth + 1)


def _tensors(content: Mapping[Any, Any]) -> dict[str, Tensor]:
    return {
        name: value.detach() for name, value in content.items() if isinstance(name, str) and isinstance(value, Tensor)
    }
