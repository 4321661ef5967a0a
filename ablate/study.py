"""A sweep as an Optuna study, which optuna-dashboard opens. Needs no torch."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

from ablate.config import Trial
from ablate.report.axes import composition
from ablate.report.grid import on_validation
from ablate.report.sweep import Sweep
from ablate.results import TrialResult

ALONE = "(alone)"
"""The second op of a cell on the diagonal."""


def write_study(sweep: Sweep, path: Path) -> None:
    """The trials on record as a study of the directory's name, in a new SQLite file at ``path``.

    Parameters: ``first`` and ``second`` op (``composition`` for those beside the grid), any further axes, and ``seed``.
    The value is the validation accuracy, by which everything is chosen; what else was measured are user attributes,
    test accuracy among them. Intermediate values are the validation kNN by epoch. Failed trials are FAIL, pruned ones
    PRUNED; what has no record is left out, and references, which are points of no search space, are the study's user
    attributes.
    """
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = optuna.storages.RDBStorage(f"sqlite:///{path.absolute()}")
    try:
        study = optuna.create_study(storage=storage, study_name=sweep.directory.resolve().name, direction="maximize")
        study.set_user_attr("command", sweep.experiment.command)
        study.set_user_attr("data", str(sweep))
        study.set_user_attr("value", on_validation(sweep.grid.metric))
        for name, cell in sweep.grid.references.items():
            study.set_user_attr(name, cell.mean())
        known = [(trial, sweep.records[trial.id]) for trial in sweep.trials if trial.id in sweep.records]
        study.add_trials([_trial(sweep, trial, record) for trial, record in known if trial.reference is None])
    finally:
        storage.remove_session()
        storage.engine.dispose()
        optuna.logging.set_verbosity(before)


def _trial(sweep: Sweep, trial: Trial, record: TrialResult) -> Any:
    from optuna.distributions import CategoricalDistribution
    from optuna.trial import TrialState, create_trial

    value = record.metrics.get(on_validation(sweep.grid.metric))
    done = TrialState.COMPLETE if value is not None else TrialState.FAIL
    state = {"done": done, "failed": TrialState.FAIL, "pruned": TrialState.PRUNED}[record.status]
    labels, seeds = [op.label for op in sweep.experiment.ops], list(sweep.experiment.seeds)
    params: dict[str, Any] = {"seed": trial.seed}
    choices: dict[str, Any] = {"seed": CategoricalDistribution(seeds)}
    if trial.row is not None and trial.column is not None:
        params |= {"first": trial.row, "second": ALONE if trial.row == trial.column else trial.column}
        choices |= {"first": CategoricalDistribution(labels), "second": CategoricalDistribution([ALONE, *labels])}
    else:
        params["composition"] = composition(trial)
        choices["composition"] = CategoricalDistribution([item.label for item in sweep.experiment.compositions])
    for name, values in sweep.experiment.axes.items():
        if name in trial.point:
            params[name] = trial.point[name]
            choices[name] = CategoricalDistribution(values)
    made = create_trial(
        state=state,
        value=value if state == TrialState.COMPLETE else None,
        params=params,
        distributions=choices,
        user_attrs=_told(trial, record),
        intermediate_values=_intermediate(record),
    )
    if record.when:
        made.datetime_complete = datetime.datetime.fromisoformat(record.when).astimezone().replace(tzinfo=None)
        made.datetime_start = made.datetime_complete - datetime.timedelta(seconds=record.timings.get("total", 0.0))
    return made


def _told(trial: Trial, record: TrialResult) -> dict[str, Any]:
    told: dict[str, Any] = {"id": trial.id, "label": trial.label, **record.metrics, "attempts": record.attempts}
    if record.flags:
        told["flags"] = " ".join(record.flags)
    if record.error:
        told["error"] = f"{record.error.type}: {record.error.message}"
    return told


def _intermediate(record: TrialResult) -> dict[int, float]:
    known = ((entry.get("epoch"), entry.get("knn_val_top1")) for entry in record.history)
    return {int(epoch): value for epoch, value in known if epoch is not None and value is not None}
