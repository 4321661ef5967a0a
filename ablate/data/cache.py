"""The cache of decoded images: entries named by fingerprint, written once under a lock, memory-mapped by everyone.

``<cache>/sets/<fingerprint>/`` holds an entry; ``<cache>/index/<hash>.json`` remembers which entry a source had and the
manifest (names, sizes, times) that it had then, so that contents are hashed again only when that changed.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor

from ablate.data.dataset import DataSet, Images, Split
from ablate.errors import UsageError, expanded
from ablate.results import write_atomically

Progress = Callable[[int, int], None]
META = "meta.json"


class Source(Protocol):
    """Where a data set comes from."""

    identity: str
    """What the user named and how it is prepared: the index's key."""

    def manifest(self) -> str:
        """Changes whenever the files may have changed; cheap."""

    def fingerprint(self) -> str:
        """Names content, split and preparation; may read everything."""

    def write(self, writer: Writer, progress: Progress) -> None:
        """Decode into ``writer``."""


@dataclass
class Writer:
    """Writes one entry: ``pixels`` files as raw bytes, the rest as ``.npy``, and what :func:`read_entry` needs."""

    directory: Path
    meta: dict[str, Any] = field(default_factory=dict)

    def describe(
        self, name: str, classes: Sequence[str], val_mask: Tensor, pretrain: str = "train", corrupt: Sequence[str] = ()
    ) -> None:
        """Name the set, its classes, its validation part and the split to pre-train on."""
        self.meta |= {"name": name, "classes": list(classes), "pretrain": pretrain, "corrupt": list(corrupt)}
        np.save(self.directory / "val_mask.npy", val_mask.numpy())

    def uniform(self, split: str, pixels: np.ndarray[Any, Any], labels: Tensor, groups: Tensor | None = None) -> None:
        """A split of uint8 ``[N, 3, h, w]``; without ``groups`` every image is its own."""
        np.ascontiguousarray(pixels).tofile(self.directory / f"{split}.pixels")
        self._labels(split, labels, groups, list(pixels.shape))

    def ragged(self, split: str, sizes: Sequence[tuple[int, int]], labels: Tensor, groups: Tensor) -> None:
        """A split whose images were appended to :meth:`pixels_path` one after the other."""
        height_width = np.asarray(sizes, dtype=np.int64).reshape(-1, 2)
        counts = 3 * height_width.prod(1)
        np.save(self.directory / f"{split}.sizes.npy", height_width)
        np.save(self.directory / f"{split}.offsets.npy", counts.cumsum() - counts)
        self._labels(split, labels, groups, [int(counts.sum())])

    def pixels_path(self, split: str) -> Path:
        """Where the bytes of a ragged split go."""
        return self.directory / f"{split}.pixels"

    def _labels(self, split: str, labels: Tensor, groups: Tensor | None, shape: list[int]) -> None:
        groups = torch.arange(len(labels)) if groups is None else groups
        np.save(self.directory / f"{split}.labels.npy", labels.numpy())
        np.save(self.directory / f"{split}.groups.npy", groups.numpy())
        self.meta.setdefault("shapes", {})[split] = shape


def cache_dir(flag: str | Path | None) -> Path:
    """``flag``, else ``$ABLATE_CACHE``, else ``$XDG_CACHE_HOME/ablate``, else ``~/.cache/ablate``; absolute."""
    if flag or (flag := os.environ.get("ABLATE_CACHE")):
        return expanded(str(flag)).absolute()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache").absolute() / "ablate"


def obtain(source: Source, cache: Path, progress: Progress) -> DataSet:
    """The data set of ``source``, decoded now if its entry is not there, whole, already.

    Raises:
        UsageError: the cache is not writable or the disk is full.
    """
    index = cache / "index" / f"{_digest(source.identity)}.json"
    try:
        index.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(index.with_suffix(".lock")):
            manifest = source.manifest()
            fingerprint = _remembered(index, manifest) or source.fingerprint()
            entry = cache / "sets" / fingerprint
            with FileLock(_made(entry.parent) / f"{fingerprint}.lock"):
                if not is_whole(entry):
                    _build(source, entry, fingerprint, progress)
            write_atomically(index, json.dumps({"manifest": manifest, "fingerprint": fingerprint}))
            return read_entry(cache, fingerprint)
    except OSError as error:
        raise UsageError(
            f"cannot use the cache {cache} ({error.strerror or error}); choose another with --cache"
        ) from error


def read_entry(cache: Path, fingerprint: str) -> DataSet:
    """The data set of a whole entry, memory-mapped.

    Raises:
        FileNotFoundError: there is no such entry.
    """
    entry = cache / "sets" / fingerprint
    if not (entry / META).exists():
        raise FileNotFoundError(f"the cache {cache} holds no images with the fingerprint {fingerprint}")
    meta = json.loads((entry / META).read_text())
    splits = {name: _split(entry, name, shape) for name, shape in meta["shapes"].items()}
    return DataSet(
        name=meta["name"],
        fingerprint=fingerprint,
        classes=tuple(meta["classes"]),
        pretrain=splits[meta["pretrain"]],
        train=splits["train"],
        val_mask=torch.from_numpy(np.load(entry / "val_mask.npy", allow_pickle=False)),
        test=splits["test"],
        corrupt=tuple(meta["corrupt"]),
    )


def is_whole(entry: Path) -> bool:
    """True when the entry was finished and every file still has the size that it had then."""
    try:
        files = json.loads((entry / META).read_text())["files"]
        return all((entry / name).stat().st_size == size for name, size in files.items())
    except (OSError, ValueError, KeyError):
        return False


def _build(source: Source, entry: Path, fingerprint: str, progress: Progress) -> None:
    temporary = Path(tempfile.mkdtemp(dir=entry.parent, prefix=f".{fingerprint}."))
    try:
        writer = Writer(temporary)
        source.write(writer, progress)
        writer.meta["files"] = {path.name: path.stat().st_size for path in temporary.iterdir()}
        (temporary / META).write_text(json.dumps(writer.meta))
        shutil.rmtree(entry, ignore_errors=True)  # a damaged one
        temporary.rename(entry)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise


def _split(entry: Path, name: str, shape: list[int]) -> Split:
    # mode "c" (copy on write) gives writable memory, which torch wants, and never touches the file
    pixels = torch.from_numpy(np.memmap(entry / f"{name}.pixels", dtype=np.uint8, mode="c", shape=tuple(shape)))
    arrays = {
        part: torch.from_numpy(np.load(path, allow_pickle=False)) if path.exists() else None
        for part in ("sizes", "offsets", "labels", "groups")
        for path in [entry / f"{name}.{part}.npy"]
    }
    labels, groups = arrays["labels"], arrays["groups"]
    assert labels is not None
    assert groups is not None
    return Split(Images(pixels, arrays["sizes"], arrays["offsets"]), labels, groups)


def _remembered(index: Path, manifest: str) -> str | None:
    try:
        content = json.loads(index.read_text())
        return str(content["fingerprint"]) if content["manifest"] == manifest else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _made(directory: Path) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def _digest(text: str) -> str:
    return hashlib.sha256(os.fsencode(text)).hexdigest()[:24]


def digest_of(*parts: str | bytes) -> str:
    """24 hex digits of SHA-256 of the parts, each delimited by its length."""
    state = hashlib.sha256()
    for part in parts:
        content = os.fsencode(part) if isinstance(part, str) else part
        state.update(f"{len(content)}:".encode())
        state.update(content)
    return state.hexdigest()[:24]


def manifest_of(root: Path, files: Sequence[Path]) -> str:
    """Names, sizes and modification times of ``files``, as one digest; a file without them counts by its name."""
    lines = []
    for path in files:
        try:
            stat = path.stat()
            state = f"{stat.st_size}\0{stat.st_mtime_ns}"
        except OSError as error:  # a dangling link, for instance; decoding will name it
            state = str(error.strerror)
        lines.append(f"{path.relative_to(root)}\0{state}")
    return digest_of("\n".join(lines))
