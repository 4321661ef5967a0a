"""The configuration of a trial, as validated, immutable, hashable data; needs no torch.

A :class:`TrialConfig` is fully resolved: nothing in it is ``auto``, and every op parameter is written out. Its
:attr:`~TrialConfig.key` is the content hash that names the trial's record everywhere.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ModelWrapValidatorHandler, ValidationInfo, model_validator

from ablate.config.base import (
    GIVEN,
    LATER,
    RECORDED,
    Area,
    Branches,
    Count,
    Fraction,
    Model,
    OpSpec,
    Ratio,
)
from ablate.config.encoder import Encoder
from ablate.config.measure import Measure
from ablate.config.objectives import Method, Objective, kind_of, own_head, unsuited
from ablate.config.option import DROP, GRID, PREVIEW, SEARCH, TRAIN, Option

MIN_SIZE, MAX_SIZE = 8, 2048
"""Limits on the size of a training image, in pixels."""
SMALL_IMAGE = 64
"""Pixels. Up to this size encoders have the small-image stem, and images are stored and evaluated whole."""

COVERED = 0.1
"""The smallest share of the image that a crop of the official code covers (its ``min_object_covered``)."""


class Base(Model):
    """The base crop of one-branch pairs, shared by both views: ``crop`` without flip, with that op's parameters."""

    area: Annotated[
        tuple[Area, Area], Field(description="Smallest and largest area of the crop, as shares of the image")
    ] = (0.08, 1.0)
    ratio: Annotated[
        tuple[Ratio, Ratio], Field(description="Smallest and largest ratio of the crop's width to its height")
    ] = (3 / 4, 4 / 3)
    sampling: Annotated[
        Literal["torchvision", "tf"], LATER, Field(description="How crops are drawn; tf: as in the official code")
    ] = "torchvision"
    resize: Annotated[
        Literal["bilinear", "bicubic"],
        LATER,
        Field(description="How crops are resized; bicubic: as in the official code"),
    ] = "bilinear"

    @model_validator(mode="after")
    def _ordered(self) -> Base:
        if self.area[0] > self.area[1] or self.ratio[0] > self.ratio[1]:
            raise ValueError("area and ratio must be pairs (low, high) with low at most high")
        if self.sampling == "tf" and self.area[1] < COVERED:
            raise ValueError(
                f"with sampling tf, crops cover at least {COVERED:g} of the image, so area must reach that far"
            )
        return self


class Head(Model):
    """The head ``g(h)`` (paper, section 4.2)."""

    hidden: Annotated[Count, Field(description="Size of the inner layers of an mlp")] = 512
    output: Annotated[Count, Field(description="Size of z, the output of the head")] = 128
    kind: Annotated[
        Literal["none", "linear", "mlp"], LATER, Field(description="none: z is h; linear: one layer; mlp: see layers")
    ] = "mlp"
    layers: Annotated[Literal[2, 3], LATER, Field(description="Number of layers of an mlp")] = 2
    batch_norm: Annotated[
        bool,
        LATER,
        Field(
            description="Put a batch norm after every linear layer, as the official code does; the paper's text does "
            "not mention it"
        ),
    ] = False

    @model_validator(mode="after")
    def _only_an_mlp_has_layers(self) -> Head:
        if self.kind != "mlp" and self.layers != 2:
            raise ValueError(f"layers is for heads of kind mlp, not {self.kind}")
        return self


class Optimiser(Model):
    """The optimiser."""

    name: Annotated[
        Literal["sgd", "adamw", "lars"],
        Option("Training", ("--optimizer",), default="the preset's", text=True),
        Field(description="sgd, adamw or lars; if you change it to sgd or adamw, give --set lr_base=... too"),
    ] = "sgd"
    lr: Annotated[
        float, Field(ge=1e-30, le=1e30, description="Peak learning rate, already scaled to the batch size")
    ] = 0.03
    momentum: Annotated[Fraction, Field(description="Momentum of sgd and lars; adamw ignores it")] = 0.9
    weight_decay: Annotated[float, Field(ge=0, le=1e3, description="Weight decay")] = 5e-4
    init_lr_scale: Annotated[
        float,
        LATER,
        Option("Training", ("--init-lr-scale",)),
        Field(
            ge=1e-6,
            le=1,
            description="With given weights: factor of the encoder's learning rate; the head has all of it",
        ),
    ] = 1.0


class DataIdentity(Model):
    """The identity of the images: a fingerprint of their content, split and preparation, but not their place on disk.

    ``classes`` is 0 where there are no labels. ``channels`` is the number of channels of every image.
    """

    name: str
    fingerprint: str
    classes: int
    channels: Annotated[int, LATER] = 3


class TrialConfig(Model):
    """Everything that determines a trial's result, except the seed."""

    composition: Annotated[
        tuple[OpSpec, ...],
        GIVEN,
        Field(description="Ops with all their parameters, as Composition.specs() returns them"),
    ]
    branches: Annotated[
        Branches, GIVEN, Field(description="one: only the first view goes through the composition; two: both views do")
    ] = "one"
    base: Annotated[
        Base | None, Field(description="Crop that both views of a one-branch pair share; None for two-branch pairs")
    ] = Base()
    data: Annotated[
        DataIdentity, GIVEN, Field(description="Identity of the images, as prepare(...).identity returns it")
    ]
    image_size: Annotated[
        Count,
        Option(
            "Images",
            ("--size",),
            default="the images' own, at most 224; 32 with laptop@2",
            least=MIN_SIZE,
            commands=(GRID, DROP, SEARCH, TRAIN, PREVIEW),
        ),
        Field(description="Side of the training images in pixels"),
    ] = 32
    objective: Annotated[
        Objective,
        Option("Training", text=True),
        Field(description="simclr, byol, simsiam, barlow, vicreg, mocov3, dino; with labels: supcon, supervised"),
    ] = "simclr"
    encoder: Annotated[Encoder, Field(description="Encoder f(x)")] = Encoder()
    head: Annotated[Head, Field(description="Head g(h), which is used in training only")] = Head()
    epochs: Annotated[
        int,
        Option("Training", default="the preset's", least=1),
        Field(ge=0, strict=True, description="Training epochs"),
    ] = 100
    warmup_epochs: Annotated[float, Field(ge=0, description="Epochs in which the learning rate rises to its peak")] = 10
    batch_size: Annotated[
        int,
        Option("Training", default="the preset's"),
        Field(ge=2, strict=True, description="Images per batch, summed over all processes"),
    ] = 256
    temperature: Annotated[
        float, Field(ge=1e-3, le=1e3, description="Temperature of the softmax, for objectives that have one")
    ] = 0.5
    optimiser: Annotated[Optimiser, Field(description="Optimiser")] = Optimiser()
    device: Annotated[Literal["cpu", "cuda"], GIVEN, Field(description="Device on which the trial trains")] = "cpu"
    precision: Annotated[
        Literal["float32", "bfloat16"], Field(description="Number format of the encoder's arithmetic")
    ] = "float32"
    memory_format: Annotated[
        Literal["channels_last", "contiguous"], Field(description="Memory layout of images and convolutions")
    ] = "channels_last"
    threads: Annotated[Count, Field(description="CPU threads of each process")] = 1
    loss_scale: Annotated[
        float,
        Field(
            ge=1e-6,
            le=1e6,
            description="Factor of NT-Xent: 2 in the official code, which sums the means of the two directions; 1 for "
            "other objectives",
        ),
        LATER,
    ] = 1.0
    micro_batch: Annotated[
        Count | None,
        LATER,
        Option("Training", default="the batch size", commands=(GRID, DROP, TRAIN)),
        Field(description="Images to encode at a time; a smaller number needs less memory"),
    ] = None
    world_size: Annotated[
        Count,
        LATER,
        Option("Running", ("--world-size", "--gpus-per-trial"), commands=(GRID, DROP)),
        Field(description="Processes that train one trial together, each on its own GPU"),
    ] = 1
    compile: Annotated[
        bool,
        LATER,
        GIVEN,
        Field(description="Compile the encoder and, on CUDA, the ops by torch.compile, which changes the last bits"),
    ] = False
    second: Annotated[
        tuple[OpSpec, ...] | None,
        LATER,
        GIVEN,
        Field(description="Ops of the second view, if they differ from the first's, as in A|B"),
    ] = None
    share_crop: Annotated[
        bool,
        LATER,
        Option("What is compared", commands=(GRID, DROP, TRAIN, PREVIEW)),
        Field(description="Start both views of a two-branch pair from one base crop, as one-branch pairs do"),
    ] = False
    method: Annotated[Method, LATER, Field(description="Settings of the objective's own")] = Method()
    measure: Annotated[
        Measure | None, LATER, GIVEN, Field(description="Measure that chooses l2, if not the one that the rule gives")
    ] = None

    @model_validator(mode="wrap")
    @classmethod
    def _agrees(cls, data: Any, handler: ModelWrapValidatorHandler[TrialConfig], info: ValidationInfo) -> TrialConfig:
        """Refuse values that earlier versions allowed; their records are read and shown, but not trained any more."""
        made = handler(data)
        if isinstance(data, TrialConfig) or info.context == RECORDED:
            return made
        if objection := made._outdated():
            raise ValueError(objection)
        return made

    def _outdated(self) -> str:
        """Return the objection to a configuration that an earlier version allowed; empty if there is none."""
        if self.branches == "two" and self.base is not None and not self.share_crop:
            return "two-branch pairs have no base crop: base must be None, unless they share_crop"
        if self.loss_scale != 1 and "loss_scale" not in kind_of(self.objective).settings:
            return f"loss_scale multiplies NT-Xent: for {self.objective} training it must be 1, not {self.loss_scale:g}"
        return ""

    def _held_to(self) -> dict[str, bool] | None:
        """Return the context that allows a copy what its original was allowed, so that old sweeps are still shown."""
        return RECORDED if self._outdated() else None

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
    def _suits_its_objective(self) -> TrialConfig:
        if refused := unsuited(self.objective, self.method):
            raise ValueError(refused)
        if kind_of(self.objective).has_own_head and (self.head.kind != "mlp" or self.head.batch_norm):
            raise ValueError(own_head(self.objective))
        return self

    @model_validator(mode="after")
    def _has_views(self) -> TrialConfig:
        if self.share_crop and (self.branches == "one" or self.base is None):
            raise ValueError("share_crop is for two-branch pairs with a base crop; one-branch pairs always share one")
        if self.second is not None and self.branches == "one":
            raise ValueError("one-branch pairs augment only the first view: second is for two branches")
        if self.second is not None and kind_of(self.objective).views == 1:
            raise ValueError(f"{self.objective} training sees only the first view: second is for simclr")
        if self.second == self.composition:
            raise ValueError("second is None where both views have the same ops")
        return self

    @property
    def every_op(self) -> tuple[OpSpec, ...]:
        """The ops of both views, those of the first before those that the second has of its own."""
        return (*self.composition, *(self.second or ()))

    @property
    def op_names(self) -> str:
        """The names of the ops: ``crop+color``, ``crop+color|crop+blur``, or nothing without ops."""
        branches = [self.composition] if self.second is None else [self.composition, self.second]
        return "|".join("+".join(op.name for op in ops) or "none" for ops in branches) if self.every_op else ""

    @model_validator(mode="after")
    def _compiles_alone(self) -> TrialConfig:
        if self.compile and self.world_size > 1:
            raise ValueError("compile is for trials of one process: sums over several processes cannot be compiled")
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
        """The first 16 hex digits of SHA-256 of the canonical JSON: configurations with equal keys are equal.

        The data set's fingerprint is part of it, its name (such as a folder's name) is not. It is computed once, since
        code that reads a sweep asks for it many times per trial.
        """
        content = _hashed(self, self.model_dump(mode="json", exclude={"data": {"name"}}))
        text = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Copy as pydantic does, but without the cached key, which may not be the copy's."""
        copied = super().model_copy(update=update, deep=deep)
        vars(copied).pop("key", None)
        return copied


def _hashed(model: Model, content: dict[str, Any]) -> dict[str, Any]:
    """Return ``content``, the dump of ``model``, without the ``LATER`` fields that have their defaults."""
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        if LATER in field.metadata and value == field.default:
            del content[name]
        elif isinstance(value, Model):
            content[name] = _hashed(value, content[name])
    return content


Reference = Literal["untrained", "no-op", "supervised"]
