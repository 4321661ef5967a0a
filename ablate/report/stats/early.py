"""How early a sweep's ranking shows: validation kNN on the way, held against the final validation accuracy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ablate.inference.adjusted import adjusted, largest
from ablate.report.data.grid import Cell
from ablate.report.data.results import Results
from ablate.report.section import Section
from ablate.report.stats.order import order
from ablate.report.stats.ranks import FEWEST, correlation_in_words, ops_of
from ablate.report.stats.words import judge
from ablate.sweep.prune import knn_at

WITHIN = 0.01  # accuracy that an early decision may cost


@dataclass(frozen=True)
class EarlyRanking:
    """The cells as validation kNN after ``epoch`` orders them.

    ``agreement`` is the rank correlation with the final validation accuracy in words, with its 95 % interval by
    resampling ops. ``loss`` is what a decision for the leader then would cost: the final validation accuracy of the
    best cell minus the leader's, a fraction.
    """

    epoch: int
    agreement: str
    loss: float


def early_rankings(sweep: Results) -> list[EarlyRanking]:
    """Return the ranking at each epoch that has kNN values of every cell.

    There are none while trials are missing, for a pruned sweep or a search, whose cells were selected, for several
    points of an axis, for fewer than four cells, and for a further task, of which there is no kNN.
    """
    plan = sweep.experiment
    if sweep.task or sweep.pending or plan.prune or plan.search or plan.variants:
        return []
    records = (sweep.records.get(trial.id) for trial in sweep.trials)
    epochs = {int(entry["epoch"] or 0) for record in records if record for entry in record.history}
    rankings = (_ranking(sweep, epoch) for epoch in sorted(epochs))
    return [ranking for ranking in rankings if ranking]


def _ranking(sweep: Results, epoch: int) -> EarlyRanking | None:
    cells, early, late = knn_and_final(sweep, epoch)
    if len(cells) < max(FEWEST, len(order(sweep.grid).cells)) or min(len(set(early)), len(set(late))) == 1:
        return None
    agreement = correlation_in_words(early, late, [ops_of(cell) for cell in cells])
    return EarlyRanking(epoch, agreement, max(late) - late[early.index(max(early))])


def knn_and_final(sweep: Results, epoch: int) -> tuple[list[Cell], list[float], list[float]]:
    """Return the cells with validation kNN after ``epoch``, that kNN, and the final validation accuracy.

    Both are means over seeds, adjusted for the seeds that a cell lacks.
    """
    final = order(sweep.grid).scores
    known = {cell.label: _knn(sweep, cell, epoch) for cell in sweep.grid.with_results if cell.label in final}
    knn = adjusted({label: known[label] for label in largest(known)})
    cells = [cell for cell in sweep.grid.with_results if cell.label in knn]
    return cells, [knn[cell.label] for cell in cells], [final[cell.label] for cell in cells]


def _knn(sweep: Results, cell: Cell, epoch: int) -> dict[int, float]:
    """Return the cell's validation kNN after ``epoch``, by seed."""
    records = [sweep.records.get(t.id) for t in sweep.trials if t.label == cell.label and t.reference is None]
    values = {record.seed: knn_at(record, epoch, sweep.experiment.measure) for record in records if record}
    return {seed: value for seed, value in values.items() if value is not None}


def early_decision(sweep: Results) -> list[str]:
    """Return a sentence on the epoch from which on the leader by kNN stayed within a point of the best cell.

    There is none without a ranking before the last epoch, nor while the noise is unknown, since noise may be larger
    than that point.
    """
    rankings, epochs = early_rankings(sweep), sweep.experiment.shared.epochs
    if not any(ranking.epoch < epochs for ranking in rankings) or order(sweep.grid).model is None:
        return []
    decided = _decided(rankings)
    if decided is None or decided.epoch == epochs:
        return [
            "This ranking needed the whole training: before the last epoch, the leader by validation kNN was a cell "
            f"that ended more than {100 * WITHIN:g} point below the best."
        ]
    return [
        f"From epoch {decided.epoch} of {epochs} on, the leader by validation kNN was a cell that ended within "
        f"{100 * WITHIN:g} point of the best; Spearman's correlation with the final {judge(sweep.grid)} was "
        f"{decided.agreement} there."
    ]


def _decided(rankings: Sequence[EarlyRanking]) -> EarlyRanking | None:
    """Return the first ranking from which on no decision costs more than ``WITHIN``."""
    decided = None
    for ranking in reversed(rankings):
        if ranking.loss > WITHIN + 1e-9:
            break
        decided = ranking
    return decided


def section(sweep: Results) -> list[Section]:
    """Return the section of the page with the rankings on the way; none if only the last epoch was looked at."""
    rankings, epochs = early_rankings(sweep), sweep.experiment.shared.epochs
    if all(ranking.epoch == epochs for ranking in rankings):
        return []
    text = (
        f"What a decision by validation kNN would have cost on the way: the final {judge(sweep.grid)} of the best cell "
        "minus that of the cell that led then. The correlation is over the cells with results; its interval is by "
        "resampling ops."
    )
    rows = tuple(
        (f"{r.epoch}", f"{100 * r.epoch / epochs:.0f} %", r.agreement, f"{100 * r.loss:.1f}") for r in rankings
    )
    headings = ("after epoch", "of the training", f"Spearman with final {judge(sweep.grid)}", "cost in points")
    return [Section("How early the ranking shows", (*early_decision(sweep), text), headings, rows)]
