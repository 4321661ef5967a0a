"""The configuration of an encoder: its architecture, the weights it starts from, and how it takes its input."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field, model_validator

from ablate.config.base import GIVEN, LATER, Count, Model, Positive
from ablate.config.option import Option
from ablate.errors import nearest

RESNETS = ("resnet8", "resnet18", "resnet34", "resnet50", "resnet101")
WIDTHS = {1: 64, 2: 128, 4: 256}
"""Channels of the first stage by the paper's width multiplier (section 5.1)."""


class Normalization(Model):
    """What an encoder subtracts from every channel of its input in [0, 1], and by what it divides the rest."""

    mean: Annotated[tuple[float, ...], Field(description="Subtracted from each channel, which is in [0, 1]")]
    std: Annotated[tuple[Positive, ...], Field(description="Divides each channel after that")]

    @model_validator(mode="after")
    def _alike(self) -> Normalization:
        if len(self.mean) != len(self.std):
            raise ValueError(f"mean and std must be equally long, not {len(self.mean)} and {len(self.std)}")
        return self

    def __str__(self) -> str:
        """Return ``mean 0.485, 0.456, 0.406 and std 0.229, 0.224, 0.225``."""
        mean, std = (", ".join(f"{value:g}" for value in values) for values in (self.mean, self.std))
        return f"mean {mean} and std {std}"


IMAGENET = Normalization(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
"""The normalisation of torchvision's ImageNet encoders (its ``transforms/_presets.py``) and of most of timm's."""


class Encoder(Model):
    """The encoder ``f(x)``: a ResNet, ``timm:NAME``, or ``module:function`` (your own, called without arguments)."""

    name: Annotated[
        str,
        Option("Training", ("--encoder",), default="the preset's"),
        Field(
            description="resnet8, 18, 34, 50 or 101, or a wider one such as resnet50x2; timm:NAME; module:function for "
            "your own"
        ),
    ] = "resnet18"
    width: Annotated[
        Count,
        Field(description="Channels of the first stage: any number for resnet8, 64, 128 or 256 for the other ResNets"),
    ] = 64
    code: Annotated[str, LATER, GIVEN, Field(description="Version of the code behind timm:NAME or module:function")] = (
        ""
    )
    zero_init_residual: Annotated[
        bool,
        LATER,
        Field(
            description="Start the last batch norm of every residual block with a scale of 0, as the official code "
            "does, so that every block starts as the identity"
        ),
    ] = False
    weights: Annotated[
        str, LATER, GIVEN, Field(description="Hash of the weights that module:function loads, empty if it loads none")
    ] = ""
    init: Annotated[
        str, LATER, GIVEN, Field(description="Hash of the weights that it starts from, empty if they are drawn")
    ] = ""
    normalize: Annotated[
        Normalization | None, LATER, GIVEN, Field(description="How it normalises its input; None: not at all")
    ] = None
    frozen_stages: Annotated[
        int,
        LATER,
        Option("Training", ("--freeze",)),
        Field(
            ge=0,
            le=200,
            strict=True,
            description="With given weights: first stages of the encoder that are not trained; 1 is the stem alone",
        ),
    ] = 0
    frozen_statistics: Annotated[
        bool,
        LATER,
        Field(description="With given weights: normalise by their batch-norm statistics in training too"),
    ] = False

    @property
    def is_foreign(self) -> bool:
        """True for ``timm:NAME`` and ``module:function``."""
        return ":" in self.name

    @property
    def starts_given(self) -> bool:
        """True if it starts from weights that somebody trained: those of ``--init``, or of its own function."""
        return bool(self.init or self.weights)

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
