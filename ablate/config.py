"""What a trial and a sweep are, as validated, immutable, hashable data; needs no torch.

A :class:`TrialConfig` is fully resolved: nothing in it is ``auto``, and every op parameter is written out. Its
:attr:`~TrialConfig.key` is the content hash that names the trial's record everywhere.
"""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

SMALL_IMAGE = 64
"""Pixels. Up to here encoders have the small-image stem and images are stored and evaluated whole."""

Positive = Annotated[float, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1, strict=True)]
Area = Annotated[float, Field(ge=1e-4, le=1)]
Ratio = Annotated[float, Field(ge=0.01, le=100)]

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


class Base(Model):
    """The base crop of one-branch pairs, shared by both views: ``crop`` without flip, with that op's ranges."""

    area: tuple[Area, Area] = (0.08, 1.0)
    ratio: tuple[Ratio, Ratio] = (3 / 4, 4 / 3)

    @model_validator(mode="after")
    def _ordered(self) -> Base:
        if self.area[0] > self.area[1] or self.ratio[0] > self.ratio[1]:
            raise ValueError("area and ratio are ordered pairs (low, high)")
        return self


class Encoder(Model):
    """``f(x)``: ``name`` of a ResNet; ``width`` is the first stage's channels (``resnet8`` only, else 64)."""

    name: Literal["resnet8", "resnet18", "resnet34", "resnet50"] = "resnet18"
    width: Count = 64

    @model_validator(mode="after")
    def _only_resnet8_has_widths(self) -> Encoder:
        if self.name != "resnet8" and self.width != 64:
            raise ValueError(f"width can be set for resnet8 only; {self.name} has 64, not {self.width}")
        return self


class Head(Model):
    """``g(h)``: hidden and output size of the two-layer projection head (paper, section 4.2)."""

    hidden: Count = 512
    output: Count = 128


class Optimiser(Model):
    """``lr`` is the peak learning rate itself, already scaled to the batch size; ``momentum`` is SGD's only."""

    name: Literal["sgd", "adamw"] = "sgd"
    lr: Positive = 0.03
    momentum: Fraction = 0.9
    weight_decay: Annotated[float, Field(ge=0)] = 5e-4


class DataIdentity(Model):
    """Which images: a fingerprint of their content, split and preparation. Where they lie is not part of it."""

    name: str
    fingerprint: str
    classes: int


class TrialConfig(Model):
    """Everything that a trial's result depends on, but for the seed. See DESIGN, Semantics 6."""

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
    temperature: Positive = 0.5
    optimiser: Optimiser = Optimiser()
    device: Literal["cpu", "cuda"] = "cpu"
    precision: Literal["float32", "bfloat16"] = "float32"
    memory_format: Literal["channels_last", "contiguous"] = "channels_last"
    threads: Count = 1

    @model_validator(mode="after")
    def _is_trained(self) -> TrialConfig:
        if self.objective != "untrained":
            if self.epochs < 1:
                raise ValueError("epochs must be at least 1")
            if self.warmup_epochs > self.epochs:
                raise ValueError(f"warmup_epochs ({self.warmup_epochs:g}) must not exceed epochs ({self.epochs})")
        return self

    @property
    def key(self) -> str:
        """The first 16 hex digits of SHA-256 of the canonical JSON: equal key, equal trial.

        The data set's name, a folder's name for instance, is not in it; its fingerprint is.
        """
        content = self.model_dump(mode="json", exclude={"data": {"name"}})
        text = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


Reference = Literal["untrained", "no-op", "supervised"]


class NamedOp(Model):
    """An op as the user named it (``label``, a canonical string) and what it resolved to."""

    label: str
    op: OpSpec


class Experiment(Model):
    """What ``sweep.toml`` holds: the axis (``ops``: every ordered pair is a cell), the fixed values and the seeds.

    ``shared`` is the configuration that all cells have in common; its own composition is empty.
    """

    schema_version: Literal[1] = 1
    command: str = ""
    data: str
    seeds: tuple[Annotated[int, Field(ge=0)], ...]
    references: tuple[Reference, ...] = ("untrained",)
    reference_crop: OpSpec
    ops: tuple[NamedOp, ...]
    shared: TrialConfig


class Trial(Model):
    """One training and evaluation of ``config`` with one ``seed``; where it stands in the grid is for display."""

    config: TrialConfig
    seed: int
    label: str
    row: str | None = None
    column: str | None = None
    reference: Reference | None = None

    @property
    def id(self) -> str:
        """``<key>-s<seed>``: the name of the record, the log and the running directory."""
        return f"{self.config.key}-s{self.seed}"
