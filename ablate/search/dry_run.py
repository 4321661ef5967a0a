"""The output of ``ablate search --dry-run``: the space, the next batch, and the reach of the budget."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from rich.console import Console

from ablate.config.measure import at_rungs
from ablate.config.space import compositions, tuned
from ablate.config.sweep import NamedComposition, SweepPlan
from ablate.console import clock, counted, say
from ablate.facts import note
from ablate.launch.dry_run import measured, note_time, say_quote, show_memory
from ablate.report.data.results import read_sweep
from ablate.search.measured import Defaults
from ablate.search.run import cells, next_batch
from ablate.sweep.budget import Budget
from ablate.sweep.extend import merge_with_existing
from ablate.sweep.survey import survey


def show_search(
    directory: Path,
    experiment: SweepPlan,
    budget: Budget,
    defaults: Defaults,
    devices: list[str],
    cache: Path,
    console: Console,
) -> None:
    """Print the plan of the search, and write nothing.

    Args:
        directory: the search directory.
        experiment: the plan.
        budget: the budget.
        defaults: op parameters that labels leave out.
        devices: the devices to measure on, one per worker; none if they are not on this machine.
        cache: the cache directory.
        console: the console to print to.
    """
    whole = merge_with_existing(directory, experiment)
    sweep = read_sweep(directory) if whole.compositions else None
    missing = survey(directory, sweep.trials, prunes=bool(whole.prune)).missing if sweep else []
    spent = budget.spent(cells(sweep)) if sweep else 0.0
    _show_space(whole, console)
    say_quote(directory, whole, console)
    say(console, f"search directory: {directory}; budget: {budget}, {spent:.4g} of it spent")
    assert whole.search is not None
    space: dict[str, Any] = {"compositions": sum(compositions(whole.search)), "proposed": len(whole.compositions)}
    space |= {"budget": str(budget), "spent": spent}
    note(directory=str(directory), seeds=list(whole.seeds), search=space)
    if missing:
        say(console, f"next: {counted(len(missing), 'trial')} that the last batch lacks")
        return
    batch = next_batch(whole, sweep, budget, defaults, console)
    if not batch:
        return
    say(console, f"next: {', '.join(item.label for item in batch)}")
    note(search={**space, "next": [item.label for item in batch]})
    if devices:
        _show_worth(whole, batch, budget, spent, devices, cache, console)
    else:
        say(console, "no estimate: the trials will run on other machines than this")


def _show_space(whole: SweepPlan, console: Console) -> None:
    search = whole.search
    assert search is not None
    ops, count = len(search.ops), sum(compositions(search))
    names = sorted({name for op in search.ops for name in tuned(search, op)}, reverse=True)
    tuning = f", and their {' and '.join(names)}" if names else ""
    lengths = f"1 to {search.max_length}" if search.max_length > 1 else "1"
    say(console, f"space: {counted(count, 'composition')} of {lengths} out of {counted(ops, 'op')}{tuning}")
    batch = f"{counted(search.batch, 'composition')} x {counted(len(whole.seeds), 'seed')}"
    say(console, f"batches of {batch}; {len(whole.compositions)} proposed so far")
    if search.prior:
        say(console, f"known beforehand: {', '.join(prior.name for prior in search.prior)}")
    if whole.prune:
        epochs = " and ".join(str(rung.epoch(whole.shared.epochs)) for rung in whole.prune)
        say(
            console,
            f"pruned after epochs {epochs}, by comparison with all earlier compositions{at_rungs(whole.measure)}",
        )


def _show_worth(
    whole: SweepPlan,
    batch: list[NamedComposition],
    budget: Budget,
    spent: float,
    devices: list[str],
    cache: Path,
    console: Console,
) -> None:
    at_once = devices[: len(batch) * len(whole.seeds)]
    proposed = whole.replace(compositions=tuple(batch))
    trial_time = measured(proposed, at_once[0], cache, console)
    note_time(trial_time, len(at_once))
    show_memory(proposed, len(at_once), cache, console)
    if (each := trial_time.seconds) is None:
        return
    workers, left = counted(len(at_once), "worker"), budget.amount - spent
    if budget.unit == "trials":
        worth = f"{clock(each * math.ceil(left / len(at_once)))} in all with {workers}"
    else:
        gpus = whole.shared.world_size if budget.unit == "gpuh" else 1 / len(at_once)
        worth = f"about {counted(int(left * 3600 / (each * gpus)), 'trial')} with {workers}"
    ends = ", if none is pruned" if whole.prune else ""
    say(console, f"estimated: {clock(each)} per trial ({trial_time.how}), {worth}{ends}")
