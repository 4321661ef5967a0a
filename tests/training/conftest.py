"""A small data set and a configuration with which a trainer takes milliseconds per step."""

from __future__ import annotations

import pytest
import torch

from ablate.config.encoder import Encoder
from ablate.config.trial import Base, DataIdentity, Head, Optimiser, TrialConfig
from ablate.data import prepare

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def data(tiny_folder, cache):
    return prepare(f"folder:{tiny_folder}", cache=cache, image_size=16)


def config(data, **changes):
    content = {
        "composition": (),
        "base": Base(area=(0.5, 1.0)),
        "data": DataIdentity(name=data.name, fingerprint=data.fingerprint, classes=3),
        "image_size": 16,
        "encoder": Encoder(name="resnet8", width=4),
        "head": Head(hidden=8, output=4),
        "epochs": 3,
        "warmup_epochs": 1,
        "batch_size": 16,
        "optimiser": Optimiser(name="adamw", lr=0.01),
        **changes,
    }
    return TrialConfig(**content)


def weights(trainer):
    return {name: value.clone() for name, value in trainer.model.state_dict().items()}
