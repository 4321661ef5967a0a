"""Protocols that score a classifier trained along with the encoder: the online probe and the supervised head."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from ablate.errors import UsageError
from ablate.evaluation.accuracy import SCORED, scores
from ablate.evaluation.frozen import At, Frozen, Outcome


def online(frozen: Frozen, at: At) -> Outcome:
    """Run the protocol ``online``: score the probe of :mod:`ablate.training.probe` on un-augmented images.

    Raises:
        UsageError: the encoder was trained without a probe.
    """
    if frozen.probe is None:
        raise UsageError(
            "protocol 'online' is trained along with the encoder and cannot be added afterwards; linear can be"
        )
    return _scored(
        "online",
        frozen,
        frozen.probe.predict,
        "linear classifier trained along with the encoder behind a stop-gradient, on h of both augmented views of the "
        "labelled images, by AdamW (lr 0.001)",
    )


def classifier(frozen: Frozen, at: At) -> Outcome:
    """Return the accuracy of a supervised trial's own classifier."""
    return _scored(
        "classifier",
        frozen,
        lambda h: frozen.project(h).argmax(1),
        "the classifier that the supervised encoder was trained with",
    )


def _scored(name: str, frozen: Frozen, predict: Callable[[Tensor], Tensor], what: str) -> Outcome:
    """Return the accuracies of ``predict`` on the test images and on the validation split."""
    (train_h, train_y, val_mask), (test_h, test_y) = frozen.train(), frozen.test()
    classes = len(frozen.data.classes)
    on_validation = scores(f"{name}_val", predict(train_h[val_mask]), train_y[val_mask], classes)
    return Outcome(
        metrics={**scores(name, predict(test_h), test_y, classes), **on_validation},
        description=f"{what}; {SCORED} on un-augmented test images, and on the validation split",
    )
