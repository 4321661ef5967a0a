"""Entries: a decoded data set on disk, in ``<cache>/sets/<fingerprint>/``, written once and memory-mapped by readers.

The files ``<split>.pixels`` hold raw pixels; images of several sizes lie in shards, ``<split>.00000.pixels`` and so on.
``.npy`` files hold sizes, addresses (``places``), labels and groups; ``meta.json`` is written last.
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

from ablate.config.reading import WHITE
from ablate.data.dataset import DataSet, Images, Split
from ablate.data.duplicates import Stored
from ablate.data.place import LAYOUT, META, shard_name
from ablate.data.tasks import TaskLabels, columns_of

Progress = Callable[[int, int], None]


@dataclass
class Writer:
    """A writer of an entry into ``directory``, which may hold parts of it from an earlier, interrupted run."""

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
        findings: Mapping[str, Any] | None = None,
    ) -> None:
        """Record the set's name, its classes, its validation part and the split to pre-train on.

        Args:
            name: the name of the set.
            classes: the names of the classes.
            val_mask: bool, True for the training images that are for validation.
            pretrain: the name of the split to pre-train on.
            carved: True if the test split was drawn by seed.
            findings: what decoding found, if anything, under the field names of :class:`ablate.data.DataSet`.
        """
        self.meta |= {"name": name, "classes": list(classes), "pretrain": pretrain, "carved": carved}
        self.meta |= {
            "corrupt": [],
            "refused": [],
            "notes": [],
            "ranges": None,
            "background": WHITE,
            "alike": [],
            **(findings or {}),
        }
        np.save(self.directory / "val_mask.npy", val_mask.numpy())

    def uniform(self, split: str, pixels: np.ndarray[Any, Any], labels: Tensor, groups: Tensor | None = None) -> None:
        """Write a split of images of one size.

        Args:
            split: the name of the split.
            pixels: uint8, uint16 or float32 ``[N, c, h, w]``.
            labels: int64 ``[N]``.
            groups: int64 ``[N]``; without them every image is a group of its own.
        """
        path = self.directory / f"{split}.pixels"
        path.unlink(missing_ok=True)  # never overwritten in place: a running trial may have mapped it
        np.ascontiguousarray(pixels).tofile(path)
        self.meta["splits"][split] = {"shape": list(pixels.shape), **_stored_as(pixels.dtype)}
        self._labels(split, labels, torch.arange(len(labels)) if groups is None else groups)

    def ragged(
        self,
        split: str,
        sizes: Sequence[Sequence[Sequence[int]]],
        labels: Tensor,
        groups: Tensor,
        *,
        channels: int = 3,
        dtype: str = "uint8",
    ) -> None:
        """Describe a split whose pixels lie in :meth:`shard` files.

        Args:
            split: the name of the split.
            sizes: for each shard the (height, width) of its images, in order.
            labels: int64 ``[N]``.
            groups: int64 ``[N]``.
            channels: the number of channels of every image.
            dtype: the type of the pixels in the shards: uint8, uint16 or float32.
        """
        every = [np.asarray(shard, dtype=np.int64).reshape(-1, 2) for shard in sizes]
        addresses = []
        for number, shard in enumerate(every):
            counts = channels * shard.prod(1)
            addresses.append(np.stack([np.full_like(counts, number), counts.cumsum() - counts], 1))
        np.save(self.directory / f"{split}.sizes.npy", np.concatenate(every))
        np.save(self.directory / f"{split}.places.npy", np.concatenate(addresses))
        lengths = [int(channels * shard.prod(1).sum()) for shard in every]
        self.meta["splits"][split] = {"shards": lengths, **({} if channels == 3 else {"channels": channels})}
        self.meta["splits"][split] |= _stored_as(np.dtype(dtype))
        self._labels(split, labels, groups)

    def further(self, split: str, values: Sequence[Sequence[float]]) -> None:
        """Write the values of further tasks, those of all tasks side by side in each image's row."""
        np.save(self.directory / f"{split}.tasks.npy", np.asarray(values, dtype=np.float64))

    def shard(self, split: str, number: int) -> Path:
        """Return the path of a shard, without suffix."""
        return self.directory / shard_name(split, number)

    def _labels(self, split: str, labels: Tensor, groups: Tensor) -> None:
        np.save(self.directory / f"{split}.labels.npy", labels.numpy())
        np.save(self.directory / f"{split}.groups.npy", groups.numpy())

    def close(self) -> None:
        """Write ``meta.json``, which marks the entry as whole."""
        for half_written in self.directory.glob(".*"):  # left by a process that was killed as it wrote a record
            half_written.unlink(missing_ok=True)
        data = (path for suffix in ("pixels", "npy") for path in self.directory.glob(f"*.{suffix}"))
        self.meta["files"] = {path.name: path.stat().st_size for path in sorted(data)}
        (self.directory / META).write_text(json.dumps(self.meta), encoding="utf-8")


def is_whole(entry: Path) -> bool:
    """Return True if the entry is finished, has the current layout, and no file has changed its size since."""
    try:
        meta = json.loads((entry / META).read_text(encoding="utf-8"))
        sizes = ((entry / name).stat().st_size == size for name, size in meta["files"].items())
        return meta["layout"] == LAYOUT and all(sizes)
    except (OSError, ValueError, KeyError):
        return False


def read(entry: Path, meta: dict[str, Any]) -> DataSet:
    """Return the memory-mapped data set of a whole entry with the content ``meta`` of its ``meta.json``."""
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
        refused=tuple((relpath, reason) for relpath, reason in meta["refused"]),
        carved=meta["carved"],
        notes=tuple(meta["notes"]),
        ranges=meta["ranges"] and tuple((low, high) for low, high in meta["ranges"]),
        background=tuple(meta["background"]),
        alike=tuple(tuple(Stored(*image) for image in same) for same in meta.get("alike", ())),  # older: in the notes
        tasks=_tasks(entry, meta.get("tasks", ())),
    )


def _tasks(entry: Path, described: Sequence[Mapping[str, Any]]) -> tuple[TaskLabels, ...]:
    if not described:
        return ()
    widths = [columns_of(task["kind"], task["classes"]) for task in described]
    sides = (_array(entry / f"{split}.tasks.npy").split(widths, 1) for split in ("train", "test"))
    return tuple(
        TaskLabels(task["name"], task["kind"], tuple(task["classes"]), train, test)
        for task, train, test in zip(described, *sides, strict=True)
    )


def _stored_as(dtype: np.dtype[Any]) -> dict[str, str]:
    """Return the entry of a split's description for the type of its pixels; entries of uint8 have none."""
    return {} if dtype == np.uint8 else {"dtype": dtype.name}


def _split(entry: Path, name: str, pixels: dict[str, Any]) -> Split:
    dtype = getattr(torch, pixels.get("dtype", "uint8"))
    if "shape" in pixels:
        shape = torch.Size(pixels["shape"])
        images = Images(_mapped(entry / f"{name}.pixels", shape.numel(), dtype).view(shape))
    else:
        paths = (entry / f"{shard_name(name, number)}.pixels" for number in range(len(pixels["shards"])))
        shards = tuple(_mapped(path, size, dtype) for path, size in zip(paths, pixels["shards"], strict=True))
        sizes, addresses = _array(entry / f"{name}.sizes.npy"), _array(entry / f"{name}.places.npy")
        images = Images(shards, sizes, addresses, pixels.get("channels", 3))
    return Split(images, _array(entry / f"{name}.labels.npy"), _array(entry / f"{name}.groups.npy"))


def _mapped(path: Path, size: int, dtype: torch.dtype) -> Tensor:
    """Map the ``size`` pixel values of the file into memory, copied on write.

    torch requires a writable map. Unlike NumPy's, torch's map keeps no file open.
    """
    if size == 0:
        return torch.empty(0, dtype=dtype)
    return torch.from_file(str(path), shared=False, size=size, dtype=dtype)


def _array(path: Path) -> Tensor:
    return torch.from_numpy(np.load(path, allow_pickle=False))
