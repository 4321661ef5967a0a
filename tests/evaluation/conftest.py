from __future__ import annotations

import pytest
import torch

from ablate.config.encoder import Encoder
from ablate.config.trial import DataIdentity, Head, TrialConfig
from ablate.data import DataSet, Images, Split
from ablate.evaluation.frozen import Frozen
from ablate.ops.composition import Composition
from ablate.training.encoder import build_encoder
from ablate.training.head import ProjectionHead


def pixels():
    """An encoder without parameters: 8 x 8 average pixels in three channels, 192 of them for 16 px images."""
    return torch.nn.Sequential(torch.nn.AvgPool2d(2), torch.nn.Flatten())


def split_of(images, labels):
    return Split(Images(images), labels, torch.arange(len(labels)))


def data_set(train, test, val_mask, classes):
    """A DataSet over ``(images, labels)`` pairs."""
    train, test = split_of(*train), split_of(*test)
    names = tuple(str(c) for c in range(classes))
    return DataSet("made-up", "f00d", names, pretrain=train, train=train, val_mask=val_mask, test=test)


def freeze(data, encoder=None, head=None, *, composition="crop+color", size=16, seed=0, **settings):
    """A Frozen over ``data``; by default a small random ResNet8 and head, on the CPU in float32."""
    config = TrialConfig(
        composition=Composition.parse(composition).specs(),
        data=DataIdentity(name=data.name, fingerprint=data.fingerprint, classes=len(data.classes)),
        image_size=size,
        encoder=Encoder(name="resnet8", width=4),
        head=Head(hidden=8, output=4),
        epochs=1,
        warmup_epochs=0,
        batch_size=16,
        **settings,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        encoder = build_encoder(config.encoder, size) if encoder is None else encoder
        head = ProjectionHead(16, Head(hidden=8, output=4)) if head is None else head
    return Frozen(encoder, head, config, seed, data, torch.device("cpu"))


@pytest.fixture
def stripes():
    """Three classes of 16 px images, 120 for training (a quarter for validation) and 60 for testing."""
    generator = torch.Generator().manual_seed(0)

    def draw(n):
        labels = torch.arange(n) % 3
        images = torch.randint(0, 120, (n, 3, 16, 16), dtype=torch.uint8, generator=generator)
        for i, label in enumerate(labels.tolist()):
            if label == 0:
                images[i, :, i % 4 :: 4] += 130
            if label == 1:
                images[i, :, :, i % 4 :: 4] += 130
        return images, labels

    return data_set(draw(120), draw(60), torch.arange(120) % 4 == 0, 3)
