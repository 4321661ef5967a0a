"""The plans of a calibration: some cells of a finished sweep, at every fidelity that its training allows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ablate.config.slurm import Slurm
from ablate.config.sweep import NamedComposition, SweepPlan
from ablate.config.tasks import main_task
from ablate.data import DataSet
from ablate.errors import UsageError
from ablate.ops import from_spec, rehearse
from ablate.planning.images import fewer_images, images_again
from ablate.planning.settings import check_data
from ablate.sweep.fidelity import Fidelity, fidelities, settings_of

Say = Callable[[str], None]


@dataclass(frozen=True)
class Cheaper:
    """A cheaper sweep of a calibration: its fidelity, its plan, and a description of its images."""

    fidelity: Fidelity
    plan: SweepPlan
    images: str


@dataclass(frozen=True)
class Asked:
    """What a calibration trains at every fidelity, by which command, and in which jobs if it runs on a cluster."""

    cells: Sequence[NamedComposition]
    seeds: Sequence[int]
    command: str
    slurm: Slurm | None


def calibration(full: SweepPlan, asked: Asked, cache: Path, say: Say) -> tuple[dict[str, int], list[Cheaper]]:
    """Plan the cheaper sweeps of a calibration.

    Args:
        full: the plan of the finished sweep.
        asked: the cells and seeds of the calibration, and how it runs.
        cache: where the decoded images are.
        say: called with a sentence for every fidelity that these images or ops do not allow.

    Returns:
        The settings of the finished sweep, by the names of :data:`ablate.sweep.fidelity.NAMES`; and the cheaper sweeps.

    Raises:
        UsageError: the images are gone or have changed, or no cheaper training is possible.
    """
    count = len(images_again(full, cache).pretrain.labels)
    planned: list[Cheaper] = []
    for fidelity in fidelities(full.shared, count):
        limit, size = (fidelity.settings.get(name) for name in ("limit", "image_size"))
        images = fewer_images(full, cache, limit or full.limit, size or full.shared.image_size)
        plan = _at(full, fidelity, asked, images)
        try:
            _check(plan, images)
        except UsageError as error:
            say(f"left out: {fidelity}: {error}")
        else:
            planned.append(Cheaper(fidelity, plan, str(images)))
    if not planned:
        raise UsageError(
            "no cheaper training is possible: a calibration lowers epochs (from 2), images (from "
            f"{4 * full.shared.batch_size} with this batch size), the image size (from 22 px) or the encoder's width"
        )
    return settings_of(full, count), planned


def _at(full: SweepPlan, fidelity: Fidelity, asked: Asked, images: DataSet) -> SweepPlan:
    """Return the sweep of the cells that ``asked`` names, trained as in ``full`` but for the settings of a fidelity."""
    shared, lower = full.shared, fidelity.settings
    epochs = lower.get("epochs", shared.epochs)
    width = lower.get("encoder.width", shared.encoder.width)
    return full.replace(
        command=asked.command,
        ops=(),
        first=None,  # the compositions have it
        unordered=False,
        pairs_with=(),
        compositions=tuple(asked.cells),
        baseline=None,
        rounds=None,
        budgeted=None,
        references=(),
        seeds=tuple(asked.seeds),
        limit=lower.get("limit", full.limit),
        keep_encoders="none",
        ranges=images.ranges,
        background=images.background,
        class_counts=images.all_class_counts,
        tasks=images.every_task(main_task(full.label)),
        slurm=asked.slurm,
        shared=shared.replace(
            epochs=epochs,
            warmup_epochs=shared.warmup_epochs * (epochs / shared.epochs),  # in proportion, as with --epochs
            image_size=lower.get("image_size", shared.image_size),
            encoder=shared.encoder.replace(width=width),
            data=images.identity,
        ),
    )


def _check(plan: SweepPlan, images: DataSet) -> None:
    """Raise UsageError if a batch needs more images than there are, or an op fails at the image size."""
    check_data(plan.shared, images)
    for op in plan.every_op:
        rehearse(from_spec(op), plan.shared.image_size, images.identity.channels)
