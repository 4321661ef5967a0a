"""What other sweeps say of a sweep's compositions before it has results of its own (``--prior``)."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path

from ablate.config.experiment import Experiment
from ablate.config.measure import Measure, measured_by, on_validation
from ablate.config.space import holds
from ablate.config.sweep import NamedComposition, Prior, Search, SweepPlan
from ablate.console import counted
from ablate.errors import UsageError
from ablate.sweep.plan import is_sweep, load_plan, plan
from ablate.sweep.record import read_records

FEWEST = 3
"""The fewest compositions in common from which a model can learn."""


def priors(wish: Experiment, directory: Path, cells: Sequence[NamedComposition] | Search) -> tuple[Prior, ...]:
    """Return the means of the sweeps that ``wish`` names.

    A sweep that ``directory`` has learnt from already is taken from its plan: its own directory may have changed since.

    Args:
        wish: the description.
        directory: the sweep's directory.
        cells: the compositions to compare, or the space of those that a search may propose.

    Raises:
        UsageError: a directory is named twice, is this sweep's or no sweep's, varies more than compositions, or has too
            few results in common.
    """
    if len(set(wish.prior)) < len(wish.prior):
        raise UsageError(f"a prior is named twice in {', '.join(wish.prior)}: its results count once")
    if itself := next((name for name in wish.prior if Path(name).resolve() == directory.resolve()), None):
        raise UsageError(f"prior {itself} is this sweep itself, whose results the model has anyway: leave it out")
    stored = {prior.name: prior for prior in _stored(directory)}
    known = tuple(stored.get(name) or _read(name, wish.metric) for name in wish.prior)
    for prior in known:
        common = len(_among(cells, prior.means))
        if common < FEWEST:
            raise UsageError(
                f"prior {prior.name} has results for only {counted(common, 'composition')} of this sweep; at least "
                f"{FEWEST} are needed"
            )
    return known


def _among(cells: Sequence[NamedComposition] | Search, names: Iterable[str]) -> list[str]:
    """Return the ``names`` of compositions that are among ``cells``, or in the space of a search."""
    if isinstance(cells, Search):
        return [name for name in names if holds(cells, name)]
    own = {"+".join(op.name for op in (cell.second or cell.ops)) for cell in cells}
    return [name for name in names if name in own]


def _stored(directory: Path) -> tuple[Prior, ...]:
    if not is_sweep(directory):
        return ()
    experiment = load_plan(directory)
    part = experiment.search or experiment.budgeted
    return part.prior if part else ()


def _read(name: str, measure: Measure | None) -> Prior:
    """Read each composition's mean on validation by ``measure``, or by the sweep's own, by the names of its ops."""
    directory = Path(name)
    experiment = load_plan(directory)
    if experiment.variants:
        raise UsageError(f"prior {name} also varies {', '.join(experiment.axes)}: name a sweep of compositions alone")
    metric = _metric(experiment, measure or experiment.measure)
    values: dict[str, list[float]] = {}
    trials = [trial for trial in plan(experiment) if trial.reference is None and trial.config.second is None]
    records, _ = read_records(directory, trials)
    for trial in trials:
        record = records.get(trial.id)
        if record and record.status == "done" and metric in record.metrics:
            values.setdefault(trial.config.op_names, []).append(record.metrics[metric])
    return Prior(name=name, means={ops: statistics.fmean(several) for ops, several in values.items()})


def _metric(experiment: SweepPlan, measure: Measure) -> str:
    """Return the metric on validation by which the cells of a sweep are compared."""
    linear = not experiment.protocols or "linear" in experiment.protocols
    return on_validation(measured_by("linear_top1", measure) if linear else "rotation_top1")
