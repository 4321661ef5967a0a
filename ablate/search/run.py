"""Run a search batch by batch: propose, train, look, until the budget is spent. The same command continues it."""

from __future__ import annotations

from collections.abc import Callable
from importlib import metadata
from pathlib import Path

from rich.console import Console

from ablate.config.sweep import NamedComposition, Search, SweepPlan
from ablate.console import counted, say
from ablate.errors import ExitCode
from ablate.report.data.results import Results, read_sweep
from ablate.search.measured import Defaults, Measured, Proposal
from ablate.search.propose import propose
from ablate.sweep.budget import UNLIKELY, WITHIN, Budget
from ablate.sweep.extend import merge_with_existing
from ablate.sweep.prune import knn_at
from ablate.sweep.record import TrialResult
from ablate.sweep.survey import survey

Train = Callable[[SweepPlan], int]
"""A function that runs all missing trials like ``ablate grid``, here or on a cluster, and returns an exit code."""


def run_search(
    directory: Path,
    experiment: SweepPlan,
    budget: Budget,
    defaults: Defaults,
    train: Train,
    after_batch: Callable[[Results], None],
    console: Console,
) -> int:
    """Search in ``directory`` until ``budget`` is spent.

    A batch is a barrier: the next proposals depend on whole batches alone, whatever the number of workers.

    Args:
        directory: the search directory.
        experiment: the plan.
        budget: the budget.
        defaults: op parameters that labels leave out.
        train: the function that runs all missing trials.
        after_batch: the function to call after every batch.
        console: the console to print to.

    Returns:
        The exit code: 0, or 1 if trials failed or are stuck.
    """
    while True:
        whole = merge_with_existing(directory, experiment)
        sweep = None
        if whole.compositions:
            train(whole)
            sweep = read_sweep(directory)
            after_batch(sweep)
            if survey(directory, sweep.trials).missing:
                return ExitCode.FAILED  # the training stopped and has given the reason
        batch = next_batch(whole, sweep, budget, defaults, console)
        if not batch:
            return ExitCode.FAILED if sweep and sweep.failed else ExitCode.DONE
        say(console, f"next: {', '.join(composition.label for composition in batch)}")
        experiment = whole.replace(compositions=(*whole.compositions, *batch), search=_proposed_here(whole.search))


def _proposed_here(search: Search | None) -> Search | None:
    """Return ``search`` with the version of Optuna that has just proposed a batch of it, if Optuna has."""
    if search is None or search.sampler == "gp":
        return search
    return search.replace(optuna=tuple(dict.fromkeys((*search.optuna, metadata.version("optuna")))))


def next_batch(
    whole: SweepPlan, sweep: Results | None, budget: Budget, defaults: Defaults, console: Console
) -> list[NamedComposition]:
    """Return the next compositions to train; print the reason if there are none.

    There are none if the budget is spent, the space exhausted or a better composition unlikely.

    Args:
        whole: the plan, with all compositions so far.
        sweep: the sweep so far; None at the start.
        budget: the budget.
        defaults: op parameters that labels leave out.
        console: the console to print to.
    """
    assert whole.search is not None
    spent, done = budget.spent(cells(sweep)) if sweep else 0.0, len(whole.compositions)
    if spent >= budget.amount:
        say(console, f"the budget of {budget} is spent ({spent:.4g} used)")
        return []
    begun = done - done % whole.search.batch  # complete a batch that a smaller budget cut short
    there = {item.label for item in whole.compositions}  # another version may have begun this batch differently
    proposal = propose(whole.search, values(sweep)[:begun] if sweep else [], defaults, budget.within)
    batch = [item for item in proposal.batch if item.label not in there][: whole.search.batch - (done - begun)]
    if not batch:
        say(console, f"the whole space has been tried: {counted(done, 'composition')}")
    elif begun == done and _is_enough(proposal, budget, console):
        return []
    if budget.unit == "trials" and not whole.prune:  # pruning needs whole batches to choose which trials continue
        batch = batch[: -(-int(budget.amount - spent) // len(whole.seeds))]
    return batch


def _is_enough(proposal: Proposal, budget: Budget, console: Console) -> bool:
    """Print how likely a better composition is, and return True if it is unlikely."""
    if proposal.better is None:
        return False
    points = f"{100 * budget.within:g} point{'' if budget.within == WITHIN else 's'}"
    about = f"that a composition that was not tried is better than the best one by more than {points}"
    say(console, f"the probability {about}: {100 * proposal.better:.1f} %")
    if enough := proposal.better < UNLIKELY:
        say(console, f"stop: it is below {100 * UNLIKELY:.0f} %; a smaller --within continues")
    return enough


def cells(sweep: Results) -> list[TrialResult]:
    """Return the records of compositions, which a budget counts."""
    return [sweep.records[t.id] for t in sweep.trials if t.reference is None and t.id in sweep.records]


def values(sweep: Results) -> list[Measured]:
    """Return every composition in the order of its proposal, with its means over all seeds.

    A composition counts as failed if a trial of one of the seeds failed.
    """
    experiment, metric = sweep.experiment, sweep.grid.validation_metric
    measure, seeds = experiment.measure, len(experiment.seeds)
    rungs = [rung.epoch(experiment.shared.epochs) for rung in experiment.prune]
    by_label: dict[str, list[TrialResult]] = {}
    for trial in sweep.trials:
        if trial.reference is None and trial.id in sweep.records:
            by_label.setdefault(trial.label, []).append(sweep.records[trial.id])
    measured = []
    for composition in experiment.compositions:
        records = by_label.get(composition.label, [])
        known = {record.seed: value for record in records if (value := record.metrics.get(metric)) is not None}
        value = _mean(list(known.values()), seeds)
        trained = [record for record in records if record.status != "failed"]
        knn = {epoch: _mean([knn_at(record, epoch, measure) for record in trained], seeds) for epoch in rungs}
        reached = {epoch: mean for epoch, mean in knn.items() if mean is not None}
        measured.append(Measured(composition, value, reached, known if value is not None else {}))
    return measured


def _mean(values: list[float | None], seeds: int) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if len(known) == seeds else None
