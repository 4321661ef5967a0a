"""Turn the name of a data set, as the user gives it, into a data set that is ready to train on."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from ablate.config.at_hand import as_option
from ablate.config.reading import Reading
from ablate.config.sources import FROM_FILES, WITH_COLUMNS, kind_of, written
from ablate.data.cache import Source, compose, obtain
from ablate.data.composed import Recipe
from ablate.data.dataset import DataSet
from ablate.data.decoding.findings import refusal
from ablate.data.decoding.learned import PixelType
from ablate.data.duplicates import about_duplicates
from ablate.data.entry import Progress
from ablate.data.place import cache_dir
from ablate.data.sources.encoded import Encoded
from ablate.data.sources.glyphs import Glyphs
from ablate.data.sources.idx import CLASSES, find_idx
from ablate.data.sources.listing import Listing
from ablate.data.sources.official import Official, OfficialFiles
from ablate.data.sources.parquet_set import scan_parquet
from ablate.data.sources.scan import scan
from ablate.data.sources.sides import LARGEST, default_size, median_side, stored_side
from ablate.data.sources.svhn import find_svhn
from ablate.data.sources.table import scan_table
from ablate.data.sources.torchvision_sets import FORMATS, find_official
from ablate.data.sources.webdataset import scan_webdataset
from ablate.errors import UsageError, expanded

LISTINGS: dict[str, Callable[[Path, str | None], Listing]] = {
    "folder": lambda path, label: scan(path),
    "table": scan_table,
    "parquet": scan_parquet,
    "webdataset": scan_webdataset,
}
"""The function that lists the encoded images of each kind of data set that has them; it takes a path and --label."""

OFFICIAL: dict[str, Callable[[Path], OfficialFiles]] = {
    **{name: functools.partial(find_official, name) for name in FORMATS},
    **{name: functools.partial(find_idx, name) for name in CLASSES},
    "svhn": find_svhn,
}
"""The function that finds the official files of each kind of data set that has them."""


def prepare(
    spec: str,
    *,
    cache: Path | None = None,
    image_size: int | None = None,
    short_side: int | None = None,
    eval_data: str | Sequence[str] | None = None,
    label: str | None = None,
    labels: float | None = None,
    limit: int | None = None,
    skip_corrupt: bool = False,
    reading: Reading | None = None,
    progress: Progress = lambda done, total: None,
) -> DataSet:
    """Return the data set that ``spec`` names, decoding it into ``cache`` (once, under a lock) if it is not there yet.

    Args:
        spec: a kind of :data:`ablate.config.sources.KINDS` with its path, like ``folder:PATH``.
        cache: the directory of decoded images; default: :func:`cache_dir`.
        image_size: training size in pixels, by default the data set's own.
        short_side: the short side at which encoded images are stored, in pixels; by default the training size or,
            above 64 px, 1/0.875 of it, so that evaluation's centre crop has the training size.
        eval_data: the labelled set that evaluation trains and tests on, named as in ``spec``; with it, all images of a
            folder that is split by seed are for pre-training. Of several, the first is for the main task, and every
            other one for a further task of its name.
        label: the column of the labels, for a kind with columns; or several, the first for the main task.
        labels: the fraction of training images that keep their label, in (0, 1].
        limit: about how many training images to keep, and images to pre-train on, in whole groups of every class.
        skip_corrupt: leave out files that are unreadable or would be damaged; the result names them.
        reading: how the image files of a folder are read; by default as they say themselves.
        progress: called with (done, total) while decoding.

    Raises:
        UsageError: an unknown kind, a missing or unfit path, corrupt or refused files, an unwritable cache, a short
            side that is below the training size or is given without encoded images, a label column without a table, a
            fraction or limit out of range, labels needed from images without classes, too few of a further task, or
            several sets to evaluate on that are not told apart, or that have several columns of labels.
    """
    evaluated = [eval_data] if isinstance(eval_data, str) else list(eval_data or ())
    specs = [spec, *evaluated]
    reading = reading or Reading()
    size, where = image_size or native_size(spec, label, reading.channels), cache or cache_dir(None)
    if labels is not None and not 0 < labels <= 1:
        raise UsageError(f"labels must be the fraction of labels to keep, above 0 and at most 1, not {labels:g}")
    if limit is not None and limit < 1:
        raise UsageError(f"limit must be the number of training images to keep, at least 1, not {limit}")
    _check_kinds(specs, short_side, label, reading)
    short = _short_side(size, short_side)
    sources = [_source(name, label, short, reading, skip_corrupt) for name in specs]
    _check_told_apart(sources[1:])
    sets = [_obtained(source, where, skip_corrupt, progress) for source in sources]
    pretrain, labelled, *further = sets if evaluated else [sets[0], sets[0]]
    _check_alike(sets)
    if evaluated or labels is not None:
        asked = "evaluation" if evaluated else "a fraction of labels"
        for name, each in zip(evaluated or specs, [labelled, *further], strict=True):
            if not each.classes:
                raise UsageError(f"{asked} needs labelled images, and {name} has no classes")
    spare = len(pretrain.test.labels) if evaluated and pretrain.carved else 0
    most = max(len(pretrain.pretrain.labels) + spare, *(len(each.train.labels) for each in (labelled, *further)))
    limit = None if limit is not None and limit >= most else limit
    fingerprints = tuple(each.fingerprint for each in further)
    share = 1.0 if labels is None else float(labels)
    recipe = Recipe(pretrain.fingerprint, labelled.fingerprint, share, limit, fingerprints)
    is_whole = recipe == Recipe(recipe.labelled, recipe.labelled, 1.0)
    data = pretrain if is_whole else compose(where, recipe)
    for task in data.tasks:
        task.check(data.val_mask)
    return _with_notes(data, sets, labelled.name)


def _with_notes(data: DataSet, sets: Sequence[DataSet], labelled: str) -> DataSet:
    """Return ``data`` with notes: those of its ``sets``, and those on equal images that are used of ``labelled``."""
    told = [(each.name, note) for each in sets for note in each.notes]
    evaluated = {labelled: data, **{each.name: each for each in data.further}}
    told += [(name, note) for name, each in evaluated.items() for note in about_duplicates(each.alike)]
    return replace(data, notes=tuple(note if len(sets) == 1 else f"{name}: {note}" for name, note in told))


def _check_told_apart(sources: Sequence[Source]) -> None:
    """Refuse several sets to evaluate on that have the same name, or several columns of labels."""
    names = [source.name for source in sources]
    if twice := [name for number, name in enumerate(names) if name in names[:number]]:
        raise UsageError(
            f"--eval-data names two data sets called {twice[0]}, and a task has the name of its set: rename the folder "
            "or file of one of them"
        )
    several = [source.name for source in sources if isinstance(source, Encoded) and source.listing.tasks]
    if several and len(sources) > 1:
        raise UsageError(
            f"several columns of --label, as {several[0]} has, are tasks on the same images, and several --eval-data "
            "are tasks on others: give one column, or one --eval-data"
        )


def _check_alike(sets: Sequence[DataSet]) -> None:
    """Refuse two sets of images that one encoder cannot take."""
    types = [PixelType(str(data.train.images.dtype).removeprefix("torch."), data.identity.channels) for data in sets]
    if len(set(types)) > 1:
        each = " and ".join(f"{data.name} has {kind}" for data, kind in zip(sets, types, strict=True))
        raise UsageError(f"{each}: an encoder needs images of one kind")


def native_size(spec: str, label: str | None = None, channels: int | None = None) -> int:
    """Return the size in pixels at which a data set is trained by default.

    The size of encoded images depends on the images, see :func:`ablate.data.sources.sides.default_size`; it is 224 if
    none of them can be read.

    Args:
        spec: the data set, like ``folder:PATH``.
        label: the column of the labels, if any.
        channels: the declared number of channels, if any.

    Raises:
        UsageError: an unknown kind, or no images.
    """
    kind, side = kind_of(spec), side_of_files(spec, label, channels)
    return kind.side or (LARGEST if side is None else default_size(side))


def side_of_files(spec: str, label: str | None = None, channels: int | None = None) -> int | None:
    """Return the short side of the original images, in pixels.

    For encoded images it is the median, or None if no image can be read.

    Args:
        spec: the data set, like ``folder:PATH``.
        label: the column of the labels, if any.
        channels: the declared number of channels, if any.

    Raises:
        UsageError: an unknown kind, or no images.
    """
    kind, _, path = kind_of(spec), *spec.partition(":")[1:]
    if kind.side is not None:
        return kind.side
    where = expanded(path)
    return _side(kind.name, where, label, channels, where.stat().st_mtime_ns) if path and where.exists() else None


@functools.lru_cache(maxsize=8)
def _side(kind: str, path: Path, label: str | None, channels: int | None, changed: int) -> int | None:
    return median_side(LISTINGS[kind](path, label), channels)


def _check_kinds(specs: list[str], short_side: int | None, label: str | None, reading: Reading) -> None:
    """Refuse settings for kinds of data sets that have no use for them."""
    kinds = [kind_of(spec) for spec in specs]
    if short_side is not None and not any(kind in FROM_FILES for kind in kinds):
        raise UsageError(
            f"a short side is for {written(FROM_FILES)}; the images of {' and '.join(specs)} have their own size"
        )
    asked = [as_option(name, value) for name, value in reading.model_dump(exclude_defaults=True).items()]
    once = reading == Reading(channels=1)
    if asked and not any(kind in FROM_FILES or (once and kind.grey) for kind in kinds):
        raise UsageError(f"{' and '.join(asked)}: only {written(FROM_FILES)} can be read so, not {' and '.join(specs)}")
    if label is not None and not any(kind.columns for kind in kinds):
        folder = any(kind.name == "folder" for kind in kinds)
        other = "; a table of its images can name groups, or anything else, as further tasks" if folder else ""
        raise UsageError(f"--label is for {written(WITH_COLUMNS)}; {' and '.join(specs)} has no columns{other}")


def _short_side(image_size: int, short_side: int | None) -> int:
    if short_side is None:
        return stored_side(image_size)
    if short_side < image_size:
        raise UsageError(
            f"the short side {short_side} is smaller than the training size {image_size}; allowed: {image_size} or more"
        )
    return short_side


def _obtained(source: Source, cache: Path, skip_corrupt: bool, progress: Progress) -> DataSet:
    data = obtain(source, cache, progress)
    if (data.corrupt or data.refused) and not skip_corrupt:
        raise UsageError(refusal(data.corrupt, data.refused))
    return replace(data, notes=(*source.notes, *data.notes))


def _source(spec: str, label: str | None, short: int, reading: Reading, skip_corrupt: bool) -> Source:
    kind, _, rest = kind_of(spec), *spec.partition(":")[1:]
    if kind.name == "glyphs":
        if rest and not rest.isdecimal():
            raise UsageError(f"glyphs takes a rendering seed, as in glyphs:7, not {rest!r}")
        return Glyphs(int(rest or 0))
    if not rest:
        raise UsageError(f"{kind.name} needs a path: {as_option('data', kind.written)}")
    path = expanded(rest)
    if kind.name in LISTINGS:
        listing = LISTINGS[kind.name](path, label if kind.columns else None)
        return Encoded(kind.name, path, listing, short, reading, skip_corrupt=skip_corrupt)
    return Official(kind.name, OFFICIAL[kind.name](path), once=kind.grey and reading.channels == 1)
