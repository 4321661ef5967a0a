"""Single images of a data set in the cache, with their classes, for reports. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ablate.data.place import LAYOUT, ROWS, entry_of, meta_of, shard_name

Side = Literal["train", "test"]


@dataclass(frozen=True)
class StoredImages:
    """The training and test images of a data set, as numbered in trials on it.

    Args:
        entry: the directory of the entry that holds the pixels.
        meta: its description.
        rows: the number of each training image in the entry, int64 ``[N]``; None: all of them, in order.
    """

    entry: Path
    meta: dict[str, Any]
    rows: NDArray[np.int64] | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes."""
        return tuple(self.meta["classes"])

    def label(self, side: Side, index: int) -> str:
        """Return the class of an image; an empty text if it has none."""
        number = int(np.load(self.entry / f"{side}.labels.npy", mmap_mode="r")[self._row(side, index)])
        return self.classes[number] if number >= 0 else ""

    def image(self, side: Side, index: int) -> NDArray[Any]:
        """Return an image as it is stored: uint8, uint16 or float32 ``[c, h, w]``.

        Raises:
            OSError, ValueError: the entry is gone or damaged.
        """
        stored, row = self.meta["splits"][side], self._row(side, index)
        dtype = np.dtype(stored.get("dtype", "uint8"))
        name: str = side
        if "shape" in stored:
            shape = tuple(stored["shape"][1:])
            start = row * int(np.prod(shape))
        else:
            places, sizes = (np.load(self.entry / f"{side}.{kind}.npy", mmap_mode="r") for kind in ("places", "sizes"))
            shard, start = map(int, places[row])
            shape, name = (stored.get("channels", 3), *map(int, sizes[row])), shard_name(side, shard)
        count, path = int(np.prod(shape)), self.entry / f"{name}.pixels"
        return np.fromfile(path, dtype, count, offset=start * dtype.itemsize).reshape(shape)

    def _row(self, side: Side, index: int) -> int:
        return index if side == "test" or self.rows is None else int(self.rows[index])


def stored_images(cache: Path, fingerprint: str) -> StoredImages | None:
    """Return the images of the data set with that fingerprint; None if the cache does not hold them.

    An earlier version did not write which training images a set with fewer of them keeps: then it is None, too.
    """
    entry = entry_of(cache, fingerprint)
    meta, rows = meta_of(entry), None
    if "recipe" in meta and meta.get("layout") == LAYOUT:
        if meta["recipe"].get("limit") is not None:
            try:
                rows = np.load(entry / ROWS)
            except (OSError, ValueError):
                return None
        entry = entry_of(cache, meta["recipe"]["labelled"])
        meta = meta_of(entry)
    return StoredImages(entry, meta, rows) if meta.get("layout") == LAYOUT and "splits" in meta else None
