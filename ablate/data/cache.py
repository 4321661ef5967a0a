"""The cache of decoded images: find the entry of a source, or build it once, under a lock.

``<cache>/sets/<fingerprint>/`` holds a finished entry. ``<cache>/staging/<signature>/`` holds an entry that is being
built; after an interruption, building continues from there. ``<cache>/index/`` records two things: the entry that each
source had, with the manifest (names, sizes, times) of its files at that time, and the entry that images with the same
names and sizes had. Contents are hashed again only if the manifest changed, and decoded again only if the hashes
changed.
"""

from __future__ import annotations

import errno
import io
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from filelock import FileLock
from torch import Tensor

from ablate.data.composed import Recipe, chosen, composed
from ablate.data.dataset import DataSet
from ablate.data.digest import digest_of
from ablate.data.entry import Progress, Writer, is_whole, read
from ablate.data.place import LAYOUT, META, ROWS, entry_of, meta_of
from ablate.errors import UsageError
from ablate.files import write_atomically


class Source(Protocol):
    """The place that a data set comes from."""

    name: str
    """The name of the data set."""
    identity: str
    """The name that the user gave, and how the data is prepared."""
    notes: tuple[str, ...]
    """Sentences about files that were left out because of their names."""

    def signature(self) -> str:
        """Return a name that is equal for equal images, as far as this can be told without reading them."""

    def manifest(self) -> str:
        """Return a text that changes whenever the files may have changed; this is cheap."""

    def fingerprint(self, like: Mapping[str, Any]) -> str:
        """Return the name of the content, the split and the preparation; this may read every file.

        Args:
            like: the metadata of an entry that was made from equal images.
        """

    def write(self, writer: Writer, progress: Progress) -> str:
        """Decode the images into ``writer``, continuing from any parts that are already there.

        Returns:
            The fingerprint of the files that were read.
        """


def obtain(source: Source, cache: Path, progress: Progress) -> DataSet:
    """Return the data set of ``source``, decoding it now unless the cache already has its whole entry.

    Args:
        source: the source of the images.
        cache: the cache directory.
        progress: called with (done, total) while decoding.

    Raises:
        UsageError: the cache is not writable or the disk is full.
    """
    try:
        index, signature = _made(cache / "index"), source.signature()
        by_name, by_signature = (index / f"{name}.json" for name in (digest_of(source.identity), signature))
        with FileLock(by_signature.with_suffix(".lock")):
            manifest = source.manifest()
            fingerprint = _remembered(by_name, manifest)
            if fingerprint is None:
                candidate = _remembered(by_signature, "")
                if candidate and is_whole(cache / "sets" / candidate):
                    fingerprint = source.fingerprint(meta_of(entry_of(cache, candidate)))
            if fingerprint is None or not is_whole(cache / "sets" / fingerprint):
                fingerprint = _build(source, cache, cache / "staging" / signature, fingerprint, progress)
            _remember(by_name, manifest, fingerprint)
            _remember(by_signature, "", fingerprint)
            return read_entry(cache, fingerprint)
    except OSError as error:
        raise _unusable(cache, error) from error


def read_entry(cache: Path, fingerprint: str) -> DataSet:
    """Return the memory-mapped data set of a whole entry.

    Raises:
        FileNotFoundError: there is no such entry, or it has another layout than the current one.
    """
    meta = meta_of(entry_of(cache, fingerprint))
    if meta.get("layout") != LAYOUT:
        raise FileNotFoundError(f"the cache {cache} holds no images with the fingerprint {fingerprint}")
    if "recipe" in meta:
        recipe = Recipe(**meta["recipe"])
        pretrain, labelled, *further = (
            read_entry(cache, name) for name in (recipe.pretrain, recipe.labelled, *recipe.further)
        )
        return composed(recipe, pretrain, labelled, further)
    return read(cache / "sets" / fingerprint, meta)


def compose(cache: Path, recipe: Recipe) -> DataSet:
    """Return the data set that ``recipe`` makes of two entries or more.

    The recipe is written to the cache, so :meth:`read_entry` can read the set from now on, and so are the numbers of
    the training images that it keeps, for readers without torch.

    Raises:
        UsageError: the cache is not writable or the disk is full.
    """
    entry = entry_of(cache, recipe.fingerprint)
    try:
        stored = {name: value for name, value in recipe._asdict().items() if value != ()}  # as earlier versions read it
        write_atomically(entry / META, json.dumps({"layout": LAYOUT, "recipe": stored, "files": {}}))
        if recipe.limit is not None and not (entry / ROWS).exists():
            labelled = read_entry(cache, recipe.labelled)
            _write_rows(entry / ROWS, chosen(labelled.train, recipe.limit, labelled.val_mask))
    except OSError as error:
        raise _unusable(cache, error) from error
    return read_entry(cache, recipe.fingerprint)


def _write_rows(path: Path, rows: Tensor) -> None:
    buffer = io.BytesIO()
    np.save(buffer, rows.numpy())
    write_atomically(path, buffer.getvalue())


def _build(source: Source, cache: Path, staging: Path, damaged: str | None, progress: Progress) -> str:
    """Write the entry and return its fingerprint; whatever is left of a ``damaged`` entry is reused."""
    sets = _made(cache / "sets")
    if damaged and not staging.exists() and meta_of(sets / damaged).get("layout") == LAYOUT:
        (sets / damaged).rename(_made(staging.parent) / staging.name)
    try:
        writer = Writer(_made(staging))
        fingerprint = source.write(writer, progress)
        writer.close()
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            shutil.rmtree(staging, ignore_errors=True)  # make room on the full disk
        raise
    with FileLock(sets / f"{fingerprint}.lock"):
        if is_whole(sets / fingerprint):  # made from other files with the same images
            shutil.rmtree(staging)
        else:
            shutil.rmtree(sets / fingerprint, ignore_errors=True)
            staging.rename(sets / fingerprint)
    return fingerprint


def _unusable(cache: Path, error: OSError) -> UsageError:
    return UsageError(f"cannot use the cache {cache} ({error.strerror or error}); choose another with --cache")


def _remember(index: Path, manifest: str, fingerprint: str) -> None:
    write_atomically(index, json.dumps({"manifest": manifest, "fingerprint": fingerprint}))


def _remembered(index: Path, manifest: str) -> str | None:
    try:
        content = json.loads(index.read_text(encoding="utf-8"))
        return str(content["fingerprint"]) if content["manifest"] == manifest else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _made(directory: Path) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    return directory
