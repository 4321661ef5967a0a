"""The names of evaluation protocols, of those with few labels, and of the metrics that these write. Needs no torch."""

from __future__ import annotations

SHARES = (10, 1)
"""The percentages of the labels that ``linear`` is evaluated with, beside all of them."""


def with_share(name: str, percent: int) -> str:
    """Return the name of a protocol with some of the labels: ``linear:10%``, or ``linear`` with all of them."""
    return name if percent == 100 else f"{name}:{percent}%"


def stem(name: str, percent: int) -> str:
    """Return the beginning of its metrics: ``linear_10pct``, or ``linear`` with all labels."""
    return name if percent == 100 else f"{name}_{percent}pct"


NAMES = (
    *("linear", *(with_share("linear", percent) for percent in SHARES)),
    *("sgd", "knn", "rotation", "rankme", "alignment", "online"),
)
"""Every protocol, in the order in which messages list them."""
FEW_LABELS = {stem("linear", percent): f"linear evaluation with {percent} % of the labels" for percent in SHARES}
"""The protocols with few labels by the beginning of their metrics, in words."""
