"""The names of evaluation protocols, and of the metrics of fine-tuning and of few labels. Needs no torch."""

from __future__ import annotations

SHARES = (10, 1)
"""The percentages of the labels that ``linear`` and ``finetune`` are evaluated with, beside all of them."""


def with_share(name: str, percent: int) -> str:
    """Return the name of a protocol with some of the labels: ``linear:10%``, or ``linear`` with all of them."""
    return name if percent == 100 else f"{name}:{percent}%"


def stem(name: str, percent: int) -> str:
    """Return the beginning of its metrics: ``linear_10pct``, or ``linear`` with all labels."""
    return name if percent == 100 else f"{name}_{percent}pct"


def is_trained(spec: str) -> bool:
    """Return True for protocols that train on augmented images once the encoder is trained, such as ``finetune:1%``."""
    return spec.partition("@")[0].partition(":")[0] in {"finetune", "sgd"}


NAMES = (
    *("linear", *(with_share("linear", percent) for percent in SHARES)),
    *("finetune", *(with_share("finetune", percent) for percent in SHARES)),
    *("sgd", "knn", "rotation", "rankme", "lidar", "alignment", "invariance", "online"),
)
"""Every protocol, in the order in which messages list them."""
WITH_SHARES = {stem("linear", percent): f"linear evaluation with {percent} % of the labels" for percent in SHARES} | {
    "finetune": "fine-tuning",
    **{stem("finetune", percent): f"fine-tuning with {percent} % of the labels" for percent in SHARES},
}
"""Fine-tuning and the protocols with few labels, in words, by the beginning of their metrics."""
