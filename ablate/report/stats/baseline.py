"""What each change to a baseline composition does: the differences of all cells from it, with joint intervals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ablate.config.trial import TrialConfig
from ablate.console import counted
from ablate.inference.adjusted import paired_mean
from ablate.report.data.grid import Cell
from ablate.report.data.results import Results
from ablate.report.stats.model import Difference
from ablate.report.stats.order import Ranking, order
from ablate.report.stats.words import in_points, judge, so_far

COST = 0.01
"""The accuracy that leaving out an op may cost, as a fraction: a point."""
Kind = Literal["removal", "addition", "change"]
Finding = Literal["raises", "costs little", "lowers", "undecided"]
WORDS: dict[tuple[Kind, Finding], str] = {
    ("removal", "raises"): "What hurts (accuracy rises without it)",
    ("removal", "costs little"): f"What you can delete (accuracy falls by less than {100 * COST:g} point without it)",
    ("removal", "lowers"): "What is needed (accuracy falls without it)",
    ("removal", "undecided"): "Undecided, so keep it or add seeds",
    ("addition", "raises"): "What would help",
    ("addition", "lowers"): "What would harm",
    ("change", "raises"): "Better than as it is",
    ("change", "lowers"): "Worse than as it is",
}
"""The start of a sentence on the changes of one kind that have one finding; the others are only in the table."""


@dataclass(frozen=True)
class Effect:
    """A cell's difference from the baseline: by validation accuracy with a joint interval, and on the test set.

    ``ops`` are the names of the ops that it lacks or adds; empty for another change.
    """

    cell: Cell
    kind: Kind
    ops: tuple[str, ...]
    difference: Difference
    test: float | None

    def __str__(self) -> str:
        """Return ``blur -3.1 [-5.2, -1.0]``."""
        return f"{'+'.join(self.ops) or self.cell.label} {in_points(self.difference)}"

    @property
    def finding(self) -> Finding:
        """What the interval says: accuracy rises, falls by less than :data:`COST`, falls, or none of these."""
        low, high = self.difference.bounds() or (-1.0, 1.0)
        if low > 0:
            return "raises"
        return "costs little" if low > -COST else "lowers" if high < 0 else "undecided"


def baseline_of(sweep: Results) -> Cell | None:
    """Return the cell with which the sweep compares all others; None if it names none, or that has no result yet."""
    return next((cell for cell in order(sweep.grid).cells if cell.label == sweep.experiment.baseline), None)


def effects_of(sweep: Results) -> list[Effect]:
    """Return the effect of every cell that is compared with the baseline, in the order of the plan.

    The intervals hold for all of them at once: Dunnett's comparisons with a control, simulated from the two-way model,
    in which cells with the same seed are paired.
    """
    baseline, ranking = baseline_of(sweep), order(sweep.grid)
    if baseline is None:
        return []
    configs = {trial.label: trial.config for trial in sweep.trials if trial.reference is None}
    cells = [cell for cell in sweep.grid.compositions if cell.label in ranking.scores and cell is not baseline]
    return [
        Effect(
            cell,
            *_change(configs[baseline.label], configs[cell.label]),
            difference,
            paired_mean(cell.seeds(), baseline.seeds()),
        )
        for cell, difference in zip(cells, _differences(ranking, baseline, cells), strict=True)
    ]


def findings(sweep: Results) -> list[str]:
    """Return sentences on what hurts, can be deleted, is needed or would help; none without a baseline."""
    effects, baseline, ranking = effects_of(sweep), baseline_of(sweep), order(sweep.grid)
    if baseline is None or not effects:
        return []
    by, percent = judge(sweep.grid), ranking.percent(baseline)
    start = f"Compared with {baseline.label}, {percent} {by}{so_far(sweep)}"
    if ranking.model is None:
        return [f"{start}: one seed cannot tell the difference of any cell from noise; give more seeds."]
    held = "the 95 % intervals hold for all cells at once (Dunnett's comparisons with one control)"
    sentences = [f"{start}, in points and paired by seed; {held}."]
    for (kind, finding), words in WORDS.items():
        if those := [str(effect) for effect in effects if (effect.kind, effect.finding) == (kind, finding)]:
            sentences.append(f"{words}: {', '.join(those)}.")
    return [*sentences, *_together(effects)]


def _together(effects: Sequence[Effect]) -> list[str]:
    """Return a sentence on how to leave out together what can be left out alone, unless that was done."""
    removals = [effect for effect in effects if effect.kind == "removal"]
    spare = [effect for effect in removals if len(effect.ops) == 1 and effect.finding in {"raises", "costs little"}]
    best_first = [effect.ops[0] for effect in sorted(spare, key=lambda effect: -effect.difference.mean)]
    if len(spare) < 2 or any(set(best_first) <= set(effect.ops) for effect in removals):
        return []
    return [
        f"These {counted(len(spare), 'op')} were left out one at a time; with --in-order {','.join(best_first)}, "
        "ablate drop also leaves them out together."
    ]


def _differences(ranking: Ranking, baseline: Cell, cells: Sequence[Cell]) -> list[Difference]:
    contrasts = [{cell.label: 1.0, baseline.label: -1.0} for cell in cells]
    return ranking.model.contrasts(contrasts) if ranking.model else [ranking.contrast(one) for one in contrasts]


def _change(baseline: TrialConfig, other: TrialConfig) -> tuple[Kind, tuple[str, ...]]:
    """Return what kind of change another composition is, and the names of the ops that it lacks or adds."""
    before, after = Counter(op.name for op in baseline.every_op), Counter(op.name for op in other.every_op)
    lacks, adds = tuple(before - after), tuple(after - before)
    if lacks and not adds and all(op in baseline.every_op for op in other.every_op):
        return "removal", lacks
    if adds and not lacks and all(op in other.every_op for op in baseline.every_op):
        return "addition", adds
    return "change", ()
