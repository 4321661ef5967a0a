"""Files of albumentations.save become ops, by the names of both versions."""

from __future__ import annotations

import json

import pytest

from ablate.errors import UsageError
from ablate.transforms.read import read
from tests.support.transforms import composition


def saved(version, *transforms):
    """A file of ``albumentations.save``."""
    whole = {"__class_fullname__": "Compose", "p": 1.0, "transforms": transforms, "bbox_params": None}
    return json.dumps({"__version__": version, "transform": whole})


def transform(name, **arguments):
    return {"__class_fullname__": name, **arguments}


FIRST = saved(
    "1.3.1",
    transform(
        "RandomResizedCrop",
        always_apply=False,
        p=1.0,
        height=224,
        width=224,
        scale=[0.08, 1.0],
        ratio=[0.75, 1.3333333333333333],
        interpolation=1,
    ),
    transform("albumentations.augmentations.transforms.HorizontalFlip", always_apply=False, p=0.5),
    transform(
        "ColorJitter",
        always_apply=False,
        p=0.8,
        brightness=[0.6, 1.4],
        contrast=[0.6, 1.4],
        saturation=[0.8, 1.2],
        hue=[-0.1, 0.1],
    ),
    transform("ToGray", always_apply=False, p=0.2),
    transform("GaussianBlur", always_apply=False, p=0.5, blur_limit=[23, 23], sigma_limit=[0.1, 2.0]),
    transform("Solarize", always_apply=True, p=0.2, threshold=[128, 128]),
    transform("ChannelDropout", always_apply=False, p=0.5, channel_drop_range=[1, 2], fill_value=51),
    transform("ImageCompression", always_apply=False, p=0.5, quality_lower=60, quality_upper=90, compression_type=0),
    transform("ToTensorV2", always_apply=True, p=1.0, transpose_mask=False),
)
SECOND = saved(
    "2.0.8",
    transform("Resize", p=1, height=96, width=96, interpolation=1),
    transform("D4", p=1),
    transform("RandomRotate90", p=1.0),
    transform("ToGray", p=0.2, num_output_channels=3, method="weighted_average"),
    transform("GaussianBlur", p=0.5, blur_limit=[0, 0], sigma_limit=[0.5, 3.0]),
    transform("Solarize", p=0.2, threshold_range=[0.5, 0.5]),
    transform(
        "GaussNoise",
        p=0.5,
        std_range=[0.1, 0.2],
        mean_range=[0.0, 0.0],
        per_channel=True,
        noise_scale_factor=1,
    ),
    transform("Sequential", p=0.5, transforms=[transform("InvertImg", p=0.5)]),
)


def test_files_of_albumentations_are_read_by_both_versions_names(tmp_path):
    assert str(composition(tmp_path, FIRST, ending=".json")) == (
        "crop(flip_p=0.0)+flip+jitter(brightness=0.4, contrast=0.4, saturation=0.2, hue=0.1)+gray+blur+solarize"
        "+channel_drop(count=(1, 2), fill=0.2)+jpeg(quality=(60, 90))"
    )
    assert str(composition(tmp_path, SECOND, ending=".json")) == (
        "d4+rotate(p=0.75)+gray+blur(sigma=(0.5, 3.0))+solarize(p=0.2)+noise(sigma=(0.1, 0.2), p=0.5)+invert(p=0.25)"
    )


@pytest.mark.parametrize(
    ("transforms", "expected"),
    [
        ([transform("OneOf", p=0.5, transforms=[])], "step 1: OneOf draws which of its steps act"),
        (
            [transform("NoOp", p=1.0), transform("CLAHE", p=0.5)],
            "step 2: CLAHE of albumentations has no equal .* is clahe",
        ),
        ([transform("mine.Stripes", p=0.5)], "step 1: Stripes is not a class of torchvision, kornia or albumentations"),
        (
            [transform("GaussianBlur", p=0.5, blur_limit=[3, 7], sigma_limit=[0.1, 2])],
            r"blur_limit=\(3, 7\) of Gaussian",
        ),
        ([transform("HorizontalFlip")], "no 'p' here"),
        (
            [transform("ImageCompression", p=1.0, quality_lower=60, quality_upper=90, compression_type=1)],
            "compression_type=1 of ImageCompression has no equal",
        ),
        ([transform("Sequential", p="x", transforms=[])], "step 1: p='x' of Sequential must be a number"),
    ],
)
def test_steps_of_albumentations_without_an_equal_are_named(transforms, expected, tmp_path):
    with pytest.raises(UsageError, match=expected):
        composition(tmp_path, saved("2.0.8", *transforms), ending=".json")


def test_an_argument_of_a_later_version_is_told(tmp_path):
    step = transform("HorizontalFlip", p=0.5, mirror="both", mask_value=None)
    assert str(composition(tmp_path, saved("3.0.0", step), ending=".json")) == "flip"
    found = read(f"recipe:{tmp_path / 'transforms.json'}")
    assert found.differs == ("HorizontalFlip has mirror='both', which is not followed",)
    for text, ending in ((FIRST, ".json"), (SECOND, ".json")):
        composition(tmp_path, text, ending=ending)
        assert not [said for said in read(f"recipe:{tmp_path / 'transforms.json'}").differs if "not followed" in said]


def test_steps_within_steps_end_somewhere(tmp_path):
    deep = transform("HorizontalFlip", p=0.5)
    for _ in range(60):
        deep = transform("Sequential", p=1.0, transforms=[deep])
    with pytest.raises(UsageError, match="more than 50 steps within steps"):
        composition(tmp_path, saved("2.0.8", deep), ending=".json")
