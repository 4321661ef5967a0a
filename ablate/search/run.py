"""A search, batch by batch: propose, train, look, until the budget is spent. The same command again goes on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from ablate.config import Experiment, NamedComposition
from ablate.console import counted, say
from ablate.report.grid import on_validation
from ablate.report.sweep import Sweep, read_sweep
from ablate.results import TrialResult
from ablate.search.budget import Budget
from ablate.search.propose import Defaults, propose
from ablate.sweep.run import INTERRUPTED, merge_with_existing, survey

Train = Callable[[Experiment], int]
"""Runs all that an experiment lacks, and returns an exit code: ``ablate grid``'s own way, here or on a cluster."""


def run_search(
    directory: Path,
    experiment: Experiment,
    budget: Budget,
    defaults: Defaults,
    train: Train,
    after_batch: Callable[[Sweep], None],
    console: Console,
) -> int:
    """Search in ``directory`` until ``budget`` is spent.

    Returns the exit code: 0, 1 where trials failed or are stuck, 130 after Ctrl-C. A batch is a barrier: what is
    proposed next follows from whole batches alone, whatever the number of workers.
    """
    while True:
        whole = merge_with_existing(directory, experiment)
        sweep = None
        if whole.compositions:
            code = train(whole)
            if code == INTERRUPTED:
                return code
            sweep = read_sweep(directory)
            after_batch(sweep)
            if survey(directory, sweep.trials).missing:
                return 1  # stopped, and said why
        batch = _next(whole, sweep, budget, defaults, console)
        if not batch:
            return 1 if sweep and sweep.failed else 0
        say(console, f"next: {', '.join(composition.label for composition in batch)}")
        experiment = whole.model_copy(update={"compositions": (*whole.compositions, *batch)})


def _next(
    whole: Experiment, sweep: Sweep | None, budget: Budget, defaults: Defaults, console: Console
) -> list[NamedComposition]:
    """What is to be trained next; nothing where the budget is spent or the space exhausted."""
    assert whole.search is not None
    records = [sweep.records[t.id] for t in sweep.trials if t.reference is None] if sweep else []
    spent, done = budget.spent(records), len(whole.compositions)
    if spent >= budget.amount:
        say(console, f"the budget of {budget} is spent ({spent:.4g})")
        return []
    begun = done - done % whole.search.batch  # a batch that a smaller budget cut short is completed
    batch = propose(whole.search, values(sweep)[:begun] if sweep else [], defaults)[done - begun :]
    if not batch:
        say(console, f"all of the space has been tried: {counted(done, 'composition')}")
    if budget.unit == "trials":
        batch = batch[: -(-int(budget.amount - spent) // len(whole.seeds))]
    return batch


def values(sweep: Sweep) -> list[tuple[NamedComposition, float | None]]:
    """Every composition in the order of its proposal, with its mean validation accuracy; None where a seed failed."""
    metric = on_validation(sweep.grid.metric)
    by_label: dict[str, list[TrialResult]] = {}
    for trial in sweep.trials:
        if trial.reference is None and trial.id in sweep.records:
            by_label.setdefault(trial.label, []).append(sweep.records[trial.id])
    found = []
    for composition in sweep.experiment.compositions:
        known = [record.metrics.get(metric) for record in by_label.get(composition.label, [])]
        numbers = [value for value in known if value is not None]
        whole = len(numbers) == len(sweep.experiment.seeds)
        found.append((composition, sum(numbers) / len(numbers) if whole else None))
    return found
