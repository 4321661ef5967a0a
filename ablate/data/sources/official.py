"""The source of data sets in their official files, which hold pixels and labels as arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ablate.data.dataset import split_by_group
from ablate.data.digest import digest_of, listing_of, stat_of
from ablate.data.entry import Progress, Writer
from ablate.errors import UsageError

VALIDATION, SPLIT_SEED = 0.1, 0
Part = tuple["np.ndarray[Any, Any]", Tensor]  # uint8 [N, 3, h, w], labels


@dataclass(frozen=True)
class OfficialFiles:
    """The official files of a set: the ``folder`` that holds them, their ``names``, and the functions that read them.

    ``read`` returns the images and labels of each split, and raises RuntimeError for files that are not the official
    ones; ``classes`` returns the names of the classes.
    """

    folder: Path
    names: Sequence[str]
    read: Callable[[], dict[str, Part]]
    classes: Callable[[], Sequence[str]]


class Official:
    """The source of a set in its official files. If there is an unlabelled split, the set pre-trains on it.

    Args:
        kind: the kind of the data set, such as ``cifar10``.
        files: its files.
        once: the images are grey, and only one of their equal channels is stored.
    """

    notes: tuple[str, ...] = ()

    def __init__(self, kind: str, files: OfficialFiles, *, once: bool = False) -> None:
        self.kind, self.name, self.files, self.once = kind, kind, files, once
        self.identity = f"{kind} {files.folder.absolute()}{' once' * once}"

    def signature(self) -> str:
        """Return a digest of names and sizes of the official files."""
        sizes = (size for size, _ in self._stats())
        return digest_of(self.kind, listing_of(self.files.names, sizes), *["once"] * self.once)

    def manifest(self) -> str:
        """Return a digest of names, sizes and times of the official files."""
        return digest_of(listing_of(self.files.names, *zip(*self._stats(), strict=True)))

    def _stats(self) -> list[tuple[str, str]]:
        return [stat_of(self.files.folder / name) for name in self.files.names]

    def fingerprint(self, like: Mapping[str, Any] | None = None) -> str:
        """Return a digest of pixels and labels, the same for all official formats of the set."""
        return self._fingerprint(self._parts())

    def _fingerprint(self, parts: dict[str, Part]) -> str:
        pieces: list[str | bytes] = [self.kind, f"validation {VALIDATION} {SPLIT_SEED}"]
        for split, (pixels, labels) in sorted(parts.items()):
            pieces += [split, np.ascontiguousarray(pixels).tobytes(), labels.numpy().tobytes()]
        return digest_of(*pieces)

    def write(self, writer: Writer, progress: Progress) -> str:
        """Write every split as one uniform array, and return the fingerprint."""
        parts = self._parts()
        for done, (split, (pixels, labels)) in enumerate(parts.items(), start=1):
            writer.uniform(split, pixels, labels)
            progress(done, len(parts))
        labels = parts["train"][1]
        val_mask = split_by_group(labels, torch.arange(len(labels)), VALIDATION, SPLIT_SEED)
        pretrain = "unlabeled" if "unlabeled" in parts else "train"
        writer.describe(self.kind, self.files.classes(), val_mask, pretrain=pretrain)
        return self._fingerprint(parts)

    def _parts(self) -> dict[str, Part]:
        try:
            parts = self.files.read()
        except RuntimeError as error:
            raise UsageError(
                f"{self.files.folder} does not hold the complete official {self.kind} files: {error}"
            ) from error
        return {split: (pixels[:, :1], labels) for split, (pixels, labels) in parts.items()} if self.once else parts


def found_in(kind: str, path: Path, folders: Sequence[str], names: Mapping[str, Sequence[str]]) -> dict[str, Path]:
    """Return the path of each official file: in ``path``, or in one of the ``folders`` inside it.

    Args:
        kind: the kind of the data set, for messages.
        path: the path that the user gave.
        folders: the folders of ``path`` in which the files may lie.
        names: for each file the names that it may have.

    Raises:
        UsageError: there is no such directory, or a file is missing; the message names it.
    """
    if not path.is_dir():
        raise UsageError(f"{kind}: there is no directory {path}")
    best: dict[str, Path] = {}
    for folder in (path, *(path / name for name in folders)):
        files = {
            name: next(folder / spelt for spelt in spellings if (folder / spelt).is_file())
            for name, spellings in names.items()
            if any((folder / spelt).is_file() for spelt in spellings)
        }
        best = max(best, files, key=len)
    if missing := [name for name in names if name not in best]:
        raise UsageError(f"{kind}: {path} lacks {', '.join(missing)}")
    return best
