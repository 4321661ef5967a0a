"""What an encoder does with its input, and what of it stays as it was given."""

from __future__ import annotations

import pytest
import torch
from torchvision.transforms import v2

from ablate.config.encoder import IMAGENET, Encoder, Normalization
from ablate.config.trial import Optimiser
from ablate.errors import UsageError
from ablate.training.encoder import build_encoder
from ablate.training.global_bn import make_global
from ablate.training.optim import build_optimiser
from tests.training.conftest import CPU, config


def built(seed=1, size=32, channels=3, **changes):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build_encoder(Encoder(**{"name": "resnet8", "width": 4, **changes}), size, channels)


@pytest.mark.parametrize("changes", [{}, {"name": "resnet18", "width": 64}])
def test_normalised_input_is_that_of_torchvisions_transform(changes):
    images = torch.rand(2, 3, 32, 32)
    plain, ours = built(**changes).eval(), built(normalize=IMAGENET, **changes).eval()
    assert plain.state_dict().keys() == ours.state_dict().keys()
    normalised = v2.Normalize(list(IMAGENET.mean), list(IMAGENET.std))(images)
    with torch.no_grad():
        torch.testing.assert_close(ours(images), plain(normalised))
        assert not torch.allclose(ours(images), plain(images))


def test_mean_and_deviation_have_equally_many_numbers():
    with pytest.raises(ValueError, match="equally long"):
        Normalization(mean=(0.1, 0.2), std=(0.1,))
    with pytest.raises(ValueError, match="greater than 0"):
        Normalization(mean=(0.1,), std=(0,))


@pytest.mark.parametrize(
    ("changes", "frozen"),
    [
        ({"frozen_stages": 1}, {"stem"}),
        ({"frozen_stages": 3}, {"stem", "blocks.0", "blocks.1"}),
        ({"name": "resnet18", "width": 64, "frozen_stages": 2}, {"net.conv1", "net.bn1", "net.layer1"}),
    ],
)
def test_the_first_stages_are_neither_trained_nor_their_statistics_changed(changes, frozen):
    encoder = built(**changes)
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    optimiser = build_optimiser(Optimiser(name="sgd", lr=0.1), encoder)
    encoder.train()
    encoder(torch.rand(4, 3, 32, 32)).square().sum().backward()
    optimiser.step()
    changed = {name for name, value in encoder.state_dict().items() if not torch.equal(value, before[name])}
    kept = {name for name in before if any(name.startswith(f"{part}.") for part in frozen)}
    assert kept
    assert not kept & changed
    assert all(name in changed for name in before.keys() - kept if name.endswith("running_mean"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"frozen_stages": 4}, "has 4 stages, of which the last has to be trained: at most 3 can be frozen, not 4"),
        ({"name": "resnet18", "width": 64, "frozen_stages": 9}, "has 5 stages"),
    ],
)
def test_something_is_left_to_train(changes, words):
    with pytest.raises(UsageError, match=words):
        built(**changes)


def test_the_stages_of_a_transformer_are_its_embeddings_and_blocks():
    pytest.importorskip("timm")
    encoder = built(name="timm:vit_tiny_patch16_224", width=64, frozen_stages=2)
    trained = {name for name, value in encoder.named_parameters() if value.requires_grad}
    frozen = {name for name, _ in encoder.named_parameters()} - trained
    assert {"net.cls_token", "net.pos_embed", "net.patch_embed.proj.weight"} <= frozen
    assert {name.split(".")[2] for name in frozen if ".blocks." in name} == {"0"}
    encoder.train()
    assert [block.training for block in encoder.net.blocks[:3]] == [False, True, True]


def test_frozen_statistics_normalise_in_training_too_and_the_weights_are_trained():
    images = torch.rand(8, 3, 32, 32)
    encoder = built(frozen_statistics=True)
    encoder.stem[1].running_mean.fill_(0.3)
    trained, evaluated = encoder.train()(images), encoder.eval()(images)
    assert torch.equal(trained, evaluated)
    assert float(encoder.stem[1].running_mean[0]) == pytest.approx(0.3)
    assert all(value.requires_grad for value in encoder.parameters())
    encoder.train()
    assert encoder.blocks.training


def test_what_is_kept_is_kept_over_several_processes_too():
    from ablate.distributed import World

    encoder = built(frozen_stages=1)
    make_global(encoder, World(0, 2), CPU)
    encoder.train()
    assert not encoder.stem[1].training
    assert encoder.blocks[0].bn1.training


@pytest.mark.parametrize("name", ["sgd", "adamw", "lars"])
def test_the_encoder_takes_smaller_steps_than_the_head(name, data):
    from ablate.training.trainer import Trainer

    trainer = Trainer(config(data, optimiser=Optimiser(name=name, lr=0.01, init_lr_scale=0.1)), 5, data, CPU)
    entry = trainer.train_epoch()
    rates = {}
    for group in trainer.optimiser.param_groups:
        for parameter in group["params"]:
            rates[id(parameter)] = group["lr"]
    assert rates.keys() == {id(p) for p in trainer.model.parameters()}
    body = {rates[id(p)] for p in trainer.encoder.parameters()}
    head = {rates[id(p)] for p in trainer.head.parameters()}
    assert len(body) == len(head) == 1
    assert body.pop() == pytest.approx(head.pop() / 10)
    assert entry["lr"] == pytest.approx(max(rates.values()))  # the record has the rate of the head
