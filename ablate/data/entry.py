"""An entry: a decoded data set on disk, in ``<cache>/sets/<fingerprint>/``, written once and memory-mapped by everyone.

``<split>.pixels`` or, of images of several sizes, shards ``<split>.00000.pixels``, ... are raw bytes; ``.npy`` files
hold sizes, places, labels and groups; ``meta.json`` is written last.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ablate.data.dataset import DataSet, Images, Split

Progress = Callable[[int, int], None]
META = "meta.json"
LAYOUT = 3  # of entries; one with another is decoded again


@dataclass
class Writer:
    """Writes an entry into ``directory``, where parts of it may lie from an interrupted time before."""

    directory: Path
    meta: dict[str, Any] = field(default_factory=lambda: {"layout": LAYOUT, "splits": {}})

    def describe(
        self,
        name: str,
        classes: Sequence[str],
        val_mask: Tensor,
        *,
        pretrain: str = "train",
        carved: bool = False,
        found: Mapping[str, Any] | None = None,
    ) -> None:
        """Name the set, its classes, its validation part and the split to pre-train on.

        ``found``: what decoding found, if anything, under the names that :class:`ablate.data.DataSet` has for it.
        """
        self.meta |= {"name": name, "classes": list(classes), "pretrain": pretrain, "carved": carved}
        self.meta |= {"corrupt": [], "refused": [], "notes": [], "levels": None, **(found or {})}
        np.save(self.directory / "val_mask.npy", val_mask.numpy())

    def uniform(self, split: str, pixels: np.ndarray[Any, Any], labels: Tensor, groups: Tensor | None = None) -> None:
        """A split of uint8 ``[N, 3, h, w]``; without ``groups`` every image is its own."""
        path = self.directory / f"{split}.pixels"
        path.unlink(missing_ok=True)  # never overwritten in place: a running trial may have mapped it
        np.ascontiguousarray(pixels).tofile(path)
        self.meta["splits"][split] = {"shape": list(pixels.shape)}
        self._labels(split, labels, torch.arange(len(labels)) if groups is None else groups)

    def ragged(self, split: str, sizes: Sequence[Sequence[Sequence[int]]], labels: Tensor, groups: Tensor) -> None:
        """A split whose pixels lie in :meth:`shard` files: per shard the (height, width) of its images, in order."""
        every = [np.asarray(shard, dtype=np.int64).reshape(-1, 2) for shard in sizes]
        places = []
        for number, shard in enumerate(every):
            counts = 3 * shard.prod(1)
            places.append(np.stack([np.full_like(counts, number), counts.cumsum() - counts], 1))
        np.save(self.directory / f"{split}.sizes.npy", np.concatenate(every))
        np.save(self.directory / f"{split}.places.npy", np.concatenate(places))
        self.meta["splits"][split] = {"shards": [int(3 * shard.prod(1).sum()) for shard in every]}
        self._labels(split, labels, groups)

    def shard(self, split: str, number: int) -> Path:
        """Where a shard goes, without suffix."""
        return self.directory / _shard(split, number)

    def _labels(self, split: str, labels: Tensor, groups: Tensor) -> None:
        np.save(self.directory / f"{split}.labels.npy", labels.numpy())
        np.save(self.directory / f"{split}.groups.npy", groups.numpy())

    def close(self) -> None:
        """Write ``meta.json``: the entry is whole."""
        data = (path for suffix in ("pixels", "npy") for path in self.directory.glob(f"*.{suffix}"))
        self.meta["files"] = {path.name: path.stat().st_size for path in sorted(data)}
        (self.directory / META).write_text(json.dumps(self.meta), encoding="utf-8")


def is_whole(entry: Path) -> bool:
    """True when the entry was finished, in today's layout, and every file still has the size that it had then."""
    try:
        meta = json.loads((entry / META).read_text(encoding="utf-8"))
        sizes = ((entry / name).stat().st_size == size for name, size in meta["files"].items())
        return meta["layout"] == LAYOUT and all(sizes)
    except (OSError, ValueError, KeyError):
        return False


def read(entry: Path, meta: dict[str, Any]) -> DataSet:
    """The data set of a whole entry with that ``meta.json``, memory-mapped."""
    splits = {name: _split(entry, name, pixels) for name, pixels in meta["splits"].items()}
    return DataSet(
        name=meta["name"],
        fingerprint=entry.name,
        classes=tuple(meta["classes"]),
        pretrain=splits[meta["pretrain"]],
        train=splits["train"],
        val_mask=_array(entry / "val_mask.npy"),
        test=splits["test"],
        corrupt=tuple(meta["corrupt"]),
        refused=tuple((place, reason) for place, reason in meta["refused"]),
        carved=meta["carved"],
        notes=tuple(meta["notes"]),
        levels=meta["levels"] and tuple(meta["levels"]),
    )


def _split(entry: Path, name: str, pixels: dict[str, list[int]]) -> Split:
    if "shape" in pixels:
        shape = torch.Size(pixels["shape"])
        images = Images(_mapped(entry / f"{name}.pixels", shape.numel()).view(shape))
    else:
        shards = (_mapped(entry / f"{_shard(name, i)}.pixels", size) for i, size in enumerate(pixels["shards"]))
        images = Images(tuple(shards), _array(entry / f"{name}.sizes.npy"), _array(entry / f"{name}.places.npy"))
    return Split(images, _array(entry / f"{name}.labels.npy"), _array(entry / f"{name}.groups.npy"))


def _mapped(path: Path, size: int) -> Tensor:
    """The file's ``size`` bytes, copied on write, which torch wants. Unlike NumPy's, torch's map keeps no file open."""
    if size == 0:
        return torch.empty(0, dtype=torch.uint8)
    return torch.from_file(str(path), shared=False, size=size, dtype=torch.uint8)


def _array(path: Path) -> Tensor:
    return torch.from_numpy(np.load(path, allow_pickle=False))


def _shard(split: str, number: int) -> str:
    return f"{split}.{number:05}"
