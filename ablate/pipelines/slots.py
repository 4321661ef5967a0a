"""Recipes for tools that have one fixed order of transforms and a slot for each: LightlyTrain and solo-learn.

The slots are those of LightlyTrain's ``transform_args`` for the method ``simclr`` and of solo-learn's augmentation
YAML (version 1.0.6 and later). A composition that fits into the slots is written; any other is refused by name. Needs
no torch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ablate.config.base import OpSpec
from ablate.errors import NotExportable
from ablate.pipelines.about import Files, Pair, applied, listed
from ablate.pipelines.steps import acts
from ablate.pipelines.values import Values, blur_taps, jitter_ranges, literal, only, scaled

RATIO = (0.75, 4 / 3)
LIGHTLY_TRAIN, SOLO_LEARN = "LightlyTrain", "solo-learn"
ORDERS = {
    LIGHTLY_TRAIN: ("crop", "flip", "vflip", "jitter", "gray", "blur", "solarize"),
    SOLO_LEARN: ("crop", "jitter", "gray", "blur", "solarize", "equalize", "flip"),
}
"""The slots of each tool, in the order in which it applies them."""
MIRRORS = ("flip", "vflip")
"""Slots whose place does not matter: the others do the same to an image and to its mirror image."""
SOLO_SIGMA, SOLO_THRESHOLD = (0.1, 2.0), 0.5
CUSTOM = "mean and std hold for dataset: custom; solo-learn has its own for CIFAR, STL-10 and ImageNet."
DIFFERS = {
    (LIGHTLY_TRAIN, "crop"): "crop interpolates by areas, where ablate does bilinearly",
    (SOLO_LEARN, "crop"): "crop interpolates bicubically, where ablate does bilinearly",
    (SOLO_LEARN, "blur"): "blur is Pillow's, three box blurs without a limit of the kernel",
    (SOLO_LEARN, "equalize"): "equalize sees the image rounded to 8 bits, as do all ops",
}
"""What a slot does otherwise than the op, where that can be seen in pixels."""


@dataclass
class Slots:
    """A view as slots: for each that acts, the parameters of its op."""

    tool: str
    size: int
    filled: dict[str, dict[str, Any]] = field(default_factory=dict)

    def put(self, op: str, name: str, **values: Any) -> None:
        """Fill a slot; raise NotExportable if it is filled already, or if the tool applies it before another one."""
        order = ORDERS[self.tool]
        if name not in order:
            raise NotExportable(f"{self.tool} has no equal of {op}")
        if name in self.filled:
            raise NotExportable(f"{self.tool} applies {name} once, and this composition twice")
        later = [other for other in self.filled if other not in MIRRORS and order.index(other) > order.index(name)]
        if later and name not in MIRRORS:
            raise NotExportable(f"{self.tool} always applies {name} before {later[0]}, and this composition after it")
        self.filled[name] = values


def slots(specs: Sequence[OpSpec], pair: Pair, files: Files, tool: str) -> Slots:
    """Return a view as the slots of a tool.

    Args:
        specs: the ops of the view.
        pair: the pair that the view is of.
        files: how the images were read.
        tool: ``LightlyTrain`` or ``solo-learn``.

    Raises:
        NotExportable: the tool cannot express the composition; the message names what.
    """
    if pair.base is not None:
        raise NotExportable(f"both views start from one crop, and {tool} crops each view by itself")
    if files.are_deep or files.channels != 3:
        raise NotExportable(f"the images are no RGB of 8 bits, which {tool} is written for")
    found = Slots(tool, pair.size)
    for spec in specs:
        if acts(spec, tool):
            _fill(found, spec.name, spec.params)
    if "crop" not in found.filled:
        raise NotExportable(f"{tool} always begins with a random resized crop, and this composition has none")
    return found


def _fill(found: Slots, name: str, op: Values) -> None:
    """Fill the slots of an op."""
    match name:
        case "crop":
            _fill_crop(found, op)
        case "color":
            if op["p"] != 1 and op["jitter_p"] and op["gray_p"]:
                raise NotExportable(
                    f"{found.tool} draws jitter and grayscale each by itself, not color(p={op['p']:g}); "
                    "allowed: color(p=1)"
                )
            _fill_jitter(found, op, op["p"] * op["jitter_p"])
            if op["gray_p"]:
                found.put("color", "gray", prob=op["p"] * op["gray_p"])
        case "jitter":
            _fill_jitter(found, op, op["p"])
        case "blur":
            sigma = scaled(op, "sigma")
            if found.tool == SOLO_LEARN and sigma != SOLO_SIGMA:
                raise NotExportable(f"solo-learn's blur has sigma={SOLO_SIGMA} alone, not {literal(sigma)}")
            found.put(name, "blur", prob=op["p"], sigma=sigma, taps=blur_taps(op, found.size))
        case "solarize":
            if found.tool == SOLO_LEARN and op["threshold"] != SOLO_THRESHOLD:
                raise NotExportable(f"solo-learn solarizes from {SOLO_THRESHOLD} on, not {op['threshold']:g}")
            found.put(name, "solarize", prob=op["p"], threshold=op["threshold"])
        case _:
            found.put(name, name, prob=op["p"])


def _fill_crop(found: Slots, op: Values) -> None:
    only("crop", op, sampling="torchvision", resize="bilinear")
    if found.filled:
        raise NotExportable(
            f"{found.tool} always crops first, and this composition applies {next(iter(found.filled))} before"
        )
    if op["p"] != 1:
        raise NotExportable(f"{found.tool} crops every image, not crop(p={op['p']:g})")
    if any(abs(a - b) > 1e-3 for a, b in zip(op["ratio"], RATIO, strict=True)):
        raise NotExportable(f"{found.tool}'s crop has the ratio (3/4, 4/3) alone, not {literal(tuple(op['ratio']))}")
    found.put("crop", "crop", area=op["area"])
    if op["flip_p"]:
        found.put("crop", "flip", prob=op["flip_p"])


def _fill_jitter(found: Slots, op: Values, prob: float) -> None:
    if prob:
        ranges = jitter_ranges(op)
        reaches = {name: ranges[name][1] - (name != "hue") for name in ranges}
        found.put("jitter", "jitter", prob=prob, **{name: float(f"{x:.12g}") for name, x in reaches.items()})


def lightly_train_code(pair: Pair, files: Files) -> str:
    """Return a file with the ``transform_args`` of LightlyTrain's method ``simclr``.

    Raises:
        NotExportable: LightlyTrain cannot express the composition; the message names what.
    """
    if len(pair.views) > 1:
        raise NotExportable("LightlyTrain's simclr has one set of transforms for both views, and here each has its own")
    found = slots(pair.views[0], pair, files, LIGHTLY_TRAIN)
    lines = [f"    {json.dumps(name)}: {_python(value)}," for name, value in _lightly_train(found, files).items()]
    head = [*_about(pair, found), "", "    from pipeline_lightly_train import transform_args"]
    head += ['    lightly_train.pretrain(..., method="simclr", transform_args=transform_args)']
    comments = "\n".join(f"# {line}".rstrip() for line in head)
    return "\n".join([comments, "", "transform_args = {", *lines, "}"]) + "\n"


def _lightly_train(found: Slots, files: Files) -> dict[str, Any]:
    """Return the arguments by name; None switches a transform off, where leaving it out would take the default."""
    at = found.filled
    jitter, blur, solarize = at.get("jitter"), at.get("blur"), at.get("solarize")
    mean, std = (files.normalize.mean, files.normalize.std) if files.normalize else ((0.0,) * 3, (1.0,) * 3)
    area = at["crop"]["area"]
    return {
        "image_size": (found.size, found.size),
        "random_resize": {"min_scale": area[0], "max_scale": area[1]},
        "random_flip": {"horizontal_prob": _share(at, "flip"), "vertical_prob": _share(at, "vflip")},
        "random_rotation": None,
        "color_jitter": jitter and {"strength": 1.0, **jitter},
        "random_gray_scale": at["gray"]["prob"] if "gray" in at else None,
        "gaussian_blur": blur and {"prob": blur["prob"], "sigmas": blur["sigma"], "blur_limit": (blur["taps"],) * 2},
        "solarize": solarize,
        "normalize": {"mean": tuple(mean), "std": tuple(std)},
    }


def solo_learn_yaml(pair: Pair, files: Files) -> str:
    """Return a file for ``augmentations/`` of solo-learn: one entry for both views, or one for each.

    Raises:
        NotExportable: solo-learn cannot express the composition; the message names what.
    """
    views = [slots(specs, pair, files, SOLO_LEARN) for specs in pair.views]
    comments = "\n".join(f"# {line}".rstrip() for line in [*_about(pair, *views), CUSTOM])
    return "\n".join([comments, *(_entry(found, files, 2 // len(views)) for found in views)]) + "\n"


def _entry(found: Slots, files: Files, crops: int) -> str:
    """Return one view of solo-learn's YAML, or both; what is not used has the probability 0."""
    at = found.filled
    none = dict.fromkeys(("prob", "brightness", "contrast", "saturation", "hue"), 0.0)
    area = at["crop"]["area"]
    groups = {
        "rrc": {"enabled": True, "crop_min_scale": area[0], "crop_max_scale": area[1]},
        "color_jitter": at.get("jitter", none),
        "grayscale": {"prob": _share(at, "gray")},
        "gaussian_blur": {"prob": _share(at, "blur")},
        "solarization": {"prob": _share(at, "solarize")},
        "equalization": {"prob": _share(at, "equalize")},
        "horizontal_flip": {"prob": _share(at, "flip")},
    }
    lines = []
    for group, values in groups.items():
        lines += [f"  {group}:", *(f"    {name}: {json.dumps(value)}" for name, value in values.items())]
    mean, std = ([*files.normalize.mean], [*files.normalize.std]) if files.normalize else ([0.0] * 3, [1.0] * 3)
    lines += [f"  crop_size: {found.size}", f"  num_crops: {crops}", f"  mean: {mean}", f"  std: {std}"]
    return "- " + "\n".join(lines).removeprefix("  ")


def _share(filled: Mapping[str, Mapping[str, Any]], name: str) -> float:
    return float(filled.get(name, {}).get("prob", 0.0))


def slot_differences(pair: Pair, tool: str) -> list[str]:
    """Return what a tool does otherwise than the ops of a pair."""
    used = {spec.name for specs in pair.views for spec in specs}
    return [said for (other, name), said in DIFFERS.items() if other == tool and name in used]


def _about(pair: Pair, *views: Slots) -> list[str]:
    """Return comments on the file: the ops, and what the tool does otherwise."""
    tool = views[0].tool
    ops = [line for suffix, specs in zip(pair.suffixes, pair.views, strict=True) for line in listed(suffix, specs)]
    head = [f"{pair}: two augmented views of each image with {tool}, written by ablate.", "", *ops, "", applied(pair)]
    return [*head, *(f"Differs: {said}." for said in slot_differences(pair, tool))]


def _python(value: Any) -> str:
    """Return a value as Python, with tuples."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(name)}: {_python(item)}" for name, item in value.items()) + "}"
    return literal(value)
