"""Multi-label classification: one logistic regression per label on frozen features, fitted together by L-BFGS."""

from __future__ import annotations

import math
from statistics import fmean

import torch.nn.functional as F
from torch import Tensor

from ablate.evaluation.linear import LinearResult, choose_l2, fit, logits, standardise
from ablate.evaluation.macro import of_class


def multilabel_evaluation(train_h: Tensor, train_y: Tensor, val_mask: Tensor, test_h: Tensor) -> LinearResult:
    """Choose l2 on the validation split by mean average precision, refit on all training features, predict once.

    All labels have one l2, chosen as in :func:`~ablate.evaluation.linear.linear_evaluation`.

    Args:
        train_h: ``[N, d]`` features of the training images.
        train_y: ``[N, labels]``, 1 where an image has a label and 0 elsewhere.
        val_mask: bool ``[N]``, True for the validation split.
        test_h: ``[M, d]`` features of the test images.

    Returns:
        the result, whose logits have a column per label.
    """
    fit_h, val_h = standardise(train_h[~val_mask], train_h[val_mask])
    train_y = train_y.to(train_h.dtype)
    labels = train_y.shape[1]

    def fitted(l2: float, start: Tensor | None) -> Tensor:
        return fit(fit_h, train_y[~val_mask], labels, l2, start, independent)

    def scored(weights: Tensor) -> float:
        return one_by_one(logits(weights, val_h), train_y[val_mask])[1]

    chosen = choose_l2(fitted, scored)
    all_h, final_h = standardise(train_h, test_h)
    return LinearResult(
        test_logits=logits(fit(all_h, train_y, labels, chosen.l2, loss=independent), final_h),
        val_logits=logits(chosen.weights, val_h),
        l2=chosen.l2,
        choice=f"{chosen.tried} chosen on the validation split by mean average precision",
        flags=chosen.flags,
    )


def independent(scores: Tensor, y: Tensor) -> Tensor:
    """Return the binary cross-entropies of all labels, summed, the mean over images; both ``[n, labels]``."""
    return F.binary_cross_entropy_with_logits(scores, y, reduction="sum") / len(y)


def one_by_one(scores: Tensor, y: Tensor) -> tuple[float, float]:
    """Return AUROC and average precision, each the mean over the labels for which it is defined.

    That is over labels that some images have and, for AUROC, others lack. They are scikit-learn's ``roc_auc_score`` and
    ``average_precision_score`` of each label.

    Args:
        scores: ``[n, labels]``, higher where a label is likelier.
        y: ``[n, labels]``, 1 where an image has a label and 0 elsewhere.

    Returns:
        Fractions; NaN if none is defined.
    """
    ranked, has = scores.double().T.contiguous().cpu(), (y.T > 0).contiguous().cpu()
    areas, precisions = [], []
    for score, is_label in zip(ranked, has, strict=True):
        if is_label.any():
            area, precision = of_class(score, is_label)
            precisions.append(precision)
            areas += [] if is_label.all() else [area]
    return fmean(areas) if areas else math.nan, fmean(precisions) if precisions else math.nan
