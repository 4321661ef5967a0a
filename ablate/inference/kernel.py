"""The kernel over compositions: how much the values of two compositions have in common, part by part.

A composition is a sequence of tokens, one per op with its parameters. Tokens of one op are alike in so far as their
parameters are; tokens of different ops have nothing in common. Each part is the covariance of an effect with variance
1: of an op anywhere, of the first and the last op, of two ops in either order and in one order, of the composition
itself, and of the number of ops. Their weighted sum is the kernel of :mod:`ablate.inference.gp`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ablate.config.base import OpSpec

PARTS = ("op", "first", "last", "pair", "ordered pair", "composition", "length")
"""The parts, in the order of :meth:`Compositions.kernels`; what other sweeps say of the compositions follows them."""
Array = NDArray[np.float64]
Token = tuple[str, int, OpSpec]


class Compositions:
    """Compositions as sequences of tokens, and the parts of their kernel.

    An op that a composition repeats is a token of its own for every repetition: only then is the kernel positive
    semidefinite.

    Attributes:
        varies: True if an op occurs with different parameters, so that their length scale matters.
        known: ``[sweeps, compositions]``, the means of each of several other sweeps, with mean 0 and variance 1 over
            the compositions that it has; 0 for others.
    """

    def __init__(self, compositions: Sequence[Sequence[OpSpec]], others: Sequence[Mapping[str, float]] = ()) -> None:
        """Take ``compositions``, and the means of other sweeps by the names of the ops, such as ``crop+color``."""
        numbered = [list(_tokens(ops)) for ops in compositions]
        keys = {_key(token): token for tokens in numbered for token in tokens}
        place = {key: number for number, key in enumerate(keys)}
        longest = max(1, *map(len, numbered))
        self.lengths = np.array([len(tokens) for tokens in numbered])
        self._tokens = np.full((len(numbered), longest), len(keys))  # the last token is "no op"
        for row, tokens in zip(self._tokens, numbered, strict=True):
            row[: len(tokens)] = [place[_key(token)] for token in tokens]
        self._same, self._squares = _distances(list(keys.values()))
        self.varies = bool(self._squares.any())
        names = ["+".join(op.name for op in ops) for ops in compositions]
        self.known = np.array([_standardised(means, names) for means in others]).reshape(-1, len(names))

    def kernels(self, scale: float) -> Array:
        """Return every part as ``[parts, compositions, compositions]``.

        Args:
            scale: the length scale of parameters, each of which spans 0 to 1 over all tokens of its op.
        """
        alike = np.pad(self._same * np.exp(-self._squares / (2 * scale**2)), (0, 1))
        there = np.zeros((len(self.lengths), len(alike)))
        np.add.at(there, (np.arange(len(there))[:, None], self._tokens), 1.0)
        ops, squared = there @ alike @ there.T, there @ alike**2 @ there.T
        last = self._tokens[np.arange(len(there)), np.maximum(self.lengths - 1, 0)]
        at = [[alike[np.ix_(one, other)] for other in self._tokens.T] for one in self._tokens.T]
        places, more = list(itertools.combinations(range(len(at)), 2)), self.lengths - 1.0
        ordered = [at[i][k] * at[j][m] for (i, j), (k, m) in itertools.product(places, repeat=2)]
        parts: dict[str, Array] = {
            "op": ops,
            "first": at[0][0],
            "last": alike[np.ix_(last, last)],
            "pair": (ops**2 - squared) / 2,  # Newton's identity: the sum over pairs of different tokens
            "ordered pair": sum(ordered, np.zeros_like(ops)),
            "composition": self._equal(at),
            "length": np.outer(more, more),
        }
        elsewhere = [self.known.T @ self.known] if len(self.known) else []  # a weight of its own for every sweep
        return np.asarray([*(parts[name] for name in PARTS), *elsewhere], dtype=np.float64)

    def _equal(self, at: list[list[Array]]) -> Array:
        """Return the product over the places of compositions that are equally long, 0 for others."""
        equal = (self.lengths[:, None] == self.lengths[None]).astype(float)
        for place, row in enumerate(at):
            equal *= np.where(self.lengths[:, None] > place, row[place], 1.0)
        return np.asarray(equal)


def _standardised(means: Mapping[str, float], names: Sequence[str]) -> Array:
    """Return the means of ``names`` with mean 0 and variance 1, and 0 for names without a mean, [names]."""
    there = np.array([name in means for name in names])
    values = np.array([means.get(name, 0.0) for name in names])
    spread = float(np.std(values[there])) if there.any() else 0.0
    return np.where(there, (values - values[there].mean()) / spread, 0.0) if spread > 0 else np.zeros(len(names))


def _tokens(ops: Sequence[OpSpec]) -> Iterator[Token]:
    for number, op in enumerate(ops):
        yield op.name, sum(before.name == op.name for before in ops[:number]), op


def _key(token: Token) -> tuple[str, int, str]:
    name, repetition, op = token
    return name, repetition, repr(sorted(op.params.items()))


def _distances(tokens: Sequence[Token]) -> tuple[Array, Array]:
    """Return whether tokens are of one op, and their squared distances in its parameters, both ``[tokens, tokens]``."""
    same, squares = np.zeros((len(tokens),) * 2), np.zeros((len(tokens),) * 2)
    for kind in dict.fromkeys(token[:2] for token in tokens):
        among = [number for number, token in enumerate(tokens) if token[:2] == kind]
        block = np.ix_(among, among)
        same[block] = 1.0
        for values in zip(*(_flat(tokens[number][2]) for number in among), strict=False):
            squares[block] += _squared(values)
    return same, squares


def _flat(op: OpSpec) -> list[Any]:
    """Return the numbers and words among an op's parameters, in the order of their names."""
    flat: list[Any] = []
    for _, value in sorted(op.params.items()):
        flat += value if isinstance(value, list | tuple) else [value]
    return flat


def _squared(values: Sequence[Any]) -> Array:
    """Return squared differences of numbers, scaled to span 0 to 1; of other values, 1 where they differ."""
    if all(isinstance(value, int | float) for value in values):
        numbers = np.array(values, dtype=float)
        return np.asarray(((numbers[:, None] - numbers[None]) / max(float(np.ptp(numbers)), 1e-12)) ** 2)
    return np.array([[float(one != other) for other in values] for one in values])
