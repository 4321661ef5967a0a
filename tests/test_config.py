from __future__ import annotations

import pytest
from pydantic import ValidationError

from ablate.config import Base, DataIdentity, OpSpec, TrialConfig

DATA = DataIdentity(name="glyphs", fingerprint="0123", classes=10)
CROP = OpSpec(name="crop", version=1, params={"area": [0.5, 1.0], "p": 1.0})


def test_golden_keys():
    """Records name trials by these keys: a change here orphans every record that users have."""
    assert TrialConfig(composition=(), data=DATA).key == "540ae785b005af58"
    assert TrialConfig(composition=(CROP,), data=DATA, epochs=15, temperature=0.2).key == "3aead68e1b617174"


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
    ],
)
def test_everything_that_changes_a_result_changes_the_key(change):
    config = TrialConfig(composition=(), data=DATA)
    assert config.model_copy(update=change).key != config.key


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
    ],
)
def test_bad_values_are_refused(bad):
    with pytest.raises(ValidationError):
        TrialConfig(composition=(), data=DATA, **bad)
