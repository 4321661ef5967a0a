"""Sentences on rounds of seeds: why they ended, and that cells have unequal numbers of seeds."""

from __future__ import annotations

from ablate.config.sweep import LAST_ROUND
from ablate.console import counted
from ablate.inference.rounds import Comparison, compare
from ablate.report.data.results import Results
from ablate.report.stats.order import order
from ablate.report.stats.verdict import few_images
from ablate.report.stats.words import mentioned, named
from ablate.sweep.rounds import cells_left, compared, counted_points


def comparison(sweep: Results) -> Comparison:
    """Compare the cells after the sweep's present round, all of whose trials have ended."""
    rounds = sweep.experiment.rounds
    assert rounds is not None
    ranking = order(sweep.grid)
    values = {cell.label: cell.seeds(ranking.metric) for cell in ranking.cells}
    return compare(
        values, cells_left(sweep.experiment), compared(sweep.experiment), rounds.within / 100, rounds.largest
    )


def rounds(sweep: Results) -> list[str]:
    """Return sentences on why the rounds ended and on unequal numbers of seeds; none without rounds."""
    if sweep.experiment.rounds is None:
        return []
    return [_so_far(sweep) if sweep.pending else ending(sweep), *_unequal(sweep)]


def _so_far(sweep: Results) -> str:
    n = len(compared(sweep.experiment))
    return f"Not decided yet: round {n} of seeds, to {counted(len(sweep.experiment.seeds), 'seed')}, is not complete."


def takes_more(sweep: Results) -> bool:
    """Return True if more seeds would continue the rounds: undecided, with a largest number that can be raised."""
    return comparison(sweep).why == "largest" and len(sweep.experiment.seeds) < LAST_ROUND


def ending(sweep: Results) -> str:
    """Return the sentence on why the rounds ended."""
    asked, found = sweep.experiment.rounds, comparison(sweep)
    assert asked is not None
    after = f"after {counted(len(sweep.experiment.seeds), 'seed')}"
    model = order(sweep.grid).model
    exact = model is not None and model.is_exact
    sure = "as far as these seeds show" if exact else "with 95 % confidence over all rounds"
    far = "" if found.farthest is None else f"; they lie within {100 * found.farthest:.1f} points of the best, {sure}"
    more = " To continue, raise --max-seeds (max_seeds)." if len(sweep.experiment.seeds) < LAST_ROUND else ""
    if few_images(sweep):
        more = " Add images: more seeds would be judged by the same few validation images."
    ranked = [mentioned(cell.label) for cell in order(sweep.grid).cells if cell.label in found.left]
    of_those = " of those that could be compared" if len(ranked) < len(found.left) else ""
    return {
        "decided": f"Decided {after}: {named(ranked)} is the best{of_those}, {sure}.",
        "equal": f"Practically equal within {counted_points(asked.within)} {after}: {named(ranked)}. Each of them lies "
        f"that close to the best, {sure}.",
        "largest": f"Not decided: the largest number of seeds, {len(sweep.experiment.seeds)}, is reached, and "
        f"{counted(len(ranked), 'composition')} may be the best{far}.{more}",
        "alone": "Not decided: fewer than two compositions have results to compare.",
        None: f"Not decided {after}: run the same command again to continue.",
    }[found.why]


def _unequal(sweep: Results) -> list[str]:
    asked = sweep.experiment.rounds
    if asked is None or not any(n < len(sweep.experiment.seeds) for n in asked.dropped.values()):
        return []
    return [
        f"Compositions have from {min(asked.dropped.values())} to {len(sweep.experiment.seeds)} seeds: those that were "
        "known to be worse than another got no more."
    ]
