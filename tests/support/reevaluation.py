"""A tiny configuration whose encoder is kept."""

from __future__ import annotations

import pytest

from ablate.config.encoder import Encoder
from ablate.config.trial import Base, Head, Optimiser, TrialConfig
from ablate.data import prepare
from ablate.ops.composition import Composition


@pytest.fixture(scope="module")
def data(tiny_folder, cache):
    return prepare(f"folder:{tiny_folder}", cache=cache, image_size=16)


def config(data, composition="crop+color", **changes):
    content = {"epochs": 1, "warmup_epochs": 0, "batch_size": 16, "optimiser": Optimiser(name="adamw", lr=0.01)}
    return TrialConfig(
        composition=Composition.parse(composition).specs(),
        base=Base(area=(0.5, 1.0)),
        data=data.identity,
        image_size=16,
        encoder=Encoder(name="resnet8", width=4),
        head=Head(hidden=8, output=4),
        **(content | changes),
    )
