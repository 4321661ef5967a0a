"""What each change to a baseline composition does: the differences of all cells from it, with joint intervals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

from ablate.config.base import OpSpec
from ablate.config.trial import TrialConfig
from ablate.console import counted
from ablate.inference.adjusted import paired_mean
from ablate.report.data.grid import Cell
from ablate.report.data.results import Results
from ablate.report.stats import screening
from ablate.report.stats.effect import Effect, Kind, in_words
from ablate.report.stats.model import Difference
from ablate.report.stats.noise import held
from ablate.report.stats.order import Ranking, order
from ablate.report.stats.words import judge, so_far

View = tuple[OpSpec, ...]


def baseline_of(sweep: Results) -> Cell | None:
    """Return the cell with which the sweep compares all others; None if it names none, or that has no result yet."""
    return next((cell for cell in order(sweep.grid).cells if cell.label == sweep.experiment.baseline), None)


def effects_of(sweep: Results) -> list[Effect]:
    """Return the effect of every cell that is compared with the baseline, in the order of the plan.

    The intervals hold for all of them at once: Dunnett's comparisons with a control, simulated from the two-way model,
    in which cells with the same seed are paired.
    """
    if design := screening.screening_of(sweep):
        return screening.effects_of(sweep, design)
    baseline, ranking = baseline_of(sweep), order(sweep.grid)
    if baseline is None:
        return []
    configs = _configs(sweep)
    cells = [cell for cell in sweep.grid.compositions if cell.label in ranking.scores and cell is not baseline]
    return [
        Effect(
            cell.label,
            cell,
            *_change(configs[baseline.label], configs[cell.label]),
            difference,
            paired_mean(cell.seeds(), baseline.seeds()),
        )
        for cell, difference in zip(cells, _differences(ranking, baseline, cells), strict=True)
    ]


def findings(sweep: Results) -> list[str]:
    """Return sentences on what hurts, can be deleted, is needed or would help; none without a baseline."""
    if design := screening.screening_of(sweep):
        return screening.findings(sweep, design)
    effects, baseline, ranking = effects_of(sweep), baseline_of(sweep), order(sweep.grid)
    if baseline is None and sweep.experiment.baseline is not None and ranking.cells:
        return [f"Nothing is compared with {sweep.experiment.baseline}: it has no result{so_far(sweep)}."]
    if baseline is None or not effects:
        return []
    by, percent = judge(sweep.grid), ranking.percent(baseline)
    start = f"Compared with {baseline.label}, {percent} {by}{so_far(sweep)}"
    if ranking.model is None:
        return [f"{start}: one seed cannot tell the difference of any cell from noise; give more seeds."]
    how = f"the 95 % intervals hold for all cells at once (Dunnett's comparisons with one control{held(ranking.model)})"
    names = {op.name for op in _configs(sweep)[baseline.label].every_op}
    return [
        f"{start}, in points and paired by seed; {how}.",
        *in_words(effects, sweep.grid.measure),
        *_together(effects, names),
    ]


def order_found(sweep: Results) -> list[str]:
    """Return the ops of the baseline, the one that costs least to leave out first.

    The list is empty while a cell that lacks one op has no result, or a trial is missing.
    """
    if screening.screening_of(sweep):  # its effects are averages over cells that lack half of the ops
        return []
    alone = {effect.ops[0]: effect for effect in effects_of(sweep) if effect.kind == "removal" and len(effect.ops) == 1}
    whole = next(cell for cell in sweep.experiment.compositions if cell.label == sweep.experiment.baseline)
    if sweep.pending or alone.keys() != {op.name for op in whole.every_op}:
        return []
    return sorted(alone, key=lambda op: -alone[op].difference.mean)


def _configs(sweep: Results) -> dict[str, TrialConfig]:
    return {trial.label: trial.config for trial in sweep.trials if trial.reference is None}


def _together(effects: Sequence[Effect], names: Collection[str]) -> list[str]:
    """Return a sentence on how to leave out together what can be left out alone, unless that was done.

    One of the ``names`` of all ops stays: without any op, a recipe is the reference no-op.
    """
    removals = [effect for effect in effects if effect.kind == "removal"]
    spare = [effect for effect in removals if len(effect.ops) == 1 and effect.finding in {"raises", "costs little"}]
    best_first = [effect.ops[0] for effect in sorted(spare, key=lambda effect: -effect.difference.mean)]
    best_first = best_first[: len(names) - 1]
    if len(best_first) < 2 or any(set(best_first) <= set(effect.ops) for effect in removals):
        return []
    return [
        f"These {counted(len(best_first), 'op')} were left out one at a time; with --in-order {','.join(best_first)}, "
        "ablate drop also leaves them out together."
    ]


def _differences(ranking: Ranking, baseline: Cell, cells: Sequence[Cell]) -> list[Difference]:
    contrasts = [{cell.label: 1.0, baseline.label: -1.0} for cell in cells]
    return ranking.model.contrasts(contrasts) if ranking.model else [ranking.contrast(one) for one in contrasts]


def _change(baseline: TrialConfig, other: TrialConfig) -> tuple[Kind, tuple[str, ...]]:
    """Return what kind of change another composition is, and the names of the ops that it lacks or adds.

    It is a removal if ops are gone from both views, and an addition if the views only have more ops; all others are in
    the same order.
    """
    views = list(zip(_views(baseline), _views(other), strict=True))
    lacks, adds = (_beyond(pairs) for pairs in (views, [(after, before) for before, after in views]))
    left = {op.name for op in other.every_op}
    if lacks and left.isdisjoint(lacks) and all(_is_part(after, before) for before, after in views):
        return "removal", lacks
    if adds and all(_is_part(before, after) for before, after in views):
        return "addition", adds
    return "change", ()


def _views(config: TrialConfig) -> tuple[View, View]:
    return config.composition, config.composition if config.second is None else config.second


def _beyond(views: Sequence[tuple[View, View]]) -> tuple[str, ...]:
    """Return the names of the ops that the first view of any pair has and the second lacks."""
    counts = [[Counter(op.name for op in view) for view in pair] for pair in views]
    return tuple(dict.fromkeys(name for one, other in counts for name in one - other))


def _is_part(part: View, whole: View) -> bool:
    """Return True if ``part`` is ``whole`` without some of its ops."""
    rest = iter(whole)
    return all(op in rest for op in part)
