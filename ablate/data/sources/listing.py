"""Listings: the encoded images of a data set in a fixed order, with their classes, groups and splits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from ablate.config.tasks import TaskKind
from ablate.data.dataset import split_by_group
from ablate.data.decoding.contents import Held

TEST, SPLIT_SEED = 0.2, 0
GENERIC = {"data", "dataset", "images", "imgs", "pictures", "train"}
GENERIC_FILES = {"annotations", "index", "labels", "metadata", "table"}
SHOWN = 5  # names in a message


class TaskColumn(NamedTuple):
    """A further task, by the name of its column, with its classes."""

    name: str
    kind: TaskKind
    classes: tuple[str, ...] = ()


class File(NamedTuple):
    """One encoded image: its path below the root, its class, its group, and True if it is given for validation.

    ``values`` are those of further tasks, in the order of the tasks, NaN where it has none.

    In a folder, the group is the topmost folder inside the class folder that contains the file, at any depth. A file
    that lies directly in the class folder is a group of its own. The same folder name under two classes makes two
    groups. Elsewhere a group is named by the user, and may hold images of several classes.
    """

    relpath: str
    label: int
    group: str
    val: bool = False
    values: tuple[float, ...] = ()


@dataclass(frozen=True)
class Listing:
    """The images below ``root`` in a fixed order; without ``classes`` every label is 0.

    ``name`` is the name of the data set. ``carved`` is True if the test split was drawn by seed. ``notes`` are
    sentences about files that are not part of it, and on how folders were read. ``annotations`` is a digest of the
    labels, groups and splits, where paths do not tell them. ``held`` says what holds the images. ``tasks`` are further
    tasks, for which the files have values.
    """

    root: Path
    name: str
    classes: list[str]
    train: list[File]
    test: list[File]
    carved: bool
    notes: tuple[str, ...] = ()
    annotations: str = ""
    held: Held = "files"
    tasks: tuple[TaskColumn, ...] = ()


def groups_of(files: list[File]) -> Tensor:
    """Return the files' groups, numbered by first appearance, int64 ``[N]``."""
    numbers: dict[str, int] = {}
    return torch.tensor([numbers.setdefault(file.group, len(numbers)) for file in files], dtype=torch.long)


def split_by_seed(files: list[File]) -> tuple[list[File], list[File]]:
    """Return training and test images, a seeded fifth of every class for testing, in whole groups."""
    labels = torch.tensor([file.label for file in files])
    is_test = split_by_group(labels, groups_of(files), TEST, SPLIT_SEED).tolist()
    train = [file for file, chosen in zip(files, is_test, strict=True) if not chosen]
    return train, [file for file, chosen in zip(files, is_test, strict=True) if chosen]


def named(path: Path) -> str:
    """Return the name of a folder's images.

    It is the folder's own name, or that of the nearest folder above it if its own is generic, like ``data``.
    """
    path = path.absolute()
    names = (part.name for part in (path, *path.parents) if part.name and part.name.lower() not in GENERIC)
    return next(names, path.name)


def named_file(path: Path) -> str:
    """Return the name of the images that a file lists or holds: the file's own, or its folder's if that is generic."""
    return named(path.parent if path.stem.lower() in GENERIC_FILES else path.with_suffix(""))
