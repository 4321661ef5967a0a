"""Data sets, from what a user names to batches on the device: sources, decoding, the cache, splits, gathering."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ablate.data.cache import read_entry
    from ablate.data.dataset import DataSet, Images, Split
    from ablate.data.place import cache_dir
    from ablate.data.preparation import native_size, prepare, side_of_files
    from ablate.data.resident import Resident

_HOME = {
    "DataSet": "ablate.data.dataset",
    "Images": "ablate.data.dataset",
    "Resident": "ablate.data.resident",
    "Split": "ablate.data.dataset",
    "cache_dir": "ablate.data.place",
    "native_size": "ablate.data.preparation",
    "prepare": "ablate.data.preparation",
    "read_entry": "ablate.data.cache",
    "side_of_files": "ablate.data.preparation",
}

__all__ = [
    "DataSet",
    "Images",
    "Resident",
    "Split",
    "cache_dir",
    "native_size",
    "prepare",
    "read_entry",
    "side_of_files",
]


def __getattr__(name: str) -> Any:
    """Import a public name on its first use.

    The processes that decode images do not need torch, and importing torch would cost each of them seconds.
    """
    if name not in _HOME:
        raise AttributeError(f"module 'ablate.data' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)
