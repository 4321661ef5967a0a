"""A planned sweep: its ops, compositions, settings and trials."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Field,
    model_validator,
)

from ablate.config.base import Count, Fraction, Model, OpSpec, Positive
from ablate.config.measure import Measure, measure_for
from ablate.config.reading import WHITE, Colour, Range, Reading
from ablate.config.slurm import Slurm
from ablate.config.tasks import MEASURES, TaskKind
from ablate.config.trial import Reference, TrialConfig


class NamedOp(Model):
    """An op as the user named it (``label``, a canonical string) and the op that it resolved to.

    ``acts`` is the share of images on which it acts, for the reports; None in sweeps that were planned without it.
    """

    label: str
    op: OpSpec
    acts: Fraction | None = None


class NamedComposition(Model):
    """A composition's name (``label``, a canonical string) and the ops that it resolved to, first to last.

    ``second`` are the ops of the second view, if they differ from the first's.
    """

    label: str
    ops: tuple[OpSpec, ...]
    second: tuple[OpSpec, ...] | None = None

    @property
    def every_op(self) -> tuple[OpSpec, ...]:
        """The ops of both views, those of the first before those that the second has of its own."""
        return (*self.ops, *(self.second or ()))


class Variant(Model):
    """A point on the axes of a sweep with further axes, and the configuration that its cells share.

    ``values`` holds the name of the point's value on each axis; ``excluded`` the labels of compositions that are left
    out.
    """

    values: dict[str, str]
    shared: TrialConfig
    excluded: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return ``temperature=0.1, batch_size=64``."""
        return ", ".join(f"{name}={value}" for name, value in self.values.items())


def _ordered(bounds: tuple[float, float] | None) -> tuple[float, float] | None:
    if bounds and bounds[0] > bounds[1]:
        raise ValueError("a range must be LOW:HIGH, with LOW at most HIGH")
    return bounds


class Prior(Model):
    """The mean validation accuracies of another sweep's cells, as fractions, from which a model may learn beforehand.

    ``name`` is the directory as it was given. ``means`` has the names of a composition's ops, such as ``crop+color``,
    as keys: the other sweep's parameters may differ.
    """

    name: str
    means: dict[str, float]


Sampler = Literal["gp", "tpe", "random"]
"""The samplers of a search."""


class Search(Model):
    """The space of a search, and how it is explored: compositions of one to ``max_length`` different ``ops``.

    ``strength`` and ``p`` are the ranges searched for every op with such a parameter; None leaves the values as they
    are. ``batch`` compositions are proposed at a time, from the results of all before them. ``seed`` is the sampler's.
    ``optuna`` lists the versions of Optuna that have proposed something, first to last; they do not define the search.
    ``prior`` are other sweeps from which ``gp`` learns beforehand.
    """

    ops: tuple[NamedOp, ...]
    max_length: Count = 3
    strength: Annotated[tuple[Positive, Positive] | None, AfterValidator(_ordered)] = None
    p: Annotated[tuple[Fraction, Fraction] | None, AfterValidator(_ordered)] = None
    sampler: Sampler = "gp"
    seed: Annotated[int, Field(ge=0)] = 0
    batch: Count = 4
    optuna: tuple[str, ...] = ()
    prior: tuple[Prior, ...] = ()


KNN_POINTS = 8
"""The number of times that a trial measures the validation kNN, the last of them at its end."""


class Rung(Model):
    """A rung of pruning: after ``eighth`` eighths of the epochs, the share ``keep`` of the cells continues."""

    eighth: Annotated[int, Field(ge=1, lt=KNN_POINTS)]
    keep: Annotated[float, Field(gt=0, le=1)]

    def epoch(self, epochs: int) -> int:
        """Return the epoch after which this rung is applied, in a training of ``epochs`` epochs."""
        return round(epochs * self.eighth / KNN_POINTS)


FIRST_ROUND, LAST_ROUND = 3, 100
"""The seeds of the first round where seeds are added until the comparison is decided, and the most that it may take."""


class Rounds(Model):
    """Rounds of seeds: after each, only the cells that may still be the best get more.

    ``within`` are the points below which cells are practically equal, ``largest`` is the largest number of seeds.
    ``compared`` holds the number of seeds at each comparison so far, and ``dropped`` how many seeds each cell had when
    it was found to be worse than another.
    """

    within: Positive
    largest: Annotated[int, Field(ge=FIRST_ROUND, le=LAST_ROUND)]
    compared: tuple[Count, ...] = ()
    dropped: dict[str, Count] = {}


CELLS_AT_A_TIME = 4
"""The cells that a model asks for at a time, unless another number is asked for."""


class Budgeted(Model):
    """The part of a grid that is trained within a budget: the cells that a model has asked for so far.

    ``budget`` is the limit as it was given, such as ``16`` or ``3h``; ``within`` are the points of accuracy that do not
    matter; ``batch`` cells are asked for at a time. ``cells`` are the labels of the cells to train, in the order in
    which they were asked for. ``waiting`` are the others of the last batch, for which the budget did not suffice.
    ``prior`` are other sweeps from which the model learns beforehand.
    """

    budget: str
    within: Positive
    batch: Count = CELLS_AT_A_TIME
    cells: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()
    prior: tuple[Prior, ...] = ()


class ClassCounts(Model):
    """Labelled images of every class, in the order of the classes; the training images include the validation split."""

    train: tuple[int, ...]
    validation: tuple[int, ...]
    test: tuple[int, ...]


class Task(Model):
    """A task by which the encoders of a sweep are judged, see :mod:`ablate.config.tasks`.

    ``images`` are the numbers of training images (those for validation among them), validation images and test images
    that have a label. ``class_counts`` are these by class.
    """

    name: str
    kind: TaskKind = "classes"
    images: tuple[int, int, int]
    class_counts: ClassCounts | None = None

    @property
    def measure(self) -> Measure:
        """The measure that ranks compositions for it: by :func:`~ablate.config.measure.measure_for` with classes."""
        return measure_for(self.class_counts.train) if self.class_counts else MEASURES[self.kind][0]


class SweepPlan(Model):
    """The content of ``sweep.toml``: the axes, the fixed values and the seeds.

    Every ordered pair of ``ops`` is a cell; with a ``first``, that is the first view's composition in each of them, and
    the pair the second's. With ``unordered``, only the pair in the order of ``ops`` is; if
    ``pairs_with`` names ops, only pairs with one of them are. ``compositions`` are cells beside the grid, of any number
    of ops; those of a ``search`` are in the order in which it proposed them. ``baseline`` is the label of the cell with
    which the report compares every other. ``variants`` are the points of further
    axes; all cells are trained at each of them. Cells that are behind at a rung of ``prune`` are not trained to the
    end. With ``rounds``, ``seeds`` grow from round to round, and cells that are dropped get no more of them.
    With ``budgeted``, only the cells that it names are trained; it grows from batch to batch. The untrained encoder is
    also evaluated with the ``untrained_seeds`` that are not among the seeds.

    ``shared`` is the configuration common to all cells and references; its own composition is empty. Trial keys do not
    include the protocols, the encoders to keep, or the seconds that a process waits for the others. ``measure`` is what
    chooses; it is part of keys, as ``shared.measure``, where the rule for the images gives another one. Earlier sweeps
    lack ``measure``, ``class_counts`` and ``classes``, the names of the classes.
    ``preset`` names the preset that gave the defaults; None is the default on a GPU, or glyphs' own.

    ``reading`` is how image files were read. ``ranges`` are the values that became 0 and full scale in images of more
    than 8 bits, and ``background`` the colour below transparent ones: an exported pipeline needs them. Earlier sweeps
    have ``levels``, the range of 16-bit grey in three equal channels. ``source`` is the experiment file as it was asked
    for, which is stored beside ``sweep.toml``. ``tasks`` are all tasks, the main one first, if there are several.
    ``init`` is the file of weights from which the encoders start, and ``weights`` is what of it they load, by its hash:
    the content of the files in ``DIR/init``.
    """

    schema_version: Literal[1] = 1
    command: str = ""
    preset: str | None = None
    data: str
    seeds: tuple[Annotated[int, Field(ge=0)], ...]
    untrained_seeds: tuple[Annotated[int, Field(ge=0)], ...] = ()
    references: tuple[Reference, ...] = ("untrained",)
    reference_crop: OpSpec
    ops: tuple[NamedOp, ...] = ()
    first: NamedComposition | None = None
    unordered: bool = False
    pairs_with: tuple[str, ...] = ()
    compositions: tuple[NamedComposition, ...] = ()
    baseline: str | None = None
    search: Search | None = None
    prune: tuple[Rung, ...] = ()
    rounds: Rounds | None = None
    budgeted: Budgeted | None = None
    shared: TrialConfig
    variants: tuple[Variant, ...] = ()
    eval_data: str | list[str] | None = None
    label: str | None = None
    labels: float | None = None
    limit: int | None = None
    short_side: int | None = None
    reading: Reading = Reading()
    ranges: tuple[Range, ...] | None = None
    background: Colour = WHITE
    protocols: tuple[str, ...] = ()
    keep_encoders: Literal["all", "best", "none"] = "none"
    rank_timeout: Annotated[float, Field(gt=0)] = 600.0
    measure: Measure = "top1"
    class_counts: ClassCounts | None = None
    tasks: tuple[Task, ...] = ()
    classes: tuple[str, ...] = ()
    slurm: Slurm | None = None
    init: str | None = None
    source: Annotated[str, Field(exclude=True)] = ""
    weights: Annotated[dict[str, bytes], Field(exclude=True)] = {}

    @model_validator(mode="before")
    @classmethod
    def _earlier(cls, content: Any) -> Any:
        if not isinstance(content, dict) or "levels" not in content:
            return content
        levels = content["levels"]
        return {name: value for name, value in content.items() if name != "levels"} | {"ranges": levels and [levels]}

    @property
    def every_op(self) -> list[OpSpec]:
        """All ops of the cells, each once."""
        named = (*self.ops, *(self.search.ops if self.search else ()))
        distinct: list[OpSpec] = []
        beside = (*([self.first] if self.first else ()), *self.compositions)
        for op in (*(named_op.op for named_op in named), *(op for item in beside for op in item.every_op)):
            distinct += [] if op in distinct else [op]
        return distinct

    @property
    def configs(self) -> list[TrialConfig]:
        """The configuration that the references share, and those of the variants, if there are any."""
        return [self.shared, *(variant.shared for variant in self.variants)]

    @property
    def stage(self) -> str:
        """The word for what is trained before the command looks at the results and goes on; empty without stages.

        It is ``round`` (of seeds), ``batch`` (of cells or compositions) or ``rung`` (of pruning).
        """
        if self.rounds:
            return "round"
        return "batch" if self.budgeted or self.search else "rung" if self.prune else ""

    @property
    def axes(self) -> dict[str, list[str]]:
        """The axes of ``variants`` with the names of their values, in the order of the variants."""
        names: dict[str, list[str]] = {}
        for variant in self.variants:
            for name, value in variant.values.items():
                names.setdefault(name, [])
                names[name] += [value] if value not in names[name] else []
        return names


AS_GIVEN = "as given"
"""The name of the reference ``untrained`` where the encoders start from given weights."""


def called(label: str, reference: str | None, *, is_given: bool) -> str:
    """Return the name under which a trial or a cell is shown.

    Args:
        label: its label.
        reference: the reference that it is; None for a composition.
        is_given: True if its encoder starts from given weights.
    """
    return AS_GIVEN if is_given and reference == "untrained" else label


def is_named(typed: str, *names: str) -> bool:
    """Return True if ``typed`` is one of ``names``; blanks and how numbers are written (0, 0.0) make no difference."""
    return _spelled(typed) in map(_spelled, names)


def _spelled(name: str) -> str:
    return re.sub(r"(?<=[=(,])\d+(\.\d+)?(?=[,)])", lambda number: str(float(number[0])), name.replace(" ", ""))


class Trial(Model):
    """One training and evaluation of ``config`` with one ``seed``.

    ``label``, ``row``, ``column``, ``reference`` and ``point`` (its place on further axes) are for display only.
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
        """The name of the record, the log and the running directory: ``<key>-s<seed>``."""
        return f"{self.config.key}-s{self.seed}"

    @property
    def called(self) -> str:
        """The name under which it is shown, see :func:`called`."""
        return called(self.label, self.reference, is_given=self.config.encoder.starts_given)
