"""The next batch of a search by a Gaussian process over compositions (``--sampler gp``)."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

import numpy as np

from ablate.config.space import compositions
from ablate.config.sweep import NamedComposition, Search
from ablate.inference.gp import BySeed, believe
from ablate.inference.improvement import STARTUP, chance_of_better, first_batch, next_batch
from ablate.inference.kernel import Compositions
from ablate.rng import derive_seed
from ablate.search.measured import Defaults, Measured, Proposal
from ablate.search.points import drawn, everything, is_finite, neighbours

LARGEST = 1000  # compositions that are compared at most; of a larger space a sample is
RANDOM, BEST = 400, 10  # the sample: so many at random, and the neighbours of so many of the best
TRIES = 3000  # draws in vain after which the space counts as exhausted


def propose(search: Search, known: Sequence[Measured], defaults: Defaults, within: float) -> Proposal:
    """Return the new compositions with the largest expected improvement together, and the chance of a better one.

    Both follow from the results and the seed of the search alone.

    Args:
        search: the space.
        known: the compositions proposed before, in that order.
        defaults: op parameters that labels leave out.
        within: the difference of accuracies, as a fraction, by which a composition is clearly better.
    """
    generator = random.Random(derive_seed(search.seed, "compositions", len(known)))
    taken = {item.composition.label for item in known}
    finished = [item.value is not None for item in known]
    if sum(finished) < 2 or sum(item.value is not None or bool(item.knn) for item in known) < STARTUP:
        return Proposal(_first(search, known, generator, taken, defaults))
    pool = [item.composition for item in known] + list(_candidates(search, known, generator, taken, defaults))
    levels = [[*values, *({} for _ in range(len(pool) - len(known)))] for values in _levels(known)]
    beliefs = believe(_compared(search, pool), levels)
    ended = np.array(finished + [False] * (len(pool) - len(known)))
    free = np.arange(len(pool)) >= len(known)
    batch = [pool[number] for number in next_batch(beliefs, ended, free, search.batch)]
    return Proposal(batch, chance_of_better(beliefs, ended, free, within))


def _compared(search: Search, pool: Sequence[NamedComposition]) -> Compositions:
    return Compositions([item.ops for item in pool], [prior.means for prior in search.prior])


def _first(
    search: Search, known: Sequence[Measured], generator: random.Random, taken: set[str], defaults: Defaults
) -> list[NamedComposition]:
    """Return a batch for which there are too few results: at random, and partly the best of other sweeps."""
    if not search.prior:
        return list(_at_random(search, generator, taken, search.batch, defaults))
    pool = list(_candidates(search, known, generator, taken, defaults))
    free = np.ones(len(pool), dtype=bool)
    return [pool[number] for number in first_batch(_compared(search, pool), free, search.batch, generator)]


def _levels(known: Sequence[Measured]) -> list[list[BySeed]]:
    """Return the accuracies by seed, then the kNN at every rung that at least two compositions have reached."""
    final: list[BySeed] = [{} if item.value is None else item.by_seed or {0: item.value} for item in known]
    epochs = sorted({epoch for item in known for epoch in item.knn})
    rungs: list[list[BySeed]] = [
        [{0: item.knn[epoch]} if epoch in item.knn else {} for item in known] for epoch in epochs
    ]
    return [final, *(rung for rung in rungs if sum(map(bool, rung)) > 1)]


def _candidates(
    search: Search, known: Sequence[Measured], generator: random.Random, taken: set[str], defaults: Defaults
) -> Iterator[NamedComposition]:
    """Yield every new composition of the space, or a sample if there are many."""
    seen = set(taken)
    if is_finite(search) and sum(compositions(search)) <= LARGEST:
        yield from _new(everything(search, defaults), seen)
        return
    ranked = sorted((item for item in known if item.value is not None), key=lambda item: -(item.value or 0.0))
    near = (other for item in ranked[:BEST] for other in neighbours(search, item.composition, generator, defaults))
    room = LARGEST - len(known) - RANDOM
    for _, item in zip(range(room), _new(near, seen), strict=False):
        yield item
    yield from _at_random(search, generator, seen, RANDOM, defaults)


def _at_random(
    search: Search, generator: random.Random, taken: set[str], number: int, defaults: Defaults
) -> Iterator[NamedComposition]:
    """Yield at most ``number`` compositions that are not ``taken``, each composition of the space equally likely."""
    seen = set(taken)
    draws = (drawn(search, generator, defaults) for _ in range(TRIES))
    for _, item in zip(range(number), _new(draws, seen), strict=False):
        yield item


def _new(items: Iterator[NamedComposition], seen: set[str]) -> Iterator[NamedComposition]:
    for item in items:
        if item.label not in seen:
            seen.add(item.label)
            yield item
