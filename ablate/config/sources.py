"""The kinds of data sets that ``--data`` takes: how each is written, what it reads, how large its images are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ablate.errors import UsageError, expanded, unknown


@dataclass(frozen=True)
class Kind:
    """A kind of data set.

    ``takes`` is the part after the colon in a user's words. ``side`` is the size of its images in pixels; None if the
    images are encoded files of any size, which are stored at a short side. With ``columns``, its labels lie in a column
    that ``--label`` can choose; with ``grey``, its images are grey, which ``--channels 1`` stores once. ``endings`` are
    those of the files that it may be given.
    """

    name: str
    takes: Literal["SEED", "PATH", "FILE"]
    about: str
    side: int | None = None
    columns: bool = False
    grey: bool = False
    endings: tuple[str, ...] = ()

    @property
    def written(self) -> str:
        """How a user writes it: ``folder:PATH``, or ``glyphs``, whose seed may be left out."""
        return self.name if self.takes == "SEED" else f"{self.name}:{self.takes}"


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("glyphs", "SEED", "the embedded digits; `glyphs:7` renders them with another seed", side=32),
        Kind("folder", "PATH", "image files in class folders, with or without `train` and `test` above them"),
        Kind(
            "table",
            "FILE",
            "image files listed in a CSV, TSV or Parquet file with their labels",
            columns=True,
            endings=(".csv", ".tsv", ".parquet"),
        ),
        Kind(
            "parquet",
            "PATH",
            "images in a column of Parquet files, as Hugging Face's `datasets` stores them",
            columns=True,
            endings=(".parquet",),
        ),
        Kind("webdataset", "PATH", "images in tar files, with labels beside them", columns=True, endings=(".tar",)),
        Kind("cifar10", "PATH", "the official files of CIFAR-10, Python or binary", side=32),
        Kind("cifar100", "PATH", "the official files of CIFAR-100, Python or binary", side=32),
        Kind("stl10", "PATH", "the official binary files of STL-10", side=96),
        Kind("mnist", "PATH", "the official idx files of MNIST, plain or `.gz`", side=28, grey=True),
        Kind("fashion-mnist", "PATH", "the official idx files of Fashion-MNIST, plain or `.gz`", side=28, grey=True),
        Kind("svhn", "PATH", "the official `train_32x32.mat` and `test_32x32.mat` of SVHN", side=32),
    )
}
"""Every kind of data set by its name, in the order of help and documentation."""


def kind_of(spec: str) -> Kind:
    """Return the kind of the data set that a user wrote as ``spec``.

    Raises:
        UsageError: an unknown kind.
    """
    name = spec.partition(":")[0]
    if name not in KINDS:
        if kinds := _kinds_of_path(spec):
            raise UsageError(f"unknown data set {spec!r}; did you mean {' or '.join(f'{k}:{spec}' for k in kinds)}?")
        raise unknown("data set", name, KINDS)
    return KINDS[name]


def absolute(spec: str) -> str:
    """Return ``spec`` with its path made absolute, so that it holds from any directory."""
    name, _, path = spec.partition(":")
    is_path = path and not (name in KINDS and KINDS[name].takes == "SEED")
    return f"{name}:{expanded(path).absolute()}" if is_path else spec


def evaluated_on(specs: str | list[str] | None) -> str | list[str] | None:
    """Return the data sets to evaluate on with absolute paths: None without any, one as a word, several as a list.

    Raises:
        ValueError: one of them is given twice.
    """
    found = [absolute(spec) for spec in ([specs] if isinstance(specs, str) else specs or ())]
    if len(set(found)) < len(found):
        raise ValueError("must name every data set once")
    return found if len(found) > 1 else next(iter(found), None)


def written(kinds: list[Kind]) -> str:
    """Return ``folder:PATH, table:FILE or stl10:PATH``."""
    *first, last = [kind.written for kind in kinds]
    return f"{', '.join(first)} or {last}" if first else last


FROM_FILES = [kind for kind in KINDS.values() if kind.side is None]
WITH_COLUMNS = [kind for kind in KINDS.values() if kind.columns]


def _kinds_of_path(text: str) -> list[str]:
    """Return the names of the kinds that read the directory or the file at this path, if there is one."""
    try:
        path = expanded(text)
        if path.is_dir():
            return ["folder"]
        return [kind.name for kind in KINDS.values() if path.suffix.lower() in kind.endings] if path.is_file() else []
    except (OSError, ValueError):  # too long, or no path at all
        return []
