"""Each op as transforms of albumentations, for a Python file and for files of ``albumentations.save``; needs no torch.

Classes and arguments are those of version 2.0.8, the last one under the MIT licence. Arguments that change pixels are
all written, so that a version with other defaults reads the same pipeline.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ablate.config.base import OpSpec
from ablate.errors import NotExportable
from ablate.pipelines.about import Files, Pair
from ablate.pipelines.steps import acts
from ablate.pipelines.values import Values, blur_taps, call, cutout_side, jitter_ranges, literal, only, scaled

VERSION = "2.0.8"
LINEAR, BLACK = 1, 0  # OpenCV's numbers of an interpolation and of a border
MOST_NOISE, MOST_BITS, MOST_DROPPED = 1.0, 7, 2
CENTRE = "an image that is not square is resized before its centre is cut out, so that pixels at the edge differ"
CROP = "crop averages areas where it shrinks an image, without the triangular weights of ablate"
DIFFERS = {
    "crop": CROP,
    "posterize": "posterize keeps bits of 256 levels, so that values differ by a level at most",
    "equalize": "equalize rounds otherwise, so that values differ by two of 255 levels in mean",
}
"""What a transform does otherwise than the op, where that can be seen in pixels."""


@dataclass(frozen=True)
class Transform:
    """A transform: its class, its arguments by name, and the transforms inside."""

    name: str
    arguments: Mapping[str, Any]
    inside: tuple[Transform, ...] = ()

    def saved(self) -> dict[str, Any]:
        """Return what ``albumentations.save`` writes of it."""
        inside = {"transforms": [item.saved() for item in self.inside]} if self.inside else {}
        return {"__class_fullname__": self.name, **self.arguments, **inside}

    def code(self) -> str:
        """Return the call of its constructor as text."""
        arguments = call("", **self.arguments)
        if not self.inside:
            return f"A.{self.name}{arguments}"
        return f"A.{self.name}([{', '.join(item.code() for item in self.inside)}], {arguments[1:]}"


@dataclass(frozen=True)
class View:
    """What the images of a view are: their side in pixels, and the number that stands for white."""

    size: int
    full: int

    def fill(self, value: float) -> float:
        """Return a fill in the images' own numbers; less than one level of 255 is black."""
        return value if self.full == 1 else value * self.full * (value * self.full > 1)


Writer = Callable[[Values, View], list[Transform]]


def transforms(spec: OpSpec, view: View) -> list[Transform]:
    """Return the op as transforms; none if it is switched off.

    Args:
        spec: the op.
        view: what the images are.

    Raises:
        NotExportable: albumentations has no equal of the op, or none with these parameters.
    """
    if spec.name not in WRITERS:
        raise NotExportable(f"albumentations has no equal of {spec.name}")
    return WRITERS[spec.name](spec.params, view) if acts(spec, "albumentations") else []


def differences(pair: Pair) -> list[str]:
    """Return what the transforms of a pair do otherwise than its ops."""
    used = {spec.name for specs in pair.views for spec in specs} | ({"crop"} if pair.base else set())
    said = [said for name, said in DIFFERS.items() if name in used]
    return said if pair.base or all(map(pair.crops_stored, pair.views)) else [CENTRE, *said]


def view_transforms(specs: Sequence[OpSpec], pair: Pair, full: int) -> list[Transform]:
    """Return a view's transforms from the stored image on, or from the crop that both views share.

    Args:
        specs: the ops of the view.
        pair: the pair that the view is of.
        full: the number that stands for white in the images.
    """
    view = View(pair.size, full)
    made = [item for spec in specs for item in transforms(spec, view)]
    return made if pair.base or pair.crops_stored(specs) else [*_centre(pair.size), *made]


def shared_crop(pair: Pair) -> list[Transform]:
    """Return the crop that both views of a pair share; none if they share none."""
    return [_box(pair.base.model_dump(), pair.size, 1.0)] if pair.base else []


def saved_json(specs: Sequence[OpSpec], pair: Pair, files: Files) -> str:
    """Return a view as ``albumentations.save`` writes it, for images of 8 bits.

    Args:
        specs: the ops of the view.
        pair: the pair that the view is of; its views share no crop.
        files: how the images were read.

    Raises:
        NotExportable: as in :func:`transforms`; a crop that both views share; images that are deeper than 8 bits.
    """
    if pair.base is not None:
        raise NotExportable("both views start from one crop, and a file of albumentations.save holds one view alone")
    if files.are_deep:
        raise NotExportable("the images are deeper than 8 bits, or of other channels than grey or RGB")
    steps = [*view_transforms(specs, pair, 255), *finish(files, 255)]
    whole = Transform("Compose", {"p": 1.0}, tuple(steps)).saved()
    rest: dict[str, Any] = dict.fromkeys(("bbox_params", "keypoint_params"))
    whole |= {**rest, "additional_targets": {}, "is_check_shapes": True}
    return json.dumps({"__version__": VERSION, "transform": whole}, indent=1) + "\n"


def finish(files: Files, full: int) -> list[Transform]:
    """Return the end of a view: normalised, if the encoders of the sweep were given that, and as a tensor."""
    made = []
    if files.normalize:
        mean, std = [*files.normalize.mean], [*files.normalize.std]
        made.append(_made("Normalize", mean=mean, std=std, max_pixel_value=float(full), p=1.0))
    return [*made, _made("ToTensorV2", transpose_mask=False, p=1.0)]


def _made(name: str, **arguments: Any) -> Transform:
    return Transform(
        name, {key: list(value) if isinstance(value, tuple) else value for key, value in arguments.items()}
    )


def _centre(size: int) -> list[Transform]:
    """Return the transforms to the largest centre square, of ``size`` pixels a side."""
    smallest = _made("SmallestMaxSize", max_size=size, interpolation=LINEAR, area_for_downscale="image", p=1.0)
    return [smallest, _made("CenterCrop", height=size, width=size, pad_if_needed=False, p=1.0)]


def _together(p: float, *made: Transform) -> list[Transform]:
    """Return transforms that act together, with probability ``p``."""
    if len(made) > 1 or p != 1:
        return [Transform("Sequential", {"p": p}, made)] if made else []
    return list(made)


def _box(op: Values, size: int, p: float) -> Transform:
    only("crop", op, sampling="torchvision", resize="bilinear")
    how = {"interpolation": LINEAR, "area_for_downscale": "image"}
    return _made("RandomResizedCrop", size=(size, size), scale=op["area"], ratio=op["ratio"], **how, p=p)


def _crop(op: Values, view: View) -> list[Transform]:
    if op["flip_p"] == 0:
        return [_box(op, view.size, op["p"])]
    return _together(op["p"], _box(op, view.size, 1.0), _made("HorizontalFlip", p=op["flip_p"]))


def _jitter(op: Values, view: View) -> list[Transform]:
    return [_made("ColorJitter", **jitter_ranges(op), p=op["p"])]


def _gray(op: Values, view: View) -> list[Transform]:
    return [_made("ToGray", num_output_channels=3, method="weighted_average", p=op["p"])]


def _color(op: Values, view: View) -> list[Transform]:
    jitter, gray = op["jitter_p"], op["gray_p"]
    if not (jitter and gray):
        share = op["p"] * (jitter or gray)
        return _jitter({**op, "p": share}, view) if jitter else _gray({"p": share}, view) * bool(gray)
    return _together(op["p"], *_jitter({**op, "p": jitter}, view), *_gray({"p": gray}, view))


def _blur(op: Values, view: View) -> list[Transform]:
    taps = blur_taps(op, view.size)
    return [_made("GaussianBlur", blur_limit=(taps, taps), sigma_limit=scaled(op, "sigma"), p=op["p"])]


def _solarize(op: Values, view: View) -> list[Transform]:
    return [_made("Solarize", threshold_range=(op["threshold"], op["threshold"]), p=op["p"])]


def _posterize(op: Values, view: View) -> list[Transform]:
    if op["bits"][1] > MOST_BITS:
        raise NotExportable(
            f"albumentations' Posterize keeps 1 to {MOST_BITS} bits, not posterize(bits={literal(op['bits'])})"
        )
    return [_made("Posterize", num_bits=op["bits"], p=op["p"])]


def _equalize(op: Values, view: View) -> list[Transform]:
    return [_made("Equalize", mode="pil", by_channels=True, mask=None, p=op["p"])]


def _channel_drop(op: Values, view: View) -> list[Transform]:
    if op["count"][1] > MOST_DROPPED:
        raise NotExportable(
            f"albumentations' ChannelDropout fails where no channel would stay; allowed: channel_drop with a count of "
            f"at most {MOST_DROPPED}"
        )
    return [_made("ChannelDropout", channel_drop_range=op["count"], fill=view.fill(op["fill"]), p=op["p"])]


def _cutout(op: Values, view: View) -> list[Transform]:
    side = cutout_side(op, view.size)
    if side == 0:
        return []
    hole = {"num_holes_range": (1, 1), "hole_height_range": (side, side), "hole_width_range": (side, side)}
    return [_made("CoarseDropout", **hole, fill=view.fill(op.get("fill", 0.0)), p=op["p"])]


def _noise(op: Values, view: View) -> list[Transform]:
    sigma = scaled(op, "sigma")
    if sigma[1] > MOST_NOISE:
        raise NotExportable(
            f"albumentations' GaussNoise takes sigma up to {MOST_NOISE:g}, and noise here up to {sigma[1]:g}"
        )
    plain = {"mean_range": (0.0, 0.0), "per_channel": True, "noise_scale_factor": 1.0}
    return [_made("GaussNoise", std_range=sigma, **plain, p=op["p"])]


def _affine(op: Values, view: View) -> list[Transform]:
    others = [name for name in ("translate", "scale", "shear") if op[name]]
    if others:
        raise NotExportable(
            f"albumentations' Affine shifts by whole pixels and shears after it rotates; allowed: affine with "
            f"{', '.join(f'{name}=0' for name in others)}, which is its Rotate"
        )
    reach = op["degrees"] * op["strength"]
    plain = {"interpolation": LINEAR, "border_mode": BLACK, "fill": 0.0, "crop_border": False}
    return [_made("Rotate", limit=(-reach, reach), **plain, p=op["p"])]


def _turned(name: str, share: float, op_name: str) -> Writer:
    """Return the writer of a class that draws among symmetries, and moves only that share of the images."""

    def write(op: Values, view: View) -> list[Transform]:
        if op["p"] > share:
            raise NotExportable(
                f"albumentations' {name} moves at most {share:g} of the images, not {op_name}(p={op['p']:g}); allowed: "
                f"{op_name}(p={share:g}) or less"
            )
        return [_made(name, p=float(f"{op['p'] / share:.12g}"))]

    return write


def _alone(name: str) -> Writer:
    """Return the writer of a class that has a ``p`` and nothing else."""
    return lambda op, view: [_made(name, p=op["p"])]


WRITERS: dict[str, Writer] = {
    "crop": _crop,
    "flip": _alone("HorizontalFlip"),
    "vflip": _alone("VerticalFlip"),
    "rotate": _turned("RandomRotate90", 3 / 4, "rotate"),
    "d4": _turned("D4", 7 / 8, "d4"),
    "jitter": _jitter,
    "gray": _gray,
    "color": _color,
    "blur": _blur,
    "solarize": _solarize,
    "invert": _alone("InvertImg"),
    "posterize": _posterize,
    "equalize": _equalize,
    "channel_shuffle": _alone("ChannelShuffle"),
    "channel_drop": _channel_drop,
    "cutout": _cutout,
    "noise": _noise,
    "affine": _affine,
}
"""By op: the function that writes it, given its parameters and what the images are."""
