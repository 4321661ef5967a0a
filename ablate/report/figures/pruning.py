"""The basis of pruning: how well the validation kNN at a rung ranks cells, compared with their final accuracy."""

from __future__ import annotations

from ablate.config.sweep import Rung
from ablate.report.data.results import Results
from ablate.report.section import Section
from ablate.report.stats.early import knn_and_final
from ablate.report.stats.ranks import FEWEST, correlation_in_words, ops_of
from ablate.report.stats.words import judge
from ablate.sweep.prune import knn_at, on_plateau, untrained_knn


def section(sweep: Results) -> list[Section]:
    """Return a section of the page with every rung, its cells, and its rank correlation over the fully trained ones."""
    rungs = sweep.experiment.prune
    if not rungs:
        return []
    epochs = sweep.experiment.shared.epochs
    cohort = " in comparison with all earlier compositions" if sweep.experiment.search else ""
    text = (
        f"Cells that fall behind by validation kNN{cohort} are not trained to the end; kNN is the mean over all seeds. "
        "The correlation is over the cells that were: the best ones, whose ranks are the closest."
    )
    rows = tuple((str(rung.epoch(epochs)), went_on(sweep, rung), agreement(sweep, rung)) for rung in rungs)
    return [Section("Pruning", (text,), ("after epoch", "continue", f"Spearman with {judge(sweep.grid)}"), rows)]


def went_on(sweep: Results, rung: Rung) -> str:
    """Return how many cells were trained beyond ``rung``, of all with a result there, as in ``20 of 49``.

    Where no cell was above the untrained encoder at the rung, which says nothing about them, that is added.
    """
    epoch = rung.epoch(sweep.experiment.shared.epochs)
    last: dict[str, float] = {}
    for trial in sweep.trials:
        record = sweep.records.get(trial.id)
        if record and record.history and trial.reference is None:
            last[trial.label] = max(last.get(trial.label, 0.0), record.history[-1]["epoch"] or 0.0)
    why = ": none was above the untrained encoder" if _waited(sweep, epoch) else ""
    return f"{sum(end > epoch for end in last.values())} of {sum(end >= epoch for end in last.values())}{why}"


def _waited(sweep: Results, epoch: int) -> bool:
    measure = sweep.experiment.measure
    records = [record for trial in sweep.trials if (record := sweep.records.get(trial.id))]
    knn: dict[str, dict[int, float]] = {}
    for record in records:
        if record.reference is None and (value := knn_at(record, epoch, measure)) is not None:
            knn.setdefault(record.label, {})[record.seed] = value
    return on_plateau(knn, untrained_knn([each for each in records if each.reference == "untrained"], measure))


def agreement(sweep: Results, rung: Rung) -> str:
    """Return the correlation, as in ``+0.91 [+0.84, +0.95] over 49 cells``, or the reason why there is none.

    The interval is the 95 % interval by resampling ops.
    """
    epoch = rung.epoch(sweep.experiment.shared.epochs)
    cells, early, late = knn_and_final(sweep, epoch)
    if len(cells) < FEWEST:
        return f"too few cells ({len(cells)})"
    if min(len(set(early)), len(set(late))) == 1:
        return f"all {len(cells)} are equal"
    return f"{correlation_in_words(early, late, [ops_of(cell) for cell in cells])} over {len(cells)} cells"
