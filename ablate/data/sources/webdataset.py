"""The images of ``webdataset:PATH``: members of tar files, each with its label in a file of the same key."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ablate.config.tasks import KINDS
from ablate.data.decoding.contents import INSIDE
from ablate.data.decoding.tar import Member, members
from ablate.data.readers.choose import EXTENSIONS
from ablate.data.sources.annotations import (
    LABEL,
    canonical,
    canonical_columns,
    label_columns,
    listing_from,
    without_use,
)
from ablate.data.sources.containers import containers, splits_of
from ablate.data.sources.listing import Listing, named, named_file
from ablate.data.sources.rows import Row
from ablate.data.sources.task_columns import NO_LABEL, SEPARATOR, Labels
from ablate.errors import UsageError, first_line, printable

TEXTS = ("cls", "json")
Sample = dict[str, str]  # the name of the image, and the text of .cls and .json, by ``image`` and extension


class Told(NamedTuple):
    """What a sample says of itself: the path of its image, where it stands, and its values by key."""

    relpath: str
    at: str
    cells: dict[str, str]


def scan_webdataset(path: Path, label: str | None) -> Listing:
    """List the images in a tar file, or in all of a directory; images are not read.

    A sample is an image ``KEY.jpg`` with ``KEY.cls``, which holds the label, or ``KEY.json`` with the keys ``label``,
    ``split`` and ``group``. A key that one sample has is required of all. A split may also be named by the tar files:
    ``train-000.tar``.

    Args:
        path: the file or the directory.
        label: the key of the labels in the JSON files, by default ``label``; or several, see
            :func:`~ablate.data.sources.annotations.label_columns`. A ``multilabel`` key may have a list.

    Raises:
        UsageError: there is no such file, it is no uncompressed tar file, it holds no images, a label, a
            split or a group is missing, or the splits are not possible.
    """
    where = printable(f"webdataset: {path}")
    root, names = containers(path, ".tar", where)
    parts = zip(names, splits_of(names, where), strict=True)
    named_kinds = _kinds(label or LABEL)
    listed = [(told, split) for name, split in parts for told in _told(root, name, named_kinds, where)]
    if not listed:
        raise UsageError(f"{where} holds no images: no member ends in {', '.join(EXTENSIONS)}")
    keys = sorted(set().union(*(told.cells for told, _ in listed)))
    labels = label_columns(keys, label, where)
    rows = [_row(told, labels, told.cells.get("split") if "split" in keys else split) for told, split in listed]
    own_name = named_file(path) if path.is_file() else named(path)
    return listing_from(rows, root, own_name, where, "tar", without_use(keys, labels), labels.further)


def _kinds(label: str) -> dict[str, str]:
    """Return the kind of task for each key that ``--label`` names, empty if it says none."""
    parts = [item.strip().rpartition(":") for item in label.split(",")]
    return {canonical(name if kind in KINDS else f"{name}{colon}{kind}"): kind for name, colon, kind in parts}


def _row(told: Told, labels: Labels, split: str | None) -> Row:
    main = told.cells.get(labels.main) if labels.main else None
    further = tuple(told.cells.get(name, "") for name in labels.names)
    return Row(told.relpath, told.at, main, split, told.cells.get("group"), further)


def _told(root: Path, name: str, kinds: Mapping[str, str], where: str) -> Iterator[Told]:
    """Yield the samples of a tar file with what they say of themselves.

    Args:
        root: the directory of the tar files.
        name: the path of one below it.
        kinds: the kinds of task of the keys that ``--label`` names.
        where: the place, for messages.
    """
    for key, sample in _samples(root, name, where):
        cells = _cells(sample, f"{where}: {name}{INSIDE}{key}.json", kinds)
        yield Told(f"{name}{INSIDE}{sample['image']}", f"{key} in {name}", cells)


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


def _cells(sample: Sample, where: str, kinds: Mapping[str, str]) -> dict[str, str]:
    """Return the values of a sample that are text or numbers, and the lists of several labels, by their key.

    Raises:
        UsageError: the JSON is damaged, or a label, its split or its group is a list or an object.
    """
    cells = {}
    if "json" in sample:
        try:
            content = json.loads(sample["json"], parse_constant=lambda name: None)  # NaN is no value
        except ValueError as error:
            raise UsageError(printable(f"{where} is not JSON: {error}")) from None
        content = content if isinstance(content, dict) else {}
        content = dict(zip(canonical_columns(list(content), where), content.values(), strict=True))
        content |= {key: _joined(content.get(key)) for key, kind in kinds.items() if kind == "multilabel"}
        if nested := next(
            (key for key in (*kinds, "split", "group") if isinstance(content.get(key), list | dict)), None
        ):
            raise UsageError(printable(f"{where} has a {nested} that is a list or an object; give text or a number"))
        cells = {key: str(value).strip() for key, value in content.items() if isinstance(value, str | int | float)}
        cells.pop("path", None)
    return {**cells, LABEL: sample["cls"]} if "cls" in sample else cells


def _joined(value: Any) -> Any:
    """Return a list of labels as a cell of a table has it, ``red|round`` or ``none``; anything else as it is."""
    if not isinstance(value, list) or any(isinstance(each, list | dict) for each in value):
        return value
    return SEPARATOR.join(map(str, value)) or NO_LABEL
