"""Joint intervals of contrasts of cells in several models, such as those of single classes, over seeds and images.

The largest studentised deviation of all contrasts (max-T) is simulated. Models are drawn independently. Where they are
not, as one training makes all classes better or worse, the intervals are wider than needed (Šidák 1967, *Journal of the
American Statistical Association* 62), not narrower. Holm's method tests but has no such intervals, and Bonferroni's are
wider, since the contrasts of one model share their cells.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ablate.inference.difference import Difference
from ablate.inference.dunnett import CONFIDENCE
from ablate.inference.images_only import over_images_only
from ablate.inference.model import TwoWayModel, estimate
from ablate.inference.over_images import over_images

DRAWS = 10_000
Array = NDArray[np.float64]


def modelled(
    values: Mapping[str, Mapping[int, float]], influences: Mapping[str, Mapping[int, Array]], images: int
) -> TwoWayModel:
    """Return the model of cells over seeds and images or, where seeds are too few for that, over images only.

    Args:
        values: the values of at least two cells by seed, as fractions.
        influences: what each group of images adds to them (:func:`ablate.inference.over_images.influence`).
        images: the number of images.
    """
    over = over_images(influences, images)
    model = estimate(values, images=over) or over_images_only(values, over)
    assert model is not None
    return model


def joint(models: Sequence[TwoWayModel], several: Sequence[Mapping[str, float]]) -> list[list[Difference]]:
    """Return the contrasts of every model, with intervals that hold all true values at once in 95 % of sweeps.

    Every contrast has an error as if one image more had changed, so that none is certain because few images are all
    classified alike (as Agresti and Min 2005, *Statistics in Medicine* 24, add images to pairs without a difference).

    Args:
        models: models over images, as of :func:`modelled`.
        several: the weight of each cell in each contrast; the weights of a contrast sum to 0.
    """
    if not models or not several:
        return [[] for _ in models]
    means, errors = np.zeros((2, len(models), len(several)))
    most = np.zeros(DRAWS)
    for number, model in enumerate(models):
        assert model.images is not None
        w = np.array([[weights.get(label, 0.0) for label in model.labels] for weights in several])
        means[number] = w @ model.means
        own, over = model.variances / np.array(model.n), w @ model.images.covariance @ w.T
        over += np.eye(len(w)) / model.images.units**2
        errors[number] = np.sqrt(w**2 @ own + np.maximum(np.diag(over), 0.0))
        rng = np.random.default_rng(number)
        shape = DRAWS, len(model.labels)
        of_seeds = rng.standard_normal(shape) * np.sqrt(own * model.freedom / rng.chisquare(model.freedom, shape))
        values, vectors = np.linalg.eigh(over)
        of_images = rng.standard_normal((DRAWS, len(w))) @ (vectors * np.sqrt(np.maximum(values, 0.0))).T
        most = np.maximum(most, np.abs((of_seeds @ w.T + of_images) / errors[number]).max(axis=1))
    half = float(np.quantile(most, CONFIDENCE)) * errors
    return [
        [
            Difference(float(mean), float(mean - width), float(mean + width), min(model.n), _how(model))
            for mean, width in zip(*rows, strict=True)
        ]
        for model, *rows in zip(models, means, half, strict=True)
    ]


def _how(model: TwoWayModel) -> str:
    return f"{model.images.how}, jointly" if model.images else "jointly"
