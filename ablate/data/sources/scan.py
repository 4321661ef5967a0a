"""The images of a folder with their classes, groups and splits, found from names alone."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from ablate.data.dataset import ONE_CLASS
from ablate.data.readers.choose import EXTENSIONS
from ablate.data.sources.listing import File, Listing, named, split_by_seed
from ablate.errors import UsageError, printable

SHOWN = 5
LITTER = {"thumbs.db", "desktop.ini"}
IDX = ("-idx1-ubyte", "-idx3-ubyte", ".idx1-ubyte", ".idx3-ubyte")
ALL = ""  # the pseudo-class of images that lie directly in the folder


def scan(root: Path) -> Listing:
    """List the images in ``root``: ``train/CLASS/*`` with ``test/CLASS/*`` (or val/), or ``CLASS/*``.

    There are no classes if there is only one class folder, or if images lie in place of class folders.

    Raises:
        UsageError: there is no such directory, there are no images, the test set is empty, a class cannot be split, or
            a folder cannot be read.
    """
    if not root.is_dir():
        there = f"{root} is a file, not a directory" if root.exists() else f"there is no directory {root}"
        raise UsageError(f"folder: {there}")
    try:
        return _split_by_hand(root) if (root / "train").is_dir() else _split_by_seed(root)
    except OSError as error:
        _refuse(error)


def _split_by_seed(root: Path) -> Listing:
    others = Counter[str]()
    classes = _class_names(root, others)
    _refuse_sets(root, classes)
    files = _files(root, root, classes, others)
    train, test = split_by_seed(files)
    tested = {file.label for file in test}
    for label, name in enumerate(classes):
        if label not in tested:
            what = f"the class {name!r}" if len(classes) > 1 else "the images"
            raise UsageError(
                f"folder: {what} of {root} cannot be split into training and test images: there is only one "
                "image, or one inner folder, whose images stay together; add images, or make train/ and test/"
            )
    notes = (*_one_class(classes), *_about_groups(root, classes, files), *_told(root, classes, others))
    return Listing(root, named(root), _meaningful(classes), train, test, carved=True, notes=notes)


def _split_by_hand(root: Path) -> Listing:
    train_root = root / "train"
    test_root = next((root / name for name in ("test", "val") if (root / name).is_dir()), None)
    if test_root is None:
        raise UsageError(
            f"folder: {root} has train/ but neither test/ nor val/; add one, or put the class folders side by side"
        )
    others = Counter[str]()
    classes = _class_names(train_root, others)
    train = _files(root, train_root, classes, others)
    strangers = [name for name in _class_folders(test_root, others) if name not in classes]
    if strangers:
        raise UsageError(f"folder: {test_root} has the class {strangers[0]!r}, which {train_root} lacks")
    test = _files(root, test_root, classes, others)
    if not test:
        expected = "" if classes == [ALL] else f" of the classes {', '.join(classes[:SHOWN])}"
        raise UsageError(f"folder: the test set {test_root} is empty: no image{expected}")
    notes = [*_one_class(classes), *_told(train_root, classes, others), *_told(test_root, classes, Counter())]
    used = {train_root.name, test_root.name}
    unused = [name for name in _class_folders(root, Counter()) if name not in used]
    if unused:
        notes.append(f"left out: the folders {', '.join(unused[:SHOWN])} beside {train_root.name} and {test_root.name}")
    return Listing(root, named(root), _meaningful(classes), train, test, carved=False, notes=tuple(notes))


def _refuse_sets(root: Path, classes: list[str]) -> None:
    """Refuse folders that have train/ with test/ or val/ themselves: each is a data set rather than a class."""
    sets = [name for name in classes if name and (root / name / "train").is_dir()]
    sets = [name for name in sets if any((root / name / other).is_dir() for other in ("test", "val"))]
    if sets:
        which = f"the folder {sets[0]} has" if len(sets) == 1 else f"the folders {_listed(sets)} have"
        raise UsageError(
            printable(
                f"folder: in {root}, {which} train/ and test/ (or val/), as a data set has, not a class: give one data "
                f"set, such as folder:{root / sets[0]}, or put train/ and test/ above the class folders"
            )
        )


def _about_groups(root: Path, classes: list[str], files: list[File]) -> list[str]:
    """Return the sentence that folders were taken for classes, and the folders in them for groups.

    It is said only if every class consists of several folders, since each may then be a data set of its own.
    """
    inner: dict[int, set[str]] = {}
    for file in files:
        inner.setdefault(file.label, set()).add(file.group if file.group != file.relpath else ALL)
    if classes == [ALL] or any(ALL in groups or len(groups) < 2 for groups in inner.values()):
        return []
    taken = f"its folders for classes ({_listed(classes)})" if len(classes) > 1 else "its only folder for no class"
    within = _listed([group.rpartition("/")[2] for group in sorted(inner[0])])
    return [
        printable(
            f"{root} was read with {taken}, and the folders in them for groups that no split separates (in "
            f"{classes[0]}: {within}); if those are the classes, give one data set, such as folder:{root / classes[0]}"
        )
    ]


def _listed(names: list[str]) -> str:
    return f"{', '.join(names[:SHOWN])}{', ...' * (len(names) > SHOWN)}"


def _one_class(classes: list[str]) -> list[str]:
    """Return the sentence that a single class is no label, if the images lie in one class folder."""
    if len(classes) > 1 or classes == [ALL]:
        return []
    return [
        printable(f"{ONE_CLASS}, the folder {classes[0]!r}: there is nothing to classify, so its images have no labels")
    ]


def _meaningful(classes: list[str]) -> list[str]:
    return classes if len(classes) > 1 else []


def _told(root: Path, classes: list[str], others: Counter[str]) -> tuple[str, ...]:
    """Return sentences about the files that are left out.

    They tell of images beside the class folders, and of other files in and below these folders, by extension.
    """
    notes = []
    beside = [path.name for path in root.iterdir() if _is_image(path.name)] if classes != [ALL] else []
    if beside:
        files = f"{len(beside)} image{'s' * (len(beside) > 1)} beside the class folders"
        notes.append(printable(f"left out: {files} of {root}, such as {min(beside)}"))
    if others:
        kinds = ", ".join(f"{count} {suffix}" for suffix, count in _ranked(others)[:SHOWN])
        total = sum(others.values())
        more = ", ..." if len(others) > SHOWN else ""
        notes.append(
            printable(
                f"left out: {total} file{'s' * (total > 1)} with other extensions ({kinds}{more}); "
                f"images end in {', '.join(EXTENSIONS)}"
            )
        )
    return tuple(notes)


def _class_names(root: Path, others: Counter[str]) -> list[str]:
    """Return the class folders of ``root``, or ``[ALL]`` if its images lie in no folder.

    Raises:
        UsageError: there are no images, or there are images beside the only folder.
    """
    classes = _class_folders(root, others)
    if len(classes) > 1:
        return classes
    loose = any(_is_image(path.name) for path in root.iterdir())
    if loose and classes:
        raise UsageError(
            f"folder: {root} has images beside its only folder {classes[0]!r}: put all images into class folders, "
            "or, without classes, all into one folder"
        )
    if not loose and not classes:
        if any(path.name.removesuffix(".gz").endswith(IDX) for path in root.iterdir()):
            raise UsageError(f"folder: {root} holds idx files, as MNIST has: give mnist:{root} or fashion-mnist:{root}")
        others.update(_suffix(path.name) for path in root.iterdir() if path.is_file() and not _is_litter(path.name))
        kinds = "".join(f", but {count} {suffix}" for suffix, count in _ranked(others)[:1])
        raise UsageError(f"folder: {root} holds no images (looked for *{', *'.join(EXTENSIONS)}){kinds}")
    if not classes:
        others.clear()  # they will be counted with the images
    return classes or [ALL]


def _class_folders(root: Path, others: Counter[str]) -> list[str]:
    """Return the folders of ``root`` that hold an image, without hidden ones.

    ``others`` counts the files of the remaining folders.
    """
    folders = sorted(p for p in root.iterdir() if p.is_dir() and not p.name.startswith("."))
    classes = []
    for folder in folders:
        seen = Counter[str]()
        if next(_images(folder, seen), None) is None:
            others.update(seen)
        else:
            classes.append(folder.name)
    return classes


def _files(root: Path, split_root: Path, classes: list[str], others: Counter[str]) -> list[File]:
    """Return the images of each class folder of ``split_root``, sorted within the folder.

    ``others`` counts the other files.
    """
    files: list[File] = []
    above = split_root.relative_to(root).parts
    for label, name in enumerate(classes):
        folder = split_root / name
        prefix = (*above, name) if name else above
        for parts in sorted(_images(folder, others)) if folder.is_dir() else []:
            below = (*prefix, *parts)
            files.append(File("/".join(below), label, "/".join(below[: len(above) + 2])))
    return files


def _images(folder: Path, others: Counter[str]) -> Iterator[tuple[str, ...]]:
    """Yield the path below ``folder`` of every image file; a folder that links lead to again is entered once.

    ``others`` counts the other files by extension, without hidden files and those of file managers.
    """
    seen: set[tuple[int, int]] = set()
    for directory, inner, names in os.walk(folder, followlinks=True, onerror=_refuse):
        stat = Path(directory).stat()
        if (stat.st_dev, stat.st_ino) in seen:
            inner.clear()
            continue
        seen.add((stat.st_dev, stat.st_ino))
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        parts = Path(directory).relative_to(folder).parts
        for name in names:
            if _is_image(name):
                yield (*parts, name)
            elif not _is_litter(name):
                others[_suffix(name)] += 1


def _is_image(name: str) -> bool:
    return not name.startswith(".") and name.lower().endswith(EXTENSIONS)


def _is_litter(name: str) -> bool:
    return name.startswith(".") or name.lower() in LITTER


def _ranked(counts: Counter[str]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _suffix(name: str) -> str:
    return Path(name).suffix.lower() or "without one"


def _refuse(error: OSError) -> NoReturn:
    raise UsageError(f"folder: cannot read {error.filename} ({error.strerror})") from error
