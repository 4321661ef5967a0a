"""Linear evaluation: multinomial logistic regression on frozen, standardised features, fitted by L-BFGS."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from ablate.config.measure import IN_WORDS, Measure
from ablate.config.protocols import stem
from ablate.evaluation.few_labels import few_labels, in_words
from ablate.evaluation.frozen import At, Frozen, Outcome
from ablate.evaluation.macro import SCORED, every_score, score_by
from ablate.evaluation.neighbours import neighbours
from ablate.sweep.images import ImageResults, SplitResults
from ablate.training.eager import LBFGS

L2_SWEEP = tuple(10.0**e for e in (1, 0, -1, -2, -3, -4, -5, -6))  # strong to weak: each warm-starts the next
# Tried in turn while the strongest alone is best; the paper ends there.
STRONGER = tuple(10.0**e for e in (2, 3, 4, 5))
# Tried in turn while the weakest alone is best; below these, the solver's tolerance hides the penalty.
WEAKER = tuple(10.0**e for e in (-7, -8))
MAX_ITERATIONS = 500
L2_AT_EDGE = "l2-at-edge"
"""The flag of a sweep of l2 whose best value is at an end, although the sweep was extended."""


@dataclass(frozen=True)
class LinearResult:
    """The result of :func:`linear_evaluation`.

    Args:
        test_logits: ``[M, classes]``, the scores of the test images by the classifier that was refitted.
        val_logits: those of the validation split, by the classifier that chose, at the chosen ``l2``.
        l2: the chosen strength.
        choice: a phrase that says how ``l2`` was chosen, and from which values.
        flags: ``l2-at-edge`` if even the extended sweep has its best value at an end.
    """

    test_logits: Tensor
    val_logits: Tensor
    l2: float
    choice: str
    flags: tuple[str, ...] = ()

    @property
    def test(self) -> Tensor:
        """The predicted classes of the test images, int64 ``[M]``."""
        return self.test_logits.argmax(1)

    @property
    def val(self) -> Tensor:
        """The predicted classes of the validation split, int64."""
        return self.val_logits.argmax(1)


def linear(frozen: Frozen, at: At, percent: int = 100) -> Outcome:
    """Run the protocol ``linear``: :func:`linear_evaluation` on the labelled training images and the test images.

    Args:
        frozen: the encoder to evaluate.
        at: the place of its features.
        percent: the percentage of the labels to use, see :mod:`ablate.evaluation.few_labels`. Fitting, the choice of l2
            and the fit that follows it use no others; the accuracy on validation is that of the whole split.
    """
    (train_h, train_y, val_mask), (test_h, test_y) = frozen.train(at), frozen.test(at)
    data, classes, name = frozen.data, len(frozen.data.classes), stem("linear", percent)
    used = few_labels(data, percent, frozen.seed)
    among = used[frozen.labelled].to(val_mask.device)
    result = linear_evaluation(train_h, train_y, val_mask, test_h, classes, frozen.measure, among)
    on_test = every_score(name, result.test_logits, test_y, classes)
    on_validation = every_score(f"{name}_val", result.val_logits, train_y[val_mask], classes)
    refitted, scored = f"refitted on all {len(train_y)} labelled training images", "on the test images"
    if percent < 100:
        chosen = f"{int((used & data.val_mask).sum())} of them in the validation split, which choose l2"
        refitted, scored = f"refitted; {in_words(data, used, percent)}, {chosen}", "on all test and validation images"
    images = None
    if at == "h" and percent == 100:
        of_validation = data.train.groups[frozen.labelled][val_mask.cpu()]
        splits = (
            split_results(result.val_logits, train_y[val_mask], of_validation),
            split_results(result.test_logits, test_y, data.test.groups),
        )
        images = ImageResults(f"{frozen.config.key}-s{frozen.seed}", data.fingerprint, *splits, neighbours(frozen))
    return Outcome(
        metrics={**on_test, **on_validation, f"{name}_l2": result.l2},
        description=(
            f"logistic regression by L-BFGS on standardised {frozen.called(at)} of un-augmented images; "
            f"{result.choice}, then {refitted}; {SCORED} {scored}"
        ),
        flags=tuple(f"{name}-{flag}".replace("_", "-") if percent < 100 else flag for flag in result.flags),
        images=images,
    )


def split_results(scores: Tensor, y: Tensor, groups: Tensor) -> SplitResults:
    """Return the class that each image of a split is given, its margin, and its group if groups have several images.

    Args:
        scores: ``[n, classes]``, the logits of the images.
        y: int64 ``[n]``, their labels.
        groups: int64 ``[n]``, their groups.
    """
    most = float(torch.finfo(torch.float16).max)
    true, others = scores.gather(1, y[:, None])[:, 0], scores.scatter(1, y[:, None], -torch.inf).amax(1)
    margin = (true - others).clamp(-most, most).half()
    kind = np.min_scalar_type(scores.shape[1] - 1)
    label, predicted = (of.cpu().numpy().astype(kind) for of in (y, scores.argmax(1)))
    return SplitResults(label, predicted, margin.cpu().numpy(), _numbered(groups.cpu().numpy()))


def _numbered(groups: npt.NDArray[np.int64]) -> npt.NDArray[np.unsignedinteger] | None:
    """Return the groups counted from 0 in the order of the images, or None if every image is a group of its own."""
    _, first, group = np.unique(groups, return_index=True, return_inverse=True)
    if len(first) == len(groups):
        return None
    rank = first.argsort().argsort()
    return np.asarray(rank[group].astype(np.min_scalar_type(len(first) - 1)))


def linear_evaluation(
    train_h: Tensor,
    train_y: Tensor,
    val_mask: Tensor,
    test_h: Tensor,
    classes: int,
    measure: Measure = "top1",
    used: Tensor | None = None,
) -> LinearResult:
    """Choose l2 on the validation split, refit on all training features, and predict the test set once.

    Eight strengths are tried, from 10 to 1e-6. While the strongest, or the weakest, scores better on validation than
    all others, the sweep is extended beyond it: up to 1e5 as in the paper, or down to 1e-8. Among equals the strongest
    is chosen.

    Args:
        train_h: ``[N, d]`` features of the training images.
        train_y: int64 ``[N]``, their labels.
        val_mask: bool ``[N]``, True for the validation split.
        test_h: ``[M, d]`` features of the test images.
        classes: number of classes.
        measure: what is highest on the validation split at the chosen l2.
        used: bool ``[N]``, the training images whose labels may be used, in the validation split too; by default all.
    """
    used = torch.ones_like(val_mask) if used is None else used
    fit_h, val_h = standardise(train_h[used & ~val_mask], train_h[val_mask])
    fit_y, chooses = train_y[used & ~val_mask], used[val_mask]
    choose_h, choose_y = val_h[chooses], train_y[used & val_mask]

    def fitted(l2: float, start: Tensor | None) -> Tensor:
        return fit(fit_h, fit_y, classes, l2, start)

    def scored(weights: Tensor) -> float:
        return score_by(measure, logits(weights, choose_h), choose_y, classes)

    chosen = choose_l2(fitted, scored)
    all_h, final_h = standardise(train_h[used], test_h)
    by = "" if measure == "top1" else f" by {IN_WORDS[measure]}"
    return LinearResult(
        test_logits=logits(fit(all_h, train_y[used], classes, chosen.l2), final_h),
        val_logits=logits(chosen.weights, val_h),
        l2=chosen.l2,
        choice=f"{chosen.tried} chosen on the validation split{by}",
        flags=chosen.flags,
    )


@dataclass(frozen=True)
class Chosen:
    """The chosen strength l2, the weights that were fitted with it, the values that were tried in words, and flags."""

    l2: float
    weights: Tensor
    tried: str
    flags: tuple[str, ...]


def choose_l2(fitted: Callable[[float, Tensor | None], Tensor], scored: Callable[[Tensor], float]) -> Chosen:
    """Choose the strength that scores best, the strongest among equals; extend the sweep while an end is alone best.

    Args:
        fitted: fits with a strength, starting from the weights of the one before.
        scored: returns the score of fitted weights on the validation split.
    """
    weights: dict[float, Tensor] = {}
    scores: dict[float, float] = {}

    def attempt(l2: float, start: Tensor | None) -> Tensor:
        weights[l2] = fitted(l2, start)
        scores[l2] = scored(weights[l2])
        return weights[l2]

    strongest = weakest = attempt(L2_SWEEP[0], None)
    for l2 in L2_SWEEP[1:]:
        weakest = attempt(l2, weakest)
    for l2 in STRONGER:
        if _is_alone_best(max(scores), scores):
            strongest = attempt(l2, strongest)
    for l2 in WEAKER:
        if _is_alone_best(min(scores), scores):
            weakest = attempt(l2, weakest)
    best = max(sorted(scores, reverse=True), key=scores.__getitem__)  # the strongest among equals
    at_edge = best in {max(scores), min(scores)} and _is_alone_best(best, scores)
    tried = f"l2 of {len(scores)} from {max(scores):g} to {min(scores):g}"
    return Chosen(best, weights[best], tried, (L2_AT_EDGE,) if at_edge else ())


def _is_alone_best(l2: float, scored: dict[float, float]) -> bool:
    return all(scored[l2] > value for other, value in scored.items() if other != l2)


def standardise(train: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
    """Shift and scale all features to zero mean and unit variance per dimension, by the statistics of ``train``.

    Constant dimensions become 0.
    """
    mean, std = train.mean(0), train.std(0)
    scale = torch.where(std > 1e-8 * mean.abs().clamp_min(1e-12), 1 / std.clamp_min(1e-30), 0.0)
    return tuple((h - mean) * scale for h in (train, *others))


def fit(
    h: Tensor,
    y: Tensor,
    classes: int,
    l2: float,
    start: Tensor | None = None,
    loss: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy,
) -> Tensor:
    """Return the minimiser of mean cross-entropy + l2/2 |W|^2 with unpenalised bias, ``[d + 1, classes]``, bias last.

    scikit-learn's ``LogisticRegression(C=1 / (n * l2))`` minimises the same function.

    Args:
        h: ``[n, d]`` features.
        y: int64 ``[n]``, their labels, or what ``loss`` takes.
        classes: number of classes.
        l2: the strength of the penalty.
        start: ``[d + 1, classes]``, the weights to start from; zeros by default.
        loss: the loss in place of cross-entropy, of the scores ``[n, classes]`` and ``y``.
    """
    # A row per class: only so does torch compute the gradient as (classes, n) times (n, d). The other way round, a CPU
    # takes up to ten times as long for few classes, since each of the d rows of h.T is strewn over all of h.
    weights = torch.zeros(classes, h.shape[1] + 1, dtype=h.dtype, device=h.device)
    if start is not None:
        weights.copy_(start.T)
    weights.requires_grad_()
    optimiser = LBFGS(
        [weights],
        max_iter=MAX_ITERATIONS,
        tolerance_grad=1e-7,
        tolerance_change=1e-12,
        history_size=10,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        optimiser.zero_grad()
        total = loss(logits(weights.T, h), y) + l2 / 2 * weights[:, :-1].square().sum()
        total.backward()
        return total

    with torch.enable_grad():
        optimiser.step(closure)
    return weights.detach().T


def predict(weights: Tensor, h: Tensor) -> Tensor:
    """Return the most probable class of each row of ``h``, int64."""
    return logits(weights, h).argmax(1)


def logits(weights: Tensor, h: Tensor) -> Tensor:
    """Return the scores of each row of ``h``, ``[n, classes]``."""
    return torch.addmm(weights[-1][:, None], weights[:-1].T, h.T).T
