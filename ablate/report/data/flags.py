"""The meaning of a record's flags, in sentences."""

from __future__ import annotations

from ablate.sweep.record import ROTATION_NOT_APPLICABLE

EXPLAINED = {
    "collapsed": "All representations are equal: training has failed, whatever the numbers say.",
    "collapsed-z": (
        "The projections of all test images have nearly one direction: training was too short to spread them, or the "
        "objective has collapsed, so that its numbers are not what it can reach."
    ),
    "l2-at-edge": (
        "Linear evaluation was best at the strongest or the weakest l2 that it tries, 1e5 or 1e-8, so its result "
        "may be a little too low. You need not do anything, but compare it with kNN."
    ),
    "diverged": "Fine-tuning ended in numbers that are not finite, so it has no result; the other protocols do.",
    ROTATION_NOT_APPLICABLE: "The composition turns images itself, so rotation prediction cannot judge it.",
}


def explained(flag: str) -> str:
    """Return the meaning of ``flag``, or nothing if it is unknown.

    ``z-l2-at-edge`` is ``l2-at-edge`` of the evaluation at z.
    """
    for name, sentence in EXPLAINED.items():
        if flag == name or flag.endswith(f"-{name}"):
            return sentence
    return ""
