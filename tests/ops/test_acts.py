"""On which share of images an op acts: what it says of itself is what it does, and what ``--act-on`` sets."""

from __future__ import annotations

import math

import pytest
import torch

from ablate.data import DataSet, Images, Split
from ablate.errors import UsageError
from ablate.ops import acts_on, describe, get, names, parse_composition, parse_op, to_string
from ablate.planning.compositions import acting, named_ops
from ablate.planning.images import as_they_act
from tests.support.pictures import generator, pictures
from tests.support.wishes import wish

N = 400


def changed(op):
    """The share of images that the op changes."""
    images = pictures(N, 3, (24, 24))
    result = op.apply(images, op.sample(N, (24, 24), generator()))
    return float((result != images).flatten(1).any(1).float().mean())


def almost(op, share):
    """Within four standard deviations; a few draws, such as a blur of 0.1 pixels, change no bit of an image."""
    spread = 4 * math.sqrt(share * (1 - share) / N)
    return share * 0.85 - spread <= changed(op) <= share + spread + 1e-9


@pytest.mark.parametrize("name", names())
def test_an_op_acts_on_the_share_that_it_says(name):
    op = get(name)()
    assert almost(op, op.acts)
    for share in (0.3, 1.0):
        other = op.acting(share)
        assert other.acts == pytest.approx(share)
        assert almost(other, share)
        assert parse_op(to_string(other)) == other


def test_shares_of_the_ops_whose_parts_have_chances_of_their_own():
    assert get("color")().acts == pytest.approx(0.84)
    assert parse_op("color(p=0.5, jitter_p=0.5, gray_p=0.5)").acts == pytest.approx(0.375)
    assert get("blur")().acts == 0.5
    assert get("crop")().acts == 1
    assert parse_op("color(strength=0)").acts == 0
    assert to_string(get("color")().acting(1.0)) == "color(jitter_p=1.0)"


def test_kornias_classes_have_their_own_p():
    op = parse_op("kornia.RandomPlanckianJitter(mode='CIED')")
    assert op.acts == 0.5
    assert op.acting(1.0) == parse_op("kornia.RandomPlanckianJitter(mode='CIED', p=1.0)")
    assert op.acting(1.0).acts == 1


def test_every_op_of_a_sweep_is_made_to_act_equally_often():
    bare = wish()
    texts = ["crop", "color(strength=0.5)", "blur", "blur(p=1)", "none", "crop+blur+noise"]
    made = [acting(bare, text, 1.0) for text in texts]
    assert made == [
        *("crop", "color(jitter_p=1.0, strength=0.5)", "blur(p=1.0)", "blur(p=1.0)", "none"),
        "crop+blur(p=1.0)+noise",
    ]
    assert {op.acts for text in made for op in parse_composition(text)} == {1.0}
    assert {op.acts for op in named_ops(wish(ops=made[:3]))} == {1.0}
    assert named_ops(wish(ops=["blur"]))[0].acts == 0.5


def test_what_changes_nothing_on_the_images_acts_on_none_of_them():
    """As the plan says and so do the reports: ``gray`` on grey images."""
    grey = torch.rand(4, 1, 8, 8).mul(255).byte().expand(4, 3, 8, 8)
    split = Split(Images(grey), torch.zeros(4, dtype=torch.long), torch.arange(4))
    data = DataSet("grey", "f00d", ("a",), split, split, torch.zeros(4, dtype=torch.bool), split)
    ops = {
        "gray": 0.0,
        "color": 0.8,  # its grayscale, on 4 % of images without the jitter, changes none of these
        "color(p=0.5)": 0.4,
        "color(jitter_p=0.0)": 0.0,
        "color(brightness=0.0, contrast=0.0)": 0.0,
        "jitter": 0.8,
        "sharpen": 1.0,
    }
    assert {op.label: op.acts for op in as_they_act(named_ops(wish(ops=list(ops))), data, 8)} == ops


def test_on_coloured_images_every_part_of_an_op_counts():
    images = torch.rand(8, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    assert acts_on(get("color")(), images) == pytest.approx(0.84)
    assert {name for name in names() if acts_on(get(name)(), images) != get(name)().acts} == set()


def test_an_op_with_parameters_is_described_as_that_op():
    assert describe(["crop(area=(0.2, 1.0))"]) == describe(["crop"])
    with pytest.raises(UsageError, match="arae"):
        describe(["crop(arae=(0.2, 1.0))"])


def test_a_share_that_is_none_and_an_op_that_says_its_own():
    bare = wish()
    for share in (0.0, -1.0, 1.5, float("nan")):
        with pytest.raises(UsageError, match="above 0 and at most 1"):
            acting(bare, "blur", share)
    with pytest.raises(UsageError, match=r"blur\(p=0.3\) sets it too"):
        acting(bare, "crop+blur(p=0.3)", 1.0)
    with pytest.raises(UsageError, match="sets it too"):
        acting(bare, "kornia.RandomPlanckianJitter(p=0.3)", 1.0)
