"""A run, as trackers take it, and what a tracker does with it: the one interface between a sweep and all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

Value = str | int | float | bool | None


@dataclass(frozen=True)
class Run:
    """A trial of a sweep or, as ``sweep``, what all of them say together.

    ``id`` is unique in a sweep: the trial's id, or ``sweep``. ``sweep``, ``group`` and ``name`` are the names of the
    sweep, the cell and the seed, such as ``leaves``, ``crop+color`` and ``s0``; the sweep's own run has no group.
    ``digest`` differs whenever anything else of the run does. ``varied`` is what tells the cell from the others,
    ``config`` all settings. ``scalars`` are final values (fractions, or seconds). ``curves`` have ``(epoch,
    value)``, ``images`` PNG files, by name. ``began`` and ``ended`` are unix seconds. ``text`` is Markdown.
    """

    id: str
    digest: str
    sweep: str
    group: str
    name: str
    status: Literal["done", "failed", "pruned"] = "done"
    varied: Mapping[str, Value] = field(default_factory=dict)
    config: Mapping[str, Value] = field(default_factory=dict)
    scalars: Mapping[str, float] = field(default_factory=dict)
    curves: Mapping[str, list[tuple[int, float]]] = field(default_factory=dict)
    images: Mapping[str, bytes] = field(default_factory=dict)
    text: str = ""
    began: float = 0.0
    ended: float = 0.0

    @property
    def final(self) -> dict[str, float]:
        """The final values under the names that every tracker has: ``final/linear_top1``, ``seconds/total``."""
        return {_final(name): value for name, value in self.scalars.items()}

    def when(self, epoch: int) -> float:
        """Return about when an epoch ended, in unix seconds: records keep the end of the trial alone."""
        last = max((points[-1][0] for points in self.curves.values() if points), default=epoch)
        return self.began + (self.ended - self.began) * epoch / max(1, last)


def _final(name: str) -> str:
    return name.replace(".", "/", 1) if name.startswith("seconds.") else f"final/{name}"


class Tracker(Protocol):
    """A place that holds runs. The whole of a run is written, or it does not count as known."""

    place: str
    """What a user gives to the tool to see the runs: a directory or an address."""
    look: str
    """The command that shows them."""

    def known(self, sweep: str) -> Mapping[str, str]:
        """Return the digest of every run that the place holds of the sweep with that name, by the run's id."""

    def write(self, run: Run) -> None:
        """Add a run; a run of its sweep with the same id is replaced."""
