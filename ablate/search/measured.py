"""The results of a search from which the next compositions are proposed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ablate.config.sweep import NamedComposition

Defaults = Mapping[str, Mapping[str, Any]]
"""Op parameters that labels leave out."""


@dataclass(frozen=True)
class Measured:
    """The result of a composition, which failed if it has neither a value nor any kNN.

    Attributes:
        composition: the composition.
        value: its validation accuracy, the mean over all seeds; None if it failed or was pruned.
        knn: its validation kNN at the rungs that it reached, by epoch; empty in a search that does not prune.
        by_seed: the validation accuracy of every seed, if they are known apart.
    """

    composition: NamedComposition
    value: float | None = None
    knn: Mapping[int, float] = field(default_factory=dict)
    by_seed: Mapping[int, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Proposal:
    """The next batch, and the probability that one that was not tried is clearly better than the best.

    ``better`` is None if the sampler has no model of it. An empty ``batch`` means that the space is exhausted.
    """

    batch: list[NamedComposition]
    better: float | None = None
