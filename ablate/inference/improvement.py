"""Which compositions to train next, and how likely any of them is better than the best: from draws of all values.

The same beliefs give the same answers.
"""

from __future__ import annotations

import random

import numpy as np
from numpy.typing import NDArray

from ablate.inference.gp import Array, Beliefs
from ablate.inference.kernel import Compositions

STARTUP = 4
"""Compositions with results that the model needs before it proposes others."""
Mask = NDArray[np.bool_]


def first_batch(compositions: Compositions, free: Mask, size: int, generator: random.Random) -> list[int]:
    """Return at most ``size`` free compositions to begin with, before there are results for a model.

    If other sweeps are known, a quarter of them are those with the highest mean there. All others are drawn at random,
    since the best ones alone could not show that a sweep misleads.

    Args:
        compositions: all compositions.
        free: True for compositions that can be chosen.
        size: the number of compositions to choose.
        generator: what draws.
    """
    places = [int(place) for place in np.flatnonzero(free)]
    there = compositions.known.sum(axis=0)
    best = sorted(places, key=lambda place: -there[place])[: -(-size // 4) if len(compositions.known) else 0]
    others = [place for place in places if place not in best]
    return [*best, *generator.sample(others, min(size - len(best), len(others)))]


def next_batch(beliefs: Beliefs, finished: Mask, free: Mask, size: int) -> list[int]:
    """Return at most ``size`` free compositions with the largest expected improvement of the best one together.

    They are added one after the other. Each adds most to the expected maximum of the finished and the chosen ones
    (q-EI by draws), so that compositions that are good for the same reason are not all chosen.

    Args:
        beliefs: about all compositions.
        finished: True for compositions that were trained to the end, [compositions]; at least one.
        free: True for compositions that can be chosen.
        size: the number of compositions to choose.
    """
    values = beliefs.draws
    best, left, chosen = values[:, finished].max(axis=1), free.copy(), list[int]()
    while len(chosen) < size and left.any():
        gain = np.maximum(values - best[:, None], 0.0).mean(axis=0)
        if not gain[left].any():  # no draw exceeds the best: the most optimistic value decides
            gain = beliefs.mean + 2 * beliefs.spread
        chosen.append(int(np.where(left, gain, -np.inf).argmax()))
        left[chosen[-1]] = False
        best = np.maximum(best, values[:, chosen[-1]])
    return chosen


def chance_of_better(beliefs: Beliefs, finished: Mask, free: Mask, within: float) -> float:
    """Return the probability that a free composition is better than the best finished one by more than ``within``.

    Args:
        beliefs: about all compositions.
        finished: True for compositions that were trained to the end, [compositions]; at least one.
        free: True for compositions that may be asked for.
        within: a difference of values.
    """
    return float(_is_better(beliefs, finished, within)[:, free].any(axis=1).mean())


def chances_of_better(beliefs: Beliefs, finished: Mask, within: float) -> Array:
    """Return the probability of each composition that it is better than the best finished one by more than ``within``.

    Args:
        beliefs: about all compositions.
        finished: True for compositions that were trained to the end, [compositions]; at least one.
        within: a difference of values.
    """
    return np.asarray(_is_better(beliefs, finished, within).mean(axis=0))


def _is_better(beliefs: Beliefs, finished: Mask, within: float) -> Mask:
    """Return ``[DRAWS, compositions]``: whether each composition is better than the best finished one in each draw."""
    values = beliefs.draws
    best = values[:, np.where(finished, beliefs.mean, -np.inf).argmax()]
    return np.asarray(values > best[:, None] + within)
