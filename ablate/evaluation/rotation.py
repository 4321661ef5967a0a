"""Rotation prediction, an evaluation without labels: a classifier predicts the number of quarter turns of an image.

SelfAugment (Reed et al. 2021) found that its accuracy ranks augmentation policies as supervised linear evaluation does
(rank correlation above 0.94). It cannot judge a composition that turns images itself, since it would penalise an
encoder for the invariance to turns that it was trained for.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ablate.config.base import OpSpec
from ablate.config.trial import TrialConfig
from ablate.data import Split
from ablate.errors import UsageError
from ablate.evaluation.accuracy import accuracy
from ablate.evaluation.features import drawn
from ablate.evaluation.frozen import At, Frozen, Outcome
from ablate.evaluation.linear import linear_evaluation
from ablate.ops.grammar import from_any_version
from ablate.sweep.record import ROTATION_NOT_APPLICABLE

IMAGES = 5000  # images of each split, drawn once per data set; each is evaluated four times


def rotation(frozen: Frozen, at: At) -> Outcome:
    """Run the protocol ``rotation``: 4-way linear evaluation on images turned by 0, 90, 180 and 270 degrees.

    Un-augmented views are turned after the centre crop, so turns are exact. All four turns of an image, and all images
    of a group, are on the same side of the validation split. A composition that turns images gets the flag
    ``rotation-not-applicable`` and no metric.
    """
    turning = turning_ops(frozen.config)
    if turning:
        return Outcome(
            metrics={},
            description=f"not judged: the composition turns images itself ({', '.join(turning)}), so that an encoder "
            "which cannot tell how they were turned is no worse for it",
            flags=(ROTATION_NOT_APPLICABLE,),
        )
    train, test = drawn(frozen.data.train, "rotation", IMAGES), drawn(frozen.data.test, "rotation", IMAGES)
    train_h, train_y = _turned(frozen, frozen.data.train, train, at)
    test_h, test_y = _turned(frozen, frozen.data.test, test, at)
    val_mask = frozen.data.val_mask[train].repeat(4).to(train_h.device)
    result = linear_evaluation(train_h, train_y, val_mask, test_h, 4)
    return Outcome(
        metrics={
            "rotation_top1": accuracy(result.test, test_y),
            "rotation_val_top1": accuracy(result.val, train_y[val_mask]),
        },
        description=(
            f"which of four quarter turns, by L-BFGS logistic regression on standardised {frozen.called(at)} of "
            f"{len(train)} un-augmented training images turned by 0, 90, 180 and 270 degrees; {result.choice}; top-1 "
            f"on {len(test)} test images turned likewise (SelfAugment, Reed et al. 2021)"
        ),
        flags=tuple(f"rotation-{flag}" for flag in result.flags),
    )


def turning_ops(config: TrialConfig) -> list[str]:
    """Return the names of the ops that declare to turn images by 45 degrees or more, or upside down."""
    return [op.name for op in config.every_op if _turns(op)]


def _turns(op: OpSpec) -> bool:
    try:
        return from_any_version(op).is_turning
    except UsageError:  # the op of an old record no longer exists or has other parameters now
        return False


def _turned(frozen: Frozen, split: Split, index: Tensor, at: At) -> tuple[Tensor, Tensor]:
    """Return features ``[4 n, d]`` of the images of ``index`` at each of four turns, and the turns, int64 ``[4 n]``."""
    features = torch.cat([frozen.features(split, index, at, quarter_turns=turns) for turns in range(4)])
    return features, torch.arange(4, device=features.device).repeat_interleave(len(index))
