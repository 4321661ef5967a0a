"""The Python file of a pair for albumentations; needs no torch."""

from __future__ import annotations

from collections.abc import Sequence

from ablate.config.base import OpSpec
from ablate.pipelines.about import Files, Pair, applied, listed
from ablate.pipelines.albumentations import VERSION, Transform, differences, finish, shared_crop, view_transforms
from ablate.pipelines.code import wrapped, written

ARRAY = '''def array(image):
    """The image as albumentations takes it: float32 [H, W, C] in [0, 1]."""
    {how}


'''


def albumentations_code(pair: Pair, files: Files) -> str:
    """Return a file whose ``views`` makes two views of one image, with albumentations.

    Args:
        pair: what the file does.
        files: how the files of the sweep's images were read.

    Raises:
        NotExportable: albumentations has no equal of an op, or none with its parameters.
    """
    made = [_compose(f"augment{suffix}", view_transforms(specs, pair, 1), files) for suffix, specs in _views(pair)]
    names = [f"augment{suffix}" for suffix in pair.suffixes] * (2 // len(pair.suffixes))
    start = "array(image)"
    if crop := shared_crop(pair):
        made.insert(0, _listing("start", crop))
        start = 'start(image=array(image))["image"]'
    if pair.branches == "one":
        made.append(_compose("as_it_is", [], files))
        names[1] = "as_it_is"
    views = ", ".join(f'{name}(image=image)["image"]' for name in names)
    function = f'def views(image):\n    """Two views of one image."""\n    image = {start}\n    return {views}\n'
    body = "\n\n".join([f"load = {files.loader}", *made, "\n" + ARRAY.format(how=_as_array(files)) + function])
    imports = ("import albumentations as A", "import numpy as np")
    return written(_header(pair, files), body, imports)


def _views(pair: Pair) -> list[tuple[str, Sequence[OpSpec]]]:
    return list(zip(pair.suffixes, pair.views, strict=True))


def _compose(name: str, transforms: Sequence[Transform], files: Files) -> str:
    return _listing(name, [*transforms, *finish(files, 1)])


def _listing(name: str, transforms: Sequence[Transform]) -> str:
    """Return the assignment of a pipeline, one transform per line."""
    lines = [wrapped(item.code(), "        ") for item in transforms]
    return "\n".join([f"{name} = A.Compose(", "    [", *lines, "    ]", ")"])


def _as_array(files: Files) -> str:
    if files.are_deep:
        return "return np.ascontiguousarray(image.permute(1, 2, 0).numpy())"
    return "return np.atleast_3d(np.asarray(image, np.float32) / 255)"


def _header(pair: Pair, files: Files) -> list[str]:
    c, size = files.channels, pair.size
    image = f"float [{c}, H, W] in [0, 1]" if files.are_deep else f"PIL {'RGB' if c == 3 else 'L'}"
    return [
        f"{pair}: two augmented views of each image with albumentations,",
        "written by ablate; it does not need ablate.",
        "",
        *(line for suffix, specs in zip(pair.suffixes, pair.views, strict=True) for line in listed(suffix, specs)),
        "",
        applied(pair),
        *(f"Differs: {said}." for said in differences(pair)),
        "",
        f'    first, second = views(load("image"))  # {image} -> two of float [{c}, {size}, {size}]{files.normal}',
        '    data = torchvision.datasets.ImageFolder("images", transform=views, loader=load)',
        "",
        f"Written for albumentations {VERSION}.",
    ]
