"""Linear evaluation: multinomial logistic regression on frozen, standardised features, by L-BFGS."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ablate.evaluation.frozen import At, Frozen, Outcome

L2_SWEEP = tuple(10.0**e for e in (1, 0, -1, -2, -3, -4, -5, -6))  # strong to weak: each warm-starts the next
MAX_ITERATIONS = 500
L2_CHOICE = f"l2 of {len(L2_SWEEP)} from {L2_SWEEP[0]:g} to {L2_SWEEP[-1]:g} chosen on the validation split"


@dataclass(frozen=True)
class LinearResult:
    """Fractions: ``top1`` and ``balanced_accuracy`` on the test set, ``val_top1`` on validation at ``l2``."""

    top1: float
    val_top1: float
    balanced_accuracy: float
    l2: float
    flags: tuple[str, ...] = ()


def linear(frozen: Frozen, at: At) -> Outcome:
    """The protocol ``linear``: :func:`linear_evaluation` on the labelled training images and the test images."""
    train_h, train_y, val_mask = frozen.train(at)
    result = linear_evaluation(train_h, train_y, val_mask, *frozen.test(at), len(frozen.data.classes))
    return Outcome(
        metrics={
            "linear_top1": result.top1,
            "linear_val_top1": result.val_top1,
            "linear_balanced_accuracy": result.balanced_accuracy,
            "linear_l2": result.l2,
        },
        description=(
            f"logistic regression by L-BFGS on standardised {frozen.called(at)} of un-augmented images; {L2_CHOICE}, "
            f"then refitted on all {len(train_y)} labelled training images; top-1 on the test images"
        ),
        flags=result.flags,
    )


def linear_evaluation(
    train_h: Tensor, train_y: Tensor, val_mask: Tensor, test_h: Tensor, test_y: Tensor, classes: int
) -> LinearResult:
    """Choose l2 on the validation split, refit on all training features, score the test set once.

    Args:
        train_h: ``[N, d]`` features of the training images.
        train_y: int64 ``[N]``, their labels.
        val_mask: bool ``[N]``, True for the validation split.
        test_h: ``[M, d]`` features of the test images.
        test_y: int64 ``[M]``, their labels.
        classes: number of classes.

    The flag ``l2-at-edge`` says that the chosen strength is an end of the sweep.
    """
    fit_h, val_h = standardise(train_h[~val_mask], train_h[val_mask])
    fit_y, val_y = train_y[~val_mask], train_y[val_mask]
    weights = None
    scores: list[float] = []
    for l2 in L2_SWEEP:
        weights = fit(fit_h, fit_y, classes, l2, start=weights)
        scores.append(accuracy(predict(weights, val_h), val_y))
    best = max(range(len(scores)), key=scores.__getitem__)  # the strongest among equals
    all_h, final_h = standardise(train_h, test_h)
    predicted = predict(fit(all_h, train_y, classes, L2_SWEEP[best]), final_h)
    return LinearResult(
        top1=accuracy(predicted, test_y),
        val_top1=scores[best],
        balanced_accuracy=_balanced_accuracy(predicted, test_y, classes),
        l2=L2_SWEEP[best],
        flags=("l2-at-edge",) if best in {0, len(L2_SWEEP) - 1} else (),
    )


def standardise(train: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
    """Zero mean and unit variance per dimension, by the statistics of ``train``; constant dimensions become 0."""
    mean, std = train.mean(0), train.std(0)
    scale = torch.where(std > 1e-8 * mean.abs().clamp_min(1e-12), 1 / std.clamp_min(1e-30), 0.0)
    return tuple((h - mean) * scale for h in (train, *others))


def fit(h: Tensor, y: Tensor, classes: int, l2: float, start: Tensor | None = None) -> Tensor:
    """The minimiser of mean cross-entropy + l2/2 |W|^2, bias unpenalised; ``[d + 1, classes]``, bias last.

    scikit-learn's ``LogisticRegression(C=1 / (n * l2))`` minimises the same function.
    """
    weights = torch.zeros(h.shape[1] + 1, classes, dtype=h.dtype, device=h.device) if start is None else start.clone()
    weights.requires_grad_()
    optimiser = torch.optim.LBFGS(
        [weights],
        max_iter=MAX_ITERATIONS,
        tolerance_grad=1e-7,
        tolerance_change=1e-12,
        history_size=10,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = F.cross_entropy(_logits(weights, h), y) + l2 / 2 * weights[:-1].square().sum()
        loss.backward()
        return loss

    with torch.enable_grad():
        optimiser.step(closure)
    return weights.detach()


def predict(weights: Tensor, h: Tensor) -> Tensor:
    """The most probable class of each row of ``h``, int64."""
    return _logits(weights, h).argmax(1)


def _logits(weights: Tensor, h: Tensor) -> Tensor:
    return torch.addmm(weights[-1], h, weights[:-1])


def accuracy(predicted: Tensor, y: Tensor) -> float:
    """The fraction of rows where ``predicted`` equals ``y``; NaN without rows."""
    return float((predicted == y).double().mean())


def _balanced_accuracy(predicted: Tensor, y: Tensor, classes: int) -> float:
    """The mean over the classes that occur of their recall."""
    total = torch.bincount(y, minlength=classes)
    correct = torch.bincount(y[predicted == y], minlength=classes)
    present = total > 0
    return float((correct[present].double() / total[present]).mean())
