"""The evaluation protocols by name, and the syntax that asks for them: ``linear``, ``knn@z``, ``linear:1%``."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import get_args

from ablate.config.protocols import SHARES, with_share
from ablate.config.tasks import metric_of
from ablate.data import DataSet
from ablate.errors import UsageError, unknown
from ablate.evaluation.few_labels import few_labels
from ablate.evaluation.finetune import diverged, finetune
from ablate.evaluation.frozen import At, Frozen, Outcome
from ablate.evaluation.invariance import invariance
from ablate.evaluation.knn import knn
from ablate.evaluation.label_free import alignment, rankme
from ablate.evaluation.lidar import lidar
from ablate.evaluation.linear import L2_AT_EDGE, linear
from ablate.evaluation.rotation import rotation
from ablate.evaluation.sgd import sgd
from ablate.evaluation.tasks import on_set, on_task
from ablate.evaluation.trained import classifier, online
from ablate.sweep.images import ImageResults
from ablate.sweep.record import ROTATION_NOT_APPLICABLE


@dataclass(frozen=True)
class Protocol:
    """A protocol: ``run`` evaluates a frozen encoder at ``h`` or at any other place in ``at``.

    ``flags`` are the flags that it may raise. ``earlier`` are metrics that it returned under an earlier definition; a
    record with these can be evaluated again.
    """

    run: Callable[[Frozen, At], Outcome]
    needs_labels: bool
    at: tuple[At, ...] = get_args(At)
    flags: tuple[str, ...] = ()
    earlier: tuple[str, ...] = ()


PROTOCOLS = {
    "linear": Protocol(linear, needs_labels=True, flags=(L2_AT_EDGE,)),
    **{
        with_share("linear", percent): Protocol(
            partial(linear, percent=percent), needs_labels=True, flags=(f"linear-{percent}pct-{L2_AT_EDGE}",)
        )
        for percent in SHARES
    },
    **{
        with_share("finetune", percent): Protocol(
            partial(finetune, percent=percent), needs_labels=True, at=("h",), flags=(diverged(percent),)
        )
        for percent in (100, *SHARES)
    },
    "sgd": Protocol(sgd, needs_labels=True),
    "knn": Protocol(knn, needs_labels=True),
    "rotation": Protocol(rotation, needs_labels=False, flags=(f"rotation-{L2_AT_EDGE}", ROTATION_NOT_APPLICABLE)),
    "rankme": Protocol(rankme, needs_labels=False),
    "lidar": Protocol(lidar, needs_labels=False),
    "alignment": Protocol(alignment, needs_labels=False, earlier=("alignment", "uniformity")),
    "invariance": Protocol(invariance, needs_labels=False),
    "online": Protocol(online, needs_labels=True, at=("h",)),
}


@dataclass(frozen=True)
class Evaluation:
    """The results of several protocols: their metrics and flags, and a description of each protocol's evaluation.

    ``images`` are the results of ``linear`` for every image; None if it was not run.
    """

    metrics: dict[str, float]
    flags: tuple[str, ...]
    protocols: dict[str, str]
    images: ImageResults | None = None


def parse_protocols(text: str) -> tuple[str, ...]:
    """Split ``linear,knn@z`` into ``("linear", "knn@z")``.

    ``linear@h`` and ``linear:100%`` become ``linear``, and repeated protocols count once.

    Raises:
        UsageError: there is an unknown protocol or place, or no protocol at all.
    """
    specs = tuple(dict.fromkeys(_canonical(item.strip()) for item in text.split(",") if item.strip()))
    if not specs:
        raise UsageError(f"name at least one protocol; allowed: {', '.join(PROTOCOLS)}, on z as in linear@z")
    return specs


def _canonical(spec: str) -> str:
    name, separator, at = spec.partition("@")
    whole = name.removesuffix(":100%")
    if with_share(whole, SHARES[0]) in PROTOCOLS:
        name = whole
    if name not in PROTOCOLS:
        raise unknown("protocol", name, PROTOCOLS)
    if separator and at not in PROTOCOLS[name].at:
        allowed = ", ".join(f"{name}@{at}" for at in PROTOCOLS[name].at)
        place, _, share = at.partition(":")
        few = f"{name}:{share}"
        meant = f"; did you mean '{few}@{place}'?" if few in PROTOCOLS and place in PROTOCOLS[few].at else ""
        raise UsageError(f"protocol {name!r} cannot be evaluated at {at!r}; allowed: {allowed}{meant}")
    return f"{name}@z" if at == "z" else name


def flags_of(spec: str) -> tuple[str, ...]:
    """Return the flags that ``spec`` may add to a record, for example ``z-l2-at-edge`` for ``linear@z``."""
    name, _, at = spec.partition("@")
    return tuple(f"z-{flag}" if at else flag for flag in PROTOCOLS[name].flags)


def default_protocols(data: DataSet) -> tuple[str, ...]:
    """Return the protocols that are run if the user names none."""
    return ("linear", "knn") if data.classes else ("rotation", "rankme", "alignment")


def check_protocols(specs: Sequence[str], data: DataSet) -> None:
    """Check that ``data`` has the labels that the protocols ``specs`` need.

    Raises:
        UsageError: a protocol needs labels, and ``data`` has none; or so few that it would use as many as with the next
            larger share.
    """
    if "online" in specs and not bool((data.pretrain.labels >= 0).any()):
        raise UsageError(f"protocol 'online' needs labels of the images that {data.name} pre-trains on; it has none")
    if data.classes:
        _check_shares(specs, data)
        return
    for spec in specs:
        if PROTOCOLS[spec.partition("@")[0]].needs_labels:
            allowed = ", ".join(name for name, protocol in PROTOCOLS.items() if not protocol.needs_labels)
            raise UsageError(f"protocol {spec!r} needs labels, and {data.name} {data.lacks}; allowed: {allowed}")


def _check_shares(specs: Sequence[str], data: DataSet) -> None:
    """Refuse a share that is no smaller than the next one, whose metrics' name would promise too much."""
    larger = dict(zip(SHARES, (100, *SHARES), strict=False))
    for spec in specs:
        name, _, share = spec.partition("@")[0].partition(":")
        if not share:
            continue
        percent = int(share.removesuffix("%"))
        instead = with_share(name, larger[percent])
        used, more = (int((few_labels(data, p, 0) & ~data.val_mask).sum()) for p in (percent, larger[percent]))
        if used == more:
            raise UsageError(
                f"protocol {spec!r} would use {used} labels of {data.name} outside the validation split, as many as "
                f"{instead}, since it takes at least one group of images of every class; ask for {instead}"
            )


def outdated(spec: str, metrics: Collection[str]) -> set[str]:
    """Return the metrics of a record that ``spec`` gave under an earlier definition.

    Args:
        spec: a protocol, as ``knn`` or ``alignment@z``.
        metrics: the names of the record's metrics.
    """
    name, separator, _ = spec.partition("@")
    return {f"z_{metric}" if separator else metric for metric in PROTOCOLS[name].earlier} & set(metrics)


def evaluate(frozen: Frozen, specs: Sequence[str]) -> Evaluation:
    """Run ``specs`` in order, then linear evaluation of further tasks; for a supervised trial score its classifier too.

    Metrics and flags of a protocol at ``z`` have a prefix: ``z_linear_top1``, ``z-l2-at-edge``.

    Args:
        frozen: the encoder to evaluate.
        specs: the protocols, as :func:`parse_protocols` returns them.
    """
    metrics: dict[str, float] = {}
    flags: list[str] = []
    protocols: dict[str, str] = {}
    images: ImageResults | None = None
    for spec in specs:
        frozen.stop_if_asked()
        name, _, at = spec.partition("@")
        outcome = PROTOCOLS[name].run(frozen, "z" if at == "z" else "h")
        metrics |= {f"z_{metric}" if at else metric: value for metric, value in outcome.metrics.items()}
        flags += [f"z-{flag}" if at else flag for flag in outcome.flags]
        protocols[spec] = outcome.description
        images = outcome.images or images
    further = {task.name: partial(on_task, frozen, task) for task in frozen.data.tasks}
    further |= {each.name: partial(on_set, frozen, each) for each in frozen.data.further}
    for name, run in further.items():
        frozen.stop_if_asked()
        outcome = run()
        metrics |= outcome.metrics
        flags += outcome.flags
        protocols[metric_of(name, "linear")] = outcome.description
    if frozen.config.objective == "supervised":
        outcome = classifier(frozen, "h")
        metrics |= outcome.metrics
        protocols["classifier"] = outcome.description
    return Evaluation(metrics, tuple(flags), protocols, images)
