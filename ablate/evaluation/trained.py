"""Protocols that score a classifier which was trained along with the encoder: the online probe, the supervised head."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from ablate.errors import UsageError
from ablate.evaluation.frozen import At, Frozen, Outcome
from ablate.evaluation.linear import accuracy


def online(frozen: Frozen, at: At) -> Outcome:
    """The protocol ``online``: the probe of :mod:`ablate.simclr.probe`, on un-augmented images.

    Raises:
        UsageError: the encoder was trained without one.
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
    """The accuracy of a supervised trial's own classifier."""
    return _scored(
        "classifier",
        frozen,
        lambda h: frozen.project(h).argmax(1),
        "the classifier that the supervised encoder was trained with",
    )


def _scored(name: str, frozen: Frozen, predict: Callable[[Tensor], Tensor], what: str) -> Outcome:
    """Top-1 of ``predict`` on the test images and on the validation split."""
    (train_h, train_y, val_mask), (test_h, test_y) = frozen.train(), frozen.test()
    return Outcome(
        metrics={
            f"{name}_top1": accuracy(predict(test_h), test_y),
            f"{name}_val_top1": accuracy(predict(train_h[val_mask]), train_y[val_mask]),
        },
        description=f"{what}; top-1 on un-augmented test images, and on the validation split",
    )
