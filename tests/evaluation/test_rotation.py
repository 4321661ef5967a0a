from __future__ import annotations

import pytest
import torch

from ablate.config.base import OpSpec
from ablate.evaluation import rotation as module
from ablate.evaluation.accuracy import accuracy
from ablate.evaluation.features import drawn
from ablate.evaluation.linear import linear_evaluation
from ablate.evaluation.rotation import rotation, turning_ops
from ablate.ops import Op, center_crop, param, register
from tests.evaluation.conftest import data_set, freeze, pixels
from tests.support.digits import digits


def test_digits_stand_upright():
    """On pixels of real digits the turn is easy to tell; labels play no part."""
    data = digits()
    outcome = rotation(freeze(data, pixels(), torch.nn.Identity()), "h")
    assert outcome.metrics["rotation_top1"] > 0.8  # 0, 1 and 8 look alike upside down
    assert abs(outcome.metrics["rotation_val_top1"] - outcome.metrics["rotation_top1"]) < 0.06
    data.train.labels.fill_(-1)
    data.test.labels.fill_(-1)
    assert rotation(freeze(data, pixels(), torch.nn.Identity()), "h") == outcome


def test_an_encoder_that_ignores_turns_guesses():
    means = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    outcome = rotation(freeze(digits(), means, torch.nn.Identity()), "h")
    assert outcome.metrics["rotation_top1"] == pytest.approx(0.25, abs=0.01)


def test_against_its_definition(stripes):
    """All four turns of every image, exactly turned, on one side of the split."""
    encoder = torch.nn.Flatten()
    outcome = rotation(freeze(stripes, encoder, torch.nn.Identity()), "h")

    def turned(images):
        views = center_crop(images, (16, 16), 1.0)
        return torch.cat([views.rot90(k, (2, 3)) for k in range(4)]).flatten(1)

    y = torch.arange(4).repeat_interleave(120)
    result = linear_evaluation(
        turned(stripes.train.images.pixels),
        y,
        torch.cat([stripes.val_mask] * 4),
        turned(stripes.test.images.pixels),
        4,
    )
    assert outcome.metrics == {
        "rotation_top1": accuracy(result.test, torch.arange(4).repeat_interleave(60)),
        "rotation_val_top1": accuracy(result.val, y[torch.cat([stripes.val_mask] * 4)]),
    }
    assert outcome.flags == tuple(f"rotation-{flag}" for flag in result.flags)


def test_large_sets_are_cut_to_one_fixed_draw(stripes, monkeypatch):
    monkeypatch.setattr(module, "IMAGES", 50)
    outcomes = [rotation(freeze(stripes, seed=seed), "h") for seed in (0, 1)]
    assert outcomes[0] == outcomes[1]
    assert "50 un-augmented training images" in outcomes[0].description
    assert "50 test images" in outcomes[0].description
    index = drawn(stripes.train, "rotation", 50)
    assert len(index.unique()) == 50
    assert (index.diff() > 0).all()
    assert not torch.equal(index, torch.arange(50))


@pytest.mark.parametrize(
    ("composition", "turning"),
    [
        ("crop+color", []),
        ("rotate", ["rotate"]),
        ("crop+rotate(p=0.5)", ["rotate"]),
        ("rotate(p=0.0)+flip", []),
        ("affine", []),
        ("affine(degrees=90.0)", ["affine"]),
        ("affine(degrees=90.0,strength=0.1)", []),
        ("kornia.RandomRotation(degrees=20.0)", []),
        ("kornia.RandomRotation(degrees=(0.0,180.0),p=1.0)", ["kornia.RandomRotation"]),
        ("kornia.RandomAffine(degrees=60.0)", ["kornia.RandomAffine"]),
        ("kornia.RandomRotation90(times=(0,3))", ["kornia.RandomRotation90"]),
        ("kornia.RandomVerticalFlip", ["kornia.RandomVerticalFlip"]),
        ("kornia.RandomHorizontalFlip", []),
    ],
)
def test_which_compositions_it_cannot_judge(composition, turning, stripes):
    frozen = freeze(stripes, composition=composition)
    assert turning_ops(frozen.config) == turning
    outcome = rotation(frozen, "h")
    assert bool(outcome.metrics) == (not turning)
    assert (outcome.flags == ("rotation-not-applicable",)) == bool(turning)
    assert all(name in outcome.description for name in turning)


def test_a_users_op_says_itself_that_it_turns(stripes, own_registry):
    @register("upside_down")
    class UpsideDown(Op):
        """Turn every image by half a turn."""

        turns = True

        def transform(self, images, params):
            return images.rot90(2, (2, 3))

    @register("mirror")
    class Mirror(Op):
        """Mirror every image, which is no turn."""

        def transform(self, images, params):
            return images.flip(3)

    @register("leaning")
    class Leaning(UpsideDown):
        """An op that turns far with some parameters alone."""

        degrees: float = param(10.0, "how far", low=0.0, high=180.0)

        @property
        def is_turning(self):
            return super().is_turning and self.degrees > 45

    for text, turning in {
        "upside_down": ["upside_down"],
        "upside_down(p=0.0)+mirror": [],
        "leaning+crop": [],
        "leaning(degrees=90.0)": ["leaning"],
    }.items():
        frozen = freeze(stripes, composition=text)
        assert turning_ops(frozen.config) == turning
        assert bool(rotation(frozen, "h").metrics) == (not turning)


def test_ops_of_old_records_are_known_by_their_names(stripes):
    """Also those that are gone: what was trained with them can still be evaluated."""
    ops = (OpSpec(name="rotate", version=0, params={"p": 1.0}), OpSpec(name="gone", version=1, params={}))
    assert turning_ops(freeze(stripes).config.model_copy(update={"composition": ops})) == ["rotate"]


def test_degrees_as_a_record_holds_them(stripes):
    """JSON has lists, not tuples."""
    op = OpSpec(name="kornia.RandomRotation", version=1, params={"degrees": [-90.0, 10.0], "p": 1.0})
    config = freeze(stripes).config.model_copy(update={"composition": (op,)})
    assert turning_ops(config) == ["kornia.RandomRotation"]


def test_no_image_is_on_both_sides_of_the_split():
    """Each image is noise but for a corner that tells its turn: a leaky split would not show, a mixed-up mask would."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (80, 3, 16, 16), dtype=torch.uint8, generator=generator)
    labels = torch.zeros(80).long()
    data = data_set((images, labels), (images, labels), torch.arange(80) % 2 == 0, 1)
    outcome = rotation(freeze(data, torch.nn.Flatten(), torch.nn.Identity()), "h")
    assert outcome.metrics["rotation_top1"] > 0.9  # the test images were trained on
    assert outcome.metrics["rotation_val_top1"] < 0.5  # the validation images were not
