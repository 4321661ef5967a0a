"""Each op as calls of kornia and of torchvision, with its parameters resolved to numbers; needs no torch.

A step is a constructor call as text. Calls that begin with ``K.`` or ``v2.`` are the library's own; the others are
classes of :mod:`ablate.pipelines.snippets`, where the library lacks an op or has a different one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from ablate.config.base import OpSpec
from ablate.errors import NotExportable
from ablate.pipelines.values import (
    Values,
    blur_taps,
    call,
    check_words,
    cutout_side,
    jitter_ranges,
    literal,
    only,
    scaled,
)

Library = Literal["kornia", "torchvision"]
KORNIA = "kornia."
TENSORS = {"RandomFisheye": ("center_x", "center_y", "gamma")}  # arguments that kornia accepts only as tensors


@dataclass(frozen=True)
class Steps:
    """One op as steps, first to last, by library."""

    kornia: tuple[str, ...] = ()
    torchvision: tuple[str, ...] = ()


Writer = Callable[[Values, int], Steps]
_WRITERS: dict[str, tuple[int, Writer]] = {}


def exportable() -> dict[str, int]:
    """Return the ops that can be written as code, and the version of each that the code is for."""
    return {name: version for name, (version, _) in _WRITERS.items()}


def acts(spec: OpSpec, library: str) -> bool:
    """Return False if an op is switched off.

    Args:
        spec: the op.
        library: the name of the library whose pipeline is written, for messages.

    Raises:
        NotExportable: a user's own op, or an op of another version than the one that pipelines are for.
    """
    check_words(spec)
    if spec.name not in _WRITERS:
        raise NotExportable(
            f"the op {spec.name!r} cannot be exported to a {library} pipeline: "
            "only ablate's own ops and kornia's classes can"
        )
    version, _ = _WRITERS[spec.name]
    if spec.version != version:
        raise NotExportable(
            f"the op {spec.name!r} has version {spec.version} in these records, but the {library} pipeline would have "
            f"version {version}, which gives other pixels"
        )
    return spec.params["p"] != 0 and spec.params.get("strength") != 0


def steps(spec: OpSpec, size: int, library: Library) -> tuple[str, ...]:
    """Return the op as calls, for images of ``size`` pixels a side; none if it is switched off.

    Args:
        spec: the op.
        size: side of the images in pixels.
        library: the library whose calls are written.

    Raises:
        NotExportable: a user's own op, one of another version, a parameter's value that pipelines do not have, a
            kornia class for torchvision.
    """
    check_words(spec)
    if spec.name.startswith(KORNIA):
        if library != "kornia":
            raise NotExportable(f"torchvision has no equivalent of {spec.name}: use the kornia pipeline")
        return _adapted(spec)
    if not acts(spec, library):
        return ()
    _, write = _WRITERS[spec.name]
    written = write(spec.params, size)
    return written.kornia if library == "kornia" else written.torchvision


def writes(name: str, version: int = 1) -> Callable[[Writer], Writer]:
    """Register a function as the writer of version ``version`` of the op ``name``; this is a decorator."""

    def decorate(writer: Writer) -> Writer:
        _WRITERS[name] = (version, writer)
        return writer

    return decorate


def _all_or_none(p: float, kornia: list[str], torchvision: list[str]) -> Steps:
    """Return steps that act together, with probability ``p``."""
    if p == 1:
        return Steps(tuple(kornia), tuple(torchvision))
    return Steps((f"Sometimes({', '.join(kornia)}, p={literal(p)})",) if kornia else (), _apply(p, *torchvision))


def _apply(p: float, *transforms: str) -> tuple[str, ...]:
    """Return the transforms, applied together with probability ``p``."""
    return transforms if p == 1 or not transforms else (f"v2.RandomApply([{', '.join(transforms)}], p={literal(p)})",)


def crop_steps(op: Values, size: int) -> Steps:
    """Return only the box, without flip, of an op ``crop`` or of a base crop.

    Raises:
        NotExportable: boxes or pixels as in the official code.
    """
    only("crop", op, sampling="torchvision", resize="bilinear")
    area, ratio = op["area"], op["ratio"]
    return Steps(
        (call("RandomResizedCrop", size, area=area, ratio=ratio),),
        (call("v2.RandomResizedCrop", size, scale=area, ratio=ratio, antialias=True),),
    )


@writes("crop", version=2)
def _crop(op: Values, size: int) -> Steps:
    crop, flips = crop_steps(op, size), op["flip_p"] > 0
    return _all_or_none(
        op["p"],
        [*crop.kornia, *[call("K.RandomHorizontalFlip", p=op["flip_p"])] * flips],
        [*crop.torchvision, *[call("v2.RandomHorizontalFlip", p=op["flip_p"])] * flips],
    )


@writes("flip")
def _flip(op: Values, size: int) -> Steps:
    return Steps((call("K.RandomHorizontalFlip", p=op["p"]),), (call("v2.RandomHorizontalFlip", p=op["p"]),))


@writes("vflip")
def _vflip(op: Values, size: int) -> Steps:
    return Steps((call("K.RandomVerticalFlip", p=op["p"]),), (call("v2.RandomVerticalFlip", p=op["p"]),))


@writes("d4")
def _d4(op: Values, size: int) -> Steps:
    return _same(call("SquareSymmetry", p=op["p"]))


@writes("jitter", version=2)
def _jitter(op: Values, size: int) -> Steps:
    only("jitter", op, impl="torchvision")
    ranges = jitter_ranges(op)
    return Steps((call("ColorJitter", **ranges, p=op["p"]),), _apply(op["p"], call("v2.ColorJitter", **ranges)))


@writes("gray")
def _gray(op: Values, size: int) -> Steps:
    return Steps((call("K.RandomGrayscale", p=op["p"]),), (call("v2.RandomGrayscale", p=op["p"]),))


@writes("color", version=2)
def _color(op: Values, size: int) -> Steps:
    only("color", op, impl="torchvision")
    parts = []
    if op["jitter_p"] > 0:
        parts.append(_jitter({**op, "p": op["jitter_p"]}, size))
    if op["gray_p"] > 0:
        parts.append(_gray({"p": op["gray_p"]}, size))
    kornia, torchvision = [s for part in parts for s in part.kornia], [s for part in parts for s in part.torchvision]
    return _all_or_none(op["p"], kornia, torchvision)


@writes("blur", version=2)
def _blur(op: Values, size: int) -> Steps:
    taps, sigma = blur_taps(op, size), scaled(op, "sigma")
    return Steps(
        (call("K.RandomGaussianBlur", (taps, taps), sigma, border_type="reflect", p=op["p"]),),
        _apply(op["p"], call("v2.GaussianBlur", taps, sigma)),
    )


@writes("sharpen")
def _sharpen(op: Values, size: int) -> Steps:
    amount = op["amount"] * op["strength"]
    own = call("Sharpen", amount, p=op["p"])
    kornia = call("K.RandomSharpness", (1 - amount, 1 + amount), p=op["p"]) if amount <= 1 and size >= 3 else own
    return Steps((kornia,), (own,))


@writes("sobel")
def _sobel(op: Values, size: int) -> Steps:
    signed = {"signed": True} if op.get("signed") else {}
    return _same(call("Sobel", p=op["p"], **signed))


@writes("cutout")
def _cutout(op: Values, size: int) -> Steps:
    side, fill = cutout_side(op, size), op.get("fill", 0.0)
    return _same(call("Cutout", side, p=op["p"], **({"fill": fill} if fill else {})))


@writes("erase")
def _erase(op: Values, size: int) -> Steps:
    area = scaled(op, "area")  # above 1 it is limited after the draw, as in the op
    return _same(call("Erase", area, op["ratio"], shape=op["shape"], fill=op["fill"], p=op["p"]))


@writes("zoom_out")
def _zoom_out(op: Values, size: int) -> Steps:
    return _same(call("ZoomOut", op["area"], fill=op["fill"], p=op["p"]))


@writes("noise")
def _noise(op: Values, size: int) -> Steps:
    return _same(call("Noise", scaled(op, "sigma"), p=op["p"]))


@writes("poisson")
def _poisson(op: Values, size: int) -> Steps:
    return _same(call("ShotNoise", [value / max(op["strength"], 1e-3) ** 2 for value in op["photons"]], p=op["p"]))


@writes("stain")
def _stain(op: Values, size: int) -> Steps:
    return _same(call("StainJitter", op["scale"] * op["strength"], op["shift"] * op["strength"], p=op["p"]))


@writes("clahe")
def _clahe(op: Values, size: int) -> Steps:
    return _same(call("Clahe", op["limit"], tiles=op["tiles"], p=op["p"]))


@writes("jpeg")
def _jpeg(op: Values, size: int) -> Steps:
    return _same(call("JpegLoss", op["quality"], p=op["p"]))


@writes("rotate")
def _rotate(op: Values, size: int) -> Steps:
    turns = "v2.RandomChoice([v2.RandomRotation((angle, angle)) for angle in (90, 180, 270)])"
    return Steps((call("QuarterTurns", p=op["p"]),), _apply(op["p"], turns))


@writes("affine")
def _affine(op: Values, size: int) -> Steps:
    degrees, translate, scale, shear = (
        op[name] * op["strength"] for name in ("degrees", "translate", "scale", "shear")
    )
    ranges = {"translate": (translate, translate), "scale": (1 - scale, 1 + scale), "shear": (-shear, shear)}
    return Steps(
        (call("K.RandomAffine", degrees, **ranges, p=op["p"]),),
        (call("Affine", degrees, translate=translate, scale=scale, shear=shear, p=op["p"]),),
    )


@writes("perspective")
def _perspective(op: Values, size: int) -> Steps:
    return _same(call("Perspective", op["distortion"] * op["strength"], p=op["p"]))


@writes("elastic")
def _elastic(op: Values, size: int) -> Steps:
    return _same(call("Elastic", alpha=op["alpha"] * op["strength"], sigma=op["sigma"], p=op["p"]))


@writes("solarize")
def _solarize(op: Values, size: int) -> Steps:
    threshold = op["threshold"]
    return Steps(
        (call("K.RandomSolarize", (threshold, threshold), additions=(0.0, 0.0), p=op["p"]),),
        (call("v2.RandomSolarize", threshold, p=op["p"]),),
    )


@writes("invert")
def _invert(op: Values, size: int) -> Steps:
    return Steps((call("K.RandomInvert", p=op["p"]),), (call("v2.RandomInvert", p=op["p"]),))


@writes("posterize")
def _posterize(op: Values, size: int) -> Steps:
    low, high = op["bits"]
    each = f"v2.RandomChoice([v2.RandomPosterize(bits, p=1.0) for bits in range({low}, {high + 1})])"
    return Steps((call("Posterize", (low, high), p=op["p"]),), _apply(op["p"], each))


@writes("equalize")
def _equalize(op: Values, size: int) -> Steps:
    return Steps((call("K.RandomEqualize", p=op["p"]),), (call("Equalize", p=op["p"]),))


@writes("intensity")
def _intensity(op: Values, size: int) -> Steps:
    gain, offset, gamma = (op[name] * op["strength"] for name in ("gain", "offset", "gamma"))
    return _same(call("Intensity", gain=gain, offset=offset, gamma=gamma, per_channel=op["per_channel"], p=op["p"]))


@writes("channel_drop")
def _channel_drop(op: Values, size: int) -> Steps:
    return _same(call("ChannelDrop", op["count"], fill=op["fill"], p=op["p"]))


@writes("channel_shuffle")
def _channel_shuffle(op: Values, size: int) -> Steps:
    kornia = call("K.RandomChannelShuffle", p=op["p"])
    return Steps((kornia,), _apply(op["p"], call("v2.RandomChannelPermutation")))


def _same(step: str) -> Steps:
    """Return a class of ours as the step of both pipelines."""
    return Steps((step,), (step,))


def _adapted(spec: OpSpec) -> tuple[str, ...]:
    """Return a kornia class with the arguments that were given; its result is clipped, as in the adapter."""
    name = spec.name.removeprefix(KORNIA)
    arguments = [
        f"{key}=torch.tensor({literal(value)})" if key in TENSORS.get(name, ()) else f"{key}={literal(value)}"
        for key, value in spec.params.items()
    ]
    return (f"K.{name}({', '.join(arguments)})", "Clip()")
