from __future__ import annotations

import dataclasses

import pytest
import torch
from hypothesis import given, reject, settings
from hypothesis import strategies as st

import ablate
from ablate.config.base import OpSpec
from ablate.errors import UsageError
from ablate.ops import from_spec, get, names, parse_composition, parse_op, rehearse, spec, split_list, to_string
from ablate.ops.kornia_adapter import classes
from ablate.ops.op import parameter_fields


def values(field):
    if isinstance(field.default, bool):
        return st.booleans()
    if isinstance(field.default, str):
        return st.sampled_from(field.metadata["choices"])
    low, high = field.metadata["low"], field.metadata["high"]
    example = field.default[0] if isinstance(field.default, tuple) else field.default
    number = st.integers(int(low), int(high)) if isinstance(example, int) else st.floats(low, high)
    return st.tuples(number, number).map(sorted).map(tuple) if isinstance(field.default, tuple) else number


@st.composite
def ops(draw):
    cls = get(draw(st.sampled_from(names())))
    fields = parameter_fields(cls)
    chosen = draw(st.sets(st.sampled_from(sorted(fields))))
    drawn = {name: draw(values(fields[name])) for name in chosen}
    try:
        return cls(**drawn)
    except UsageError:
        reject()  # each value is allowed, the two together are not


@settings(max_examples=300, deadline=None)
@given(ops())
def test_parse_is_the_inverse_of_print(op):
    assert parse_op(to_string(op)) == op
    assert from_spec(OpSpec.model_validate_json(spec(op).model_dump_json())) == op


@settings(max_examples=300, deadline=None)
@given(st.text("crop+color,blur(=)'\"[]{}0.5 \u00d7\\#", max_size=30))
def test_any_text_is_parsed_or_refused_in_one_sentence(text):
    for read in (parse_op, parse_composition, lambda t: split_list(t, ",")):
        try:
            read(text)
        except UsageError as error:
            assert "\n" not in str(error)


def test_canonical_strings_show_only_what_differs():
    assert to_string(parse_op(" color( strength = 1.0 ,hue=0.1)")) == "color(hue=0.1)"
    assert to_string(parse_op("crop(area=[0.2, 1])")) == "crop(area=(0.2, 1.0))"
    assert to_string(parse_op("blur(p=0.5)")) == "blur"


def test_preset_defaults_apply_where_the_text_is_silent():
    defaults = {"crop": {"flip_p": 0.0}}
    assert parse_op("crop", defaults).flip_p == 0.0
    assert parse_op("crop(flip_p=0.5)", defaults).flip_p == 0.5
    assert to_string(parse_op("crop", defaults), defaults) == "crop"
    assert to_string(parse_op("crop(flip_p=0.5)", defaults), defaults) == "crop(flip_p=0.5)"


def test_split_list():
    assert split_list("crop,color(hue=0.1, strength=0.5),blur", ",") == ["crop", "color(hue=0.1, strength=0.5)", "blur"]
    assert split_list("crop(area=(0.1,1))+blur", "+") == ["crop(area=(0.1,1))", "blur"]
    for bad in ("", ",", "crop,", "crop,,blur"):
        with pytest.raises(UsageError, match="empty item"):
            split_list(bad, ",")
    with pytest.raises(UsageError, match="empty item in ' ': name an op, such as crop"):
        split_list(" ", "|")
    for bad in ("color(", "color)", "color(a=[1)]", "color(a='x)"):
        with pytest.raises(UsageError):
            split_list(bad, ",")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("crp", ["unknown op 'crp'", "crop", "did you mean 'crop'"]),
        ("byol", ["'byol' is a recipe, not an op: write recipe:byol"]),
        ("moco-v2", ["write recipe:moco-v2"]),
        ("color(strenght=1)", ["unknown color parameter 'strenght'", "did you mean 'strength'"]),
        ("color(0.5)", ["parameters are named"]),
        ("color(strength=0.5, strength=0.6)", ["color(strength=0.5, strength=0.6)"]),
        ("color(strength=nan)", ["must be a number"]),
        ("color(strength=1e999)", ["finite"]),
        ("color(strength='a')", ["must be a number"]),
        ("color(strength=True)", ["must be a number"]),
        ("color(**{'p': 1})", ["parameters are named"]),
        ("color(p=__import__('os').getcwd())", ["must be a number"]),
        ("__import__('os').system('true')", ["cannot read"]),
        ("crop(area=(1, 0.5))", ["ordered"]),
        ("crop(area=(0.1, 0.5, 1))", ["2 numbers"]),
        ("posterize(bits=(2.5, 4))", ["whole number"]),
        ("blur(p=-0.1)", ["[0.0, 1.0]"]),
        ("rotate(strength=0.5)", ["strength", "allowed: p"]),
        ("kornia.RandomPlankianJitter", ["did you mean 'RandomPlanckianJitter'"]),
        ("kornia.RandomSolarize(treshold=0.1)", ["treshold", "thresholds"]),
        ("kornia.RandomGaussianBlur(kernel_size=(2, 2), sigma=(1, 2))", ["kornia refuses"]),
    ],
)
def test_errors_name_the_fault_the_allowed_and_the_nearest(text, expected):
    with pytest.raises(UsageError) as caught:
        parse_op(text)
    for part in expected:
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_another_version_is_refused():
    old = spec(parse_op("blur"))
    with pytest.raises(UsageError, match=f"version {old.version} here, not 0"):
        from_spec(old.model_copy(update={"version": 0}))


def test_public_op():
    assert ablate.op("color", strength=0.5) == ablate.op("color(strength=0.5)")


def test_ops_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        parse_op("blur").p = 1.0


def test_kornia_adapter():
    op = parse_op("kornia.RandomPlanckianJitter(p=0.5)")
    images = torch.rand(64, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    a, b = (op.sample(64, (32, 32), torch.Generator().manual_seed(seed)) for seed in (1, 2))
    torch.manual_seed(7)
    before = torch.get_rng_state()
    first = op.apply(images, a)
    assert torch.equal(torch.get_rng_state(), before)  # the global generator is left alone
    assert torch.equal(first, op.apply(images, a))
    assert not torch.equal(first, op.apply(images, b))
    changed = (first != images).flatten(1).any(1).float().mean().item()
    assert 0.2 < changed < 0.8
    assert op.syncs
    assert to_string(op) == "kornia.RandomPlanckianJitter(p=0.5)"
    assert from_spec(spec(op)) == op
    assert parse_op("kornia.RandomHorizontalFlip(p=1.0)").apply(images, a).equal(images.flip(-1))


ARGUMENTS = {  # of the classes that cannot be made without
    "CenterCrop": "size=32",
    "Denormalize": "mean=0.0, std=1.0",
    "LongestMaxSize": "max_size=32",
    "Normalize": "mean=0.0, std=1.0",
    "PadTo": "size=(32, 32)",
    "RandomAffine": "degrees=10.0",
    "RandomCrop": "size=(32, 32), padding=4",
    "RandomFisheye": "center_x=(-0.3, 0.3), center_y=(-0.3, 0.3), gamma=(0.9, 1.0)",
    "RandomGaussianBlur": "kernel_size=(3, 3), sigma=(0.1, 2.0)",
    "RandomMotionBlur": "kernel_size=3, angle=30.0, direction=0.5",
    "RandomResizedCrop": "size=(32, 32)",
    "RandomRotation": "degrees=10.0",
    "RandomRotation90": "times=(1, 3)",
    "RandomShear": "shear=10.0",
    "Resize": "size=(32, 32)",
    "SmallestMaxSize": "max_size=32",
}
NEEDS_MORE = {"RandomDissolving"}  # kornia's optional dependency diffusers, and its weights


@pytest.mark.parametrize("name", classes())
def test_any_2d_augmentation_class_of_kornia_is_an_op(name):
    text = f"kornia.{name}({ARGUMENTS.get(name, '')})"
    if name in NEEDS_MORE:
        with pytest.raises(UsageError, match="kornia refuses"):
            parse_op(text)
        return
    op = parse_op(text)
    rehearse(op, 32)
    assert parse_op(to_string(op)) == op
    assert from_spec(OpSpec.model_validate_json(spec(op).model_dump_json())) == op


def test_a_kornia_op_that_changes_the_size_is_found_at_the_size_it_meets():
    op = parse_op("kornia.RandomCrop(size=(32, 32))")
    rehearse(op, 32)
    with pytest.raises(UsageError, match="changes the image size"):
        rehearse(op, 48)


def test_a_kornia_op_with_pairs_survives_json():
    op = parse_op("kornia.RandomGaussianBlur(kernel_size=(3, 3), sigma=(0.1, 2.0), p=1.0)")
    assert from_spec(OpSpec.model_validate_json(spec(op).model_dump_json())) == op


@pytest.mark.parametrize("text", ["crop(sampling=tf)", "color(impl=tf)"])
def test_a_word_without_quotes_is_told_to_stand_in_quotes(text):
    name = text.split("(")[1].split("=")[0]
    with pytest.raises(UsageError, match=f'put a string in quotes: {name}="tf"'):
        parse_op(text)
