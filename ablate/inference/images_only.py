"""The comparison of cells over images only: the encoders stay as they are, and other images are drawn."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from ablate.inference.adjusted import adjusted
from ablate.inference.dunnett import TAIL
from ablate.inference.model import TwoWayModel
from ablate.inference.over_images import OverImages

MANY = 1e6  # degrees of freedom of a part without noise


def over_images_only(
    values: Mapping[str, Mapping[int, float]],
    images: OverImages,
    *,
    tail: float = TAIL,
    among: frozenset[str] | None = None,
) -> TwoWayModel | None:
    """Return the model of cells whose seeds are no sample: all uncertainty is that of the images.

    Args:
        values: accuracies by cell and seed, as fractions; the cells share seeds, directly or through others.
        images: the covariance of the means over images.
        tail: the probability with which the comparisons with the best may err.
        among: the cells that can be the best; None: all of them.

    Returns:
        The model, also for one seed; None for fewer than two cells.
    """
    means = adjusted({label: known for label, known in values.items() if known})
    k, over = len(means), replace(images.of(tuple(means)), alone=True)
    if k < 2:
        return None
    nothing = np.zeros(k)
    return TwoWayModel(
        labels=tuple(means),
        means=np.array(list(means.values())),
        covariance=np.zeros((k, k)),
        variances=nothing,
        freedom=np.full(k, MANY),
        n=tuple(len(values[label]) for label in means),
        sigma=math.sqrt(float(np.diag(over.whole).mean())),
        df=1,
        residuals=np.zeros(1),
        fitted=np.zeros(1),
        tail=tail,
        among=among,
        images=over,
    )
