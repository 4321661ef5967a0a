"""The place of the cache, and the layout of its entries. Needs no torch."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ablate.errors import expanded

META = "meta.json"
LAYOUT = 4  # version of the entries' layout; an entry with another one is decoded again
ROWS = "train.rows.npy"
"""In the entry of a composed set with fewer images: the number of each training image in the labelled set."""


def cache_dir(flag: str | Path | None) -> Path:
    """Return the absolute path of the cache directory.

    It is ``flag`` if given, else ``$ABLATE_CACHE``, else ``$XDG_CACHE_HOME/ablate``, else ``~/.cache/ablate``.
    """
    if flag or (flag := os.environ.get("ABLATE_CACHE")):
        return expanded(str(flag)).absolute()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache").absolute() / "ablate"


def entry_of(cache: Path, fingerprint: str) -> Path:
    """Return the directory of the entry with that fingerprint."""
    return cache / "sets" / fingerprint


def meta_of(entry: Path) -> dict[str, Any]:
    """Return the description of an entry; an empty one if it cannot be read."""
    try:
        meta = json.loads((entry / META).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return meta if isinstance(meta, dict) else {}


def shard_name(split: str, number: int) -> str:
    """Return the name of a shard's file, without suffix."""
    return f"{split}.{number:05}"
