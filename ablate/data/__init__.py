"""Data sets: the embedded glyphs, the official formats of CIFAR and STL-10, folders of one's own images."""

from __future__ import annotations

from pathlib import Path

from ablate.data.cache import Progress, Source, cache_dir, obtain, read_entry
from ablate.data.dataset import DataSet, Images, Split
from ablate.data.folder import Folder, refusal
from ablate.data.glyphs import Glyphs
from ablate.data.resident import Resident
from ablate.data.torchvision_sets import FORMATS, TorchvisionSet
from ablate.errors import UsageError, expanded, unknown

__all__ = ["DataSet", "Images", "Resident", "Split", "cache_dir", "native_size", "prepare", "read_entry"]

KINDS = ("glyphs", *FORMATS, "folder")
NATIVE = {"glyphs": 32, "cifar10": 32, "cifar100": 32, "stl10": 96, "folder": 224}


def prepare(
    spec: str,
    *,
    cache: Path | None = None,
    image_size: int | None = None,
    skip_corrupt: bool = False,
    progress: Progress = lambda done, total: None,
) -> DataSet:
    """The data set that ``spec`` names, decoded into ``cache`` (once, under a lock) if it is not there yet.

    Args:
        spec: ``glyphs``, ``glyphs:SEED``, ``cifar10:PATH``, ``cifar100:PATH``, ``stl10:PATH`` or ``folder:PATH``.
        cache: where decoded images live; default: :func:`cache_dir`.
        image_size: training size in pixels, by default the data set's own; decides at what size a folder's images are
            stored.
        skip_corrupt: leave unreadable files out; the result names them.
        progress: told (done, total) while decoding.

    Raises:
        UsageError: an unknown kind, a missing or unfit path, corrupt files, an unwritable cache.
    """
    source = _source(spec, image_size or native_size(spec), skip_corrupt)
    data = obtain(source, cache or cache_dir(None), progress)
    if data.corrupt and not skip_corrupt:
        raise UsageError(refusal(data.corrupt))
    return data


def native_size(spec: str) -> int:
    """The data set's own image size in pixels; 224 for folders. UsageError for an unknown kind."""
    return NATIVE[_kind(spec)]


def _kind(spec: str) -> str:
    kind = spec.partition(":")[0]
    if kind not in KINDS:
        raise unknown("data set", kind, KINDS)
    return kind


def _source(spec: str, image_size: int, skip_corrupt: bool) -> Source:
    kind, _, rest = _kind(spec), *spec.partition(":")[1:]
    if kind == "glyphs":
        if rest and not rest.isdecimal():
            raise UsageError(f"glyphs takes a rendering seed, as in glyphs:7, not {rest!r}")
        return Glyphs(int(rest or 0))
    if not rest:
        raise UsageError(f"{kind} needs a path: --data {kind}:PATH")
    path = expanded(rest)
    return Folder(path, image_size, skip_corrupt=skip_corrupt) if kind == "folder" else TorchvisionSet(kind, path)
