"""What can be told apart, in sentences: contenders for the best, seeds that would separate two, what is not known."""

from __future__ import annotations

from ablate.console import counted
from ablate.inference.model import MOST_SEEDS
from ablate.report.grid import Cell
from ablate.report.model import Model
from ablate.report.statistics import best_by_validation, choosing
from ablate.report.sweep import Sweep
from ablate.sweep.eta import clock

SEEDS = 3  # that a sweep of one seed is advised to have
NAMED = 6  # contenders that a sentence names
DOUBTFUL = 0.05  # p value below which noise is said to change with accuracy


def noise(sweep: Sweep) -> list[str]:
    """What the seeds say of the cells, by validation accuracy; empty without results."""
    grid = sweep.grid
    best = best_by_validation(grid.with_results)
    if best is None:
        return []
    if max(cell.n for cell in grid.with_results) == 1:
        return [more_seeds(sweep)]
    model = choosing(grid)
    if model is None:
        return []
    found = [contenders(best, model), separation(best, model)]
    return [*filter(None, found), *unequal(model)]


def more_seeds(sweep: Sweep) -> str:
    """That one seed says nothing of the noise, and what more would cost. What was pruned takes no further seeds."""
    seed = sweep.experiment.seeds[0]
    once = [trial.label for trial in sweep.trials if trial.seed == seed]
    where, times = (" in another --out", SEEDS) if sweep.experiment.prune else ("", SEEDS - 1)
    return (
        f"One seed: the noise is unknown, and so is which cells differ. --seeds {SEEDS}{where} would show it, with "
        f"{counted(len(once) * times, 'more trial')}, about {clock(sum(map(sweep.seconds, once)) * times)} of "
        f"{sweep.unit}."
    )


def contenders(best: Cell, model: Model) -> str:
    """Which cells cannot be told from the best, and by what."""
    others = [label for label in model.contenders if label != best.label]
    by = "(validation accuracy, Hsu's multiple comparisons with the best, 95 %)"
    if not others:
        return f"Every other cell can be told from {best.label} {by}."
    named = ", ".join(others[:NAMED]) + (f" and {len(others) - NAMED} more" if len(others) > NAMED else "")
    return f"Cannot be told from {best.label}: {named} {by}."


def separation(best: Cell, model: Model) -> str:
    """How many seeds would tell the two best apart; empty where nothing has to be."""
    second = next((label for label in model.contenders if label != best.label), None)
    if second is None or best.label not in model.contenders:
        return ""
    seeds = model.seeds_to_separate(best.label, second)
    told = counted(seeds, "seed") if seeds else f"More than {MOST_SEEDS} seeds"
    return f"{told} would tell {best.label} from {second} by the same comparisons, in four of five sweeps."


def unequal(model: Model) -> list[str]:
    """That the noise is not the same everywhere, where it is not."""
    if model.spread_p >= DOUBTFUL:
        return []
    return [
        f"The noise changes with accuracy (Breusch and Pagan's test, p = {model.spread_p:.2g}): every cell's "
        "interval goes by its own noise, moderated by that of all."
    ]
