"""The images of ``webdataset:PATH``: members of tar files, each with its label in a file of the same key."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ablate.data.decoding.contents import INSIDE
from ablate.data.decoding.tar import Member, members
from ablate.data.readers.choose import EXTENSIONS
from ablate.data.sources.annotations import (
    LABEL,
    canonical,
    canonical_columns,
    label_column,
    listing_from,
    without_use,
)
from ablate.data.sources.containers import containers, splits_of
from ablate.data.sources.listing import Listing, named, named_file
from ablate.data.sources.rows import Row
from ablate.data.sources.task_columns import Labels
from ablate.errors import UsageError, first_line, printable

TEXTS = ("cls", "json")
Sample = dict[str, str]  # the name of the image, and the text of .cls and .json, by ``image`` and extension


def scan_webdataset(path: Path, label: str | None) -> Listing:
    """List the images in a tar file, or in all of a directory; images are not read.

    A sample is an image ``KEY.jpg`` with ``KEY.cls``, which holds the label, or ``KEY.json`` with the keys ``label``,
    ``split`` and ``group``. A key that one sample has is required of all. A split may also be named by the tar files:
    ``train-000.tar``.

    Args:
        path: the file or the directory.
        label: the key of the labels in the JSON files; by default ``label``.

    Raises:
        UsageError: there is no such file, it is no uncompressed tar file, it holds no images, a label, a
            split or a group is missing, or the splits are not possible.
    """
    where = printable(f"webdataset: {path}")
    root, names = containers(path, ".tar", where)
    parts = zip(names, splits_of(names, where), strict=True)
    keys: set[str] = set()
    used = canonical(label or LABEL)
    listed = [(row, split) for name, split in parts for row in _rows(root, name, used, where, keys)]
    rows = [row if "split" in keys else row._replace(split=split) for row, split in listed]
    if not rows:
        raise UsageError(f"{where} holds no images: no member ends in {', '.join(EXTENSIONS)}")
    label_column(sorted(keys), label, where)
    own_name = named_file(path) if path.is_file() else named(path)
    return listing_from(rows, root, own_name, where, "tar", without_use(sorted(keys), Labels(used)))


def _rows(root: Path, name: str, label: str, where: str, keys: set[str]) -> Iterator[Row]:
    """Yield the samples of a tar file with what they say themselves; the keys that have values are added to ``keys``.

    Args:
        root: the directory of the tar files.
        name: the path of one below it.
        label: the key of the labels.
        where: the place, for messages.
        keys: the keys of all samples so far.
    """
    for key, sample in _samples(root, name, where):
        cells = _cells(sample, f"{where}: {name}{INSIDE}{key}.json", label)
        keys |= set(cells)
        label_text, own_split, group = (cells.get(column) for column in (label, "split", "group"))
        yield Row(f"{name}{INSIDE}{sample['image']}", f"{key} in {name}", label_text, own_split, group)


def _samples(root: Path, name: str, where: str) -> Iterator[tuple[str, Sample]]:
    """Yield the samples of a tar file that have an image: the key, the image's name and the texts."""
    samples: dict[str, Sample] = {}
    try:
        with (root / name).open("rb") as file:
            for member in members(root / name):
                folder, slash, base = member.name.rpartition("/")
                key, _, extension = base.partition(".")
                sample = samples.setdefault(f"{folder}{slash}{key}", {})
                _add(sample, member, extension.lower(), file, f"{where}: {name}")
    except (OSError, tarfile.TarError) as error:
        raise UsageError(f"{where}: {name} cannot be read as an uncompressed tar file: {first_line(error)}") from None
    yield from ((key, sample) for key, sample in samples.items() if "image" in sample)


def _add(sample: Sample, member: Member, extension: str, file: Any, where: str) -> None:
    if extension in TEXTS:
        file.seek(member.start)
        sample[extension] = file.read(member.size).decode("utf-8", "replace").strip()
    elif f".{extension}" in EXTENSIONS:
        if "image" in sample:
            raise UsageError(
                printable(f"{where}: {sample['image']} and {member.name} have the same key; keep one of them")
            )
        sample["image"] = member.name


def _cells(sample: Sample, where: str, label: str) -> dict[str, str]:
    """Return the values of a sample that are text or numbers, by their key.

    Raises:
        UsageError: the JSON is damaged, or its label, split or group is a list or an object.
    """
    cells = {}
    if "json" in sample:
        try:
            content = json.loads(sample["json"], parse_constant=lambda name: None)  # NaN is no value
        except ValueError as error:
            raise UsageError(printable(f"{where} is not JSON: {error}")) from None
        content = content if isinstance(content, dict) else {}
        content = dict(zip(canonical_columns(list(content), where), content.values(), strict=True))
        if nested := next(
            (key for key in (label, "split", "group") if isinstance(content.get(key), list | dict)), None
        ):
            raise UsageError(printable(f"{where} has a {nested} that is a list or an object; give text or a number"))
        cells = {key: str(value).strip() for key, value in content.items() if isinstance(value, str | int | float)}
        cells.pop("path", None)
    return {**cells, LABEL: sample["cls"]} if "cls" in sample else cells
