"""Invariances of every composition, and what each op taught: the compositions with it minus those without it."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ablate.config.sweep import Trial
from ablate.report.data.results import Results

KINDS = ("invariance", "z_invariance", "told", "z_told")
"""The beginnings of the metrics of the protocol, at h and at z; the op follows, as in ``z_told_color``."""
Values = Mapping[str, Mapping[int, float]]
"""The values of each seed, by metric."""
Measured = tuple[Trial, Mapping[str, float]]


@dataclass(frozen=True)
class Invariances:
    """The invariances that a sweep has on record.

    Args:
        tested: the names of the ops that were tested, those of the compositions first.
        trained: those of them that a composition was trained with.
        rows: the values of each composition and reference, by label.
        effects: by op that was trained with, the mean over the compositions with it minus the mean over those without
            it, within each seed.
    """

    tested: tuple[str, ...]
    trained: tuple[str, ...]
    rows: Mapping[str, Values]
    effects: Mapping[str, Values]

    def has(self, kind: str) -> bool:
        """Return True if a row has a metric of ``kind``, one of :data:`KINDS`."""
        return any(f"{kind}_{op}" in values for values in self.rows.values() for op in self.tested)


def invariances(sweep: Results) -> Invariances | None:
    """Return the invariances of a sweep; None if no record has any."""
    done = [(trial, record) for trial in sweep.trials if (record := sweep.records.get(trial.id))]
    known: list[Measured] = [
        (trial, record.metrics)
        for trial, record in done
        if record.status == "done" and any(name.startswith(KINDS) for name in record.metrics)
    ]
    prefixes = [f"{kind}_" for kind in KINDS]
    found = {name.removeprefix(p) for _, metrics in known for name in metrics for p in prefixes if name.startswith(p)}
    if not found:
        return None
    compositions = [(trial, metrics) for trial, metrics in known if trial.reference is None]
    there = {op for trial, _ in compositions for op in _ops(trial)} & found
    planned = dict.fromkeys(op for trial in sweep.trials if trial.reference is None for op in _ops(trial))
    trained = tuple(op for op in planned if op in there)  # in the grid's order, whatever cells were measured
    tested = (*trained, *sorted(found.difference(trained)))
    names = [f"{prefix}{op}" for prefix in prefixes for op in tested]
    rows = {label: _by_seed([m for m in known if m[0].label == label], names) for label in _labels(known)}
    effects = {op: {name: _effect(compositions, op, name) for name in names} for op in trained}
    return Invariances(tested, trained, rows, {op: _filled(values) for op, values in effects.items()})


def mean_and_deviation(values: Mapping[int, float]) -> tuple[float, float | None]:
    """Return the mean over seeds and their standard deviation (n - 1), which is None with one seed."""
    several = list(values.values())
    return statistics.fmean(several), statistics.stdev(several) if len(several) > 1 else None


def _by_seed(measured: Iterable[Measured], names: Iterable[str]) -> Values:
    them = list(measured)
    return _filled({name: {trial.seed: m[name] for trial, m in them if name in m} for name in names})


def _effect(compositions: Iterable[Measured], op: str, name: str) -> dict[int, float]:
    """Return the mean of a metric with the op minus that without it, for every seed that has both."""
    sides: dict[int, tuple[list[float], list[float]]] = {}
    for trial, metrics in compositions:
        if name in metrics:
            sides.setdefault(trial.seed, ([], []))[op in _ops(trial)].append(metrics[name])
    return {
        seed: statistics.fmean(with_it) - statistics.fmean(without)
        for seed, (without, with_it) in sorted(sides.items())
        if with_it and without
    }


def _filled(values: Values) -> Values:
    return {name: seeds for name, seeds in values.items() if seeds}


def _labels(known: Iterable[Measured]) -> list[str]:
    return list(dict.fromkeys(trial.label for trial, _ in known))


def _ops(trial: Trial) -> list[str]:
    return [op.name for op in trial.config.every_op]
