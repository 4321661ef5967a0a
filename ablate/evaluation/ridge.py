"""Ridge regression on frozen, standardised features, solved exactly for every strength of the penalty at once."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ablate.evaluation.linear import L2_AT_EDGE, standardise

STRENGTHS = tuple(10.0**e for e in range(5, -9, -1))  # strong to weak, the range of linear evaluation
ROWS = 8192  # rows that are held in float64 at once


@dataclass(frozen=True)
class RidgeResult:
    """The result of :func:`ridge_evaluation`.

    Args:
        test: float64 ``[M]``, the predictions for the test images, by the model that was refitted.
        val: those for the validation split, by the model that chose, at the chosen ``l2``.
        l2: the chosen strength.
        choice: a phrase that says how ``l2`` was chosen, and from which values.
        flags: ``l2-at-edge`` if the best value is at an end.
    """

    test: Tensor
    val: Tensor
    l2: float
    choice: str
    flags: tuple[str, ...] = ()


def ridge_evaluation(train_h: Tensor, train_y: Tensor, val_mask: Tensor, test_h: Tensor) -> RidgeResult:
    """Choose l2 by R² on the validation split, refit on all training features, and predict the test set once.

    Strengths from 1e5 to 1e-8 are tried. Among equals the strongest is chosen.

    Args:
        train_h: ``[N, d]`` features of the training images.
        train_y: float64 ``[N]``, their values.
        val_mask: bool ``[N]``, True for the validation split.
        test_h: ``[M, d]`` features of the test images.
    """
    fit_h, val_h = standardise(train_h[~val_mask], train_h[val_mask])
    fitted = dict(zip(STRENGTHS, ridge(fit_h, train_y[~val_mask], STRENGTHS), strict=True))
    scored = {l2: r2(predict(weights, val_h), train_y[val_mask]) for l2, weights in fitted.items()}
    best = max(STRENGTHS, key=scored.__getitem__)
    all_h, final_h = standardise(train_h, test_h)
    (refitted,) = ridge(all_h, train_y, (best,))
    first, *_, last = STRENGTHS
    is_edge = best in {first, last} and list(scored.values()).count(scored[best]) == 1
    return RidgeResult(
        test=predict(refitted, final_h),
        val=predict(fitted[best], val_h),
        l2=best,
        choice=f"l2 of {len(STRENGTHS)} from {first:g} to {last:g} chosen on the validation split by R²",
        flags=(L2_AT_EDGE,) if is_edge else (),
    )


def ridge(h: Tensor, y: Tensor, strengths: tuple[float, ...]) -> list[Tensor]:
    """Return the minimiser of mean squared error + l2 |w|^2 with unpenalised bias for each strength, ``[d + 1]``.

    The bias is last. scikit-learn's ``Ridge(alpha=n * l2)`` minimises the same function.

    Args:
        h: ``[n, d]`` features.
        y: float64 ``[n]``, their values.
        strengths: the values of l2.
    """
    n, mean = len(h), torch.zeros(h.shape[1], dtype=torch.float64, device=h.device)
    for part in h.split(ROWS):
        mean += part.double().sum(0) / n
    middle = y.mean()
    gram, moment = torch.zeros(len(mean), len(mean), dtype=mean.dtype, device=h.device), torch.zeros_like(mean)
    for part, values in zip(h.split(ROWS), y.split(ROWS), strict=True):
        centred = part.double() - mean
        gram.addmm_(centred.T, centred)
        moment.addmv_(centred.T, values - middle)
    sizes, axes = torch.linalg.eigh(gram)
    along = axes.T @ moment
    every = [axes @ (along / (sizes.clamp_min(0) + n * l2)) for l2 in strengths]
    return [torch.cat([weights, (middle - mean @ weights)[None]]) for weights in every]


def predict(weights: Tensor, h: Tensor) -> Tensor:
    """Return the predictions for ``h [n, d]`` by ``weights [d + 1]``, float64 ``[n]``."""
    return torch.cat([part.double() @ weights[:-1] + weights[-1] for part in h.split(ROWS)])


def r2(predicted: Tensor, y: Tensor) -> float:
    """Return R², one minus the squared errors over those of the mean of ``y``: scikit-learn's ``r2_score``.

    Args:
        predicted: float64 ``[n]``.
        y: float64 ``[n]``, the values, which are not all equal.
    """
    return float(1 - (y - predicted).square().sum() / (y - y.mean()).square().sum())
