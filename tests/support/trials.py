"""A tiny trial on made-up images, and what of a record does not depend on when it was made."""

from __future__ import annotations

import pytest

import ablate.trial.attempt
from ablate.config.encoder import Encoder
from ablate.config.trial import Base, DataIdentity, Head, Optimiser, TrialConfig
from ablate.data import prepare

TIMING = {"timings", "attempts", "when", "host"}


@pytest.fixture(scope="module")
def data(tiny_folder, cache):
    return prepare(f"folder:{tiny_folder}", cache=cache, image_size=16)


@pytest.fixture
def config(data):
    return TrialConfig(
        composition=ablate.Composition.parse("crop+color").specs(),
        base=Base(area=(0.5, 1.0)),
        data=DataIdentity(name=data.name, fingerprint=data.fingerprint, classes=3),
        image_size=16,
        encoder=Encoder(name="resnet8", width=4),
        head=Head(hidden=8, output=4),
        epochs=4,
        warmup_epochs=1,
        batch_size=16,
        optimiser=Optimiser(name="adamw", lr=0.01),
    )


def comparable(result):
    content = result.model_dump(exclude=TIMING)
    content["history"] = [{k: v for k, v in h.items() if k != "images_per_second"} for h in content["history"]]
    return content
