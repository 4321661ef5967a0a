"""Turn the name of a data set, as the user gives it, into a data set that is ready to train on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ablate.data.cache import Source, cache_dir, compose, obtain
from ablate.data.composed import Recipe
from ablate.data.dataset import DataSet
from ablate.data.entry import Progress
from ablate.data.findings import refusal
from ablate.data.folder import Folder
from ablate.data.glyphs import Glyphs
from ablate.data.sides import LARGEST, default_size, median_side, stored_side
from ablate.data.torchvision_sets import FORMATS, TorchvisionSet
from ablate.errors import UsageError, expanded, unknown

KINDS = ("glyphs", *FORMATS, "folder")
NATIVE = {"glyphs": 32, "cifar10": 32, "cifar100": 32, "stl10": 96}


def prepare(
    spec: str,
    *,
    cache: Path | None = None,
    image_size: int | None = None,
    short_side: int | None = None,
    eval_data: str | None = None,
    labels: float | None = None,
    skip_corrupt: bool = False,
    progress: Progress = lambda done, total: None,
) -> DataSet:
    """Return the data set that ``spec`` names, decoding it into ``cache`` (once, under a lock) if it is not there yet.

    Args:
        spec: ``glyphs``, ``glyphs:SEED``, ``cifar10:PATH``, ``cifar100:PATH``, ``stl10:PATH`` or ``folder:PATH``.
        cache: the directory of decoded images; default: :func:`cache_dir`.
        image_size: training size in pixels, by default the data set's own.
        short_side: the short side at which a folder's images are stored, in pixels; by default the training size or,
            above 64 px, 1/0.875 of it, so that evaluation's centre crop has the training size.
        eval_data: the labelled set that evaluation trains and tests on, named as in ``spec``; with it, all images of a
            folder that is split by seed are for pre-training.
        labels: the fraction of training images that keep their label, in (0, 1].
        skip_corrupt: leave out files that are unreadable or would be damaged; the result names them.
        progress: called with (done, total) while decoding.

    Raises:
        UsageError: an unknown kind, a missing or unfit path, corrupt or refused files, an unwritable cache, a short
            side that is below the training size or is given without a folder, a fraction out of range, or labels needed
            from images without classes.
    """
    specs = [spec] if eval_data is None else [spec, eval_data]
    size, where = image_size or native_size(spec), cache or cache_dir(None)
    if labels is not None and not 0 < labels <= 1:
        raise UsageError(f"labels must be the fraction of labels to keep, above 0 and at most 1, not {labels:g}")
    if short_side is not None and "folder" not in map(_kind, specs):
        raise UsageError(f"a short side is for folder:PATH; the images of {' and '.join(specs)} have their own size")
    short = _short_side(size, short_side)
    sets = [_obtained(_source(name, short, skip_corrupt), where, skip_corrupt, progress) for name in specs]
    pretrain, labelled = sets[0], sets[-1]
    if (eval_data is not None or labels is not None) and not labelled.classes:
        asked = "evaluation" if eval_data is not None else "a fraction of labels"
        raise UsageError(f"{asked} needs labelled images, and {specs[-1]} has no classes")
    recipe = Recipe(pretrain.fingerprint, labelled.fingerprint, 1.0 if labels is None else float(labels))
    if recipe.pretrain == recipe.labelled and recipe.labels == 1:
        return pretrain
    told = sets[0].notes if len(sets) == 1 else [f"{data.name}: {note}" for data in sets for note in data.notes]
    return replace(compose(where, recipe), notes=tuple(told))


def native_size(spec: str) -> int:
    """Return the size in pixels at which a data set is trained by default.

    The size of a folder depends on its images, see :func:`ablate.data.sides.default_size`; it is 224 if none of them
    can be read.

    Raises:
        UsageError: an unknown kind, or a folder without images.
    """
    kind, side = _kind(spec), side_of_files(spec)
    if kind == "folder":
        return LARGEST if side is None else default_size(side)
    return NATIVE[kind]


def side_of_files(spec: str) -> int | None:
    """Return the short side of the original images, in pixels.

    For a folder it is the median, or None if no image can be read.

    Raises:
        UsageError: an unknown kind, or a folder without images.
    """
    kind, _, path = _kind(spec), *spec.partition(":")[1:]
    return NATIVE[kind] if kind != "folder" else median_side(expanded(path)) if path else None


def _kind(spec: str) -> str:
    kind = spec.partition(":")[0]
    if kind not in KINDS:
        if _is_directory(spec):
            raise UsageError(f"unknown data set {spec!r}; did you mean folder:{spec}?")
        raise unknown("data set", kind, KINDS)
    return kind


def _is_directory(text: str) -> bool:
    try:
        return expanded(text).is_dir()
    except (OSError, ValueError):  # too long, or no path at all
        return False


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


def _source(spec: str, short: int, skip_corrupt: bool) -> Source:
    kind, _, rest = _kind(spec), *spec.partition(":")[1:]
    if kind == "glyphs":
        if rest and not rest.isdecimal():
            raise UsageError(f"glyphs takes a rendering seed, as in glyphs:7, not {rest!r}")
        return Glyphs(int(rest or 0))
    if not rest:
        raise UsageError(f"{kind} needs a path: --data {kind}:PATH")
    path = expanded(rest)
    return Folder(path, short, skip_corrupt=skip_corrupt) if kind == "folder" else TorchvisionSet(kind, path)
