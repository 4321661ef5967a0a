"""What a trial and a sweep are, as validated, immutable, hashable data; needs no torch.

A :class:`TrialConfig` is fully resolved: nothing in it is ``auto``, and every op parameter is written out. Its
:attr:`~TrialConfig.key` is the content hash that names the trial's record everywhere.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ModelWrapValidatorHandler,
    ValidationInfo,
    model_validator,
)

from ablate.errors import nearest
from ablate.measure import Measure

SMALL_IMAGE = 64
"""Pixels. Up to here encoders have the small-image stem and images are stored and evaluated whole."""

COVERED = 0.1
"""Share of the image that a crop of the official code has at least (its ``min_object_covered``)."""

LARGEST_SEED = 2**53 - 1
"""Seeds up to here are exact in every table and page that holds them: int64, SQLite, JSON in a browser, float64."""

Positive = Annotated[float, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1, strict=True)]
Area = Annotated[float, Field(ge=1e-4, le=1)]
Ratio = Annotated[float, Field(ge=0.01, le=100)]

LATER = "later"
"""Marks a field that earlier records lack: its default is what they had, and it is hashed only when it differs."""

RECORDED = {"recorded": True}
"""The validation context of what is read from a sweep's directory: it may hold what was allowed when it was written."""

Branches = Literal["one", "two"]
Objective = Literal["simclr", "supervised", "untrained"]


class Model(BaseModel):
    """Frozen, and refuses unknown fields and non-finite numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class OpSpec(Model):
    """One op, resolved: its registered name, the version of its pixels, and every parameter."""

    name: str
    version: int
    params: dict[str, Any]

    def __str__(self) -> str:
        """``color(brightness=0.8, ...)``: every parameter, rounded to four digits."""
        return f"{self.name}({', '.join(f'{name}={_rounded(value)}' for name, value in self.params.items())})"


def _rounded(value: object) -> str:
    if isinstance(value, list | tuple):
        return f"({', '.join(map(_rounded, value))})"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


class Base(Model):
    """The base crop of one-branch pairs, shared by both views: ``crop`` without flip, with that op's parameters."""

    area: tuple[Area, Area] = (0.08, 1.0)
    ratio: tuple[Ratio, Ratio] = (3 / 4, 4 / 3)
    sampling: Annotated[Literal["torchvision", "tf"], LATER] = "torchvision"
    resize: Annotated[Literal["bilinear", "bicubic"], LATER] = "bilinear"

    @model_validator(mode="after")
    def _ordered(self) -> Base:
        if self.area[0] > self.area[1] or self.ratio[0] > self.ratio[1]:
            raise ValueError("area and ratio are ordered pairs (low, high)")
        if self.sampling == "tf" and self.area[1] < COVERED:
            raise ValueError(f"with sampling tf no crop is below {COVERED:g} of the image, so area must reach that far")
        return self


RESNETS = ("resnet8", "resnet18", "resnet34", "resnet50", "resnet101")
WIDTHS = {1: 64, 2: 128, 4: 256}
"""Channels of the first stage by the paper's width multiplier (section 5.1)."""


class Encoder(Model):
    """``f(x)``: a ResNet, ``timm:NAME``, or ``module:function`` (one's own: called without arguments).

    ``width`` is the first stage's channels: any number for ``resnet8``, 64, 128 or 256 for the other ResNets.
    ``zero_init_residual``: the last batch norm of every residual block starts with a scale of 0, as in the official
    code, so that every block starts as the identity. ``code`` names the version of the code behind an encoder that is
    not ours, ``weights`` the weights that a ``module:function`` loads (:func:`ablate.simclr.foreign.loaded_weights`).
    """

    name: str = "resnet18"
    width: Count = 64
    code: Annotated[str, LATER] = ""
    zero_init_residual: Annotated[bool, LATER] = False
    weights: Annotated[str, LATER] = ""

    @property
    def is_foreign(self) -> bool:
        """True for ``timm:NAME`` and ``module:function``."""
        return ":" in self.name

    @model_validator(mode="after")
    def _known(self) -> Encoder:
        if self.is_foreign:
            if not re.fullmatch(r"timm:[\w.@/-]+|[A-Za-z_][\w.]*:[A-Za-z_][\w.]*", self.name):
                raise ValueError(f"name must be timm:NAME or module:function, not {self.name!r}")
            if self.zero_init_residual:
                raise ValueError(f"zero_init_residual is for {', '.join(RESNETS)}, not {self.name}")
            allowed: tuple[int, ...] = (64,)
        elif self.name not in RESNETS:
            known = f"{', '.join(RESNETS)}, timm:NAME or module:function"
            raise ValueError(f"name must be {known}, not {self.name!r}{nearest(self.name, RESNETS)}")
        elif self.name == "resnet8":
            return self
        else:
            allowed = tuple(WIDTHS.values())
        if self.width not in allowed:
            raise ValueError(f"width of {self.name} must be {' or '.join(map(str, allowed))}, not {self.width}")
        return self


class Head(Model):
    """``g(h)`` (paper, section 4.2): ``none`` (z = h), ``linear``, or ``mlp`` of two or three ``layers``.

    ``hidden`` is the size of an mlp's inner layers, ``output`` that of z. ``batch_norm`` puts a batch norm behind every
    linear layer, as the official code does; the paper's text does not mention it.
    """

    hidden: Count = 512
    output: Count = 128
    kind: Annotated[Literal["none", "linear", "mlp"], LATER] = "mlp"
    layers: Annotated[Literal[2, 3], LATER] = 2
    batch_norm: Annotated[bool, LATER] = False

    @model_validator(mode="after")
    def _only_an_mlp_has_layers(self) -> Head:
        if self.kind != "mlp" and self.layers != 2:
            raise ValueError(f"layers is for heads of kind mlp, not {self.kind}")
        return self


class Optimiser(Model):
    """``lr`` is the peak learning rate itself, already scaled to the batch size; adamw has no ``momentum``."""

    name: Literal["sgd", "adamw", "lars"] = "sgd"
    lr: Annotated[float, Field(ge=1e-30, le=1e30)] = 0.03
    momentum: Fraction = 0.9
    weight_decay: Annotated[float, Field(ge=0, le=1e3)] = 5e-4


class DataIdentity(Model):
    """Which images: a fingerprint of their content, split and preparation. Where they lie is not part of it.

    ``classes`` is 0 where there are no labels.
    """

    name: str
    fingerprint: str
    classes: int


class TrialConfig(Model):
    """Everything that a trial's result depends on, but for the seed.

    ``batch_size`` is global: all processes' images. ``micro_batch``: that many images at a time go through the encoder,
    and make one batch-norm batch; None: all at once. ``world_size`` processes train together. ``loss_scale`` multiplies
    NT-Xent: 2 in the official code, which sums the two directions' means; it is 1 for supervised training. ``compile``:
    encoder and, on CUDA, ops go through torch.compile, which changes the last bits. ``base`` is the crop that the views
    of a one-branch pair share; two-branch pairs have none.
    """

    composition: tuple[OpSpec, ...]
    branches: Branches = "one"
    base: Base | None = Base()
    data: DataIdentity
    image_size: Count = 32
    objective: Objective = "simclr"
    encoder: Encoder = Encoder()
    head: Head = Head()
    epochs: Annotated[int, Field(ge=0, strict=True)] = 100
    warmup_epochs: Annotated[float, Field(ge=0)] = 10
    batch_size: Annotated[int, Field(ge=2, strict=True)] = 256
    temperature: Annotated[float, Field(ge=1e-3, le=1e3)] = 0.5
    optimiser: Optimiser = Optimiser()
    device: Literal["cpu", "cuda"] = "cpu"
    precision: Literal["float32", "bfloat16"] = "float32"
    memory_format: Literal["channels_last", "contiguous"] = "channels_last"
    threads: Count = 1
    loss_scale: Annotated[float, Field(ge=1e-6, le=1e6), LATER] = 1.0
    micro_batch: Annotated[Count | None, LATER] = None
    world_size: Annotated[Count, LATER] = 1
    compile: Annotated[bool, LATER] = False

    @model_validator(mode="wrap")
    @classmethod
    def _agrees(cls, data: Any, handler: ModelWrapValidatorHandler[TrialConfig], info: ValidationInfo) -> TrialConfig:
        """Refuse what earlier versions did not; what they wrote is read and shown, and not trained any more."""
        made = handler(data)
        if isinstance(data, TrialConfig) or info.context == RECORDED:
            return made
        if made.branches == "two" and made.base is not None:
            raise ValueError("two-branch pairs have no base crop: base must be None")
        if made.objective == "supervised" and made.loss_scale != 1:
            raise ValueError(f"loss_scale multiplies NT-Xent: for supervised training it is 1, not {made.loss_scale:g}")
        return made

    @model_validator(mode="after")
    def _divides(self) -> TrialConfig:
        step = self.micro_batch or self.batch_size
        if self.batch_size % step:
            raise ValueError(f"micro_batch ({step}) must divide batch_size ({self.batch_size})")
        if step % self.world_size:
            name = "micro_batch" if self.micro_batch else "batch_size"
            raise ValueError(f"{name} ({step}) must be a multiple of world_size ({self.world_size})")
        return self

    @model_validator(mode="after")
    def _compiles_alone(self) -> TrialConfig:
        if self.compile and self.world_size > 1:
            raise ValueError("compile is for trials of one process: their sums over all ranks cannot be compiled")
        return self

    @model_validator(mode="after")
    def _is_trained(self) -> TrialConfig:
        if self.objective != "untrained":
            if self.epochs < 1:
                raise ValueError("epochs must be at least 1")
            if self.warmup_epochs > self.epochs:
                raise ValueError(f"warmup_epochs ({self.warmup_epochs:g}) must not exceed epochs ({self.epochs})")
        return self

    @cached_property
    def key(self) -> str:
        """The first 16 hex digits of SHA-256 of the canonical JSON: equal key, equal trial.

        The data set's name, a folder's name for instance, is not in it; its fingerprint is. Computed once: what reads a
        sweep asks for it many times per trial.
        """
        content = _hashed(self, self.model_dump(mode="json", exclude={"data": {"name"}}))
        text = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """As pydantic's, which would hand this configuration's key to a copy that differs."""
        copied = super().model_copy(update=update, deep=deep)
        vars(copied).pop("key", None)
        return copied


def _hashed(model: Model, content: dict[str, Any]) -> dict[str, Any]:
    """``content``, the dump of ``model``, without the later fields that have their defaults."""
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        if LATER in field.metadata and value == field.default:
            del content[name]
        elif isinstance(value, Model):
            content[name] = _hashed(value, content[name])
    return content


Reference = Literal["untrained", "no-op", "supervised"]


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


def minutes(value: Any) -> Any:
    """``90`` (minutes), ``2:30:00`` or ``1-12:00:00`` as whole minutes, rounded up; anything but text is passed on.

    Raises:
        ValueError: another form; ``2:30`` among them, which is 2 minutes 30 to Slurm and two hours and a half to many.
    """
    if not isinstance(value, str):
        return value
    if not (match := re.fullmatch(r"(?:(\d+)-)?(\d+):(\d\d):(\d\d)|(\d+)", value.strip())):
        raise ValueError("a time is 90 (minutes), 2:30:00 (hours) or 1-12:00:00 (days)")
    days, hours, mins, seconds, alone = (int(part or 0) for part in match.groups())
    return alone or (days * 24 + hours) * 60 + mins + (seconds > 0)


def _memory(value: str) -> str:
    """As sbatch takes it on every version: ``32G``, not ``32GB``."""
    if not (match := re.fullmatch(r"(\d+)([KMGT]?)B?", value.strip(), re.IGNORECASE)):
        raise ValueError("memory is a number with K, M, G or T: 32G; without a letter it is megabytes")
    return match[1] + match[2].upper()


def _one_line(value: str) -> str:
    if not value.strip() or not value.isprintable():
        raise ValueError("one line of text is needed")
    return value


OneLine = Annotated[str, AfterValidator(_one_line)]


class Slurm(Model):
    """How trials become jobs, and what each job asks of the cluster; none of it is part of a trial's key.

    ``time`` is in minutes. ``nodes``: that one trial spans. ``gpus``: of a job on each of its nodes. ``per_gpu`` trials
    run side by side on one GPU, ``workers`` in a job without GPUs. ``trials_per_job`` None: as few as the limits
    allow, but one for every trial that runs side by side. ``max_parallel``: jobs of one submission at a time.
    ``grace``: seconds before the time limit, at most a third of it, at which a job saves and requeues itself.
    ``setup``: shell lines before Python starts. ``container``: a command that Python is run by. ``extra``: further
    sbatch options, by their long names.
    """

    partition: OneLine | None = None
    account: OneLine | None = None
    qos: OneLine | None = None
    time: Annotated[Count, BeforeValidator(minutes)] = 240
    nodes: Count = 1
    gpus: Annotated[int, Field(ge=0, strict=True)] = 0
    cpus: Count = 1
    memory: Annotated[str, AfterValidator(_memory)] | None = None
    constraint: OneLine | None = None
    setup: tuple[OneLine, ...] = ()
    container: OneLine | None = None
    extra: dict[str, Annotated[int, Field(strict=True)] | Literal[True] | OneLine] = {}
    trials_per_job: Count | None = None
    per_gpu: Count = 1
    workers: Count = 1
    max_parallel: Count | None = None
    grace: Annotated[int, Field(ge=10, strict=True)] = 90

    @property
    def warning(self) -> int:
        """Seconds before the time limit at which jobs stop: ``grace``, but of a short limit no more than a third."""
        return min(self.grace, self.time * 60 // 3)


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


class Experiment(Model):
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
