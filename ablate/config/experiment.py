"""The description of a sweep, as a user asks for it: the keys of an experiment file. Needs no torch."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from ablate.config import checks
from ablate.config.base import LARGEST_SEED, Branches, Count, Model
from ablate.config.measure import Measure
from ablate.config.option import DROP, GRID, PREVIEW, SEARCH, TRAIN, Option
from ablate.config.reading import Background, Channels, DeclaredRange, Pages, Reading
from ablate.config.settable import SETTABLE
from ablate.config.sources import KINDS, WITH_COLUMNS, absolute, evaluated_on, written
from ablate.config.sweep import CELLS_AT_A_TIME, FIRST_ROUND, LAST_ROUND, Rounds
from ablate.config.trial import Reference
from ablate.errors import UsageError, nearest, unknown

Scalar = bool | int | float | str | list[float]
Values = list[Scalar] | dict[str, Scalar | dict[str, Scalar]]
Seed = Annotated[int, Field(ge=0, le=LARGEST_SEED, strict=True)]
MOST_SEEDS = 1000
WITHIN, LARGEST = 1.0, 20
"""The defaults of ``within``, in points, and of ``max_seeds``."""


class Experiment(Model):
    """A description of a sweep: what is trained and on which images, but not where it is run.

    The sweep trains every op of ``ops``, every ordered pair of them, every triple if ``order`` is 3, and every
    composition of ``compositions``. It does so at every point of the axes and with every seed. It trains the
    ``references`` once per seed, and the untrained encoder with ``untrained_seeds``, if these are more.
    """

    data: Annotated[
        str,
        Option("Images", commands=(GRID, DROP, SEARCH, TRAIN, PREVIEW)),
        Field(description=f"Images: {written(list(KINDS.values()))}"),
        AfterValidator(absolute),
    ] = "glyphs"
    eval_data: Annotated[
        list[str] | str | None,
        Option("Images", default="the same as --data"),
        Field(description="Evaluate on this labelled data set instead; repeatable: every other one is a further task"),
        AfterValidator(evaluated_on),
    ] = None
    label: Annotated[
        str | None,
        Option("Images", default="label", metavar="NAME", commands=(GRID, DROP, SEARCH, TRAIN, PREVIEW)),
        Field(
            description=f"Column of the labels in {written(WITH_COLUMNS)}; or several, the main task first: "
            "diagnosis,scanner"
        ),
    ] = None
    labels: Annotated[
        float | None,
        Option("Images", default="1"),
        Field(description="Fraction of the training images that keep their labels"),
    ] = None
    limit: Annotated[
        Annotated[int, Field(ge=1)] | None,
        Option("Images", default="all"),
        Field(description="Number of training images to keep, drawn alike from all classes, for a first look"),
    ] = None
    short_side: Annotated[
        int | None,
        Option("Images", default="the training size; if it exceeds 64 px, that divided by 0.875"),
        Field(description="Short side, in pixels, at which image files are stored"),
    ] = None
    channels: Channels = None
    pages: Pages = None
    range: DeclaredRange = None
    background: Background = "white"
    skip_corrupt: Annotated[
        bool,
        Option("Images", commands=(GRID, DROP, SEARCH, TRAIN, PREVIEW)),
        Field(description="Skip image files that are unreadable or that conversion would damage"),
    ] = False
    preset: Annotated[
        str | None,
        Option(
            "Training",
            default="glyphs for these, else laptop@2 without a GPU, one-gpu with one",
            commands=(GRID, DROP, SEARCH, TRAIN, PREVIEW),
        ),
        Field(
            description="Set of default values: laptop@2 (for CPUs), one-gpu, cifar10-fast, "
            "cifar10-readme@2 or -paper@2, imagenet-readme@2 or -paper@2, glyphs"
        ),
    ] = None
    init: Annotated[
        str | None,
        Option("Training", default="weights drawn by the seed", metavar="FILE"),
        Field(
            description="Start from the weights in this file: kept by ablate, torchvision's, timm's, or of a checkpoint"
        ),
        AfterValidator(checks.file),
    ] = None
    init_partial: Annotated[
        bool,
        Option("Training"),
        Field(description="Start from what of --init fits the encoder, and draw the rest by the seed"),
    ] = False
    normalize: Annotated[
        Literal["data", "imagenet", "none"] | None,
        Option("Training", default="none, or as a kept encoder did"),
        Field(
            description="Normalise the encoder's input by mean and standard deviation: of the training images (data), "
            "or ImageNet's"
        ),
    ] = None
    device: Annotated[
        Literal["auto", "cpu", "cuda"],
        BeforeValidator(checks.device),
        Option("Running", text=True),
        Field(description="Device on which trials run: auto, cpu or cuda"),
    ] = "auto"
    compile: Annotated[
        Literal["auto", "on", "off"],
        Option("Training"),
        Field(description="Use torch.compile; auto: for trials of 2000 steps or more on a GPU"),
    ] = "auto"
    branches: Annotated[
        Branches,
        Option("What is compared", commands=(GRID, DROP, SEARCH, TRAIN, PREVIEW)),
        Field(description="one: augment only one of the two views, as in Figure 5 of the paper; two: augment both"),
    ] = "one"
    ops: Annotated[
        list[str],
        Option("What is compared", listed=True, commands=(GRID, SEARCH, PREVIEW)),
        Field(description="Ops to compose, such as crop or color(strength=0.5)"),
    ] = []
    first: Annotated[
        str | None,
        Option("What is compared", metavar="COMPOSITION", commands=(GRID,)),
        Field(description="Composition of the first view in every cell of the grid, whose ops then go to the second"),
    ] = None
    order: Annotated[
        Literal[2, 3],
        Option("What is compared", commands=(GRID,)),
        Field(description="3: also train every ordered triple of different ops, which are k(k-1)(k-2) for k ops"),
    ] = 2
    unordered: Annotated[
        bool,
        Option("What is compared", commands=(GRID,)),
        Field(description="Train every pair and triple in one order only, which halves the number of pairs"),
    ] = False
    pairs_with: Annotated[
        list[str],
        Option("What is compared", metavar="OPS", listed=True, commands=(GRID,)),
        Field(description="Train only pairs and triples that contain one of these ops"),
    ] = []
    compositions: Annotated[
        list[str] | dict[str, str],
        Option("What is compared", ("--include",), metavar="COMPOSITIONS", listed=True, commands=(GRID,)),
        Field(description="Further compositions to train, such as crop+color+blur, or 'A|B' with two branches"),
    ] = []
    baseline: Annotated[
        str | None, Field(description="Composition of this experiment with which the report compares every other")
    ] = None
    prune: Annotated[
        bool,
        Option("What is compared", commands=(GRID, SEARCH)),
        Field(
            description="Stop cells early that fall behind by validation kNN, which leaves at least 38 % of the "
            "training; see docs/pruning.md"
        ),
    ] = False
    budget: Annotated[
        Annotated[int, Field(ge=1)] | str | None,
        BeforeValidator(checks.amount),
        Option("What is compared", default="all cells", metavar="AMOUNT", commands=(GRID,), text=True),
        Field(
            description="Train only the cells that a model asks for, and predict the others: 40 (trials), 3h (hours of "
            "running trials) or 3gpuh (GPU hours)"
        ),
    ] = None
    batch: Annotated[
        Count | None,
        Option("What is compared", default=f"{CELLS_AT_A_TIME}", commands=(GRID,)),
        Field(description="With a budget: cells to ask for at a time, from the results of all earlier ones"),
    ] = None
    prior: Annotated[
        list[str],
        Option("What is compared", metavar="DIR", commands=(GRID, SEARCH)),
        Field(description="Another sweep of the same ops from which the model learns beforehand; may be repeated"),
        AfterValidator(lambda places: [str(Path(place).expanduser().absolute()) for place in places]),
    ] = []
    references: Annotated[
        list[Reference], Field(description="References to train and evaluate along with the cells")
    ] = ["untrained"]
    seeds: Annotated[
        Annotated[int, Field(ge=1, le=MOST_SEEDS, strict=True)]
        | Annotated[list[Seed], Field(min_length=1)]
        | Literal["auto"],
        Field(
            description="Number of seeds, which count from 0, or a list of seeds; auto: rounds of seeds until it is "
            "decided which cell is the best"
        ),
    ] = 1
    untrained_seeds: Annotated[
        Annotated[int, Field(ge=1, le=MOST_SEEDS, strict=True)] | None,
        Option("What is compared", default="as many as others", commands=(GRID, DROP)),
        Field(description="Number of seeds of the untrained encoder, if more than of the cells; each takes seconds"),
    ] = None
    within: Annotated[
        Annotated[float, Field(gt=0)] | None,
        Option("What is compared", default=f"{WITHIN:g}", metavar="POINTS", commands=(GRID,)),
        Field(description="With a budget or seeds auto: points of accuracy that do not matter to you"),
    ] = None
    max_seeds: Annotated[
        Annotated[int, Field(ge=FIRST_ROUND, le=LAST_ROUND, strict=True)] | None,
        Option("What is compared", default=f"{LARGEST}", commands=(GRID,)),
        Field(description="With seeds auto: the largest number of seeds"),
    ] = None
    protocol: Annotated[
        list[str],
        Option("Evaluation", default="linear,knn; without labels rotation,rankme,alignment", listed=True),
        Field(
            description="Ways to evaluate: linear, sgd, knn, finetune, online, rotation, rankme, lidar, "
            "alignment, invariance; few labels: linear:10%, linear:1%, finetune:10%, finetune:1%; on z as in linear@z"
        ),
    ] = []
    metric: Annotated[
        Measure | None,
        BeforeValidator(checks.measure),
        Option(
            "Evaluation",
            metavar="NAME",
            default="balanced if one class has more than twice its share, else top1",
            text=True,
        ),
        Field(description="Measure that chooses l2, rungs and winners: top1, balanced, f1, auroc or ap"),
    ] = None
    keep_encoders: Annotated[
        Literal["all", "best", "none"],
        Option("Evaluation", commands=(GRID, DROP)),
        Field(description="Trained encoders to keep in DIR/encoders, as safetensors files"),
    ] = "none"
    rank_timeout: Annotated[
        float,
        Option("Running", commands=(GRID, DROP, TRAIN)),
        Field(ge=1, description="Seconds without a message after which a process of a trial counts as dead"),
    ] = 600.0
    note: Annotated[
        str,
        Option("Running", commands=(GRID, DROP)),
        Field(description="Note for later readers, kept in DIR/experiment.toml"),
    ] = ""
    set: Annotated[dict[str, Scalar], Field(description="Settings of all trials, with the names that --set takes")] = {}
    axes: Annotated[
        dict[str, Values],
        Field(
            description="Values to try for each setting: a list, or a table that names them. A table under any other "
            "name gives several settings per value"
        ),
    ] = {}
    zip: Annotated[
        list[list[str]], Field(description="Groups of axes that advance together instead of multiplying")
    ] = []
    exclude: Annotated[
        list[dict[str, Scalar]], Field(description="Points to leave out: tables with values of axes, or a composition")
    ] = []

    @field_validator("set")
    @classmethod
    def _known(cls, settings: dict[str, Scalar]) -> dict[str, Scalar]:
        for name in settings:
            if name not in SETTABLE:
                raise unknown("setting", name, sorted(SETTABLE))
        return settings

    @field_validator("axes")
    @classmethod
    def _not_empty(cls, axes: dict[str, Values]) -> dict[str, Values]:
        for name, values in axes.items():
            if not values:
                raise ValueError(f"axis {name!r} has no values")
        return axes

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.ops and not self.compositions:
            raise ValueError("nothing to train: give ops or compositions")
        if len(set(self.seed_list)) < len(self.seed_list):
            raise ValueError("seeds: a seed is listed twice")
        for name, needed in (
            ("within", ("seeds auto", "a budget")),
            ("max_seeds", ("seeds auto",)),
            ("batch", ("a budget",)),
        ):
            there = {"seeds auto": self.seeds == "auto", "a budget": self.budget is not None}
            if getattr(self, name) is not None and not any(there[other] for other in needed):
                other = "; the images in a batch are --batch-size (batch_size)" if name == "batch" else ""
                raise ValueError(f"{name} is for {' or '.join(needed)}{other}")
        for name in itertools.chain.from_iterable(self.zip):
            if name not in self.axes:
                raise ValueError(f"zip: there is no axis {name!r}{nearest(name, self.axes)}")
        for group in self.zip:
            lengths = {name: len(self.axes[name]) for name in group}
            if len(set(lengths.values())) > 1:
                counts = " and ".join(f"{name} {length}" for name, length in lengths.items())
                raise ValueError(f"zip: axes that advance together must have equally many values, not {counts}")
        flat = list(itertools.chain.from_iterable(self.zip))
        if len(set(flat)) < len(flat):
            raise ValueError("zip: an axis is named twice")
        return self

    def at(self, settings: Mapping[str, Any]) -> Experiment:
        """Return this description with ``settings`` (``branches`` may be one) replacing those of the same names.

        Raises:
            UsageError: ``branches`` is neither one nor two.
        """
        further = {name: value for name, value in settings.items() if name != "branches"}
        branches = settings.get("branches", self.branches)
        if branches not in get_args(Branches):
            raise UsageError(f"axes.branches: branches must be one or two, not {branches!r}")
        return self.replace(set={**self.set, **further}, branches=branches)

    @property
    def seed_list(self) -> list[int]:
        """The list of seeds, also where only their number was given; those of the first round if there are rounds."""
        seeds = FIRST_ROUND if self.seeds == "auto" else self.seeds
        return list(range(seeds)) if isinstance(seeds, int) else seeds

    @property
    def rounds(self) -> Rounds | None:
        """The rounds of seeds, of which none has been trained; None if the seeds are fixed."""
        if self.seeds != "auto":
            return None
        return Rounds(within=self.within or WITHIN, largest=self.max_seeds or LARGEST)

    @property
    def reading(self) -> Reading:
        """How the image files are read."""
        return Reading(**{name: getattr(self, name) for name in Reading.model_fields})
