"""Prepare the images of a sweep, and say what they are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from rich.progress import Progress
from torch import Tensor

from ablate.config.base import OpSpec
from ablate.config.experiment import Experiment
from ablate.config.sweep import NamedOp, SweepPlan
from ablate.console import make_console, say
from ablate.data import DataSet, Images, Resident, native_size, prepare, read_entry, side_of_files
from ablate.data.findings import describe
from ablate.data.sides import stored_side
from ablate.errors import UsageError
from ablate.evaluation.features import unaugmented
from ablate.ops import from_spec, idle_on, without_effect
from ablate.planning.settings import image_size

SAMPLE = 8  # images on which ops are tried
SQUARE = 0.9  # of an image's area: where its centre square is less, that is said
THIRD = 0.334  # of the area: files that are longer than 3 : 1 are stored without their ends, so it may be less


def about_size(wish: Experiment) -> str | None:
    """What the training size does to the images: it enlarges them, or leaves much of large files away; else None."""
    size, side, is_folder = image_size(wish), side_of_files(wish.data), wish.data.startswith("folder:")
    if side is None:
        return None
    stored = wish.short_side or (stored_side(size) if is_folder else size)
    if stored > side:
        own = native_size(wish.data)
        best = f"; --size {own} would not enlarge them" if is_folder and own < size else ""
        return f"images of {side} px are enlarged to {stored} px{best}"
    if is_folder and wish.short_side is None and side >= 2 * stored:
        return (
            f"images of {side} px are stored at {stored} px, from which crops are taken: small crops are blurred; "
            f"--short-side {min(side, 2 * stored)} keeps more of them"
        )
    return None


def about_shape(images: Images) -> str | None:
    """What is seen of ``images`` that are clearly not square; None where they are."""
    share = images.square
    if share >= SQUARE:
        return None
    cut = "at most " if share <= THIRD else ""
    return (
        f"these images are not square: evaluation sees their centre square, {cut}{100 * share:.0f} % of an image "
        "(median). Only crops reach the rest: the one that one-branch views share, and one that a two-branch "
        "composition begins with"
    )


def prepare_images(wish: Experiment, cache: Path) -> DataSet:
    """The data set, decoded into the cache with a progress bar if that takes work.

    What was left out, and what was done to images beyond resizing, is said.
    """
    console = make_console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("decoding images", total=None, visible=False)

        def show(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total, visible=True)

        data = prepare(
            wish.data,
            cache=cache,
            image_size=image_size(wish),
            short_side=wish.short_side,
            skip_corrupt=wish.skip_corrupt,
            eval_data=wish.eval_data,
            labels=wish.labels,
            progress=show,
        )
    if about := about_size(wish):
        say(console, about)
    if about := about_shape(data.train.images):
        say(console, about)
    if data.corrupt or data.refused:
        say(console, f"skipped {describe(data.corrupt, data.refused)}")
    for note in data.notes:
        say(console, note, "yellow" if "warning" in note else "dim")
    return data


def described(images: DataSet, image_size: int, ops: Iterable[OpSpec]) -> str:
    """What ``images`` are, and in a further line which of ``ops`` change nothing on them, tried on a few of them."""
    sample = _sample(images, image_size)
    return "\n".join([str(images), *without_effect([from_spec(op) for op in ops], sample)])


def as_they_act(ops: Sequence[NamedOp], images: DataSet, image_size: int) -> tuple[NamedOp, ...]:
    """``ops`` as reports tell of them: what changes nothing on a few of ``images`` acts on none."""
    sample = _sample(images, image_size)
    return tuple(op.model_copy(update={"acts": 0.0}) if idle_on([from_spec(op.op)], sample) else op for op in ops)


def _sample(images: DataSet, image_size: int) -> Tensor:
    """A few images to pre-train on, as evaluation sees them, float ``[n, 3, image_size, image_size]``."""
    count = len(images.pretrain.labels)
    index = torch.arange(min(count, SAMPLE)) * count // min(count, SAMPLE)
    pixels, sizes = Resident(images.pretrain.images, torch.device("cpu")).batch(index)
    return unaugmented(pixels, sizes, image_size)


def images_of(experiment: SweepPlan, cache: Path) -> DataSet:
    """The images that a sweep was planned for, from the cache, or decoded again from where they lay.

    Raises:
        UsageError: they are not there any more, or are others by now.
    """
    identity = experiment.shared.data
    try:
        return read_entry(cache, identity.fingerprint)
    except FileNotFoundError:
        wish = Experiment(
            data=experiment.data,
            eval_data=experiment.eval_data,
            labels=experiment.labels,
            short_side=experiment.short_side,
            skip_corrupt=True,
            compositions=["none"],
            set={"image_size": experiment.shared.image_size},
        )
        data = prepare_images(wish, cache)
    if data.identity.fingerprint != identity.fingerprint:
        raise UsageError(f"the images of {experiment.data} have changed since the sweep: run the sweep again")
    return data
