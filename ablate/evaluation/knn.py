"""k nearest neighbours by cosine similarity on frozen features."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

CHUNK = 1024  # test rows at once


def knn_top1(train_h: Tensor, train_y: Tensor, test_h: Tensor, test_y: Tensor, classes: int, k: int = 20) -> float:
    """Top-1 of a plain majority vote of the ``k`` most similar training features; ties go to the smaller class.

    Args:
        train_h: ``[N, d]`` features of the bank; fewer than k all vote.
        train_y: int64 ``[N]``, their labels.
        test_h: ``[M, d]`` features to classify.
        test_y: int64 ``[M]``, their labels.
        classes: number of classes; labels are in [0, classes).
        k: neighbours that vote.

    Returns:
        The fraction of test rows classified as their label.
    """
    bank = F.normalize(train_h, dim=1)
    correct = 0
    for h, y in zip(test_h.split(CHUNK), test_y.split(CHUNK), strict=True):
        nearest = (F.normalize(h, dim=1) @ bank.T).topk(min(k, len(bank)), dim=1).indices
        votes = F.one_hot(train_y[nearest], classes).sum(1)
        correct += int((votes.argmax(1) == y).sum())
    return correct / len(test_y)
