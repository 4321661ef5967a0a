"""Check that the workers of a sweep fit into this machine's memory, and advise if they do not; needs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ablate.config.at_hand import as_option, takes
from ablate.config.encoder import Encoder
from ablate.config.sweep import SweepPlan
from ablate.config.trial import TrialConfig
from ablate.console import counted
from ablate.errors import UsageError
from ablate.launch.oom import available
from ablate.planning.footprint import peak

CLEARLY = 1.2  # a sweep that needs more than this multiple of the free memory is refused
CLOSE = 0.8  # a sweep that needs more than this share of the free memory is warned about
SMALLER = (Encoder(name="resnet18"), Encoder(name="resnet8"), Encoder(name="resnet8", width=16))
LEAST_BATCH, LEAST_SIZE = 16, 32


@dataclass(frozen=True)
class Room:
    """The memory that workers need and the memory that is ``free``, in bytes.

    ``workers`` of them run side by side; ``config`` is the largest configuration of a sweep.
    """

    config: TrialConfig
    each: int
    workers: int
    free: int
    images: int

    @property
    def fitting(self) -> int:
        """The number of such workers that fit into the free memory."""
        return self.free // self.each

    def __str__(self) -> str:
        """Describe the memory: ``memory: about 4.9 GiB per worker, 9.8 GiB for 2 workers; 22 GiB are free``."""
        several = f", {gib(self.each * self.workers)} for {self.workers} workers" if self.workers > 1 else ""
        return f"memory: about {gib(self.each)} per worker{several} (calculated); {gib(self.free)} are free"

    @property
    def warning(self) -> str | None:
        """A warning if memory is short or almost short; None if there is room."""
        if self.each * self.workers <= CLOSE * self.free:
            return None
        if self.each * self.workers <= self.free:
            return f"that is close: a smaller batch{' or fewer --workers' * (self.workers > 1)} would be safer"
        return f"that will not fit: {self.advice()}"

    def advice(self) -> str:
        """Suggest what would fit: fewer workers, smaller parts or batches, smaller images, a smaller encoder."""
        suggestions = [f"--workers {self.fitting}"] if 0 < self.fitting < self.workers else []
        suggestions += _changes(self) if takes("batch_size") else []
        return (
            f"{', '.join(suggestions[:-1])}{' or ' if suggestions[1:] else ''}{suggestions[-1]} would fit"
            if suggestions
            else "a machine with more memory would"
        )


def _changes(room: Room) -> list[str]:
    config, batch = room.config, room.config.batch_size

    def fits(**changes: object) -> bool:
        need = peak(config.replace(**changes), room.images)
        return need is not None and need * room.workers <= CLOSE * room.free

    parts = (batch // n for n in range(2, batch // LEAST_BATCH + 1) if batch % n == 0)
    suggestions = []
    if config.world_size == 1 and (part := next((m for m in parts if fits(micro_batch=m)), None)):
        suggestions.append(as_option("micro_batch", part))
    halves = (b for n in range(1, batch.bit_length()) if (b := batch >> n) % config.world_size == 0)
    smaller = next((b for b in halves if b >= LEAST_BATCH and fits(batch_size=b, micro_batch=None)), None)
    if smaller:
        suggestions.append(as_option("batch_size", smaller))
    if size := next((s for s in range(config.image_size // 4 * 4, LEAST_SIZE - 1, -4) if fits(image_size=s)), None):
        suggestions.append(as_option("image_size", size))
    if encoder := next((e for e in SMALLER if e != config.encoder and fits(encoder=e)), None):
        width = f" {as_option('encoder.width', encoder.width)}" if encoder.name == "resnet8" else ""
        suggestions.append(f"{as_option('encoder.name', encoder.name)}{width}")
    return suggestions


def room_of(experiment: SweepPlan, workers: int, cache: Path) -> Room | None:
    """Return :func:`room_for` the cells of a sweep.

    Args:
        experiment: the sweep's plan.
        workers: how many workers run side by side.
        cache: where the sweep's decoded images are.
    """
    from ablate.data import read_entry

    try:
        data = read_entry(cache, experiment.shared.data.fingerprint)
    except FileNotFoundError:
        return None
    configs = [variant.shared for variant in experiment.variants] or [experiment.shared]
    return room_for(configs, workers, data.evaluated)


def room_for(configs: Sequence[TrialConfig], workers: int, images: int) -> Room | None:
    """Return the room for the largest of ``configs`` on this machine's CPUs; None if it is not known.

    Args:
        configs: the settings of the trials.
        workers: how many workers run side by side.
        images: the number of training and test images, whose features evaluation keeps.
    """
    free = available()
    needs = [(need, config) for config in configs if (need := peak(config, images)) is not None]
    if free is None or not needs or configs[0].device != "cpu":
        return None
    each, config = max(needs, key=lambda pair: pair[0])
    return Room(config, each, workers, free, images)


def refuse_without_room(room: Room | None) -> str | None:
    """Return a warning to show before work begins, or None.

    Raises:
        UsageError: the workers clearly do not fit.
    """
    if room is None or room.warning is None:
        return None
    if room.each * room.workers > CLEARLY * room.free:
        who = "one worker" if room.workers == 1 else counted(room.workers, "worker")
        needs = f"{who} would take about {gib(room.each * room.workers)} of memory"
        raise UsageError(f"{needs}, and {gib(room.free)} are free; {room.advice()}")
    return f"{room}; {room.warning}"


def gib(number: int) -> str:
    """Format a number of bytes: ``0.6 GiB``, ``22 GiB``."""
    value = number / 2**30
    return f"{value:.0f} GiB" if value >= 10 else f"{value:.1f} GiB"
