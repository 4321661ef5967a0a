"""The space of a search, from the words of the command ``search``."""

from __future__ import annotations

import dataclasses
from typing import Any

from pydantic import ValidationError

from ablate.config.experiment import Experiment
from ablate.config.space import check, tuned
from ablate.config.sweep import Sampler, Search
from ablate.errors import UsageError, sentence
from ablate.ops import from_spec
from ablate.planning.compositions import named_ops


def search_of(
    wish: Experiment,
    max_length: int | None,
    strength: str | None,
    p: str | None,
    sampler: Sampler,
    seed: int,
    batch: int,
) -> Search:
    """Return the space of compositions of the ops of ``wish``.

    Args:
        wish: the description, with its preset.
        max_length: the largest number of ops in a composition; None: up to three.
        strength: the range of every strength, as ``LOW:HIGH``; None: strengths are not searched.
        p: the range of every probability, as ``LOW:HIGH``; None: probabilities are not searched.
        sampler: how compositions are proposed.
        seed: the sampler's seed.
        batch: how many compositions are proposed at a time.

    Raises:
        UsageError: a malformed range, one that an op cannot take, or an impossible space.
    """
    ops = named_ops(wish)
    max_length = max_length or min(3, len(ops))
    ranges = {"strength": _range("--strength", strength), "p": _range("--p", p)}
    try:
        space = Search(ops=ops, max_length=max_length, sampler=sampler, seed=seed, batch=batch, **ranges)
    except ValidationError as error:
        raise UsageError(f"--{sentence(error)}") from None
    check(space)
    for op in space.ops:
        for name, bounds in tuned(space, op).items():
            for value in bounds:
                dataclasses.replace(from_spec(op.op), **{name: value})  # refuses a value outside the op's range
    return space


def _range(flag: str, text: str | None) -> Any:
    if text is None:
        return None
    low, colon, high = text.partition(":")
    try:
        return float(low), float(high if colon else low)
    except ValueError:
        raise UsageError(f"{flag} must be LOW:HIGH, as in 0.25:1, not {text!r}") from None
