"""The base class of ops: a frozen dataclass of parameters that samples per image, then applies.

``sample`` and ``apply`` are separate on purpose: the same drawn parameters give the same pixels, so that an op can be
tested against kornia and torchvision, replayed and compiled.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from ablate.errors import UsageError, unknown
from ablate.ops import cpu
from ablate.ops.parameters import checked
from ablate.pixels import full_scale

Params = dict[str, Tensor]

FAR = 45.0  # degrees: an image turned further is nearer to another quarter turn than to its own
MOST_CHANNELS = 32
ANY_CHANNELS = range(1, MOST_CHANNELS + 1)
SPOKEN = 4  # how many numbers of one drawn parameter are written out; a longer one is left out


@dataclasses.dataclass(frozen=True)
class Op:
    """The base of every op; it has ``p``, the probability with which an image is changed at all.

    A subclass writes only ``draw`` (the parameters drawn per image) and ``transform`` (how they are applied). It gets
    its ``name`` by registering itself, and raises ``version`` whenever equal parameters stop giving equal pixels.
    ``register`` refuses a class without ``transform``. An op also declares here everything else that the package must
    know of it, so that a new op is one class and nothing else changes.

    Attributes:
        channels: the numbers of channels that it takes; by default any from 1 to 32.
        instead: ops that serve the same purpose where it does not take the number of channels.
        square_only: it takes only square images.
        chromatic: the parameters that change nothing where an image's channels are equal; 0 switches each of them off.
        turns: it turns images by 45 degrees or more, or upside down, so that rotation prediction cannot judge it. An op
            that does so with some parameters only overrides :attr:`is_turning`.
        capturable: a CUDA graph may hold it: on CUDA it waits for nothing, and its code does nothing on the host that
            the next call would do differently. A subclass must declare this again, since it may override methods.
        syncs: it may wait for the device; True only for the kornia adapter.
    """

    name: ClassVar[str] = ""
    version: ClassVar[int] = 1
    channels: ClassVar[Sequence[int]] = ANY_CHANNELS
    instead: ClassVar[tuple[str, ...]] = ()
    square_only: ClassVar[bool] = False
    chromatic: ClassVar[tuple[str, ...]] = ()
    turns: ClassVar[bool] = False
    capturable: ClassVar[bool] = False
    syncs: ClassVar[bool] = False

    p: float = dataclasses.field(
        default=1.0,
        kw_only=True,
        metadata={"doc": "probability that an image is changed", "low": 0.0, "high": 1.0, "unit": ""},
    )

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Let no class inherit ``capturable``, a promise about its own code, nor the pass of another ``transform``."""
        super().__init_subclass__(**kwargs)
        cls.capturable = bool(vars(cls).get("capturable", False))
        defines = [{"transform", "overwrite"} & vars(base).keys() for base in cls.__mro__]
        if next(filter(None, defines)) == {"transform"}:  # of the class itself, or of a mixin before the other parent
            cls.overwrite = Op.overwrite  # type: ignore[method-assign]

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = checked(self.name, field, getattr(self, field.name))
            object.__setattr__(self, field.name, value)

    def draw(self, n: int, size: tuple[int, int], generator: torch.Generator, device: torch.device) -> Params:
        """Draw per-image parameters for ``n`` images of ``size`` (h, w).

        Args:
            n: the number of images.
            size: their height and width in pixels.
            generator: the source of the draws.
            device: the device of the draws.

        Returns:
            tensors ``[n, ...]`` on ``device``, by name.
        """
        return {}

    def transform(self, images: Tensor, params: Params) -> Tensor:
        """Change every image: float ``[n, c, h, w]`` in [0, 1] to a new tensor of the same shape, dtype and range."""
        raise NotImplementedError

    def overwrite(self, images: Tensor, params: Params, mask: Tensor) -> None:
        """Do what :meth:`transform` does, in place and in one compiled pass, for the CPU; not every op has this.

        Args:
            images: float32 ``[n, c, h, w]``, contiguous.
            params: the parameters of all images.
            mask: bool ``[n]``: the images that are changed; the others are not touched.
        """
        raise NotImplementedError

    @property
    def has_pass(self) -> bool:
        """True if :meth:`overwrite` takes the place of :meth:`transform` on a CPU."""
        return type(self).overwrite is not Op.overwrite

    def in_words(self, drawn: Mapping[str, Any], size: tuple[int, int]) -> str:
        """Say what was drawn for one image, for a preview: short phrases joined by ", ", the most telling first.

        Args:
            drawn: the draws of :meth:`draw` for the image: a number, a truth value or a list of numbers for each name.
            size: height and width of the image that the op takes, in pixels.

        Returns:
            ``sigma 0.82``; by default the names and values of ``drawn``, without a ``seed``; ``applied`` if none are
            left.
        """
        return ", ".join(filter(None, map(_spoken, drawn, drawn.values()))) or "applied"

    @property
    def is_identity(self) -> bool:
        """True when the op is switched off: ``p`` = 0 or ``strength`` = 0."""
        return self.p == 0 or getattr(self, "strength", 1.0) == 0

    @property
    def is_turning(self) -> bool:
        """True if, with its parameters, the op turns images as :attr:`turns` says."""
        return self.turns and not self.is_identity

    def __call__(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Draw parameters for a batch and apply them: ``apply(images, sample(...))``.

        Args:
            images: float ``[n, c, h, w]`` in [0, 1], or uint8 or uint16, which are divided by 255 or 65535.
            generator: the source of the draws; default: torch's global generator on the CPU.

        Returns:
            float ``[n, c, h, w]`` in [0, 1] on the device of ``images``.

        Raises:
            UsageError: images of another shape or dtype.
        """
        images = as_unit_range(images)
        self.check(images)
        generator = generator or torch.default_generator
        drawn = self.sample(len(images), (images.shape[2], images.shape[3]), generator)
        return self.apply(images, {name: value.to(images.device) for name, value in drawn.items()})

    @property
    def acts(self) -> float:
        """The share of images on which the op acts, from 0 to 1; the others stay as they are.

        By default it is ``p``. An op whose parts have their own chances overrides this and :meth:`acting`.
        """
        return 0.0 if self.is_identity else self.p

    def acting(self, share: float) -> Self:
        """Return this op with ``acts`` equal to ``share``; an op that is switched off stays so."""
        return dataclasses.replace(self, p=share)

    def sample(
        self,
        n: int,
        size: tuple[int, int],
        generator: torch.Generator,
        device: torch.device | str | None = None,
    ) -> Params:
        """Draw ``mask`` (bool ``[n]``, True where the op acts) and the parameters of ``draw``.

        Args:
            n: the number of images.
            size: their height and width in pixels.
            generator: the source of the draws.
            device: the device of the draws; default: the generator's.
        """
        device = torch.device(device) if device is not None else generator.device
        mask = torch.rand(n, generator=generator, device=device) < self.p
        return {"mask": mask, **self.draw(n, size, generator, device)}

    def apply(self, images: Tensor, params: Params, *, in_place: bool = False) -> Tensor:
        """Change the images that ``params["mask"]`` names; the others pass bit for bit.

        Args:
            images: float ``[n, c, h, w]`` in [0, 1].
            params: the parameters that ``sample`` returned for ``n`` images of this size.
            in_place: True if nobody needs ``images`` any more, so that they may be written to; the result
                may still be a new tensor.

        Returns:
            float ``[n, c, h, w]`` in [0, 1], a new tensor or ``images`` itself; without ``in_place`` the input is never
            written to.

        Raises:
            UsageError: a channel count, a shape or a dtype that the op does not take, or parameters of other images.
        """
        self.check(images)
        if not images.is_floating_point():
            raise UsageError(
                f"op '{self.name}' applies to float images in [0, 1], not {images.dtype}: op(images) converts them"
            )
        if self.is_identity or len(images) == 0:
            return images
        if any(len(value) != len(images) for value in params.values()):
            raise UsageError(f"{self.name}: there are parameters of other than {len(images)} images")
        if self.has_pass and images.dtype == torch.float32 and cpu.serves(images):
            # A pass writes into the memory that it is given, so a copy for its sake has to be made here.
            images = images.contiguous() if in_place else images.clone(memory_format=torch.contiguous_format)
            self.overwrite(images, params, params["mask"] if self.p < 1 else torch.ones(len(images), dtype=torch.bool))
            return images
        if self.p == 1:
            return self.transform(images, params)
        mask = params["mask"]
        if images.device.type == "cpu":  # a data-dependent shape costs nothing here, but on CUDA would wait
            chosen = mask.nonzero()[:, 0]
            if len(chosen) == 0:
                return images
            part = {key: value[chosen] for key, value in params.items()}
            return images.index_copy(0, chosen, self.transform(images[chosen], part))
        return torch.where(mask[:, None, None, None], self.transform(images, params), images)

    def each_in_words(
        self, params: Params, sizes: Sequence[tuple[int, int]], channels: int = MOST_CHANNELS
    ) -> list[str]:
        """Return :meth:`in_words` for every image of a batch; ``not applied`` where the op does not act.

        Args:
            params: the parameters of the batch.
            sizes: the images' heights and widths, in pixels.
            channels: how many channels the images have: of a draw ``[n, 32]``, one for each possible channel,
                :meth:`in_words` is given the first ones.
        """
        said = []
        for row, size in enumerate(sizes):
            drawn = {
                name: (value[row, :channels] if value.shape[1:] == (MOST_CHANNELS,) else value[row]).tolist()
                for name, value in params.items()
            }
            acts = drawn.pop("mask", True) and not self.is_identity
            said.append(self.in_words(drawn, size) if acts else "not applied")
        return said

    def check(self, images: Tensor) -> None:
        """Raise UsageError unless ``images`` is ``[n, c, h, w]`` with a channel count and shape this op takes."""
        self.check_channels(images)
        if self.square_only and images.shape[2] != images.shape[3]:
            raise UsageError(f"op '{self.name}' takes square images, not {images.shape[2]} x {images.shape[3]}")

    def check_channels(self, images: Tensor) -> None:
        """Raise UsageError unless ``images`` is ``[n, c, h, w]`` with a channel count that this op takes."""
        if images.ndim != 4 or images.shape[1] not in self.channels:
            allowed = counts(self.channels)
            last = images.ndim == 4 and images.shape[3] in self.channels
            hint = "; for images [n, h, w, c]: images.permute(0, 3, 1, 2)" if last else ""
            raise UsageError(
                f"op '{self.name}' takes [n, c, h, w] images with c = {allowed}, not {list(images.shape)}{hint}"
            )

    def defaults(self) -> dict[str, Any]:
        """Return every parameter's default."""
        return {name: field.default for name, field in parameter_fields(type(self)).items()}

    def parameters(self) -> dict[str, Any]:
        """Return every parameter and its value, ``p`` last; tuples stay tuples."""
        names = [f.name for f in dataclasses.fields(self) if f.name != "p"] + ["p"]
        return {name: getattr(self, name) for name in names}

    def recorded(self) -> dict[str, Any]:
        """Return :meth:`parameters` as records hold them: ``later`` ones only where they differ from the default."""
        later = {f.name: f.default for f in dataclasses.fields(self) if f.metadata.get("later")}
        return {name: value for name, value in self.parameters().items() if name not in later or value != later[name]}


def counts(channels: Sequence[int]) -> str:
    """Return numbers of channels in words: ``3``, ``1 or 3``, ``2 to 32``."""
    if isinstance(channels, range):
        return f"{channels[0]} to {channels[-1]}"
    return " or ".join(map(str, channels))


def as_unit_range(images: Tensor) -> Tensor:
    """Return ``images`` as floats in [0, 1]: uint8 is divided by 255, uint16 by 65535, float passes as it is.

    Raises:
        UsageError: not a tensor, or another dtype.
    """
    if not isinstance(images, Tensor):
        raise UsageError(f"images must be a tensor [n, c, h, w], not a {type(images).__name__}")
    if images.dtype in {torch.uint8, torch.uint16}:
        return images.float() / full_scale(images.dtype)
    if not images.is_floating_point():
        raise UsageError(f"images must be uint8, uint16, or float in [0, 1], not {images.dtype}")
    return images


def short(value: float) -> str:
    """Return a number in a short form: ``0.31``, ``1.1``, ``140``, ``0.003``."""
    if abs(value) >= 99.5:
        return f"{value:.0f}"
    if abs(value) < 0.005:
        return f"{value + 0.0:.1g}"
    return f"{value:.2g}" if abs(value) >= 1 else f"{round(value, 2):g}"


def _spoken(name: str, value: Any) -> str:
    """Return ``sigma 0.82``; only the name if the value is true, nothing if it is false, a seed or too long."""
    if isinstance(value, bool):
        return name if value else ""
    numbers = value if isinstance(value, list) else [value]
    if name == "seed" or len(numbers) > SPOKEN or not all(isinstance(number, int | float) for number in numbers):
        return ""
    return " ".join([name, *map(short, numbers)])


def parameter_fields(cls: type[Op]) -> dict[str, dataclasses.Field[Any]]:
    """Return the parameters of an op class by name, in declaration order, ``p`` last."""
    fields = {f.name: f for f in dataclasses.fields(cls)}
    fields["p"] = fields.pop("p")
    return fields


def build(cls: type[Op], values: dict[str, Any]) -> Op:
    """Return ``cls(**values)``; raise UsageError for a parameter that the op does not have."""
    allowed = list(parameter_fields(cls))
    for name in values:
        if name not in allowed:
            raise unknown(f"{cls.name} parameter", name, allowed)
    return cls(**values)
