"""Measures of representations that need no labels: RankMe, alignment and uniformity."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ablate.evaluation.features import drawn
from ablate.evaluation.frozen import BATCH, At, Frozen, Outcome
from ablate.ops.color import Color
from ablate.ops.pair import Streams, TransformPair
from ablate.rng import derive_seed

RANKME_IMAGES = 25_600  # as in the paper
EPSILON = 1e-7  # as in the paper, for float32
PAIR_IMAGES = 5000
CHUNK = 1024  # rows that are computed at once


def rankme(frozen: Frozen, at: At) -> Outcome:
    """Run the protocol ``rankme``: :func:`rank` of the features of up to 25,600 un-augmented images trained on."""
    index = drawn(frozen.data.pretrain, "rankme", RANKME_IMAGES)
    return Outcome(
        metrics={"rankme": rank(frozen.features(frozen.data.pretrain, index, at))},
        description=(
            f"effective rank of {frozen.called(at)} of {len(index)} un-augmented training images: exp of the entropy "
            "of the normalised singular values (RankMe, Garrido et al. 2023, equation 1)"
        ),
    )


def rank(features: Tensor) -> float:
    """Return RankMe of ``features [N, d]``, between 1 and min(N, d) (Garrido et al. 2023, equation 1).

    It is ``exp(-sum_k p_k log p_k)`` with ``p_k = sigma_k / |sigma|_1 + 1e-7`` over the singular values. These come
    from the float64 Gram matrix ``[d, d]``, summed in chunks; the precision lost by squaring lies below the 1e-7.
    """
    gram = torch.zeros(features.shape[1], features.shape[1], dtype=torch.float64, device=features.device)
    for part in features.split(CHUNK):
        gram.addmm_(part.double().T, part.double())
    values = torch.linalg.eigvalsh(gram).clamp_min(0).sqrt()[-min(features.shape) :]
    p = values / values.sum().clamp_min(torch.finfo(values.dtype).tiny) + EPSILON  # features that are all 0 have rank 1
    return float((-(p * p.log()).sum()).exp())


def alignment(frozen: Frozen, at: At) -> Outcome:
    """Run the protocol ``alignment``: measure the closeness of positive pairs and the uniformity of views.

    The measures are those of Wang & Isola 2020. Positive pairs are two independent views of test images by
    :func:`pair_ops` with their default parameters, at the trial's size. Images and draws are the same for every trial,
    so that encoders are compared and not augmentations. (On a trial's own pairs, a weaker composition is better by
    construction.) The measure rewards invariance to these two ops, even if the images need another one. Uniformity is
    that of the views, the marginals of those pairs: the mean over both views.
    """
    split, device = frozen.data.test, frozen.device
    index, ops = drawn(split, "alignment", PAIR_IMAGES), pair_ops(frozen)
    pair, resident = TransformPair.two_branch(ops, frozen.config.image_size), frozen.resident(split)
    streams = Streams(derive_seed(0, "evaluation/alignment"), 0, device)
    views: tuple[list[Tensor], list[Tensor]] = ([], [])
    for chunk in index.split(BATCH):
        images, sizes = resident.batch(chunk)
        for branch, view in zip(views, pair(images, streams, sizes), strict=True):
            branch.append(frozen.encode(view, at))
    x, y = (F.normalize(torch.cat(branch), dim=1) for branch in views)
    return Outcome(
        metrics={"common_alignment": align(x, y), "common_uniformity": (uniform(x) + uniform(y)) / 2},
        description=(
            f"alignment (alpha 2) of l2-normalised {frozen.called(at)} over {len(index)} positive pairs, two views of "
            f"test images by {ops} with default parameters, the same for every trial, and uniformity (t 2), the "
            "mean of both views' (Wang & Isola 2020)"
        ),
    )


def pair_ops(frozen: Frozen) -> str:
    """Return the composition that makes the positive pairs of every trial on its images, whatever it trains with.

    It is ``crop+color``; for images of another number of channels than three, which ``color`` does not take,
    ``crop+intensity``.
    """
    return "crop+color" if frozen.data.test.images.channels in Color.channels else "crop+intensity"


def align(x: Tensor, y: Tensor) -> float:
    """Return ``E |x - y|^2`` over positive pairs, from 0 to 4.

    Row i of ``x [N, d]`` and row i of ``y [N, d]`` are a pair; rows have unit length. See Wang & Isola 2020, section
    4.1, with alpha = 2.
    """
    return float((x - y).square().sum(1).double().mean())


def uniform(x: Tensor) -> float:
    """Return ``log E exp(-2 |x_i - x_j|^2)`` over pairs i < j of ``x [N, d]`` of unit length.

    It is 0 if all rows are equal, else below 0. See Wang & Isola 2020, section 4.1, with t = 2. Distances come from
    inner products, a chunk of rows at a time.
    """
    total = torch.zeros((), dtype=torch.float64, device=x.device)
    for start in range(0, len(x), CHUNK):
        squared = (2 - 2 * (x[start : start + CHUNK] @ x[start:].T)).clamp_min(0)
        total += (-2 * squared).exp().double().triu(1).sum()
    pairs = len(x) * (len(x) - 1) / 2
    return float((total / pairs).log())
