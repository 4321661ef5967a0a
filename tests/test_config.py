from __future__ import annotations

import copy
import pickle

import pytest
from pydantic import ValidationError

from ablate.config.base import RECORDED, OpSpec
from ablate.config.encoder import Encoder
from ablate.config.objectives import KINDS, Method
from ablate.config.trial import Base, DataIdentity, Head, TrialConfig

DATA = DataIdentity(name="glyphs", fingerprint="0123", classes=10)
CROP = OpSpec(name="crop", version=1, params={"area": [0.5, 1.0], "p": 1.0})


def test_golden_keys():
    """Records name trials by these keys: a change here orphans every record that users have."""
    assert TrialConfig(composition=(), data=DATA).key == "540ae785b005af58"
    assert TrialConfig(composition=(CROP,), data=DATA, epochs=15, temperature=0.2).key == "3aead68e1b617174"


GOLDEN = {
    "supervised": "6fe2952f88cf45ea",
    "byol": "299c026bd711ba50",
    "simsiam": "9e3c41e0f7ed37c7",
    "barlow": "39c9367085107661",
    "vicreg": "92be87bc6866bb42",
    "mocov3": "f279a29c9c2ae398",
    "supcon": "6ed52b814c0f75a7",
    "dino": "d3d99f467607ebaf",
}


@pytest.mark.parametrize("objective", GOLDEN)
def test_golden_keys_of_other_objectives(objective):
    method = Method(**KINDS[objective].method)
    config = TrialConfig(composition=(), data=DATA, objective=objective, method=method)
    assert config.key == GOLDEN[objective]
    for name, value in KINDS[objective].method.items():
        changed = config.replace(method=method.replace(**{name: value + 1 if isinstance(value, int) else value / 2}))
        assert changed.key != config.key, name


def test_later_fields_are_hashed_only_where_they_differ_from_what_earlier_records_had():
    plain = TrialConfig(composition=(), data=DATA)
    explicit = TrialConfig(
        composition=(),
        data=DATA,
        loss_scale=1.0,
        micro_batch=None,
        head=Head(kind="mlp", layers=2),
        second=None,
        share_crop=False,
        measure=None,
    )
    assert explicit.key == plain.key == "540ae785b005af58"
    assert TrialConfig(composition=(), data=DATA, world_size=2, micro_batch=64).key == "6a8040c1d335721e"


@pytest.mark.parametrize(
    "change",
    [
        {"composition": (CROP,)},
        {"composition": (CROP.model_copy(update={"version": 2}),)},
        {"branches": "two", "base": None},
        {"base": Base(area=(0.1, 1.0))},
        {"data": DataIdentity(name="glyphs", fingerprint="0124", classes=10)},
        {"epochs": 99},
        {"temperature": 0.1},
        {"threads": 2},
        {"precision": "bfloat16"},
        {"memory_format": "contiguous"},
        {"objective": "supervised"},
        {"loss_scale": 2.0},
        {"micro_batch": 64},
        {"world_size": 2},
        {"head": Head(kind="linear")},
        {"head": Head(layers=3)},
        {"head": Head(batch_norm=True)},
        {"encoder": Encoder(width=128)},
        {"encoder": Encoder(zero_init_residual=True)},
        {"encoder": Encoder(weights="sha256 0123")},
        {"branches": "two", "base": None, "second": (CROP,)},
        {"branches": "two", "share_crop": True},
        {"measure": "auroc"},
    ],
)
def test_everything_that_changes_a_result_changes_the_key(change):
    config = TrialConfig(composition=(), data=DATA)
    key = config.key  # known before the copy is made, which must not inherit it
    changed = config.model_copy(update=change)
    assert changed.key != key
    assert changed.key == TrialConfig.model_validate(changed.model_dump()).key
    assert config.model_copy(update=change, deep=True).key == changed.key


def test_a_known_key_is_not_part_of_a_configuration():
    config, other = (TrialConfig(composition=(CROP,), data=DATA, epochs=15) for _ in range(2))
    dump = config.model_dump()
    key = config.key
    assert config == other
    assert config.model_dump() == dump
    assert config.model_dump_json() == other.model_dump_json()
    assert repr(config) == repr(other)
    same = (config.model_copy(), copy.copy(config), copy.deepcopy(config), pickle.loads(pickle.dumps(config)))
    assert {one.key for one in same} == {key}
    assert all(one == other for one in same)


def test_key_survives_json():
    config = TrialConfig(composition=(CROP,), data=DATA)
    assert TrialConfig.model_validate_json(config.model_dump_json()).key == config.key


@pytest.mark.parametrize(
    "bad",
    [
        {"epochs": -1},
        {"batch_size": 1},
        {"temperature": 0},
        {"temperature": float("nan")},
        {"precision": "float8"},
        {"base": {"area": (0.9, 0.1)}},
        {"no_such_field": 1},
        {"encoder": {"name": "resnet19"}},
        {"encoder": {"name": "timm:"}},
        {"encoder": {"name": "timm:vit", "width": 128}},
        {"encoder": {"name": "resnet50", "width": 100}},
        {"head": {"kind": "linear", "layers": 3}},
        {"head": {"layers": 4}},
        {"batch_size": 64, "micro_batch": 48},
        {"batch_size": 64, "world_size": 3},
        {"batch_size": 64, "micro_batch": 2, "world_size": 4},
        {"loss_scale": 0},
        {"branches": "two"},
        {"branches": "two", "base": Base()},
        {"objective": "supervised", "loss_scale": 2.0},
        {"encoder": {"name": "timm:vit", "zero_init_residual": True}},
    ],
)
def test_bad_values_are_refused(bad):
    with pytest.raises(ValidationError):
        TrialConfig(composition=(), data=DATA, **bad)


def test_branches_that_differ_have_keys_of_their_own_and_need_two_views():
    blur = OpSpec(name="blur", version=1, params={"p": 0.5})
    two = TrialConfig(composition=(CROP,), data=DATA, branches="two", base=None)
    keys = [
        two.key,
        two.replace(second=(blur,)).key,
        two.replace(composition=(blur,), second=(CROP,)).key,
        two.replace(second=()).key,
        two.replace(composition=(), second=(CROP,)).key,
    ]
    assert len(set(keys)) == len(keys)
    assert two.replace(second=(blur,)).op_names == "crop|blur"
    assert two.replace(second=()).op_names == "crop|none"
    for refused in (
        {"second": (CROP,)},
        {"second": (blur,), "objective": "supervised"},
        {"second": (blur,), "branches": "one", "base": Base()},
        {"share_crop": True},
        {"share_crop": True, "branches": "one", "base": Base()},
    ):
        with pytest.raises(ValidationError):
            two.replace(**refused)


@pytest.mark.parametrize("before", [{"branches": "two"}, {"objective": "supervised", "loss_scale": 2.0}])
def test_what_is_refused_today_is_read_from_records_under_its_key(before):
    content = TrialConfig(composition=(), data=DATA).model_dump(mode="json") | before
    read = TrialConfig.model_validate(content, context=RECORDED)
    assert read.key == TrialConfig(composition=(), data=DATA).model_copy(update=before).key
    with pytest.raises(ValidationError):
        TrialConfig.model_validate(content)


@pytest.mark.parametrize(
    "change",
    [
        {"epochs": "many"},
        {"epochs": 0},
        {"eopchs": 3},
        {"branches": "two"},
        {"warmup_epochs": 200},
        {"head": {"kind": "mpl"}},
        {"temperature": float("nan")},
    ],
)
def test_nonsense_is_refused_in_copies_too(change):
    config = TrialConfig(composition=(CROP,), data=DATA)
    with pytest.raises(ValidationError):
        config.replace(**change)


def test_copies_are_like_what_is_constructed():
    config = TrialConfig(composition=(CROP,), data=DATA)
    key = config.key
    copied = config.replace(branches="two", base=None)
    made = TrialConfig(composition=(CROP,), data=DATA, branches="two", base=None)
    assert copied == made
    assert copied.key == made.key != key
    assert copied.model_fields_set == made.model_fields_set
    assert copied.composition[0] is CROP
    assert config.replace() == config


def test_copies_of_what_an_earlier_version_wrote_may_stay_as_it_was():
    """It is planned and shown, not trained; and whatever else is nonsense is still refused."""
    content = TrialConfig(composition=(), data=DATA).model_dump() | {"branches": "two"}
    old = TrialConfig.model_validate(content, context=RECORDED)
    assert old.replace(composition=(CROP,)).base is not None
    with pytest.raises(ValidationError):
        old.replace(epochs="many")
    mended = old.replace(base=None)
    with pytest.raises(ValidationError, match="two-branch pairs have no base crop"):
        mended.replace(base=Base())
