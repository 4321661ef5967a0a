"""A sweep as an Optuna study, for optuna-dashboard. Needs no torch."""

from __future__ import annotations

import contextlib
import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ablate.config.measure import KNN, Measure, measured_by
from ablate.config.space import coordinates
from ablate.config.sweep import NamedComposition, Trial
from ablate.errors import UsageError, first_line
from ablate.report.data.grid import composition
from ablate.report.data.results import Results
from ablate.sweep.record import TrialResult

ALONE = "(alone)"
"""The name of the second op for a cell on the diagonal."""


def write_study(sweep: Results, path: Path) -> None:
    """Write the trials on record as a study with the directory's name to a new SQLite file at ``path``.

    The parameters are the ``first`` and ``second`` op (``composition`` for compositions beside the grid; for a search,
    the parameters of its space), any further axes, and ``seed``. The value is the validation accuracy, by which
    everything is chosen. All other measurements are user attributes, among them the test accuracy. Intermediate values
    are the validation kNN by epoch. Failed trials are FAIL, pruned ones PRUNED; trials without a record are left out.
    References are not points of the search space, so they are the study's user attributes.
    """
    with _quietly():
        _fill(sweep, f"sqlite:///{path.absolute()}")


def add_to_storage(sweep: Results, url: str) -> None:
    """Add the trials on record that are not yet in the database's study with the directory's name.

    Raises:
        UsageError: the database cannot be opened.
    """
    with _quietly():
        _fill(sweep, url)


def check_storage(url: str, *, create: bool = True) -> None:
    """Raise UsageError unless there is a database at ``url``, or one can be created.

    Args:
        url: the database.
        create: create it if it is not there; otherwise check no more than that this machine can read such an address.
    """
    import optuna
    import sqlalchemy

    with _quietly():
        try:
            if not create:
                sqlalchemy.make_url(url).get_dialect().import_dbapi()
                return
            storage = optuna.storages.RDBStorage(url)
        except Exception as error:  # SQLAlchemy's and its drivers'
            raise UsageError(f"--storage {url} cannot be opened: {first_line(error)}") from None
        _close(storage)


def study_of(sweep: Results) -> Any:
    """Return the trials on record as a study in memory."""
    import optuna

    with _quietly():
        study = optuna.create_study(direction="maximize")
        known = [(trial, sweep.records[trial.id]) for trial in sweep.trials if trial.id in sweep.records]
        study.add_trials([_trial(sweep, trial, record) for trial, record in known if trial.reference is None])
    return study


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)


def _fill(sweep: Results, url: str) -> None:
    import optuna

    storage = optuna.storages.RDBStorage(url)
    try:
        name = sweep.directory.resolve().name
        study = optuna.create_study(storage=storage, study_name=name, direction="maximize", load_if_exists=True)
        study.set_user_attr("command", sweep.experiment.command)
        study.set_user_attr("data", str(sweep))
        study.set_user_attr("value", sweep.grid.validation_metric)
        for reference, cell in sweep.grid.references.items():
            study.set_user_attr(reference, cell.mean())
        there = {(trial.user_attrs.get("id"), trial.state) for trial in study.get_trials(deepcopy=False)}
        known = [(trial, sweep.records[trial.id]) for trial in sweep.trials if trial.id in sweep.records]
        made = [_trial(sweep, trial, record) for trial, record in known if trial.reference is None]
        study.add_trials([trial for trial in made if (trial.user_attrs["id"], trial.state) not in there])
    finally:
        _close(storage)


def _close(storage: Any) -> None:
    storage.remove_session()
    storage.engine.dispose()


def _trial(sweep: Results, trial: Trial, record: TrialResult) -> Any:
    from optuna.distributions import CategoricalDistribution
    from optuna.trial import TrialState, create_trial

    value = record.metrics.get(sweep.grid.validation_metric)
    done = TrialState.COMPLETE if value is not None else TrialState.FAIL
    state = {"done": done, "failed": TrialState.FAIL, "pruned": TrialState.PRUNED}[record.status]
    labels, seeds = [op.label for op in sweep.experiment.ops], list(sweep.experiment.seeds)
    params: dict[str, Any] = {"seed": trial.seed}
    choices: dict[str, Any] = {"seed": CategoricalDistribution(seeds)}
    if trial.row is not None and trial.column is not None:
        params |= {"first": trial.row, "second": ALONE if trial.row == trial.column else trial.column}
        choices |= {"first": CategoricalDistribution(labels), "second": CategoricalDistribution([ALONE, *labels])}
    elif sweep.experiment.search:
        named = NamedComposition(label=trial.label, ops=trial.config.composition)
        point, drawn = coordinates(sweep.experiment.search, named)
        params |= point
        choices |= drawn
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
        intermediate_values=_intermediate(record, sweep.grid.measure),
    )
    if record.when:
        made.datetime_complete = datetime.datetime.fromisoformat(record.when).astimezone().replace(tzinfo=None)
        made.datetime_start = made.datetime_complete - datetime.timedelta(seconds=record.timings.get("total", 0.0))
    return made


def _told(trial: Trial, record: TrialResult) -> dict[str, Any]:
    attributes: dict[str, Any] = {"id": trial.id, "label": trial.label, **record.metrics, "attempts": record.attempts}
    if record.flags:
        attributes["flags"] = " ".join(record.flags)
    if record.error:
        attributes["error"] = f"{record.error.type}: {record.error.message}"
    return attributes


def _intermediate(record: TrialResult, measure: Measure) -> dict[int, float]:
    known = ((entry.get("epoch"), entry.get(measured_by(KNN, measure))) for entry in record.history)
    return {int(epoch): value for epoch, value in known if epoch is not None and value is not None}
