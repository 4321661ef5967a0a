"""Classification by the k nearest neighbours in cosine similarity, on frozen features."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ablate.evaluation.accuracy import SCORED, scores
from ablate.evaluation.frozen import At, Frozen, Outcome
from ablate.rng import stream

CHUNK = 1024  # test rows that are compared at once
K = 20
BANK, QUERIES = 2000, 1000  # images for the accuracy in a trial's history


def knn(frozen: Frozen, at: At) -> Outcome:
    """Run the protocol ``knn``: :func:`knn_predict` of the test images among all labelled training images."""
    (train_h, train_y, _), (test_h, test_y) = frozen.train(at), frozen.test(at)
    classes = len(frozen.data.classes)
    return Outcome(
        metrics=scores("knn", knn_predict(train_h, train_y, test_h, classes), test_y, classes),
        description=(
            f"majority vote of the {K} nearest of {len(train_y)} labelled training images by cosine similarity of "
            f"{frozen.called(at)}, un-augmented; {SCORED} on the test images"
        ),
    )


def knn_predict(train_h: Tensor, train_y: Tensor, test_h: Tensor, classes: int, k: int = K) -> Tensor:
    """Predict classes by a plain majority vote of the ``k`` most similar training features.

    Ties go to the class with the smaller number.

    Args:
        train_h: ``[N, d]`` features of the bank; if there are fewer than k, all of them vote.
        train_y: int64 ``[N]``, their labels.
        test_h: ``[M, d]`` features to classify.
        classes: number of classes; labels are in [0, classes).
        k: number of neighbours that vote.

    Returns:
        The predicted classes of the test rows, int64 ``[M]``.
    """
    bank = F.normalize(train_h, dim=1)
    predicted = []
    for h in test_h.split(CHUNK):
        nearest = (F.normalize(h, dim=1) @ bank.T).topk(min(k, len(bank)), dim=1).indices
        predicted.append(F.one_hot(train_y[nearest], classes).sum(1).argmax(1))
    return torch.cat(predicted)


def knn_on_validation(frozen: Frozen) -> dict[str, float]:
    """Return ``knn_val_top1`` and ``knn_val_balanced_accuracy`` for the history of a trial.

    Up to 1000 images of the validation split are classified by up to 2000 of the other labelled training images.
    """
    split, labelled = frozen.data.train, frozen.labelled
    validates = frozen.data.val_mask[labelled]
    draw = stream(0, "knn")  # not the trial's seed: every trial uses the same images
    bank, queries = labelled[~validates], labelled[validates]
    bank = bank[torch.randperm(len(bank), generator=draw)[:BANK]]
    queries = queries[torch.randperm(len(queries), generator=draw)[:QUERIES]]
    h = frozen.features(split, torch.cat([bank, queries]))
    y = split.labels.to(h.device)
    classes = len(frozen.data.classes)
    return scores("knn_val", knn_predict(h[: len(bank)], y[bank], h[len(bank) :], classes), y[queries], classes)
