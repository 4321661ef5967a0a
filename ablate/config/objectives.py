"""The objectives that an encoder can be trained with: what each needs, and its settings. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field

from ablate.config.base import LATER, Count, Fraction, Model

Objective = Literal[
    "simclr", "supervised", "untrained", "byol", "simsiam", "barlow", "vicreg", "mocov3", "supcon", "dino"
]

Temperature = Annotated[float, Field(ge=1e-3, le=1e3)]

Weight = Annotated[float, Field(ge=0, le=1e6)]


class Method(Model):
    """The settings that only some objectives have; None where the trial's objective has no such setting."""

    target_momentum: Annotated[
        Fraction | None,
        LATER,
        Field(description="byol, mocov3, dino: momentum of the target at the first step; it rises to 1 as a cosine"),
    ] = None
    predictor: Annotated[
        Count | None, LATER, Field(description="byol, simsiam, mocov3: size of the inner layer of the predictor")
    ] = None
    redundancy: Annotated[
        Weight | None, LATER, Field(description="barlow: weight lambda of the other correlations")
    ] = None
    invariance: Annotated[Weight | None, LATER, Field(description="vicreg: weight lambda of the invariance term")] = (
        None
    )
    variance: Annotated[Weight | None, LATER, Field(description="vicreg: weight mu of the variance term")] = None
    covariance: Annotated[Weight | None, LATER, Field(description="vicreg: weight nu of the covariance term")] = None
    bottleneck: Annotated[
        Count | None,
        LATER,
        Field(description="dino: size of the vectors that are compared with head.output prototypes"),
    ] = None
    student_temperature: Annotated[Temperature | None, LATER, Field(description="dino: temperature of the student")] = (
        None
    )
    teacher_temperature: Annotated[Temperature | None, LATER, Field(description="dino: temperature of the teacher")] = (
        None
    )
    centre_momentum: Annotated[
        Fraction | None, LATER, Field(description="dino: momentum of the running mean of the teacher's outputs")
    ] = None
    fixed_epochs: Annotated[
        int | None, LATER, Field(ge=0, strict=True, description="dino: epochs before the prototypes are trained")
    ] = None


@dataclass(frozen=True)
class Kind:
    """A kind of objective.

    Args:
        name: its name on the command line and in records.
        title: its name in a sentence.
        about: what it is, in a few words.
        paper: where it is from.
        views: the number of augmented views of each image that the encoder sees.
        needs_labels: it is trained on labelled images alone.
        has_target: it is trained towards a momentum copy of encoder and head.
        can_collapse: nothing but its architecture or its regularisers keeps all projections from becoming equal.
        settings: the settings of its own, among those that not every objective has, with the values of its paper; None:
            the preset's value, or a width, which :attr:`widths` gives.
        layers: the number of layers of its head; None: the preset's head.
        has_own_head: batch norms and biases of its head are those of its paper, whatever the head's settings say.
        widths: the sizes of head and predictor for a ResNet-50, as in its paper; empty: the preset's.
        scales: the same sizes beside the widths of a smaller preset, as a multiple of its ``hidden`` or ``output``.
    """

    name: str
    title: str
    about: str
    paper: str
    views: Literal[1, 2] = 2
    needs_labels: bool = False
    has_target: bool = False
    can_collapse: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)
    layers: Literal[2, 3] | None = None
    has_own_head: bool = False
    widths: Mapping[str, int] = field(default_factory=dict)
    scales: Mapping[str, tuple[Literal["hidden", "output"], float]] = field(default_factory=dict)

    @property
    def method(self) -> dict[str, Any]:
        """The fields of :class:`Method` that it has, with the values of its paper for a ResNet-50."""
        own = {name.removeprefix("method."): value for name, value in self.settings.items() if "method." in name}
        return {name: self.widths.get(name, value) for name, value in own.items()}


SIMCLR = Kind(
    "simclr",
    "SimCLR",
    "NT-Xent over both views",
    "Chen et al. 2020, arXiv 2002.05709",
    settings={"temperature": None, "loss_scale": None},
)
SUPERVISED = Kind(
    "supervised",
    "supervised training",
    "cross-entropy with labels over the first view",
    "Chen et al. 2020, arXiv 2002.05709, table 1",
    views=1,
    needs_labels=True,
)
BYOL = Kind(
    "byol",
    "BYOL",
    "prediction of a momentum copy's projection",
    "Grill et al. 2020, arXiv 2006.07733",
    has_target=True,
    can_collapse=True,
    settings={"method.target_momentum": 0.996, "method.predictor": None},
    layers=2,
    has_own_head=True,
    widths={"hidden": 4096, "output": 256, "predictor": 4096},
    scales={"output": ("output", 1), "predictor": ("hidden", 1)},
)
SIMSIAM = Kind(
    "simsiam",
    "SimSiam",
    "prediction of the other view's projection, behind a stop-gradient",
    "Chen and He 2021, arXiv 2011.10566",
    can_collapse=True,
    settings={"method.predictor": None},
    layers=3,
    has_own_head=True,
    widths={"hidden": 2048, "output": 2048, "predictor": 512},
    scales={"output": ("hidden", 1), "predictor": ("hidden", 1 / 4)},
)
BARLOW = Kind(
    "barlow",
    "Barlow Twins",
    "cross-correlation of the two views' projections, made the identity",
    "Zbontar et al. 2021, arXiv 2103.03230",
    can_collapse=True,
    settings={"method.redundancy": 0.005},
    layers=3,
    has_own_head=True,
    widths={"hidden": 8192, "output": 8192},
    scales={"output": ("hidden", 1)},
)
VICREG = Kind(
    "vicreg",
    "VICReg",
    "invariance, variance and covariance of projections",
    "Bardes et al. 2022, arXiv 2105.04906",
    can_collapse=True,
    settings={"method.invariance": 25.0, "method.variance": 25.0, "method.covariance": 1.0},
    layers=3,
    has_own_head=True,
    widths={"hidden": 8192, "output": 8192},
    scales={"output": ("hidden", 1)},
)

MOCOV3 = Kind(
    "mocov3",
    "MoCo v3",
    "contrast of predictions with a momentum copy's projections, without a queue",
    "Chen et al. 2021, arXiv 2104.02057",
    has_target=True,
    settings={"temperature": 1.0, "method.target_momentum": 0.99, "method.predictor": None},
    layers=2,
    has_own_head=True,
    widths={"hidden": 4096, "output": 256, "predictor": 4096},
    scales={"output": ("output", 1), "predictor": ("hidden", 1)},
)
SUPCON = Kind(
    "supcon",
    "SupCon",
    "contrast of classes, with labels",
    "Khosla et al. 2020, arXiv 2004.11362",
    needs_labels=True,
    settings={"temperature": 0.1},
    layers=2,
    widths={"hidden": 2048, "output": 128},
    scales={"output": ("output", 1)},
)
DINO = Kind(
    "dino",
    "DINO",
    "the teacher's distribution over prototypes, on two views",
    "Caron et al. 2021, arXiv 2104.14294",
    has_target=True,
    can_collapse=True,
    settings={
        "method.target_momentum": 0.996,
        "method.bottleneck": None,
        "method.student_temperature": 0.1,
        "method.teacher_temperature": 0.04,
        "method.centre_momentum": 0.9,
        "method.fixed_epochs": 1,
    },
    layers=3,
    has_own_head=True,
    widths={"hidden": 2048, "output": 65536, "bottleneck": 256},
    scales={"bottleneck": ("output", 1), "output": ("hidden", 8)},
)

KINDS: dict[str, Kind] = {
    kind.name: kind for kind in (SIMCLR, SUPERVISED, BYOL, SIMSIAM, BARLOW, VICREG, MOCOV3, SUPCON, DINO)
}
"""The kinds of objectives by name, in the order in which messages list them."""


def kind_of(objective: str) -> Kind:
    """Return the kind of an objective; an untrained encoder has the head and the settings of SimCLR."""
    return SIMCLR if objective == "untrained" else KINDS[objective]


def with_setting(name: str) -> str:
    """Return the names of the objectives that have the setting ``name``, as ``simclr, mocov3``."""
    return ", ".join(kind.name for kind in KINDS.values() if name in kind.settings)


def objection(objective: str, settings: Mapping[str, Any]) -> str:
    """Return the reason why an objective cannot have one of ``settings``, such as ``method.variance``; else nothing."""
    kind = kind_of(objective)
    for name in settings:
        users = with_setting(name)
        if users and name not in kind.settings:
            return f"{name} is for {users}: the objective {objective} has no such setting"
    return ""


def own_head(objective: str) -> str:
    """Return the sentence that refuses other batch norms, or another kind, for the head of an objective's paper."""
    return (
        f"head.kind and head.batch_norm cannot be set for {objective}, whose head is its paper's; head.layers, "
        "head.hidden and head.output can"
    )


def unsuited(objective: str, method: Method) -> str:
    """Return the reason why ``method`` is not that of an objective: a setting too many or too few; else nothing.

    An untrained encoder uses none, whatever it has.
    """
    if objective == "untrained":
        return ""
    given = {f"method.{name}": value for name, value in method.model_dump().items() if value is not None}
    absent = [
        f"method.{name}={value}" for name, value in kind_of(objective).method.items() if f"method.{name}" not in given
    ]
    missing = f"the objective {objective} needs its settings; its paper has {', '.join(absent)}" if absent else ""
    return objection(objective, given) or missing
