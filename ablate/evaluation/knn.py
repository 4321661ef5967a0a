"""k nearest neighbours by cosine similarity on frozen features."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ablate.evaluation.frozen import At, Frozen, Outcome
from ablate.rng import stream

CHUNK = 1024  # test rows at once
K = 20
BANK, QUERIES = 2000, 1000  # images that training is watched on


def knn(frozen: Frozen, at: At) -> Outcome:
    """The protocol ``knn``: :func:`knn_top1` of the test images among all labelled training images."""
    train_h, train_y, _ = frozen.train(at)
    return Outcome(
        metrics={"knn_top1": knn_top1(train_h, train_y, *frozen.test(at), len(frozen.data.classes))},
        description=(
            f"majority vote of the {K} nearest of {len(train_y)} labelled training images by cosine similarity of "
            f"{frozen.called(at)}, un-augmented; top-1 on the test images"
        ),
    )


def knn_top1(train_h: Tensor, train_y: Tensor, test_h: Tensor, test_y: Tensor, classes: int, k: int = K) -> float:
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


def knn_on_validation(frozen: Frozen) -> float:
    """KNN top-1 on (up to 1000 of) the validation split against (up to 2000 of) the other labelled training images."""
    split, labelled = frozen.data.train, frozen.labelled
    validates = frozen.data.val_mask[labelled]
    draw = stream(0, "knn")  # the data set's, not the trial's: every trial is watched on the same images
    bank, queries = labelled[~validates], labelled[validates]
    bank = bank[torch.randperm(len(bank), generator=draw)[:BANK]]
    queries = queries[torch.randperm(len(queries), generator=draw)[:QUERIES]]
    h = frozen.features(split, torch.cat([bank, queries]))
    y = split.labels.to(h.device)
    return knn_top1(h[: len(bank)], y[bank], h[len(bank) :], y[queries], len(frozen.data.classes))
