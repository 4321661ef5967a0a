from __future__ import annotations

import math

import pytest
import torch

from ablate.distributed import ALONE
from ablate.training.loss import nt_xent, nt_xent_with_top1
from tests.ops.fake_cuda import fake_cuda


def loop(z, tau):
    """Equation 1 of the paper, term by term, averaged over both orders of every pair."""
    n = len(z) // 2

    def sim(a, b):
        return (z[a] @ z[b]) / (z[a].norm() * z[b].norm())

    def term(i, j):
        others = sum(torch.exp(sim(i, k) / tau) for k in range(2 * n) if k != i)
        return -torch.log(torch.exp(sim(i, j) / tau) / others)

    return sum(term(i, i + n) + term(i + n, i) for i in range(n)) / (2 * n)


def draw(n, d=6, seed=0, dtype=torch.float64):
    return torch.randn(2 * n, d, generator=torch.Generator().manual_seed(seed), dtype=dtype)


@pytest.mark.parametrize("n", [2, 3, 8])
@pytest.mark.parametrize("tau", [0.07, 0.5, 1.0])
def test_against_a_float64_loop_with_gradients(n, tau):
    ours, theirs = draw(n).requires_grad_(), draw(n).requires_grad_()
    a, b = nt_xent(ours, tau), loop(theirs, tau)
    a.backward()
    b.backward()
    torch.testing.assert_close(a, b, atol=1e-12, rtol=0)
    torch.testing.assert_close(ours.grad, theirs.grad, atol=1e-12, rtol=0)


def test_float32_and_bfloat16_are_computed_in_float32():
    z = draw(32, 64, dtype=torch.float32)
    exact = nt_xent(z.double(), 0.1)
    assert nt_xent(z, 0.1).dtype == torch.float32
    assert abs(nt_xent(z, 0.1) - exact) < 1e-5
    half = z.bfloat16()
    assert abs(nt_xent(half, 0.1) - nt_xent(half.double(), 0.1)) < 1e-5


def test_invariances():
    z = draw(5)
    value = nt_xent(z, 0.3)
    order = torch.randperm(5, generator=torch.Generator().manual_seed(1))
    assert abs(nt_xent(z[torch.cat([order, order + 5])], 0.3) - value) < 1e-12  # order of the pairs
    assert abs(nt_xent(z.roll(5, 0), 0.3) - value) < 1e-12  # exchange of the views
    assert abs(nt_xent(7 * z, 0.3) - value) < 1e-12  # length of z


def test_uninformative_and_perfect_projections():
    same = torch.ones(12, 4, dtype=torch.float64)
    assert nt_xent(same, 0.5) == pytest.approx(math.log(11))
    perfect = torch.eye(6, dtype=torch.float64).repeat(2, 1)
    assert nt_xent(perfect, 0.05) < 1e-6


def test_top1_counts_partners():
    perfect = torch.eye(6).repeat(2, 1)
    assert nt_xent_with_top1(perfect, 0.5, ALONE)[1] == 1
    wrong = torch.cat([torch.eye(6), torch.eye(6).roll(1, 0)])
    assert nt_xent_with_top1(wrong, 0.5, ALONE)[1] == 0


@pytest.mark.parametrize("block", [3, 8, 11, 24])
def test_row_blocks_change_nothing(monkeypatch, block):
    """Whole, in even blocks, and in blocks that leave a rest; with the gradient."""
    whole, blocks = draw(12).requires_grad_(), draw(12).requires_grad_()
    a, top1 = nt_xent_with_top1(whole, 0.2, ALONE)
    monkeypatch.setattr("ablate.training.loss.BLOCK", block)
    b, top1_in_blocks = nt_xent_with_top1(blocks, 0.2, ALONE)
    a.backward()
    b.backward()
    torch.testing.assert_close(a, b, atol=1e-13, rtol=0)
    torch.testing.assert_close(whole.grad, blocks.grad, atol=1e-13, rtol=0)
    assert top1 == top1_in_blocks


def test_the_loss_waits_for_no_device(monkeypatch):
    monkeypatch.setattr("ablate.training.loss.BLOCK", 5)
    with fake_cuda():
        nt_xent_with_top1(torch.empty(16, 4, device="cuda"), 0.5, ALONE)


@pytest.mark.parametrize("rows", [2, 3, 7])
def test_a_batch_without_negatives_or_with_half_a_pair_is_refused(rows):
    with pytest.raises(ValueError, match="even number"):
        nt_xent(torch.randn(rows, 4), 0.5)
