"""LiDAR, a measure without labels: the number of directions that tell images apart in spite of augmentation."""

from __future__ import annotations

import torch
from torch import Tensor

from ablate.evaluation.features import drawn
from ablate.evaluation.frozen import BATCH, At, Frozen, Outcome
from ablate.evaluation.label_free import EPSILON, pair_ops
from ablate.ops.pair import Streams, TransformPair
from ablate.rng import derive_seed

IMAGES = 1000  # as in the paper
PAIRS = 5  # two views each; the paper takes 50 views, which would cost a CPU several times what linear evaluation does
DELTA = 1e-4  # added to the variances within an image, so that they can be divided by


def lidar(frozen: Frozen, at: At) -> Outcome:
    """Run the protocol ``lidar``: :func:`discriminant_rank` of ten views of up to 1000 images trained on.

    Views are those of ``alignment``: crop and colour distortion with their default parameters, so that encoders are
    compared and not augmentations. Images and draws are the same for every trial of an image size.
    """
    h: Tensor = frozen.once("lidar", lambda: views_of_images(frozen))
    features = h if at == "h" else frozen.project(h.flatten(0, 1)).unflatten(0, h.shape[:2])
    return Outcome(
        metrics={"lidar": discriminant_rank(features)},
        description=(
            f"LiDAR of {frozen.called(at)}: effective rank of the variance between {len(h)} training images, in units "
            f"of the variance within {h.shape[1]} views of each by {pair_ops(frozen)} with default parameters, the "
            f"same for every trial, plus {DELTA:g} (Thilak et al. 2023)"
        ),
    )


def views_of_images(frozen: Frozen) -> Tensor:
    """Return h of the views of each image, float32 ``[images, views, d]``."""
    split, device = frozen.data.pretrain, frozen.device
    pair, resident = TransformPair.two_branch(pair_ops(frozen), frozen.config.image_size), frozen.resident(split)
    streams = Streams(derive_seed(0, "evaluation/lidar"), 0, device)
    parts = []
    for chunk in drawn(split, "lidar", IMAGES).split(BATCH):
        frozen.stop_if_asked()
        images, sizes = resident.batch(chunk)
        views = [frozen.encode(view) for _ in range(PAIRS) for view in pair(images, streams, sizes)]
        parts.append(torch.stack(views, 1))
    return torch.cat(parts)


def discriminant_rank(features: Tensor) -> float:
    """Return LiDAR of ``features [n, q, d]``, q views of each of n images: from 1 to min(d, n - 1).

    It is ``exp(-sum_k p_k log p_k)`` with ``p_k = lambda_k / |lambda|_1 + 1e-7``, where ``lambda`` are the eigenvalues
    of ``W^-1/2 B W^-1/2``. B is the covariance of the images' means, and W the mean covariance within an image, plus
    1e-4 (Thilak et al. 2023, section 4). Both are unbiased, in float64.
    """
    n, q, d = features.shape
    values = features.double()
    means = values.mean(1)
    between = _gram(means - means.mean(0)) / max(1, n - 1)
    within = _gram((values - means[:, None]).flatten(0, 1)) / (n * (q - 1))
    within += DELTA * torch.eye(d, dtype=torch.float64, device=features.device)
    spread, directions = torch.linalg.eigh(within)
    whitening = directions / spread.sqrt()
    eigenvalues = torch.linalg.eigvalsh(whitening.T @ between @ whitening).clamp_min(0)
    p = eigenvalues / eigenvalues.sum().clamp_min(torch.finfo(torch.float64).tiny) + EPSILON
    return float((-(p * p.log()).sum()).exp())


def _gram(rows: Tensor) -> Tensor:
    return rows.T @ rows
