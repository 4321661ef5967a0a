"""Poisson numbers against their distribution, and the op against its counts."""

from __future__ import annotations

import pytest
import torch
from scipy.stats import chisquare
from scipy.stats import poisson as exact

from ablate.ops import get
from ablate.ops.counter import poisson
from tests.support.pictures import generator


@pytest.mark.parametrize("mean", [0.05, 0.7, 3.9, 4.1, 8.0, 30.0, 400.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_counts_are_poisson_numbers(mean, dtype):
    seeds = torch.randint(2**62, (40,), generator=generator(round(mean * 100)))
    drawn = poisson(seeds, torch.full((40, 5000), mean, dtype=dtype)).flatten()
    assert torch.equal(drawn, drawn.round())
    low, high = int(exact.ppf(1e-3, mean)), int(exact.ppf(1 - 1e-3, mean))
    inner = torch.bincount(drawn.long().clamp(low, high) - low, minlength=high - low + 1)
    expected = exact.pmf(range(low, high + 1), mean)
    expected[0], expected[-1] = exact.cdf(low, mean), exact.sf(high - 1, mean)
    assert chisquare(inner, expected / expected.sum() * len(drawn)).pvalue > 1e-4


def test_no_photons_give_none():
    assert poisson(torch.arange(3), torch.zeros(3, 1000)).abs().max() == 0


def test_the_op_counts_photons():
    images = torch.tensor([0.05, 0.5])[None, :, None, None].expand(50, 2, 40, 40)
    op = get("poisson")(photons=(100.0, 100.0))
    params = op.sample(50, (40, 40), generator())
    counts = op.apply(images, params) * 100
    torch.testing.assert_close(counts, counts.round(), atol=1e-3, rtol=0)
    for channel, mean in enumerate((5.0, 50.0)):
        values = counts[:, channel]
        spread = (mean / values.numel()) ** 0.5
        assert abs(values.mean() - mean) < 4 * spread
        assert abs(values.var() / mean - 1) < 0.02
    drawn = get("poisson")(strength=2.0).sample(4000, (8, 8), generator())["photons"]
    assert 5 <= drawn.min() < 5.1
    assert 123 < drawn.max() <= 125.01
    assert abs(drawn.log().mean() - torch.tensor(625.0).log() / 2) < 0.06  # the middle of a logarithmic scale
