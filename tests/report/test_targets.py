"""Files for other tools: what is written without these tools, and read back; tests/peers runs them."""

from __future__ import annotations

import ast
import json
import sys
from types import ModuleType

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ablate import Composition
from ablate.config.base import OpSpec
from ablate.config.encoder import IMAGENET
from ablate.config.trial import Base
from ablate.pipelines.about import Files, Pair
from ablate.pipelines.albumentations import WRITERS, saved_json
from ablate.pipelines.dali import WRITERS as DALI
from ablate.pipelines.targets import SAVED, TARGETS, exported
from ablate.sweep.layout import OTHER_CODE
from tests.support.exports import code, exported_views, loaded, stored
from tests.support.transforms import composition


def numbers(low, high):
    """Numbers of three digits: the last digits of others are rounding errors, which a file leaves out."""
    return st.floats(low, high).map(lambda number: round(number, 3))


PARAMETERS = {
    "crop": {"area": st.tuples(numbers(0.05, 0.5), numbers(0.5, 1.0)), "flip_p": numbers(0.0, 1.0)},
    "color": {"strength": numbers(0.1, 2.0), "jitter_p": numbers(0.1, 1.0), "gray_p": numbers(0.0, 1.0)},
    "jitter": {"hue": numbers(0.0, 0.5), "strength": numbers(0.1, 2.0)},
    "blur": {"kernel": numbers(0.02, 0.5), "sigma": st.tuples(numbers(0.1, 0.5), numbers(0.5, 4.0))},
    "solarize": {"threshold": numbers(0.01, 1.0)},
    "posterize": {"bits": st.tuples(st.integers(1, 4), st.integers(4, 7))},
    "channel_drop": {"count": st.tuples(st.just(1), st.integers(1, 2)), "fill": numbers(0.1, 1.0)},
    "cutout": {"size": numbers(0.1, 1.0), "fill": numbers(0.1, 1.0)},
    "noise": {"sigma": st.tuples(numbers(0.0, 0.3), numbers(0.3, 1.0))},
    "affine": {"degrees": numbers(1.0, 180.0), "strength": numbers(0.1, 1.0)},
}
LEAST = {"rotate": 0.75, "d4": 0.875}
STILL = {"affine": "translate=0, scale=0, shear=0", "rotate": "p=0.75", "posterize": "bits=(4, 7)"}


def pair(text, size=32, base=None):
    made = Composition.parse(text)
    views = (made.specs(),) if made.second_specs() is None else (made.specs(), made.second_specs())
    return Pair(views, size, "two", base)


def saved(text):
    made = pair(text)
    return saved_json(made.views[0], made, Files())


def rounded(content):
    return json.loads(content, parse_float=lambda number: float(f"{float(number):.9g}"))


def one(name, text, **files):
    """A file, or the sentence that says why it is missing."""
    found = exported(pair(text), Files(**files))
    return found.files.get(name) or next(said for said in found.refused if said.startswith(name))


@pytest.mark.parametrize("op", WRITERS)
@settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_a_file_of_albumentations_is_read_as_the_recipe_that_was_written(op, data, tmp_path_factory):
    drawn = {name: data.draw(values) for name, values in PARAMETERS.get(op, {}).items()}
    still = {"translate": 0, "scale": 0, "shear": 0} if op == "affine" else {}
    p = data.draw(numbers(0.05, LEAST.get(op, 1.0)))
    arguments = ", ".join(f"{name}={value}" for name, value in {**drawn, **still, "p": p}.items())
    content = saved(f"{op}({arguments})")
    again = composition(tmp_path_factory.mktemp("saved"), content, ending=".json")
    assert rounded(saved(str(again))) == rounded(content)


@pytest.mark.parametrize("op", WRITERS)
def test_an_op_of_albumentations_is_read_as_itself(op, tmp_path):
    text = f"{op}({STILL[op]})" if op in STILL else op
    assert composition(tmp_path, saved(text), ending=".json").ops == Composition.parse(text).ops


def test_a_whole_recipe_is_read_as_itself_and_its_normalisation_is_left_out(tmp_path):
    text = "crop+color+blur+solarize(p=0.2)"
    content = one(SAVED[0], text, normalize=IMAGENET)
    assert "Normalize" in content
    assert str(composition(tmp_path, content, ending=".json")) == text


def test_slots_have_the_ops_numbers():
    text = "crop(area=(0.2, 0.9), flip_p=0.3)+color(strength=0.5)+blur(p=0.1)+solarize(p=0.2)"
    scope = {}
    exec(one("pipeline_lightly_train.py", text, normalize=IMAGENET), scope)
    assert scope["transform_args"] == {
        "image_size": (32, 32),
        "random_resize": {"min_scale": 0.2, "max_scale": 0.9},
        "random_flip": {"horizontal_prob": 0.3, "vertical_prob": 0.0},
        "random_rotation": None,
        "color_jitter": {
            "strength": 1.0,
            "prob": 0.8,
            "brightness": 0.4,
            "contrast": 0.4,
            "saturation": 0.4,
            "hue": 0.1,
        },
        "random_gray_scale": 0.2,
        "gaussian_blur": {"prob": 0.1, "sigmas": (0.1, 2.0), "blur_limit": (5, 5)},
        "solarize": {"prob": 0.2, "threshold": 0.5},
        "normalize": {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)},
    }
    yaml = pytest.importorskip("yaml")
    (entry,) = yaml.safe_load(one("pipeline_solo_learn.yaml", text))
    assert entry == {
        "rrc": {"enabled": True, "crop_min_scale": 0.2, "crop_max_scale": 0.9},
        "color_jitter": {"prob": 0.8, "brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1},
        "grayscale": {"prob": 0.2},
        "gaussian_blur": {"prob": 0.1},
        "solarization": {"prob": 0.2},
        "equalization": {"prob": 0.0},
        "horizontal_flip": {"prob": 0.3},
        "crop_size": 32,
        "num_crops": 2,
        "mean": [0.0, 0.0, 0.0],
        "std": [1.0, 1.0, 1.0],
    }
    first, second = yaml.safe_load(one("pipeline_solo_learn.yaml", "crop|crop(flip_p=0)+equalize(p=0.5)"))
    assert (first["num_crops"], first["horizontal_flip"]["prob"], first["color_jitter"]["prob"]) == (1, 0.5, 0.0)
    assert (second["equalization"]["prob"], second["horizontal_flip"]["prob"]) == (0.5, 0.0)


@pytest.mark.parametrize(
    ("tool", "text", "why"),
    [
        ("albumentations.py", "sobel", "albumentations has no equal of sobel"),
        ("albumentations.json", "rotate", "allowed: rotate(p=0.75) or less"),
        ("albumentations.py", "affine", "allowed: affine with translate=0, scale=0, shear=0"),
        ("albumentations.py", "posterize", "keeps 1 to 7 bits, not posterize(bits=(4, 8))"),
        ("albumentations.py", "noise(sigma=(0.0, 1.5))", "up to 1, and noise here up to 1.5"),
        ("albumentations.py", "channel_drop(count=(1, 3))", "a count of at most 2"),
        ("albumentations.py", "crop(sampling='tf')", 'crop(sampling="tf") cannot be exported'),
        ("lightly_train.py", "color", "always begins with a random resized crop"),
        ("lightly_train.py", "crop+blur+color", "always applies jitter before blur"),
        ("lightly_train.py", "crop+flip", "applies flip once"),
        ("lightly_train.py", "crop|crop+color", "each has its own"),
        ("lightly_train.py", "flip+crop", "always crops first, and this composition applies flip before"),
        ("lightly_train.py", "crop+noise", "LightlyTrain has no equal of noise"),
        ("solo_learn.yaml", "crop(p=0.5)", "crops every image, not crop(p=0.5)"),
        ("solo_learn.yaml", "crop(ratio=(0.5, 2.0))", "has the ratio (3/4, 4/3) alone, not (0.5, 2.0)"),
        ("solo_learn.yaml", "crop+blur(strength=0.5)", "not (0.05, 1.0)"),
        ("solo_learn.yaml", "crop+solarize(threshold=0.3)", "solarizes from 0.5 on, not 0.3"),
        ("solo_learn.yaml", "crop+vflip", "solo-learn has no equal of vflip"),
        ("solo_learn.yaml", "crop+color(p=0.5)", "allowed: color(p=1)"),
        ("stable_pretraining.py", "crop(resize='bicubic')", 'crop(resize="bicubic") cannot be exported'),
        ("lightly.py", "kornia.RandomPlanckianJitter", "torchvision has no equivalent of kornia.RandomPlanckianJitter"),
        ("dali.py", "crop+jitter", "jitter draws the order of its four steps for every image"),
        ("dali.py", "elastic", "elastic is not among the ops that are written for DALI"),
    ],
)
def test_what_a_tool_cannot_express_is_refused_by_name(tool, text, why):
    said = one(f"pipeline_{tool}", text)
    assert said.startswith(f"pipeline_{tool} is not written: ")
    assert why in said


def test_every_file_is_known_to_the_sweeps_directory_so_that_it_is_withdrawn():
    assert {*TARGETS, *SAVED} == set(OTHER_CODE)


def test_a_users_op_and_other_images_are_refused_by_every_tool():
    mine = Pair(((OpSpec(name="mine", version=1, params={"p": 1.0}),),), 32, "two", None)
    assert len(exported(mine, Files()).refused) == len(TARGETS)
    files = exported(pair("crop"), Files(channels=5, ranges=((0, 9),))).files
    assert set(files) == {"pipeline_albumentations.py", "pipeline_lightly.py", "pipeline_stable_pretraining.py"}
    shared = exported(pair("gray", base=Base()), Files()).files
    assert set(shared) == {"pipeline_albumentations.py", "pipeline_dali.py"}


def test_dalis_file_is_python_and_has_no_function_that_it_does_not_call():
    for op in DALI:
        source = one("pipeline_dali.py", op, normalize=IMAGENET)
        defined = {node.name for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef)}
        assert all(source.count(name) > 1 for name in defined - {"views"})


class Imitation(ModuleType):
    """The contracts of lightly's MultiViewTransform and of stable-pretraining's batched transforms."""

    def MultiViewTransform(self, transforms):
        return lambda image: [transform(image) for transform in transforms]

    def GPUCompose(self, steps, compile):
        def run(batch):
            for step in steps:
                batch = step(batch)
            return batch

        return run

    def StackedMultiView(self, chain):
        def run(batch):
            both = chain({"image": batch["image"].repeat(2, 1, 1, 1)})["image"]
            return {"views": [{"image": view, "label": batch["label"]} for view in both.chunk(2)]}

        return run

    def MultiView(self, chains):
        return lambda batch: {"views": [{"image": chain(batch)["image"], "label": batch["label"]} for chain in chains]}


@pytest.fixture
def imitations(monkeypatch):
    for whole in ("lightly.transforms.multi_view_transform", "stable_pretraining.data.gpu_transforms"):
        parts = whole.split(".")
        for end in range(1, len(parts) + 1):
            monkeypatch.setitem(sys.modules, ".".join(parts[:end]), Imitation(".".join(parts[:end])))


@pytest.mark.parametrize("text", ["crop+color", "crop+invert|crop+solarize"])
def test_frameworks_get_the_views_of_the_librarys_own_file(text, imitations):
    images = stored(3)
    torch.manual_seed(0)
    found = loaded(one("pipeline_lightly.py", text, normalize=IMAGENET)).transform(images[0])
    (first, *_), (second, *_) = exported_views("torchvision", code("torchvision", text, size=32), images)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (IMAGENET.mean, IMAGENET.std))
    for ours, theirs in zip(found, (first, second), strict=True):
        torch.testing.assert_close(ours, (theirs - mean) / std)
    batch = {"image": images.float() / 255, "label": torch.arange(3)}
    views = loaded(one("pipeline_stable_pretraining.py", text)).gpu_transform(batch)["views"]
    assert [view["image"].shape for view in views] == 2 * [(3, 3, 32, 32)]
    assert all(torch.equal(view["label"], batch["label"]) for view in views)
    assert not torch.equal(views[0]["image"], views[1]["image"])
