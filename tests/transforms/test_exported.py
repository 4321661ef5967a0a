"""Pipelines as code and as print shows them: ops that are exported are read as themselves."""

from __future__ import annotations

import ast

import kornia.augmentation as K
import pytest
import torchvision.transforms as v1
from torchvision.transforms import v2

from ablate.errors import UsageError
from ablate.ops import parse_composition, parse_op, spec
from ablate.pipelines.steps import exportable, steps
from tests.support.transforms import IMPORTS, composition

PARTS = {"color": "jitter+gray", "crop": "crop(flip_p=0.0)+flip"}
"""The ops that are exported as two steps, and read as two ops."""


def plain(library, name):
    """The steps of an op as a library's own classes, None if it lacks them; and a step that gives the size."""
    written = steps(spec(parse_op(name)), 224, library)
    calls = [node for step in written for node in ast.walk(ast.parse(step)) if isinstance(node, ast.Call)]
    own = {"kornia": "K", "torchvision": "v2"}[library]
    if not all(ast.unparse(node.func).startswith(f"{own}.") for node in calls) or "RandomChoice" in "".join(written):
        return None
    size = "K.Resize((224, 224))" if library == "kornia" else "v2.Resize((224, 224))"
    return (
        f"K.AugmentationSequential({size}, {', '.join(written)})"
        if library == "kornia"
        else (f"v2.Compose([{size}, {', '.join(written)}])")
    )


PLAIN = [(library, name) for library in ("torchvision", "kornia") for name in exportable() if plain(library, name)]


def test_which_ops_are_exported_as_the_librarys_own_classes():
    assert {name for library, name in PLAIN if library == "torchvision"} == {
        *("crop", "flip", "vflip", "color", "jitter", "gray", "blur", "solarize", "invert", "channel_shuffle"),
    }
    assert {name for library, name in PLAIN if library == "kornia"} == {
        *("flip", "vflip", "gray", "blur", "sharpen", "affine", "solarize", "invert", "equalize", "channel_shuffle"),
    }


@pytest.mark.parametrize(("library", "name"), PLAIN)
def test_an_exported_op_is_read_as_itself(library, name, tmp_path):
    expected = parse_composition(PARTS.get(name, name))
    assert composition(tmp_path, f"{IMPORTS}t = {plain(library, name)}\n").ops == expected


@pytest.mark.parametrize(("library", "name"), PLAIN)
def test_an_exported_op_is_read_as_itself_from_what_the_library_prints(library, name, tmp_path):
    printed = repr(eval(plain(library, name), {"K": K, "v2": v2}))
    p = {"color": 0.8, "jitter": 0.8, "blur": 0.5, "channel_shuffle": 0.5}.get(name)
    if library == "torchvision" and p:
        with pytest.raises(UsageError, match="line 3: print does not show the p of this RandomApply; write it in"):
            composition(tmp_path, printed, ending=".txt")
        printed = printed.replace("RandomApply(", f"RandomApply(p={p}, ")
        printed = printed.replace(f"p={p},     ", "").replace("))\n", f"), p={p})\n", 1)  # named arguments come last
    made = composition(tmp_path, printed, ending=".txt")
    assert made.ops == parse_composition(PARTS.get(name, name))


def test_torchvisions_first_version_prints_everything_but_the_distortion(tmp_path):
    made = [v1.RandomResizedCrop(32, scale=(0.2, 1.0)), v1.RandomApply([v1.ColorJitter(0.4, 0.4, 0.2, 0.1)], p=0.8)]
    made += [v1.RandomApply([v1.Compose([v1.GaussianBlur(5)])]), v1.RandomSolarize(128, p=0.2), v1.RandomPosterize(3)]
    made += [v1.RandomErasing(), v1.RandomRotation(7), v1.Lambda(print)]
    text = repr(v1.Compose(made[:-1]))
    assert str(composition(tmp_path, text, ending=".txt")) == (
        "crop(area=(0.2, 1.0), flip_p=0.0)+jitter(brightness=0.4, contrast=0.4, saturation=0.2, hue=0.1)+blur"
        "+solarize(p=0.2)+posterize(bits=(3, 3), p=0.5)+erase(ratio=(0.30303030303, 3.33333333333))"
        "+affine(degrees=7.0, translate=0.0, scale=0.0, shear=0.0)"
    )
    for step, expected in (
        (v1.RandomPerspective(0.3), "show the distortion_scale"),
        (made[-1], "Lambda of torchvision has no equal"),
    ):
        with pytest.raises(UsageError, match=expected):
            composition(tmp_path, repr(v1.Compose([step, step])), ending=".txt")
