"""A pair as a pipeline of NVIDIA DALI, for the ops that DALI has; needs no torch.

DALI runs one graph for all images, so an op that draws an order per image, as ``jitter`` does, has no equal there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ablate.config.base import OpSpec
from ablate.errors import NotExportable
from ablate.pipelines.about import Files, Pair, applied, listed
from ablate.pipelines.steps import acts
from ablate.pipelines.values import Values, blur_taps, cutout_side, literal, only, scaled

DECODER = "files are read by DALI's decoder, which drops transparency; ablate lays it over a colour"
REST = '''def sometimes(p, changed, images):
    """The changed images with probability p, each drawn by itself; else the images as they were."""
    act = fn.cast(fn.random.coin_flip(probability=p), dtype=types.FLOAT)
    return act * changed + (1 - act) * images


def gray(images):
    """Three equal channels, by the luma of torchvision."""
    luma = 0.2989 * images[:, :, 0:1] + 0.587 * images[:, :, 1:2] + 0.114 * images[:, :, 2:3]
    return fn.cat(luma, luma, luma, axis=2)


def solarized(images, threshold):
    """Values at or above the threshold, inverted."""
    high = fn.cast(images >= threshold, dtype=types.FLOAT)
    return high * (1 - images) + (1 - high) * images


def corner(images, side, size):
    """The top left corner of a square inside the image: every place is equally likely."""
    return math.floor(fn.random.uniform(range=(0.0, size - side + 1), shape=(2,)))


def square(images):
    """The largest centre square."""
    high, wide = images.shape()[0], images.shape()[1]
    side = fn.cast(math.min(high, wide), dtype=types.FLOAT)
    return fn.crop(images, crop_h=side, crop_w=side)


'''
HELPERS = {
    name: f"def {name}(" + REST.split(f"def {name}(")[1].split("\n\n\n", maxsplit=1)[0] + "\n\n\n"
    for name in ("sometimes", "gray", "solarized", "corner", "square")
}
"""The functions that a file may need, by name."""
NO_ORDER = "draws the order of its four steps for every image, and DALI runs one graph for all images"
Writer = Callable[[Values, int], str]


def dali_code(pair: Pair, files: Files) -> str:
    """Return a file whose ``views`` is a DALI pipeline from a folder of images to both views and a label.

    Args:
        pair: what the file does.
        files: how the files of the sweep's images were read.

    Raises:
        NotExportable: DALI has no equal of an op; images that are no RGB of 8 bits.
    """
    if files.are_deep or files.channels != 3:
        raise NotExportable("the images are no RGB of 8 bits, which the DALI file is written for")
    functions, calls = [], []
    for suffix, specs in zip(pair.suffixes, pair.views, strict=True):
        functions.append(_function(f"view{suffix}", [*_start(specs, pair), *_steps(specs, pair.size)], files))
        calls.append(f"view{suffix}(images)")
    shared = []
    if pair.base is not None:
        shared = [f"images = {_box(pair.base.model_dump(), pair.size)}"]
    if pair.branches == "one":
        functions.append(_function("as_it_is", [], files))
        calls.append("as_it_is(images)")
    calls = calls * 2 if len(calls) == 1 else calls
    body = "".join(functions) + _pipeline(shared, calls)
    helpers = "".join(text for name, text in HELPERS.items() if f"{name}(" in body)
    math = "math, " if "math." in helpers + body else ""
    imports = f"from nvidia.dali import fn, {math}pipeline_def, types\n\n\n"
    return "\n".join(f"# {line}".rstrip() for line in _header(pair)) + "\n\n" + imports + helpers + body


def _function(name: str, lines: Sequence[str], files: Files) -> str:
    end = []
    if files.normalize:
        mean, std = (literal(tuple(float(x) for x in x3)) for x3 in (files.normalize.mean, files.normalize.std))
        end = [f"images = (images - types.Constant({mean})) / types.Constant({std})"]
    body = ['"""One view of images [H, W, 3] in [0, 1]: float [3, S, S]."""', *lines, *end]
    body.append('return fn.transpose(images, perm=[2, 0, 1], output_layout="CHW")')
    return f"def {name}(images):\n" + "".join(f"    {line}\n" for line in body) + "\n\n"


def _pipeline(shared: Sequence[str], calls: Sequence[str]) -> str:
    lines = [
        "@pipeline_def",
        "def views(folder):",
        '    """Two views of every image in a folder with a folder for each class, and its label."""',
        '    encoded, labels = fn.readers.file(file_root=folder, random_shuffle=True, name="images")',
        "    images = fn.cast(fn.decoders.image(encoded, output_type=types.RGB), dtype=types.FLOAT) / 255.0",
        *(f"    {line}" for line in shared),
        f"    return {', '.join(calls)}, labels",
    ]
    return "\n".join(lines) + "\n"


def _start(specs: Sequence[OpSpec], pair: Pair) -> list[str]:
    """Return the lines from the stored image to the size of the views, unless a crop makes it."""
    if pair.base is not None or pair.crops_stored(specs):
        return []
    return [f"images = fn.resize(square(images), size=({pair.size}, {pair.size}))"]


def _steps(specs: Sequence[OpSpec], size: int) -> list[str]:
    lines = []
    for spec in specs:
        if spec.name not in WRITERS:
            why = NO_ORDER if spec.name in {"jitter", "color"} else "is not among the ops that are written for DALI"
            raise NotExportable(f"{spec.name} {why}")
        if acts(spec, "DALI"):
            lines.append(f"images = {WRITERS[spec.name](spec.params, size)}")
    return lines


def _box(op: Values, size: int) -> str:
    only("crop", op, sampling="torchvision", resize="bilinear")
    area, ratio = literal(op["area"]), literal(op["ratio"])
    return f"fn.random_resized_crop(images, size=({size}, {size}), random_area={area}, random_aspect_ratio={ratio})"


def _sometimes(p: float, changed: str) -> str:
    return changed if p == 1 else f"sometimes({literal(p)}, {changed}, images)"


def _crop(op: Values, size: int) -> str:
    box = _box(op, size)
    if op["flip_p"]:
        box = f"fn.flip({box}, horizontal=fn.random.coin_flip(probability={literal(op['flip_p'])}))"
    return _sometimes(op["p"], box)


def _flip(op: Values, size: int) -> str:
    return f"fn.flip(images, horizontal=fn.random.coin_flip(probability={literal(op['p'])}))"


def _vflip(op: Values, size: int) -> str:
    down = f"fn.random.coin_flip(probability={literal(op['p'])})"
    return f"fn.flip(images, horizontal=0, vertical={down})"


def _blur(op: Values, size: int) -> str:
    sigma = f"fn.random.uniform(range={literal(scaled(op, 'sigma'))})"
    return _sometimes(op["p"], f"fn.gaussian_blur(images, sigma={sigma}, window_size={blur_taps(op, size)})")


def _noise(op: Values, size: int) -> str:
    sigma = f"fn.random.uniform(range={literal(scaled(op, 'sigma'))})"
    return _sometimes(op["p"], f"math.clamp(fn.noise.gaussian(images, stddev={sigma}), 0.0, 1.0)")


def _cutout(op: Values, size: int) -> str:
    side, fill = cutout_side(op, size), literal(op.get("fill", 0.0))
    if side == 0:
        return "images"
    place = f"anchor=corner(images, {side}, {size}), shape=({side}.0, {side}.0)"
    return _sometimes(op["p"], f'fn.erase(images, {place}, axis_names="HW", fill_value={fill})')


def _header(pair: Pair) -> list[str]:
    return [
        f"{pair}: two augmented views of each image with NVIDIA DALI,",
        "written by ablate; it does not need ablate.",
        "",
        *(line for suffix, specs in zip(pair.suffixes, pair.views, strict=True) for line in listed(suffix, specs)),
        "",
        applied(pair),
        f"Differs: {DECODER}.",
        "",
        '    pipeline = views("images", batch_size=256, num_threads=8, device_id=0)  # None: without a GPU',
        "    first, second, labels = pipeline.run()",
    ]


WRITERS: dict[str, Writer] = {
    "crop": _crop,
    "flip": _flip,
    "vflip": _vflip,
    "gray": lambda op, size: _sometimes(op["p"], "gray(images)"),
    "blur": _blur,
    "solarize": lambda op, size: _sometimes(op["p"], f"solarized(images, {literal(op['threshold'])})"),
    "invert": lambda op, size: _sometimes(op["p"], "1 - images"),
    "noise": _noise,
    "cutout": _cutout,
}
"""By op: the function that writes what the images become, given its parameters and their side."""
