"""An adapter for kornia's 2-D augmentation classes as ops: ``kornia.RandomPlanckianJitter(p=0.5)``."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import kornia.augmentation
import torch
from kornia.augmentation._2d.base import AugmentationBase2D
from torch import Tensor

from ablate.errors import UsageError, first_line, unknown
from ablate.ops.op import FAR, Op, Params

PREFIX = "kornia."
TURNING = ("RandomRotation90", "RandomVerticalFlip")
TURNING_BY_DEGREES = ("RandomAffine", "RandomRotation")
PROBE = 64  # pixels: when an adapted op is made, it is run once on images of this size


@dataclasses.dataclass(frozen=True)
class KorniaOp(Op):
    """A kornia augmentation, seeded per batch; ``arguments`` are those of kornia's class, its ``p`` among them.

    kornia's classes take no generator and wait for the device: this op seeds kornia inside a forked generator and is
    exempt from the rule that ops do not (``syncs``). What one image gets depends on its batch.
    """

    syncs: ClassVar[bool] = True
    arguments: tuple[tuple[str, Any], ...] = ()

    def __post_init__(self) -> None:
        """Make kornia's object and try it once, so that a bad argument is reported as soon as it is read."""
        try:
            with torch.random.fork_rng(devices=[]):
                self._augment(torch.rand(2, 3, PROBE, PROBE))
        except Exception as error:
            raise UsageError(f"kornia refuses {self.name}({self._shown()}): {first_line(error)}") from error

    @property
    def acts(self) -> float:
        """The share of images on which it acts: the product of kornia's ``p`` and ``p_batch``."""
        augment = _instance(self.name.removeprefix(PREFIX), self.arguments)
        return float(augment.p * augment.p_batch)

    @property
    def is_turning(self) -> bool:
        """True for a class that turns images, unless its ``p`` is 0 or its ``degrees``, if any, stay below 45."""
        degrees = dict(self.arguments).get("degrees", FAR)
        widest = max(map(abs, degrees)) if isinstance(degrees, tuple) else abs(degrees)
        return self.turns and self.acts > 0 and widest >= FAR

    def acting(self, share: float) -> Self:
        """Return the op with ``share`` as kornia's ``p``."""
        return dataclasses.replace(self, arguments=tuple(sorted({**dict(self.arguments), "p": share}.items())))

    def draw(self, n: int, size: tuple[int, int], generator: torch.Generator, device: torch.device) -> Params:
        """Draw ``seed``, int64 ``[n]``; kornia is seeded with the first."""
        return {"seed": torch.randint(2**62, (n,), generator=generator, device=device)}

    def in_words(self, drawn: Mapping[str, Any], size: tuple[int, int]) -> str:
        """Say that kornia drew the parameters, which it does not reveal."""
        return "drawn by kornia"

    def transform(self, images: Tensor, params: Params) -> Tensor:
        """Apply kornia's class to the batch, and clip to [0, 1]."""
        devices = [images.device] if images.is_cuda else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(int(params["seed"][0]))
            changed = self._augment(images)
        if not isinstance(changed, Tensor) or changed.shape != images.shape:
            shape = list(changed.shape) if isinstance(changed, Tensor) else type(changed).__name__
            raise UsageError(
                f"{self.name} changes the image size ({list(images.shape)} to {shape}); an op must keep it"
            )
        return changed.to(images.dtype).clamp(0, 1)

    def _augment(self, images: Tensor) -> Any:
        return _instance(self.name.removeprefix(PREFIX), self.arguments)(images)

    def parameters(self) -> dict[str, Any]:
        """Return the arguments that were given."""
        return dict(self.arguments)

    def defaults(self) -> dict[str, Any]:
        """Return no defaults: all arguments that were given are shown."""
        return {}

    def _shown(self) -> str:
        return ", ".join(f"{name}={value!r}" for name, value in self.arguments)


def adapt(name: str, arguments: dict[str, Any]) -> KorniaOp:
    """Return the op for kornia's class ``name`` with literal ``arguments``.

    Raises:
        UsageError: no such 2-D augmentation class, an argument that it does not take, or values that it refuses.
    """
    if name not in classes():
        raise unknown("kornia augmentation", name, classes())
    allowed = [p for p in inspect.signature(getattr(kornia.augmentation, name)).parameters if p != "keepdim"]
    for argument in arguments:
        if argument not in allowed:
            raise unknown(f"argument of {PREFIX}{name}", argument, allowed)
    return _adapter(name)(arguments=tuple((key, _literal(key, arguments[key])) for key in sorted(arguments)))


@functools.cache
def classes() -> tuple[str, ...]:
    """Return the names of kornia's 2-D augmentation classes, except those that mix images, which have another base."""
    return tuple(
        sorted(
            name
            for name, cls in vars(kornia.augmentation).items()
            if isinstance(cls, type) and issubclass(cls, AugmentationBase2D) and not name.endswith(("2D", "Base"))
        )
    )


@functools.cache
def _adapter(name: str) -> type[KorniaOp]:
    """Make one subclass per kornia class, so that here, too, the op's class has the op's name."""
    declared = {"name": PREFIX + name, "turns": name in (*TURNING, *TURNING_BY_DEGREES)}
    return dataclasses.dataclass(frozen=True)(type(f"Kornia{name}", (KorniaOp,), declared))


@functools.lru_cache(maxsize=64)
def _instance(name: str, arguments: tuple[tuple[str, Any], ...]) -> Any:
    cls = getattr(kornia.augmentation, name)
    parameters = inspect.signature(cls, eval_str=True).parameters
    values = dict(arguments)
    for key, value in values.items():
        if parameters[key].annotation is Tensor:  # RandomFisheye's ranges
            values[key] = torch.tensor(value)
    return cls(**values)


def _literal(name: str, value: Any) -> Any:
    """Return ``value`` as a hashable that JSON and TOML can hold."""
    if isinstance(value, list | tuple):
        return tuple(_literal(name, item) for item in value)
    if not isinstance(value, bool | int | float | str):
        raise UsageError(f"argument {name!r} of a kornia op must be a number, a string, True, False or a tuple of them")
    return value
