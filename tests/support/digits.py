"""Features of digits for linear evaluation."""

from __future__ import annotations

import torch
from sklearn.datasets import load_digits

from tests.evaluation.conftest import data_set


def digits():
    """Scikit-learn's digits as 16 px images."""
    source = load_digits()
    images = torch.from_numpy(source.images * 255 / 16).round().to(torch.uint8)[:, None].expand(-1, 3, -1, -1)
    images = images.repeat_interleave(2, 2).repeat_interleave(2, 3)
    labels = torch.from_numpy(source.target).long()
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    images, labels = images[order].contiguous(), labels[order]
    return data_set((images[:800], labels[:800]), (images[800:1200], labels[800:1200]), torch.arange(800) % 5 == 0, 10)
