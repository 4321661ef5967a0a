"""The predictions of docs/invariance.md against two grids.

``python -m benchmarks.invariance glyphs=DIR 'blood cells=DIR'`` writes ``benchmarks/results/invariance.json``, prints
the page's table, and fills in what was looked at afterwards on blood cells. Each directory holds a sweep whose kept
encoders were evaluated by ``invariance``, ``invariance@z``, ``rankme`` and ``lidar``; a grid need not be finished. A
set that is left out keeps its numbers.
"""

from __future__ import annotations

import statistics
import sys
import textwrap
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from ablate.report.data.results import Results, read_sweep
from ablate.report.stats.invariances import Invariances, invariances
from ablate.report.stats.ranks import spearman
from ablate.sweep.plan import load_plan
from benchmarks.harness import save, saved
from benchmarks.marked import fill

LITTLE, POINTS = 0.05, 0.02  # what counts as more: of an invariance, and of an accuracy
BEGIN = "<!-- results: python -m benchmarks.invariance -->\n"
ORDER = ("wrong", "undecided", "confirmed")
Cell = tuple[frozenset[str], Mapping[str, float]]
Seen = tuple[bool, str]
"""Whether a prediction holds in one seed, and the numbers that say so."""
Rule = Callable[[Invariances, list[Cell], int], Seen]


def cells(sweep: Results, seed: int) -> list[Cell]:
    """The ops and metrics of every composition of a seed that was evaluated."""
    return [*by_label(sweep, seed).values()]


def raises(op: str, *tested: str) -> Rule:
    """Training with ``op`` raises the invariance to each of ``tested``."""

    def rule(found: Invariances, _: list[Cell], seed: int) -> Seen:
        effects = {name: found.effects[op][f"invariance_{name}"][seed] for name in tested}
        return all(value >= LITTLE for value in effects.values()), listed(effects)

    return rule


def itself_most(found: Invariances, _: list[Cell], seed: int) -> Seen:
    most = {
        tested: max(found.effects, key=lambda op: found.effects[op][f"invariance_{tested}"][seed])
        for tested in found.trained
    }
    return all(op == tested for tested, op in most.items()), ", ".join(f"{t}: {op}" for t, op in most.items())


def crops_see_colour(found: Invariances, _: list[Cell], seed: int) -> Seen:
    values = [found.rows[label]["invariance_color"][seed] for label in ("crop", "untrained")]
    return values[0] - values[1] <= -LITTLE, f"{values[0]:.2f} against {values[1]:.2f}"


def of_own_ops(known: list[Cell], kind: str) -> float:
    """The mean over cells of the mean over the ops that each was trained with."""
    return statistics.fmean(statistics.fmean(metrics[f"{kind}_{op}"] for op in ops) for ops, metrics in known)


def z_is_more_invariant(_: Invariances, known: list[Cell], seed: int) -> Seen:
    h, z = of_own_ops(known, "invariance"), of_own_ops(known, "z_invariance")
    return z - h >= LITTLE, f"h {h:.2f}, z {z:.2f}"


def h_tells_better(_: Invariances, known: list[Cell], seed: int) -> Seen:
    h, z = of_own_ops(known, "told"), of_own_ops(known, "z_told")
    return h - z >= POINTS, f"h {100 * h:.0f} %, z {100 * z:.0f} %"


def h_still_tells(_: Invariances, known: list[Cell], seed: int) -> Seen:
    h = of_own_ops(known, "told")
    return h > 0.75, f"{100 * h:.0f} %"


def with_accuracy(known: list[Cell], metric: str) -> float:
    return spearman([metrics[metric] for _, metrics in known], [metrics["linear_val_top1"] for _, metrics in known])


def lidar_ranks_better(_: Invariances, known: list[Cell], seed: int) -> Seen:
    values = [with_accuracy(known, name) for name in ("lidar", "rankme")]
    return values[0] > values[1], "LiDAR {:+.2f}, RankMe {:+.2f}".format(*values)


def stain_costs(_: Invariances, known: list[Cell], seed: int) -> Seen:
    rho = with_accuracy(known, "invariance_stain")
    return rho < -0.3, f"{rho:+.2f} over {len(known)} cells"


def mirrors_move_less(_: Invariances, known: list[Cell], seed: int) -> Seen:
    upright = [metrics for ops, metrics in known if not ops & {"flip", "rotate"}]
    flip, color = (statistics.fmean(m[f"invariance_{op}"] for m in upright) for op in ("flip", "color"))
    return flip - color >= LITTLE, f"flip {flip:.2f}, color {color:.2f} over {len(upright)} cells"


GLYPHS: dict[int, Rule] = {
    1: raises("color", "color", "channel_shuffle"),
    2: raises("crop", "crop", "zoom_out"),
    3: raises("rotate", "rotate"),
    4: itself_most,
    5: crops_see_colour,
    6: z_is_more_invariant,
    7: h_tells_better,
    8: h_still_tells,
    9: lidar_ranks_better,
}
BLOOD: dict[int, Rule] = {
    10: raises("color", "color", "stain"),
    11: stain_costs,
    12: raises("rotate", "rotate", "vflip", "d4"),
    13: raises("flip", "flip"),
    14: raises("cutout", "cutout"),
    15: mirrors_move_less,
}
SETS = {"glyphs": GLYPHS, "blood cells": BLOOD}


def verdicts(directory: Path, rules: Mapping[int, Rule]) -> dict[int, dict[str, Any]]:
    """Judge every prediction in every seed."""
    sweep = read_sweep(directory)
    found = invariances(sweep)
    assert found, f"{directory} has no invariances"
    seeds = {seed: known for seed in sweep.experiment.seeds if (known := cells(sweep, seed))}
    judged = {}
    for number, rule in rules.items():
        seen = [rule(found, known, seed) for seed, known in seeds.items()]
        held = sum(holds for holds, _ in seen)
        verdict = "confirmed" if held == len(seen) else "undecided" if held else "wrong"
        judged[number] = {"verdict": verdict, "seeds": len(seen), "measured": "; ".join(text for _, text in seen)}
    return judged


def afterwards(directory: Path) -> list[str]:
    """Return the items of the page on blood cells that were looked at after the verdicts, of a grid with two seeds."""
    sweep = read_sweep(directory)
    few, many = sorted((by_label(sweep, seed) for seed in sweep.experiment.seeds[-2:]), key=len)
    shared = [cell for label, cell in many.items() if label in few]
    rho = with_accuracy(shared, "invariance_stain")
    _, mirrors = mirrors_move_less(Invariances((), (), {}, {}), shared, 0)
    both = [*few.values(), *many.values()]
    blind, other = (
        sorted(metrics["invariance_stain"] for ops, metrics in both if ("color" in ops) is has_it)
        for has_it in (True, False)
    )
    is_cut = [("cutout" in ops and not ops & {"color", "crop"}, metrics["linear_val_top1"]) for ops, metrics in both]
    cut, rest = (sorted(value for is_one, value in is_cut if is_one is wanted) for wanted in (True, False))
    return [
        f"In the {len(shared)} cells that both seeds have, the second seed has {rho:+.2f} for number 11 and {mirrors} "
        "for number 15.",
        f"The invariance to `stain` is {blind[0]:.2f} to {blind[-1]:.2f} with `color`, {other[0]:.2f} to "
        f"{other[-1]:.2f} without it.",
        "On validation, the cells with `cutout` that have neither `color` nor `crop` reach "
        f"{100 * cut[0]:.0f} to {100 * cut[-1]:.0f} %, all others at least {100 * rest[0]:.0f} %.",
    ]


def by_label(sweep: Results, seed: int) -> dict[str, Cell]:
    """Return the cells of a seed that were evaluated, by label."""
    trials = {trial.label: trial for trial in sweep.trials if trial.reference is None and trial.seed == seed}
    known = {label: sweep.records[trial.id] for label, trial in trials.items() if trial.id in sweep.records}
    return {
        label: (frozenset(op.name for op in trials[label].config.every_op), record.metrics)
        for label, record in known.items()
        if "invariance_crop" in record.metrics
    }


def paragraph(sentences: Iterable[str]) -> list[str]:
    """Return the lines of the page on what was looked at afterwards."""
    return textwrap.wrap(" ".join(["Looked at afterwards, on blood cells.", *sentences]), 120, break_on_hyphens=False)


def listed(values: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:+.2f}" for name, value in values.items())


def table(judged: Mapping[int, Mapping[str, Any]]) -> Iterable[str]:
    """Return the lines of the table, the wrong ones first."""
    yield from ("| # | verdict | measured, seed by seed |", "| --: | --- | --- |")
    for number, row in sorted(judged.items(), key=lambda item: (ORDER.index(item[1]["verdict"]), item[0])):
        yield f"| {number} | **{row['verdict']}**{' (one seed)' * (row['seeds'] == 1)} | {row['measured']} |"


if __name__ == "__main__":
    every = saved("invariance")
    for name, _, directory in (word.partition("=") for word in sys.argv[1:]):
        every |= {str(number): row for number, row in verdicts(Path(directory), SETS[name]).items()}
        if name == "blood cells" and len(load_plan(Path(directory)).seeds) > 1:
            every["afterwards"] = afterwards(Path(directory))
    save("invariance", every)
    print("\n".join(table({int(number): row for number, row in every.items() if number != "afterwards"})))
    if "afterwards" in every:
        fill("invariance.md", BEGIN, paragraph(every["afterwards"]))
