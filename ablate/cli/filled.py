"""The documents of ``--json`` filled with what commands know: the objects from which they also print sentences."""

from __future__ import annotations

import dataclasses
import math
import time
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ablate.cli.documents import (
    BegunEntry,
    CellEntry,
    Document,
    FailureEntry,
    OpDocument,
    OpsDocument,
    RecipeEntry,
    RecipesDocument,
    RecommendationDocument,
    ReportDocument,
    StatusDocument,
    TrialCounts,
)
from ablate.files import names_in
from ablate.sweep.layout import SweepDir

if TYPE_CHECKING:
    from pathlib import Path

    from ablate.config.recipes import Recipe
    from ablate.launch.status import Status
    from ablate.ops.catalogue import OpEntry
    from ablate.report.data.grid import Cell, Grid
    from ablate.report.data.results import Results
    from ablate.report.recommendation.recommend import Recommendation
    from ablate.sweep.record import TrialResult


def filled(known: Any, *further: Any) -> Document:
    """Return the document that says what a command knows.

    Args:
        known: a status, the results of a sweep, a recommendation, or a list of ops or recipes.
        further: of a recommendation, the sentence on the earlier one that it replaces.
    """
    from ablate.config.recipes import Recipe
    from ablate.launch.status import Status
    from ablate.report.data.results import Results

    if isinstance(known, list):
        return _recipes(known) if any(isinstance(entry, Recipe) for entry in known) else _ops(known)
    if isinstance(known, Status):
        return _status(known)
    return _report(known) if isinstance(known, Results) else _recommendation(known, *further)


def _status(status: Status) -> StatusDocument:
    """Return what a status says, with the results so far by the measure of the plan."""
    from ablate.launch.timing import seconds_left, trials_per_hour
    from ablate.report.data.grid import grid_of, sweep_rows
    from ablate.sweep.again import completing

    plan = status.experiment
    grid = grid_of(sweep_rows(status.trials, status.records), plan.measure, plan.class_counts)
    grid = dataclasses.replace(grid, given=plan.shared.encoder.starts_given)
    pruned = sum(record.status == "pruned" for record in status.records.values())
    counts = Counter(status.states.values())
    jobs = status.jobs.jobs if status.jobs else ()
    open_ = status.is_over and not (status.is_complete and status.is_compared)
    return StatusDocument(
        directory=str(status.directory),
        trials=TrialCounts.model_validate({"planned": len(status.trials), "pruned": pruned, **counts}),
        is_complete=status.is_complete,
        is_over=status.is_over,
        workers=status.work.workers if status.work else None,
        trials_per_hour=None if status.is_complete else trials_per_hour(status, time.time()),
        seconds_left=None if status.is_complete else seconds_left(status),
        metric=grid.metric,
        cells=_cells(grid),
        begun=_begun(status),
        failures=_failures(status.directory, status.failed),
        damaged=list(map(str, status.damaged)),
        jobs=dict(Counter(job.state.lower() for job in jobs)),
        note=status.note,
        complete_with=completing(status.directory, plan) if open_ else None,
    )


def _report(sweep: Results) -> ReportDocument:
    """Return what the report of a sweep says of its cells and of the best of them."""
    from ablate.report.stats.order import order
    from ablate.report.stats.summary import summary

    ranking, place = order(sweep.grid), SweepDir(sweep.directory)
    counts = Counter(sweep.records[t.id].status if t.id in sweep.records else "missing" for t in sweep.trials)
    done = {"done": counts["done"] + counts["pruned"]}  # as a status counts them
    return ReportDocument(
        directory=str(sweep.directory),
        page=str(place.page),
        files=sorted(names_in(place.report)),
        metric=sweep.grid.metric,
        task=sweep.task_name,
        interval=sweep.held,
        trials=TrialCounts.model_validate({"planned": len(sweep.trials), **counts, **done}),
        best=ranking.best.label if ranking.best else None,
        contenders=list(ranking.contenders),
        cells=_cells(sweep.grid),
        conclusions=[*sweep.measured, *summary(sweep)],
        failures=_failures(sweep.directory, sweep.failed),
        damaged=list(map(str, sweep.damaged)),
    )


def _recommendation(recommendation: Recommendation, replaced: str) -> RecommendationDocument:
    """Return what a recommendation says, as its file does.

    Args:
        recommendation: the recommendation.
        replaced: a sentence on the earlier one that it replaces, or nothing.
    """
    from ablate.report.recommendation.files import as_json

    return RecommendationDocument.model_validate({**as_json(recommendation), "replaces": replaced or None})


def _ops(entries: Iterable[OpEntry]) -> OpsDocument:
    """Return the ops of the catalogue."""
    return OpsDocument(ops=[OpDocument.model_validate(dataclasses.asdict(entry)) for entry in entries])


def _recipes(recipes: Iterable[Recipe]) -> RecipesDocument:
    """Return the published recipes."""
    return RecipesDocument(recipes=[RecipeEntry.model_validate(dataclasses.asdict(recipe)) for recipe in recipes])


def _cells(grid: Grid) -> list[CellEntry]:
    placed = [((row, column), cell) for (row, column), cell in grid.cells.items() if cell.status != "left out"]
    beside = [((None, None), cell) for cell in grid.further.values()]
    references = [
        _cell(cell, grid.called(name), (None, None), is_reference=True) for name, cell in grid.references.items()
    ]
    return [*(_cell(cell, cell.label, at, is_reference=False) for at, cell in (*placed, *beside)), *references]


def _cell(cell: Cell, name: str, at: tuple[str | None, str | None], *, is_reference: bool) -> CellEntry:
    row, column = at
    place = {"cell": name, "row": row, "column": column, "is_reference": is_reference}
    values = {"test": _finite(cell.mean()), "std": _finite(cell.std()), "validation": _finite(cell.validation)}
    return CellEntry.model_validate(place | values | {"status": cell.status, "planned": cell.planned, "n": cell.n})


def _begun(status: Status) -> list[BegunEntry]:
    there = [trial for trial in status.at("running", "interrupted", "lost") if trial.id in status.begun]
    entries = []
    for trial in there:
        attempt, progress, _ = status.begun[trial.id]
        entries.append(
            BegunEntry(
                trial=trial.id,
                cell=trial.called,
                seed=trial.seed,
                state=status.states[trial.id],
                attempt=attempt.number,
                epoch=progress.epoch,
                epochs=trial.config.epochs,
                loss=_finite(progress.metrics.get("loss")),
                images_per_second=_finite(progress.metrics.get("images_per_second")),
                host=attempt.host,
                job=attempt.job,
            )
        )
    return entries


def _failures(directory: Path, failed: Iterable[TrialResult]) -> list[FailureEntry]:
    return [
        FailureEntry(
            trial=record.id,
            cell=record.called,
            seed=record.seed,
            type=record.error.type if record.error else "",
            message=record.error.message if record.error else "",
            log=str(SweepDir(directory).log(record.id)),
        )
        for record in failed
    ]


def _finite(value: object) -> float | None:
    """Return a number that JSON has; None for all else."""
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
