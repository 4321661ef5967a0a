"""One, two and four gloo processes train the same model."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ablate.config.objectives import KINDS
from ablate.config.trial import Head, Optimiser
from ablate.distributed import World
from ablate.errors import UsageError
from ablate.ops import describe
from ablate.ops.pair import Streams, TransformPair
from ablate.training.global_bn import GlobalBatchNorm, frozen_statistics, make_global
from ablate.training.loss import nt_xent_with_top1
from ablate.training.trainer import Trainer
from tests.support.processes import CPU, config, data, of_objective
from tests.training import ranks

pytestmark = pytest.mark.slow  # seven processes import torch

SIZES = (1, 2, 4)
VARIANTS = {
    "lars, micro-batches": {
        "optimiser": Optimiser(name="lars", lr=0.5, weight_decay=1e-4),
        "loss_scale": 2.0,
        "micro_batch": 16,
    },
    "adamw, probe": {"optimiser": Optimiser(name="adamw", lr=0.01)},
    "head with batch norm": {
        "optimiser": Optimiser(name="sgd", lr=0.05),
        "head": Head(hidden=8, output=4, layers=3, batch_norm=True),
    },
    "supervised": {"optimiser": Optimiser(name="sgd", lr=0.05), "objective": "supervised"},
    **{
        name: {"optimiser": Optimiser(name="sgd", lr=0.01), **of_objective(name)}
        for name in KINDS
        if name not in {"simclr", "supervised"}
    },
    "byol, micro-batches": {
        "optimiser": Optimiser(name="adamw", lr=0.01),
        "micro_batch": 16,
        **of_objective("byol"),
    },
}
LONG = ("lars, micro-batches", "adamw, probe", "byol, micro-batches")  # trained for two epochs of 5 steps


def train(world: World) -> dict:
    """What every rank sees: a step's gradients, then two epochs' weights and running statistics."""
    found = {}
    for name in VARIANTS:
        for dtype in (torch.float64, torch.float32):
            trainer = trainer_of(name, dtype, world)
            if name == "lars, micro-batches" and dtype == torch.float32:
                found["views"] = seen = []
                trainer.encoder.register_forward_pre_hook(lambda module, inputs, seen=seen: seen.append(inputs[0]))
            loss = trainer._train(trainer._batches()[:1], lambda: False)
            world.sum_([loss])
            found[name, str(dtype), "loss"] = loss
            gradients = [p.grad.flatten() for p in trainer.model.parameters() if p.grad is not None]
            found[name, str(dtype), "gradient"] = torch.cat(gradients)
            found[name, str(dtype), "first statistics"] = statistics(trainer)
            if dtype == torch.float64 and name in LONG:
                trainer = trainer_of(name, dtype, world)
                losses = [trainer.train_epoch()["loss"] for _ in range(2)]
                found[name, "losses"] = torch.tensor(losses, dtype=torch.float64)
                parts = [part for part in (trainer.model, trainer.target) if part is not None]
                found[name, "weights"] = torch.cat([p.detach().flatten() for part in parts for p in part.parameters()])
                found[name, "statistics"] = statistics(trainer)
                if trainer.probe:
                    found[name, "probe"] = trainer.probe.linear.weight.detach()
    return found


def trainer_of(name: str, dtype: torch.dtype, world: World) -> Trainer:
    trainer = Trainer(config(world.size, **VARIANTS[name]), 7, data(), CPU, world, online="probe" in name)
    for part in (trainer.model, trainer.target):
        if part is not None:
            part.to(dtype)
    return trainer


def statistics(trainer: Trainer) -> torch.Tensor:
    parts = [part for part in (trainer.model, trainer.target) if part is not None]
    buffers = [buffer for part in parts for buffer in part.named_buffers()]
    return torch.cat([value.flatten().double() for name, value in buffers if "running" in name])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    out = tmp_path_factory.mktemp("ranks")
    several = ranks.run("tests.training.test_processes:train", SIZES[1:], out)
    return {1: [train(World())], **several}


@pytest.mark.parametrize("size", SIZES[1:])
@pytest.mark.parametrize("variant", VARIANTS)
def test_processes_agree_after_one_step(trained, size, variant):
    one, several = trained[1][0], trained[size][0]
    for what in ("loss", "gradient", "first statistics"):
        a, b = one[variant, "torch.float64", what], several[variant, "torch.float64", what]
        assert torch.isfinite(a).all()
        torch.testing.assert_close(a, b, atol=1e-9, rtol=1e-9)
    loss = one[variant, "torch.float32", "loss"]
    torch.testing.assert_close(loss, several[variant, "torch.float32", "loss"], atol=1e-5, rtol=0)
    a, b = one[variant, "torch.float32", "gradient"], several[variant, "torch.float32", "gradient"]
    assert (a - b).norm() < 1e-4 * a.norm()


@pytest.mark.parametrize("size", SIZES[1:])
def test_processes_make_the_same_views(trained, size):
    """Bit for bit, in every micro-batch and both passes: what goes into the encoder, put together again."""
    for number, whole in enumerate(trained[1][0]["views"]):
        parts = [rank["views"][number].unflatten(0, (2, -1)) for rank in trained[size]]
        assert torch.equal(whole, torch.cat(parts, 1).flatten(0, 1))
    assert len(trained[1][0]["views"]) == 4


@pytest.mark.parametrize("size", SIZES[1:])
@pytest.mark.parametrize("variant", LONG)
def test_processes_agree_after_two_epochs_and_all_hold_the_same_model(trained, size, variant):
    one, several = trained[1][0], trained[size][0]
    for what in ("losses", "weights", "statistics", *(["probe"] if "probe" in variant else [])):
        torch.testing.assert_close(one[variant, what], several[variant, what], atol=1e-6, rtol=1e-6)
    for rank in trained[size][1:]:
        assert torch.equal(rank[variant, "weights"], several[variant, "weights"])
        assert torch.equal(rank[variant, "statistics"], several[variant, "statistics"])


COMPOSITIONS = [*(entry.name for entry in describe()), "crop+color+blur", "color+crop+noise", "noise+elastic+rotate"]


@pytest.mark.parametrize("size", SIZES[1:])
@pytest.mark.parametrize("branches", ["one", "two"])
@pytest.mark.parametrize("composition", COMPOSITIONS)
@pytest.mark.parametrize("stored", [(20, 20), (16, 16), None])
def test_views_are_the_same_bits_whoever_makes_them(composition, branches, size, stored):
    """Also where images have several sizes and a part of them is padded to another width and height than the whole."""
    make = getattr(TransformPair, f"{branches}_branch")
    pair = make(composition, size=16)
    generator = torch.Generator().manual_seed(1)
    sizes = None if stored else torch.randint(16, 30, (8, 2), generator=generator)
    height, width = stored or sizes.amax(0).tolist()
    images = torch.randint(0, 256, (8, 3, height, width), generator=generator, dtype=torch.uint8)
    params = pair.sample(8, stored or sizes, Streams(0, 3, "cpu"))
    whole = pair.apply(images, params, sizes)
    parts = []
    for rank in range(size):
        rows = World(rank, size).share(8)
        own = None if sizes is None else sizes[rows]
        high, wide = (height, width) if own is None else own.amax(0).tolist()
        parts.append(pair.apply(images[rows, :, :high, :wide].contiguous(), params.part(rows), own))
    for view in (0, 1):
        assert torch.equal(whole[view], torch.cat([part[view] for part in parts]))


def test_a_share_of_every_micro_batch():
    trainer = Trainer(config(4, micro_batch=8, batch_size=32), 0, data(), CPU, World(1, 4))
    assert trainer.step.parts == [slice(2, 4), slice(10, 12), slice(18, 20), slice(26, 28)]


@pytest.mark.parametrize("shape", [(6, 5), (6, 5, 3, 3)])
@pytest.mark.parametrize("momentum", [0.1, None])
def test_global_batch_norm_of_one_process_is_batch_norm(shape, momentum):
    torch.manual_seed(0)
    plain = (nn.BatchNorm1d if len(shape) == 2 else nn.BatchNorm2d)(5, momentum=momentum).double()
    nn.init.uniform_(plain.weight)
    ours = GlobalBatchNorm(5, momentum=momentum).double()
    ours.load_state_dict(plain.state_dict())
    ours.world = World()
    for _ in range(3):
        x = torch.randn(shape, dtype=torch.float64) * 3 + 1
        a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
        plain(a).square().sum().backward()
        ours(b).square().sum().backward()
        torch.testing.assert_close(a.grad, b.grad, atol=1e-10, rtol=0)
    torch.testing.assert_close(plain.weight.grad, ours.weight.grad)
    torch.testing.assert_close(plain.state_dict(), ours.state_dict())
    torch.testing.assert_close(plain.eval()(x), ours.eval()(x))


def test_on_cuda_it_is_torchs_own():
    """By the type of the device alone: there is none here."""
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Sequential(nn.BatchNorm1d(4)))
    weight = model[1].weight
    make_global(model, World(0, 2), torch.device("cuda"))
    assert isinstance(model[1], nn.SyncBatchNorm)
    assert isinstance(model[2][0], nn.SyncBatchNorm)
    assert model[1].weight is weight


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_batch_norm_that_does_more_is_refused(device):
    """timm's hold their activation: in their place, ours would leave it out."""

    class WithActivation(nn.BatchNorm2d):
        def forward(self, x):
            return super().forward(x).relu()

    with pytest.raises(UsageError, match="WithActivation does more than batch norm"):
        make_global(nn.Sequential(WithActivation(4)), World(0, 2), torch.device(device))


def test_frozen_statistics_normalise_by_the_batch_and_change_nothing():
    norm = nn.BatchNorm1d(3)
    x = torch.randn(8, 3)
    before = {name: value.clone() for name, value in norm.state_dict().items()}
    with frozen_statistics(norm):
        frozen = norm(x)
    assert all(torch.equal(value, before[name]) for name, value in norm.state_dict().items())
    assert torch.equal(frozen, norm(x))
    assert not torch.equal(norm.running_mean, before["running_mean"])


def test_a_loss_that_leaves_the_other_ranks_out_would_differ():
    """The harness sees what it must: a rank's own NT-Xent is not its share of the global one."""
    z = torch.randn(16, 4, dtype=torch.float64)
    local = torch.stack([nt_xent_with_top1(part, 0.5, World())[0] for part in z.split(8)]).mean()
    assert abs(local - nt_xent_with_top1(z, 0.5, World())[0]) > 0.1
