"""Prepare the images of a sweep, and describe them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import Progress
from torch import Tensor

from ablate.config.at_hand import as_option, takes
from ablate.config.base import OpSpec
from ablate.config.experiment import Experiment
from ablate.config.measure import Measure, reason
from ablate.config.sources import FROM_FILES, kind_of
from ablate.config.sweep import NamedOp, SweepPlan
from ablate.console import make_console, say
from ablate.data import DataSet, Images, Resident, native_size, prepare, read_entry, side_of_files
from ablate.data.class_sizes import about_small_classes
from ablate.data.decoding.findings import describe
from ablate.data.sources.sides import stored_side
from ablate.errors import UsageError
from ablate.evaluation.features import unaugmented
from ablate.ops import acts_on, from_spec, without_effect
from ablate.planning.settings import image_size

DECODING = "decoding images"
LINE_EVERY = 30.0  # seconds between plain lines on the progress, as in a sweep
SAMPLE = 8  # images on which ops are tried
SQUARE = 0.9  # of an image's area: the user is told where the centre square is less
THIRD = 0.334  # of the area: files longer than 3 : 1 are stored without their ends, so the true share may be less


def about_size(wish: Experiment) -> str | None:
    """Return a sentence if the training size enlarges the images or leaves out much of large files, else None."""
    files = wish.data, wish.label, wish.reading.channels
    size, side, from_files = image_size(wish), side_of_files(*files), kind_of(wish.data) in FROM_FILES
    if side is None:
        return None
    stored = wish.short_side or (stored_side(size) if from_files else size)
    if stored > side:
        own = native_size(*files)
        best = (
            f"; {as_option('image_size', own)} avoids that" if from_files and own < size and takes("image_size") else ""
        )
        return f"images of {side} px are enlarged to {stored} px{best}"
    if from_files and wish.short_side is None and side >= 2 * stored:
        more = as_option("short_side", min(side, 2 * stored))
        keeps = f"; {more} keeps more detail" if takes("short_side") else ""
        return (
            f"images of {side} px are stored at {stored} px and cropped from there, so small crops are blurred{keeps}"
        )
    return None


def about_shape(images: Images, called: str = "these images") -> str | None:
    """Return a sentence on what is seen of ``images`` that are clearly not square, or None if they are square."""
    share = images.square
    if share >= SQUARE:
        return None
    cut = "at most " if share <= THIRD else ""
    return (
        f"{called} are not square: evaluation sees only their centre square, {cut}{100 * share:.0f} % of an image "
        "(median). Only crops reach the rest: the base crop of one-branch pairs, and a crop at the start of a "
        "two-branch composition"
    )


def about_shapes(data: DataSet, *, named: bool) -> list[str]:
    """Return :func:`about_shape` for each set that encoders are evaluated on; ``named`` by the set, else "these"."""
    first = data.main or data.name.partition(", evaluated on ")[2].partition(" (")[0]
    sets = (first, data), *((further.name, further) for further in data.further)
    said = (about_shape(each.train.images, f"the images of {name}" if named else "these images") for name, each in sets)
    return [sentence for sentence in said if sentence]


def prepare_images(wish: Experiment, cache: Path) -> DataSet:
    """Return the data set, decoded into the cache with a progress bar if that takes work.

    Images that were left out, and changes to images beyond resizing, are printed.
    """
    data, console = _prepared(wish, cache), make_console(stderr=True)
    if about := about_size(wish):
        say(console, about)
    for about in about_shapes(data, named=wish.eval_data is not None):
        say(console, about)
    if data.corrupt or data.refused:
        say(console, f"skipped {describe(data.corrupt, data.refused)}")
    for note in data.notes:
        say(console, note, "yellow" if "warning" in note else "dim")
    return data


def _prepared(wish: Experiment, cache: Path) -> DataSet:
    with _shown(make_console(stderr=True)) as show:
        return prepare(
            wish.data,
            cache=cache,
            image_size=image_size(wish),
            short_side=wish.short_side,
            skip_corrupt=wish.skip_corrupt,
            reading=wish.reading,
            eval_data=wish.eval_data,
            label=wish.label,
            labels=wish.labels,
            limit=wish.limit,
            progress=show,
        )


@contextmanager
def _shown(console: Console) -> Iterator[Callable[[int, int], None]]:
    """Yield a function that shows how much is decoded: as a bar on a terminal, else in a line every 30 seconds."""
    due = time.monotonic() + LINE_EVERY

    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(DECODING, total=None, visible=False)

        def show(done: int, total: int) -> None:
            nonlocal due
            bar.update(task, completed=done, total=total, visible=True)
            if not console.is_terminal and time.monotonic() >= due:
                due = time.monotonic() + LINE_EVERY
                say(console, f"{DECODING}: {done} of {total}")

        yield show


def described(
    images: DataSet, image_size: int, ops: Iterable[OpSpec], measure: Measure | None = None, limit: int | None = None
) -> str:
    """Return a description of ``images`` and of further tasks, with lines on small classes and on ops without effect.

    Args:
        images: the images.
        image_size: the size of training images.
        ops: the ops that are used.
        measure: the measure that ranks compositions, which the first line says; None: it says none.
        limit: the number of training images that was asked for, if any; the first line says why there are others.
    """
    is_met = limit == len(images.train.labels) or " training images)" not in images.name  # else all were kept
    told = "" if is_met else f"; limit {limit} is approximate: classes are drawn alike, and groups as a whole"
    why = reason(measure, images.class_counts).rstrip(".") if measure else ""
    ranked = f"; {why[0].lower()}{why[1:]}" if why else ""
    lines = [f"{images}{told}{ranked}", *about_small_classes(images.classes, images.all_class_counts)]
    for task in images.tasks:
        small = about_small_classes(task.classes, task.described(images.val_mask).class_counts)
        lines += [task.in_words(images.val_mask), *(f"task {task.name}: {line}" for line in small)]
    for each in images.further:
        small = about_small_classes(each.classes, each.all_class_counts)
        lines += [f"task {each}", *(f"task {each.name}: {line}" for line in small)]
    return "\n".join([*lines, *about_idle(ops, images, image_size)])


def about_idle(ops: Iterable[OpSpec], images: DataSet, image_size: int) -> list[str]:
    """Return sentences on the ops, and on the parameters, that change nothing on ``images``."""
    return without_effect([from_spec(op) for op in ops], _sample(images, image_size))


def as_they_act(ops: Sequence[NamedOp], images: DataSet, image_size: int) -> tuple[NamedOp, ...]:
    """Return ``ops`` for the reports, with the share of ``images`` on which each acts, as tried on a few of them."""
    sample = _sample(images, image_size)
    return tuple(op.replace(acts=round(acts_on(from_spec(op.op), sample), 6)) for op in ops)


def _sample(images: DataSet, image_size: int) -> Tensor:
    """Return a few images to pre-train on, as evaluation sees them, float ``[n, c, image_size, image_size]``."""
    count = len(images.pretrain.labels)
    index = torch.arange(min(count, SAMPLE)) * count // min(count, SAMPLE)
    pixels, sizes = Resident(images.pretrain.images, torch.device("cpu")).batch(index)
    return unaugmented(pixels, sizes, image_size)


def images_of(experiment: SweepPlan, cache: Path) -> DataSet:
    """Return the images that a sweep was planned for, from the cache or decoded again from their source.

    Raises:
        UsageError: they are gone, or have changed since.
    """
    try:
        return read_entry(cache, experiment.shared.data.fingerprint)
    except FileNotFoundError:
        return images_again(experiment, cache)


def images_again(experiment: SweepPlan, cache: Path) -> DataSet:
    """Return the images that a sweep was planned for, prepared again from their source.

    Raises:
        UsageError: they are gone, or have changed since.
    """
    data = fewer_images(experiment, cache, experiment.limit, experiment.shared.image_size)
    if data.identity.fingerprint != experiment.shared.data.fingerprint:
        raise UsageError(f"the images of {experiment.data} have changed since the sweep: run the sweep again")
    return data


def fewer_images(experiment: SweepPlan, cache: Path, limit: int | None, image_size: int) -> DataSet:
    """Return the images of a sweep, prepared as for another ``limit`` and ``image_size``; print no notes on them.

    Args:
        experiment: the sweep's plan.
        cache: where the decoded images are.
        limit: the number of training images to keep; None: all.
        image_size: the training size in pixels.

    Raises:
        UsageError: the images are gone.
    """
    wish = Experiment(
        data=experiment.data,
        eval_data=experiment.eval_data,
        label=experiment.label,
        labels=experiment.labels,
        limit=limit,
        short_side=experiment.short_side,
        skip_corrupt=True,
        **experiment.reading.model_dump(),
        compositions=["none"],
        set={"image_size": image_size},
    )
    return _prepared(wish, cache)
