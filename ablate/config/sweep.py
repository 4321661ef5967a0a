"""A planned sweep: its ops, compositions, settings and trials."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    Field,
)

from ablate.config.base import Count, Fraction, Model, OpSpec, Positive
from ablate.config.measure import Measure
from ablate.config.slurm import Slurm
from ablate.config.trial import Reference, TrialConfig


class NamedOp(Model):
    """An op as the user named it (``label``, a canonical string) and what it resolved to.

    ``acts``: the share of images on which it acts, for the reports; None in sweeps that were planned without it.
    """

    label: str
    op: OpSpec
    acts: Fraction | None = None


class NamedComposition(Model):
    """A composition as it is called (``label``, a canonical string) and the ops it resolved to, first to last."""

    label: str
    ops: tuple[OpSpec, ...]


class Variant(Model):
    """A point on the axes of a sweep that has some beside its ops, and the configuration that its cells share there.

    ``values``: by axis, what the point is called on it. ``excluded``: the labels of compositions that are left out.
    """

    values: dict[str, str]
    shared: TrialConfig
    excluded: tuple[str, ...] = ()

    def __str__(self) -> str:
        """``temperature=0.1, batch_size=64``."""
        return ", ".join(f"{name}={value}" for name, value in self.values.items())


def _ordered(bounds: tuple[float, float] | None) -> tuple[float, float] | None:
    if bounds and bounds[0] > bounds[1]:
        raise ValueError("a range is LOW:HIGH")
    return bounds


class Search(Model):
    """The space of a search, and how it is walked: compositions of one to ``max_length`` different ``ops``.

    ``strength`` and ``p``: the range in which those of every op that has them are searched; None: as they are.
    ``batch`` compositions are proposed at a time, from the results of all before them; ``seed`` is the sampler's.
    ``optuna``: the versions of it that have proposed something, first to last; not part of what a search is.
    """

    ops: tuple[NamedOp, ...]
    max_length: Count = 3
    strength: Annotated[tuple[Positive, Positive] | None, AfterValidator(_ordered)] = None
    p: Annotated[tuple[Fraction, Fraction] | None, AfterValidator(_ordered)] = None
    sampler: Literal["tpe", "random"] = "tpe"
    seed: Annotated[int, Field(ge=0)] = 0
    batch: Count = 4
    optuna: tuple[str, ...] = ()


KNN_POINTS = 8
"""How often in a trial the validation kNN is measured; the last time at its end."""


class Rung(Model):
    """After ``eighth`` eighths of the epochs, the share ``keep`` of the cells goes on."""

    eighth: Annotated[int, Field(ge=1, lt=KNN_POINTS)]
    keep: Annotated[float, Field(gt=0, le=1)]

    def epoch(self, epochs: int) -> int:
        """The epoch after which it is, of so many."""
        return round(epochs * self.eighth / KNN_POINTS)


class ClassCounts(Model):
    """Labelled images of every class, in the order of the classes; the training images hold the validation split."""

    train: tuple[int, ...]
    validation: tuple[int, ...]
    test: tuple[int, ...]


class SweepPlan(Model):
    """What ``sweep.toml`` holds: the axes, the fixed values and the seeds.

    Every ordered pair of ``ops`` is a cell: where ``unordered``, only that in the order of ``ops``; where
    ``pairs_with`` names ops, only pairs with one of them. ``compositions`` are cells beside the grid, of any number of
    ops, in the order in which a ``search`` proposed them, if it did. ``variants`` are the points of further axes, at
    each of which all cells are trained.
    Cells that are behind at a rung of ``prune`` are not trained to the end.
    ``shared`` is the configuration that all cells have in common, and of references; its own composition is empty. How
    trials are evaluated, which encoders are kept and how long a process waits for the others (seconds) is not part of
    their keys; nor is ``measure``, the accuracy that chooses, which earlier sweeps lack as they lack ``class_counts``.
    ``levels`` are the values of 16-bit grey that became 0 and 255 in the images: an exported pipeline needs
    them, and they are part of the images' fingerprint. ``source`` is the experiment file as it was asked for, which is
    stored beside ``sweep.toml``.
    """

    schema_version: Literal[1] = 1
    command: str = ""
    data: str
    seeds: tuple[Annotated[int, Field(ge=0)], ...]
    references: tuple[Reference, ...] = ("untrained",)
    reference_crop: OpSpec
    ops: tuple[NamedOp, ...] = ()
    unordered: bool = False
    pairs_with: tuple[str, ...] = ()
    compositions: tuple[NamedComposition, ...] = ()
    search: Search | None = None
    prune: tuple[Rung, ...] = ()
    shared: TrialConfig
    variants: tuple[Variant, ...] = ()
    eval_data: str | None = None
    labels: float | None = None
    short_side: int | None = None
    levels: tuple[int, int] | None = None
    protocols: tuple[str, ...] = ()
    keep_encoders: Literal["all", "best", "none"] = "none"
    rank_timeout: Annotated[float, Field(gt=0)] = 600.0
    measure: Measure = "top1"
    class_counts: ClassCounts | None = None
    slurm: Slurm | None = None
    source: Annotated[str, Field(exclude=True)] = ""

    @property
    def every_op(self) -> list[OpSpec]:
        """All ops of its cells, each once."""
        named = (*self.ops, *(self.search.ops if self.search else ()))
        found: list[OpSpec] = []
        for op in (*(named_op.op for named_op in named), *(op for item in self.compositions for op in item.ops)):
            found += [] if op in found else [op]
        return found

    @property
    def axes(self) -> dict[str, list[str]]:
        """The axes of ``variants`` and what they are called there, in their order."""
        found: dict[str, list[str]] = {}
        for variant in self.variants:
            for name, value in variant.values.items():
                found.setdefault(name, [])
                found[name] += [value] if value not in found[name] else []
        return found


class Trial(Model):
    """One training and evaluation of ``config`` with one ``seed``.

    Where it stands in the grid, and at which ``point`` of further axes, is for display.
    """

    config: TrialConfig
    seed: int
    label: str
    row: str | None = None
    column: str | None = None
    reference: Reference | None = None
    point: dict[str, str] = {}

    @property
    def id(self) -> str:
        """``<key>-s<seed>``: the name of the record, the log and the running directory."""
        return f"{self.config.key}-s{self.seed}"
