"""Steps of torchvision and kornia become ops that draw from the same distribution, or are refused by name."""

from __future__ import annotations

import inspect

import kornia.augmentation as K
import pytest
import torch
import torchvision.transforms as v1
from torchvision.transforms import v2

from ablate import Composition, TransformPair
from ablate.errors import UsageError
from ablate.ops import names
from ablate.transforms.read import read
from ablate.transforms.table import EQUALS, NEAR, SKIPPED, markdown_table
from tests.support.distributions import DOUBTFUL, kolmogorov_smirnov, statistics
from tests.support.modules import ROOT
from tests.support.pictures import generator, pictures
from tests.support.transforms import IMPORTS, composition, one_step


def test_every_class_of_the_table_exists_and_both_versions_of_torchvision_have_the_same_defaults():
    for name in (*EQUALS["torchvision"], *SKIPPED["torchvision"]):
        second = inspect.signature(getattr(v2, name)).parameters
        for parameter in inspect.signature(getattr(v1, name, lambda: None)).parameters.values():
            if parameter.default is not inspect.Parameter.empty and name in EQUALS["torchvision"]:
                mine, other = (
                    getattr(item.default, "value", item.default) or 0 for item in (parameter, second[parameter.name])
                )
                assert mine == other, (name, parameter)
    for name in (*EQUALS["kornia"], *SKIPPED["kornia"]):
        assert hasattr(K, name)
    assert {op for classes in EQUALS.values() for op, _ in classes.values()} | set(NEAR.values()) <= set(names())


def test_the_page_has_the_table_of_equals():
    """``python -c 'from ablate.transforms.table import markdown_table; print(markdown_table())'`` writes it."""
    page = (ROOT / "docs" / "ops.md").read_text()
    assert markdown_table() in page
    assert all(f"`{name}`" in page for skipped in SKIPPED.values() for name in skipped)


BOTH = "[v2.RandomInvert(), v2.RandomEqualize()]"
GEOMETRY = """[
    v2.RandomResizedCrop(16, scale=(0.3, 0.9), ratio=(1.0, 1.5)),
    v2.RandomVerticalFlip(0.4),
    v2.GaussianBlur(5, sigma=(0.5, 1.5)),
    v2.GaussianNoise(sigma=0.05),
]"""
COLOURS = """[
    v2.CenterCrop(16),
    v2.RandomApply([v2.ColorJitter(0.5, (0.8, 1.2), None, (-0.1, 0.1))], p=0.7),
    v2.RandomApply([v2.RandomGrayscale(p=0.6)], p=0.5),
    v2.RandomApply([v2.RandomApply([v2.ColorJitter(0.5)], p=0.9), v2.RandomGrayscale(p=0.7)], p=0.4),
    v2.RandomSolarize(0.6, p=0.3),
    v2.RandomApply([v2.RandomChannelPermutation()]),
]"""


@pytest.mark.parametrize(
    ("listed", "wrong"),
    [
        (GEOMETRY, {"(0.3, 0.9)": "(0.9, 1.0)", "vflip(p=0.4)": "vflip(p=0.9)", "(0.5, 1.5)": "(1.0, 2.0)"}),
        (
            COLOURS,
            {
                "gray(p=0.3)": "gray(p=0.9)",
                "p=0.4": "p=0.9",
                "0.6, p=0.3": "0.6, p=0.9",
                "brightness=0.5": "brightness=0.1",
            },
        ),
    ],
)
def test_the_ops_draw_from_the_distribution_of_the_pipeline(listed, wrong, tmp_path):
    stored = (pictures(1, 3, (16, 16)) * 255).round().to(torch.uint8)
    text = str(composition(tmp_path, f"{IMPORTS}t = v2.Compose({listed})\n"))
    pipeline = v2.Compose(eval(listed, {"v2": v2}))
    torch.manual_seed(0)
    first, second = (torch.stack([pipeline(stored[0] / 255) for _ in range(200)]) for _ in range(2))

    def doubt(other):
        views = TransformPair.two_branch(other, 16)(stored.expand(200, -1, -1, -1), generator(9))
        return kolmogorov_smirnov(statistics(first, second), statistics(*views))

    assert doubt(text) > DOUBTFUL
    for right, other in wrong.items():
        assert right in text
        assert doubt(text.replace(right, other)) < DOUBTFUL, other


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        ("v2.RandomErasing(p=0.25, ratio=(0.5, 4.0), value=0.5)", "erase(p=0.25, ratio=(0.25, 2.0), fill=0.5)"),
        ("v2.RandomAffine(20, translate=(0.2, 0.2))", "affine(degrees=20.0, translate=0.2, scale=0.0, shear=0.0)"),
        ("v2.JPEG((50, 90))", "jpeg(p=1.0, quality=(50, 90))"),
        ("v2.Grayscale(3)", "gray(p=1.0)"),
        ("v2.RandomPosterize(5)", "posterize(bits=(5, 5), p=0.5)"),
        ("v2.Compose([v2.RandomInvert()]), v2.RandomEqualize(p=1)", "invert(p=0.5)+equalize"),
        ("K.RandomChannelDropout(2, 0.5)", "channel_drop(count=(2, 2), fill=0.5)"),
        ("K.RandomClahe((2.0, 3.0), p=0.1)", "clahe(p=0.1, limit=(2.0, 3.0))"),
        ("K.RandomGaussianNoise(std=0.1)", "noise(sigma=(0.1, 0.1), p=0.5)"),
        ("K.ColorJitter(0.4, 0.4, 0.4, 0.1, p=0.8)", "jitter(brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1)"),
        ("K.RandomSolarize(0.1)", "kornia.RandomSolarize(thresholds=0.1, p=0.5)"),
        ("K.RandomHorizontalFlip(p_batch=0.5)", "kornia.RandomHorizontalFlip(p_batch=0.5, p=0.5)"),
        ("K.RandomInvert(same_on_batch=True)", "kornia.RandomInvert(same_on_batch=True, p=0.5)"),
        ("v2.RandomApply([K.RandomPlanckianJitter()], p=0.5)", "kornia.RandomPlanckianJitter(p=0.25)"),
        ("K.ColorJiggle(0.1, p=0.5)", "kornia.ColorJiggle(brightness=0.1, p=0.5)"),
        ("K.RandomPlanckianJitter('blackbody', p=0.5)", "kornia.RandomPlanckianJitter(mode='blackbody', p=0.5)"),
        ("nn.Sequential(v2.RandomInvert(), v2.RandomEqualize(p=1))", "invert(p=0.5)+equalize"),
        (f"v2.RandomApply({BOTH}, p=1)", "invert(p=0.5)+equalize(p=0.5)"),
        (f"v2.RandomVerticalFlip(), v2.RandomApply({BOTH}, p=0.0)", "vflip"),
        ("v2.RandomVerticalFlip(), v2.RandomApply([], p=0.3)", "vflip"),
        (
            "v2.RandomApply([v2.RandomResizedCrop(16), v2.RandomHorizontalFlip(0.3)], p=0.6)",
            "crop(flip_p=0.3, p=0.6)",
        ),
        ("*[v2.RandomInvert()] + [v2.RandomVerticalFlip()]", "invert(p=0.5)+vflip"),
    ],
)
def test_further_steps_become_ops(step, expected, tmp_path):
    assert one_step(tmp_path, step) == Composition.parse(expected)


def test_a_kernel_is_the_same_share_of_the_side(tmp_path):
    for size, taps, kernel in ((224, 23, 0.1), (96, 23, 0.239583333333), (32, 3, 0.09375), (32, 5, 0.1)):
        made = one_step(tmp_path, f"v2.Resize({size}), v2.GaussianBlur({taps})")
        assert made.ops[0].kernel == kernel
        differs = read(f"recipe:{tmp_path / 'transforms.py'}").differs
        assert bool(differs) == (taps < 5)
        assert taps < 5 or made.ops[0].taps(size) == taps
    one_step(tmp_path, "v2.GaussianBlur(23)")
    assert "no step names the size" in read(f"recipe:{tmp_path / 'transforms.py'}").differs[0]


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        ("v2.RandomCrop(32)", "line 3: RandomCrop of torchvision has no equal among the ops; the nearest op is crop"),
        ("v2.RandomChoice([v2.RandomInvert()])", "line 3: RandomChoice draws which of its steps act"),
        (
            f"v2.RandomApply({BOTH}, p=0.3)",
            "RandomApply draws once for all its steps, .* the ops invert, equalize draws by itself; near: p=0.3",
        ),
        ("v2.RandomApply([v2.RandomInvert()], p=None)", "line 3: p=None of RandomApply must be a number in"),
        ("v2.RandomApply([v2.RandomInvert()], p='half')", "line 3: p='half' of RandomApply must be a number in"),
        ("v2.RandomApply([v2.RandomInvert()], 2)", "line 3: p=2 of RandomApply must be a number in"),
        ("K.ImageSequential(K.RandomInvert(), same_on_batch=True)", "with same_on_batch draws the same for all images"),
        ("K.ImageSequential(K.RandomInvert(), random_apply=1)", "with random_apply draws which of its steps act"),
        ("v2.ColorJitter(brightness=(0.5, 1.2))", r"brightness=\(0.5, 1.2\) of ColorJitter has no equal .* around 1"),
        ("v2.RandomRotation((90, 90))", "degrees=.* allowed: a range around 0"),
        ("v2.RandomErasing(value='random')", "value='random' of RandomErasing has no equal"),
        ("v2.RandomInvert(prob=0.5)", "line 3: unknown argument of RandomInvert 'prob'; allowed: p"),
        ("v2.RandomInvert(0.5, 0.5)", "RandomInvert cannot be called like this: too many"),
        ("v2.RandomInvert(p=args.p)", "p=args.p of RandomInvert cannot be read without running the file"),
        ("v2.RandomInvert(**options)", r"the arguments \*\*options of RandomInvert are not read"),
        ("v2.RandomSolarize()", "no 'threshold' here"),
        ("v2.RandomPerspective(2.0)", "parameter 'distortion' of op 'perspective' must be"),
        (
            "GaussianBlur([0.1, 2.0])",
            "GaussianBlur is not a class of .* if it does what torchvision's GaussianBlur does, put",
        ),
        ("lambda image: image", "lambda image: image is not a class of"),
        ("noise", "noise cannot be read: noise is not assigned in this file"),
        ("*more", r"\*more.* cannot be read without running the file: more is not assigned"),
        ("K.VideoSequential(K.RandomInvert())", "VideoSequential of kornia has no equal among the ops"),
        ("K.RandomSolarize(thresholds=args.low)", "thresholds=args.low of RandomSolarize cannot be read"),
        ("K.RandomBlizzard()", "the installed kornia.augmentation has no RandomBlizzard"),
        ("v2.ToImage()", "holds no augmentation; the composition without any is written none"),
    ],
)
def test_a_step_without_an_equal_is_named(step, expected, tmp_path):
    with pytest.raises(UsageError, match=expected) as caught:
        one_step(tmp_path, step)
    assert str(caught.value).startswith(f"{tmp_path}/transforms.py")
    assert "\n" not in str(caught.value)
