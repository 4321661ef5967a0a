"""The arguments of a step, with the library's own defaults for those that are left out, and checks on them."""

from __future__ import annotations

import enum
import importlib
import inspect
from dataclasses import dataclass, field
from typing import Any

from ablate.errors import UsageError, unknown
from ablate.transforms.steps import Step, Unread

PRINTED_AS = {"resize_to": "ratio", "clip_limit_factor": "clip_limit", "quality": "jpeg_quality"}
"""What kornia prints in place of an argument's name."""
PILLOW = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}
"""Interpolations by the numbers of Pillow, which torchvision takes."""
CV2 = {0: "nearest", 1: "bilinear", 2: "bicubic"}
"""Interpolations by the numbers of OpenCV, which albumentations takes; those of kornia are the same."""

HARMLESS = (
    *("always_apply", "p", "inplace", "keepdim", "rotate_method"),
    *("mask_interpolation", "mask_value", "mask_fill_value", "mask_params", "fill_mask"),
)
"""Arguments that change no pixel of an image, or that are looked at elsewhere."""


@dataclass
class Surroundings:
    """What the steps before have done: the side of the images in pixels, if it is known, and if they are normalised."""

    side: int | None = None
    is_normalised: bool = False
    differs: list[str] = field(default_factory=list)


class Given:
    """The arguments of a step by name, as its equal asks for them.

    Args:
        step: the step, of a class that its library has.
        around: what the steps before have done.
    """

    def __init__(self, step: Step, around: Surroundings) -> None:
        self.step, self.around = step, around
        self.values = dict(step.named) if step.library == "albumentations" else _bound(step)
        self.read: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        """Return the value of an argument; raise UsageError if it is missing or is not known."""
        if name not in self.values:
            raise self.step.error(f"{self.step.name} has no {name!r} here, so it cannot be read")
        value = self.values[name]
        self.read.add(name)
        if isinstance(value, Unread):
            raise self.step.error(
                f"{name}={value.text} of {self.step.name} cannot be read without running the file: {value.why}"
            )
        return value.value if isinstance(value, enum.Enum) else value

    def share(self) -> Any:
        """Return ``p``; a class of torchvision without it acts always."""
        return 1.0 if self.step.library == "torchvision" and "p" not in self.values else self["p"]

    def get(self, name: str, default: Any) -> Any:
        """Return the value of an argument that only some versions of the library have."""
        return self[name] if name in self.values else default

    def no_equal(self, name: str, allowed: str) -> UsageError:
        """Return the error for a value of ``name`` that no op has."""
        return self.step.error(f"{name}={self[name]!r} of {self.step.name} has no equal among the ops; {allowed}")

    def only(self, **allowed: Any) -> None:
        """Raise UsageError if an argument that this version of the library has is not as given here."""
        for name, value in allowed.items():
            if _plain(self.get(name, value)) != value:
                raise self.no_equal(name, f"allowed: {value!r}")

    def over_black(self) -> None:
        """Raise UsageError if the image is moved over another colour than black."""
        for name in ("fill", "fill_value", "value"):
            value = self.get(name, 0)
            if any(value if isinstance(value, tuple) else (value,)):
                raise self.no_equal(name, "allowed: 0")
        if self.step.library == "torchvision" and self["fill"] is not None:
            self.say("weighs pixels at the edge of the image in another way")

    def must_show(self, name: str) -> None:
        """Raise UsageError if ``print`` has left out an argument that matters."""
        if self.step.is_printed and name not in self.step.named:
            raise self.step.error(
                f"print does not show the {name} of this {self.step.name}; write it in, or give the Python file"
            )

    def say(self, difference: str) -> None:
        """Note how the op differs from the step."""
        self.around.differs.append(f"{self.step.name} {difference}")

    def say_unknown(self) -> None:
        """Note the arguments that were given and that the equal has not asked for, as those of a later version."""
        for name, value in {} if self.step.is_printed else self.step.named.items():
            if name not in self.read and name not in HARMLESS and value is not None:
                self.say(f"has {name}={value!r}, which is not followed")

    def pair(self, name: str) -> tuple[Any, Any]:
        """Return a range; one number is a range without width."""
        value = self[name]
        pair = value if isinstance(value, tuple) else (value, value)
        if len(pair) == 1:
            pair = pair * 2
        if len(pair) != 2 or not all(isinstance(item, int | float) for item in pair):
            raise self.no_equal(name, "allowed: a number or two")
        return pair

    def one(self, name: str) -> Any:
        """Return a number; a range must have no width."""
        low, high = self.pair(name)
        if low != high:
            raise self.no_equal(name, "allowed: one number, which is not drawn")
        return low

    def reach(self, name: str, centre: float = 0.0, least: float | None = None) -> float:
        """Return how far a range reaches to either side of ``centre``; a number is that reach, None is none.

        Args:
            name: the argument.
            centre: the middle of the range.
            least: where a range that would reach lower is cut off.
        """
        value = self[name]
        if value is None or isinstance(value, int | float):
            return tidy(value or 0.0)
        low, high = self.pair(name)
        reach = high - centre
        lowest = centre - reach if least is None else max(least, centre - reach)
        if abs(low - lowest) > 1e-6 or reach < 0:
            raise self.no_equal(name, f"allowed: a range around {centre:g}")
        return tidy(reach)

    def fill(self, name: str) -> float:
        """Return the grey value in [0, 1] with which an area is filled; values above 1 are of 8 bits."""
        value = self[name]
        if isinstance(value, tuple) and value and all(item == value[0] for item in value):
            value = value[0]
        if not isinstance(value, int | float):
            raise self.no_equal(name, "allowed: one number")
        return tidy(value / 255 if value > 1 else value)

    def set_side(self, *names: str) -> None:
        """Note the size of the images from here: the shorter side, None if the arguments of these names do not tell."""
        self.read.update(names)
        sizes = [self.values[name] for name in names if self.values.get(name) is not None]
        flat = [item for size in sizes for item in (size if isinstance(size, tuple) else (size,))]
        is_known = bool(flat) and all(isinstance(item, int) for item in flat)
        self.around.side = min(flat) if is_known else None
        if is_known and len(set(flat)) > 1:
            self.say(f"makes images of {' x '.join(map(str, flat))} px; here they are square")

    def interpolates(self, name: str, numbers: dict[int, str]) -> None:
        """Say if the step interpolates in another way than bilinearly."""
        value = self[name]
        word = numbers.get(value, str(value)) if isinstance(value, int) else str(value).lower().removeprefix("inter_")
        if word not in ("bilinear", "linear"):
            self.say(f"interpolates by {word}; here bilinearly")


def _plain(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def tidy(value: float) -> float:
    """Return ``value`` without the last digits, which hold rounding errors."""
    return float(f"{value:.12g}")


def is_adaptable(step: Step) -> bool:
    """Return True if a step is a 2-D augmentation of kornia with its arguments, which can be an op as it is."""
    if step.library != "kornia" or step.is_printed:
        return False
    from kornia.augmentation._2d.base import AugmentationBase2D

    return issubclass(_class(step), AugmentationBase2D)


def _bound(step: Step) -> dict[str, Any]:
    """Return the arguments by name, with the defaults of the installed library."""
    signature = inspect.signature(_class(step))
    allowed = [name for name in signature.parameters if name not in ("args", "kwargs")]
    named = {PRINTED_AS.get(name, name) if step.is_printed else name: value for name, value in step.named.items()}
    if step.is_printed:
        named = {name: value for name, value in named.items() if name in allowed}
    for name in named:
        if name not in allowed:
            raise step.error(str(unknown(f"argument of {step.name}", name, allowed)))
    try:
        bound = signature.bind_partial(*step.positional, **named)
    except TypeError as error:
        raise step.error(f"{step.name} cannot be called like this: {error}") from None
    bound.apply_defaults()
    return {name: tuple(value) if isinstance(value, list) else value for name, value in bound.arguments.items()}


def _class(step: Step) -> Any:
    """Return a class of torchvision or kornia; raise UsageError if the installed version lacks it."""
    where = "torchvision.transforms.v2" if step.library == "torchvision" else "kornia.augmentation"
    found = getattr(importlib.import_module(where), step.name, None)
    if found is None:
        raise step.error(f"the installed {where} has no {step.name}")
    return found
