"""Containers: files that hold many images. Which ones a path names, and the splits that their names tell."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from ablate.data.sources.annotations import SPLITS
from ablate.errors import UsageError

SPLIT = re.compile(rf"(?<![a-z])({'|'.join(sorted(SPLITS, key=len, reverse=True))})(?![a-z])")


def containers(path: Path, ending: str, where: str) -> tuple[Path, list[str]]:
    """Return the directory of the containers and their paths below it, in order.

    Args:
        path: one container, or a directory that holds them at any depth.
        ending: the ending of their names, such as ``.tar``.
        where: the place, for messages: ``parquet: leaves``.

    Raises:
        UsageError: there is no such path, or no container in the directory.
    """
    if path.is_file():
        return path.parent, [path.name]
    if not path.is_dir():
        raise UsageError(f"{where} does not exist")
    files = (item.relative_to(path) for item in path.rglob(f"*{ending}") if item.is_file())
    names = sorted(str(name) for name in files if not any(part.startswith(".") for part in name.parts))
    if not names:
        raise UsageError(f"{where} holds no file whose name ends in {ending}")
    return path, names


def splits_of(names: Sequence[str], where: str) -> list[str | None]:
    """Return the split of each container, as the last word in its path that names one; None if they name only one.

    ``train-00000-of-00002.parquet`` and ``train/0000.parquet`` are of the split ``train``.

    Args:
        names: the paths of the containers.
        where: the place, for messages: ``parquet: leaves``.

    Raises:
        UsageError: some of several names tell a split, and others do not.
    """
    splits = [(SPLIT.findall(name.lower()) or [None])[-1] for name in names]
    if len(set(splits)) == 1:
        return [None] * len(names)
    if None in splits:
        silent = names[splits.index(None)]
        telling = next(name for name, split in zip(names, splits, strict=True) if split)
        raise UsageError(f"{where}: the name of {telling} tells a split, and that of {silent} does not; rename it")
    return splits
