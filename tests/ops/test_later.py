"""A parameter that an op got later changes no earlier record, key, name or string."""

from __future__ import annotations

import dataclasses

import pytest

import ablate
from ablate.config.base import OpSpec
from ablate.config.trial import DataIdentity, TrialConfig
from ablate.ops import Op, from_spec, get, names, parse_composition, parse_op, registry, spec, to_string
from ablate.ops.op import parameter_fields

DATA = DataIdentity(name="glyphs", fingerprint="0123", classes=10)
KEYS = {
    "affine": "6b9267869a70acb2",
    "blur": "3a9f75ab73d4b0a0",
    "channel_drop": "a1f900131c3970d9",
    "channel_shuffle": "e90659981de0b1b1",
    "clahe": "292115b41b3c0891",
    "color": "dd1f83f1b5a890b4",
    "crop": "024d23224494e12b",
    "cutout": "c2e7d2a9cf8f02f5",
    "d4": "37c59c2bd804140f",
    "elastic": "b605d82eeb0c07c1",
    "equalize": "97d4abf7c8f7df5e",
    "erase": "8fa9ac8e2d6b9be1",
    "flip": "c45cb95d4d541cd2",
    "gray": "3be4c6257b41f694",
    "intensity": "199a4fe5ca9944b7",
    "invert": "be636d465fe7dcf3",
    "jitter": "afabf010cb989878",
    "jpeg": "51b1c038fac35147",
    "noise": "c2c798adfa9f23af",
    "perspective": "19aea70e4fe7eada",
    "poisson": "22a23f00aa6d0835",
    "posterize": "db958ad72ce4fefa",
    "rotate": "12d12e38de8614e7",
    "sharpen": "da52e21a045cf955",
    "sobel": "73d7dbad7495d3b9",
    "solarize": "b62bdd8da6201a58",
    "stain": "41657d974be5afe4",
    "vflip": "fb678dfb7da67dfb",
    "zoom_out": "03b4c84108f8d01b",
}


def key(*specs):
    return TrialConfig(composition=specs, data=DATA).key


def other(field):
    """A value of the parameter that is not its default."""
    default, metadata = field.default, field.metadata
    if isinstance(default, bool):
        return not default
    if isinstance(default, str):
        return next(word for word in metadata["choices"] if word != default)
    return next(value for value in (metadata["low"], metadata["high"]) if value != default)


LATER = [
    (name, field) for name in names() for field in parameter_fields(get(name)).values() if field.metadata.get("later")
]


@pytest.mark.parametrize("name", [name for name in names() if get(name).__module__.startswith("ablate.ops")])
def test_golden_keys_of_single_ops(name):
    """Trials of an op on record have these keys: raise the op's version on purpose, or change nothing here."""
    assert key(spec(get(name)())) == KEYS[name]


def test_golden_key_of_a_composition():
    ops = parse_composition("crop+color(strength=0.5)+blur(p=1.0)+kornia.RandomPlanckianJitter(p=0.5)")
    assert key(*map(spec, ops)) == "a845119993b4d6c1"


def test_the_variants_of_the_official_code_are_later_parameters():
    found = {(name, field.name) for name, field in LATER}
    assert {
        ("crop", "sampling"),
        ("crop", "resize"),
        ("color", "impl"),
        ("sobel", "signed"),
        ("cutout", "fill"),
    } <= found


@pytest.mark.parametrize(("name", "field"), LATER, ids=lambda x: x if isinstance(x, str) else x.name)
def test_a_later_parameter_counts_only_where_it_differs(name, field):
    plain, changed = get(name)(), get(name)(**{field.name: other(field)})
    assert field.name not in spec(plain).params
    assert parse_op(f"{name}({field.name}={field.default!r})") == plain
    assert to_string(plain) == name
    assert spec(changed).params[field.name] == other(field)
    assert key(spec(changed)) != key(spec(plain))
    assert from_spec(spec(changed)) == changed
    old = OpSpec(name=name, version=plain.version, params=spec(plain).params)
    assert from_spec(OpSpec.model_validate_json(old.model_dump_json())) == plain
    assert f"{field.name}={other(field)!r}" in to_string(changed)


def test_ones_own_op_grows_a_parameter(monkeypatch):
    names()
    monkeypatch.setattr(registry, "_OPS", dict(registry._OPS))

    def version_with(**fields):
        body = {"transform": lambda self, images, params: images, **fields}
        annotations = dict.fromkeys(fields, float)
        cls = type("Grown", (Op,), {"__annotations__": annotations, "__module__": __name__, **body})
        return ablate.register("grown")(cls)

    before = spec(version_with(amount=ablate.param(0.5, "how much"))())
    grown = version_with(amount=ablate.param(0.5, "how much"), tint=ablate.param(0.0, "how red", later=True))
    assert spec(grown()) == before
    assert key(spec(grown())) == key(before)
    assert from_spec(before) == grown()
    assert spec(grown(tint=0.1)).params == {"amount": 0.5, "tint": 0.1, "p": 1.0}
    assert dataclasses.replace(grown(), tint=0.1) == from_spec(spec(grown(tint=0.1)))
