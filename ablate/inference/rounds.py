"""Rounds of seeds: which cells get more after each, and whether the comparison is decided.

After a round all cells that are left have the same seeds. A cell is dropped if it lies below another by more than
Dunnett's one-sided value times the standard error of their difference. The comparison is decided if one cell is left,
and also if all that are left lie within some points of the best.

Both statements err only if the best cell's lead over another is underestimated by more than that bound: a many-to-one
comparison with the best, as in Hsu's procedure. So one probability covers both. It is held at 5 % for all rounds
together. Each round spends a part of 4 % (alpha spending: Lan and DeMets 1983, "Discrete sequential boundaries for
clinical trials"), and the parts are added up, which holds however much the rounds depend on each other (Bonferroni).
What is spent with n seeds depends on n alone, so the rounds need not be fixed beforehand, and the largest number of
seeds may be raised later. The first rounds spend little, and 1 % is not spent at all: with three seeds, a cell of
unusual noise may look like any other, and is lost up to four times as often as it should (simulated). Anytime-valid
bounds would give the same freedom, but those for unequal, estimated noise with two or three degrees of freedom are much
wider.

Dropped cells keep their place in the number of comparisons and in the estimates of the noise.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ablate.config.sweep import FIRST_ROUND, LAST_ROUND
from ablate.inference.dunnett import TAIL
from ablate.inference.model import TwoWayModel, estimate

GROWTH = 1.5
"""The factor by which a round multiplies the seeds."""
SPENT = 0.8 * TAIL
"""The probability of an error that all rounds together spend. The rest of 5 % is for cells of unusual noise."""
LAST = 1.9
"""The last round ends with the largest number of seeds if this is less than ``LAST`` times the seeds before it."""
Why = Literal["decided", "equal", "largest", "alone"]
"""Why no further round follows.

``decided``: one cell is left. ``equal``: all that are left lie within some points of the best. ``largest``: the largest
number of seeds is reached. ``alone``: fewer than two cells have results, so nothing can be compared."""


@dataclass(frozen=True)
class Comparison:
    """The cells that are ``left`` after a round, and ``why`` no further one follows; None: one does.

    ``farthest`` is how far a cell that is left may at most lie below the best, as a fraction, with 95 % confidence over
    all rounds; None if that is unknown.
    """

    left: frozenset[str]
    why: Why | None
    farthest: float | None = None


def compare(
    values: Mapping[str, Mapping[int, float]],
    left: Collection[str],
    rounds: Sequence[int],
    within: float,
    largest: int,
) -> Comparison:
    """Compare the cells that are left after a round.

    A cell that cannot be compared, because its trials failed, stays: nothing is known against it. It does not keep the
    others from being decided. If all seeds show exactly the same differences, which a few validation images can do, no
    noise was seen: then no cell is dropped, and only cells that are all equal end the rounds.

    Args:
        values: accuracies by cell and seed, as fractions, of all cells that share seeds.
        left: the cells that were left before this round.
        rounds: the number of seeds at the end of every round so far, this one the last.
        within: the difference below which cells are practically equal, as a fraction.
        largest: the largest number of seeds.
    """
    before = frozenset(left)
    is_last = rounds[-1] >= largest
    if sum(map(bool, values.values())) < 2:
        return Comparison(before, "alone")
    model = estimate(values, tail=tail(rounds), among=before)
    if model is None:
        return Comparison(before, "largest" if is_last else None)
    unknown = before - set(model.labels)
    if model.is_exact and len(model.contenders) < len(before - unknown):
        return Comparison(before, "largest" if is_last else None)
    remaining, farthest = frozenset(model.contenders), model.farthest
    why = _why(model, within) or ("largest" if is_last else None)
    return Comparison(remaining | unknown, why, farthest)


def _why(model: TwoWayModel, within: float) -> Why | None:
    if len(model.contenders) == 1:
        return "decided"
    return "equal" if model.farthest <= within else None


def tail(rounds: Sequence[int]) -> float:
    """Return the probability with which the comparison after the last of ``rounds`` may err."""
    before = rounds[-2] if len(rounds) > 1 else 0
    return _spent(rounds[-1]) - _spent(before)


def _spent(seeds: int) -> float:
    """Return the probability that is spent once cells have ``seeds`` seeds: all of it with the most seeds allowed.

    A sweep that began with fixed seeds may have more.
    """
    none = FIRST_ROUND - 1
    share = math.log(min(max(seeds, none), LAST_ROUND) / none) / math.log(LAST_ROUND / none)
    return SPENT * share**2


def next_round(seeds: int, largest: int) -> int:
    """Return how many seeds the cells that are left have at the end of the round after the one with ``seeds``."""
    if seeds < FIRST_ROUND:
        return FIRST_ROUND
    return largest if largest < LAST * seeds else math.ceil(GROWTH * seeds)


def all_rounds(largest: int) -> tuple[int, ...]:
    """Return the number of seeds at the end of every round up to ``largest``."""
    rounds = [FIRST_ROUND]
    while rounds[-1] < largest:
        rounds.append(next_round(rounds[-1], largest))
    return tuple(rounds)
