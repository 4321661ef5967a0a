"""Exact gradients of a batch whose activations are never all there."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ablate.config.trial import Head, Optimiser
from ablate.distributed import ALONE
from ablate.ops.pair import Streams
from ablate.training.loss import nt_xent_with_top1
from ablate.training.trainer import Trainer
from tests.support.processes import CPU, config, data

VARIANTS = {
    "simclr": {},
    "one-branch": {"branches": "one", "base": {"area": (0.5, 1.0)}},
    "supervised": {"objective": "supervised"},
    "head with batch norm": {"head": Head(hidden=8, output=4, layers=3, batch_norm=True)},
    "no head, twice the loss": {"head": Head(kind="none"), "loss_scale": 2.0},
}


def trainer_of(micro_batch, **changes):
    base = {"optimiser": Optimiser(name="lars", lr=0.5), "micro_batch": micro_batch, **changes}
    made = Trainer(type(config(1)).model_validate(config(1, **base).model_dump()), 7, data(), CPU, online=True)
    made.model.double()
    return made


def plain_step(trainer):
    """The definition: every chunk through the encoder with gradient, one loss, one backward pass."""
    trainer.model.train()
    index, size = trainer._batches()[0], trainer.config.micro_batch
    views = trainer.objective.kind.views
    images, sizes = trainer.images.batch(index)
    params = trainer.step.pair.sample(len(index), trainer.images.extents(index), Streams(7, 0, CPU))
    chunks = []
    for start in range(0, len(index), size):
        rows = slice(start, start + size)
        made = trainer.step.pair.apply(images[rows], params.part(rows), sizes)
        chunks.append(trainer.encoder(torch.cat(made[:views]).double()).unflatten(0, (views, size)))
    z = trainer.head(torch.cat(chunks, 1).flatten(0, 1))
    if views == 1:
        loss = nn.functional.cross_entropy(z, trainer.labels[index])
    else:
        loss, _ = nt_xent_with_top1(z, trainer.config.temperature, ALONE)
    (trainer.config.loss_scale * loss).backward()
    return loss


@pytest.mark.parametrize("size", [1, 4, 8, 16])
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_step_equals_the_plain_one_with_the_same_chunks(variant, size):
    if size == 1 and variant == "supervised":
        size = 2  # batch norm over one small feature map of one view is not stable enough to compare
    cached, plain = trainer_of(size, **VARIANTS[variant]), trainer_of(size, **VARIANTS[variant])
    totals = cached._train(cached._batches()[:1], lambda: False)
    loss = plain_step(plain)
    torch.testing.assert_close(totals[0], loss.detach(), atol=1e-9, rtol=0)
    for (name, a), b in zip(cached.model.named_parameters(), plain.model.parameters(), strict=True):
        if b.grad is None:
            assert a.grad is None
        else:
            torch.testing.assert_close(a.grad, b.grad, atol=1e-9, rtol=1e-9, msg=name)
    for (name, a), b in zip(cached.model.named_buffers(), plain.model.buffers(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-12, rtol=0, msg=name)  # updated once per chunk, not twice


def test_it_is_not_gradient_accumulation():
    """The harness sees the difference: a loss per chunk has fewer negatives and another gradient."""
    whole, parts = trainer_of(8), trainer_of(None, batch_size=8)
    totals = whole._train(whole._batches()[:1], lambda: False)
    alone = parts._train(parts._batches()[:1], lambda: False)
    assert abs(totals[0] - alone[0]) > 0.5


def test_dropout_draws_the_same_in_both_passes():
    """Were the second pass another network, its gradient would not be that of the loss."""
    trainer = trainer_of(8)
    trainer.encoder.stem.append(nn.Dropout(0.5))
    seen = []
    trainer.encoder.register_forward_hook(lambda module, inputs, output: seen.append(output.detach().clone()))
    trainer._train(trainer._batches()[:1], lambda: False)
    assert len(seen) == 8
    for first, second in zip(seen[:4], seen[4:], strict=True):
        assert torch.equal(first, second)
    assert not torch.equal(seen[0], seen[1])


def test_the_online_probe_sees_the_whole_batch():
    with_chunks, without = trainer_of(16), trainer_of(None)
    for trainer in (with_chunks, without):
        trainer._train(trainer._batches()[:2], lambda: False)
    assert with_chunks.probe.linear.weight.abs().sum() > 0
    assert with_chunks.probe.linear.weight.shape == without.probe.linear.weight.shape


def test_training_with_micro_batches_resumes_bit_for_bit():
    whole, first, second = (trainer_of(8, optimiser=Optimiser(name="lars", lr=0.5)) for _ in range(3))
    for _ in range(3):
        whole.train_epoch()
    first.train_epoch()
    second.restore(first.state())
    for _ in range(2):
        second.train_epoch()
    for a, b in zip(whole.model.state_dict().values(), second.model.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    assert torch.equal(whole.probe.linear.weight, second.probe.linear.weight)
