"""Whether two samples of view pairs have the same distribution: statistics of each pair, compared one by one."""

from __future__ import annotations

import torch
from scipy.stats import kstwobign

from tests.support.pictures import generator

DOUBTFUL = 1e-5  # of some 5,000 comparisons under equal distributions one is below 2e-4


def statistics(first, second):
    """What is compared, one row per image: colours, contrast, edges and random projections of views and difference."""
    weights = torch.randn(6, first[0].numel(), generator=generator(4)) / first[0].numel() ** 0.5
    columns = []
    for view in (first, second, first - second):
        columns += [*view.mean((2, 3)).T, view.flatten(1).std(1), (view.amax(1) - view.amin(1)).mean((1, 2))]
        columns += [view.diff(dim=2).abs().mean((1, 2, 3)), view.diff(dim=3).abs().mean((1, 2, 3))]
        columns += [*(view.flatten(1) @ weights.T).T]
    return torch.stack(columns, 1)


def kolmogorov_smirnov(a, b, tolerance=1e-3):
    """The smallest p over the columns of two equally long samples.

    The step of one distribution may lie ``tolerance`` beside the other's: views that no draw has changed are the same
    but for the last digits, and so are those in gray, by weights of 0.299 or 0.2989.
    """
    a, b = a.T.contiguous().sort(1).values, b.T.contiguous().sort(1).values
    rank, n = torch.arange(1, a.shape[1] + 1), a.shape[1]
    apart = max(
        float((rank - torch.searchsorted(other, one + tolerance, right=True)).max()) for one, other in ((a, b), (b, a))
    )
    return float(kstwobign.sf(apart / n * (n / 2) ** 0.5))
