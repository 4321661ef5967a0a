"""Flags of encoders and heads that have collapsed: they tell images apart no more."""

from __future__ import annotations

from ablate.config.objectives import kind_of
from ablate.evaluation.features import collapsed
from ablate.evaluation.frozen import Frozen
from ablate.training.objectives.pairs import spread

COLLAPSED, COLLAPSED_Z = "collapsed", "collapsed-z"
SPREAD = 0.1
"""The spread of z below which an objective without negatives has collapsed; evenly spread projections have about 1."""


def collapse(frozen: Frozen) -> tuple[str, ...]:
    """Return ``collapsed`` if all test images have equal h, and ``collapsed-z`` if all z have nearly one direction.

    The second is for trained objectives whose loss has a collapsed solution. By a fixed rule, z has collapsed if the
    standard deviation over the images of its l2-normalised values is on average below a tenth of ``1 / sqrt(d)``.
    """
    flags = [COLLAPSED] if collapsed(frozen.test()[0]) else []
    if kind_of(frozen.config.objective).can_collapse and spread(frozen.test("z")[0]) < SPREAD:
        flags.append(COLLAPSED_Z)
    return tuple(flags)
