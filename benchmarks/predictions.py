"""The predictions of docs/real-images.md, by number, as claims about the committed grids.

Each was written before its grid was run, and so was this module. Their text stands in the page alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from ablate.console import counted
from ablate.report.data.grid import Cell
from ablate.report.data.results import Results, read_sweep
from ablate.report.figures.paper import beside_the_paper
from ablate.report.stats.model import Difference, combined
from ablate.report.stats.order import Ranking, order, ordered
from ablate.report.stats.untrained import over_untrained
from ablate.sweep.layout import SweepDir
from ablate.sweep.plan import is_sweep
from ablate.sweep.prune import RUNGS
from benchmarks import pruning
from benchmarks.claims import (
    BARE,
    Case,
    Unmeasured,
    Verdict,
    best_is,
    differ,
    enough,
    exceed,
    minus,
    short,
    together,
)

SETS = {
    "CIFAR-10": "cifar10",
    "blood cells": "blood-cells",
    "plankton": "plankton12",
    "spoken digits": "spoken-digits",
    "Fashion-MNIST": "fashion-mnist",
}
"""The data sets as the page calls them, and their directories: ``results/real-<name>``."""
SEVEN = "cifar10-seven"
LITTLE = 0.03  # what flip alone gains at most on CIFAR-10
NEAR = 0.02  # validation accuracy within which pruning has kept a cell as good as the winner


@dataclass(frozen=True)
class Records:
    """The committed directories below ``root``, as far as they are there."""

    root: Path

    def directory(self, name: str) -> Path:
        """The directory of a data set, by its name in the text, or of the seven-op grid."""
        return self.root / f"real-{SETS.get(name, name)}"

    @cached_property
    def found(self) -> dict[str, Results]:
        """The grids that are there, finished or not."""
        names = [name for name in (*SETS, SEVEN) if is_sweep(self.directory(name))]
        return {name: read_sweep(self.directory(name)) for name in names}

    def case(self, name: str) -> Case:
        """A whole grid; raises Unmeasured with the reason."""
        if name not in self.found:
            raise Unmeasured(f"{name}: no records")
        results = self.found[name]
        missing = len(results.trials) - results.ended
        if missing:
            raise Unmeasured(f"{name}: {missing} of {counted(len(results.trials), 'trial')} missing")
        return Case(name, results)

    @cached_property
    def cases(self) -> dict[str, Case]:
        """The whole grids of the five data sets, by name."""
        known = {}
        for name in SETS:
            try:
                known[name] = self.case(name)
            except Unmeasured:
                continue
        return known

    def with_seeds(self) -> dict[str, Case]:
        """The whole grids with at least two seeds; raises Unmeasured without any."""
        known = {name: case for name, case in self.cases.items() if case.ranking.model}
        if not known:
            raise Unmeasured("no whole grid with two seeds or more")
        return known


def gain(case: Case, op: str) -> Difference:
    """What an op gains over the bare pair."""
    return case.difference(minus(case.alone(op), BARE))


def gain_over_crop(case: Case, op: str) -> Difference:
    """What an op gains over crop alone, together with it in either order."""
    return case.difference(minus(case.both("crop", op), case.alone("crop")))


def lowers_crop(case: Case, *ops: str) -> Verdict:
    """Each of ``ops`` lowers the accuracy of crop."""
    contrasts = [minus(case.alone("crop"), case.both("crop", op)) for op in ops]
    names = [f"crop minus crop with {op}" for op in ops]
    return exceed(dict(zip(names, case.differences(*contrasts), strict=True)))


def best_single(case: Case, op: str, worst: bool = False, but: str = "") -> Verdict:
    """An op is above every other single op or, if ``worst``, below every other one ``but`` one."""
    others = [name for name in case.ops if name not in (op, but)]
    sign = -1.0 if worst else 1.0
    contrasts = [
        {label: sign * weight for label, weight in minus(case.alone(op), case.alone(x)).items()} for x in others
    ]
    names = [f"{x} minus {op}" if worst else f"{op} minus {x}" for x in others]
    return exceed(dict(zip(names, case.differences(*contrasts), strict=True)))


def crop_with_color_is_best(records: Records) -> Verdict:
    case = records.case("CIFAR-10")
    both = [case.cell("crop", "color"), case.cell("color", "crop")]
    others = [cell.label for cell in case.results.grid.compositions if cell.label not in both]
    pairs = [(a, b) for a in both for b in others]
    found = case.differences(*(minus({a: 1.0}, {b: 1.0}) for a, b in pairs))
    return exceed({f"{short(a)} minus {short(b)}": difference for (a, b), difference in zip(pairs, found, strict=True)})


def flip_gains_little(records: Records) -> Verdict:
    case = records.case("CIFAR-10")
    return exceed({"the bare pair minus flip": case.difference(minus(BARE, case.alone("flip")))}, above=-LITTLE)


def ranks_as_figure_5(records: Records) -> Verdict:
    grid = records.case(SEVEN).results.grid
    comparison = beside_the_paper(grid)
    if comparison is None or not comparison.ranks or comparison.n < len(comparison.ours.ops) ** 2:
        raise Unmeasured("not every cell of Figure 5 has a result")
    seeds = counted(len(records.case(SEVEN).results.experiment.seeds), "seed")
    seen = f"Spearman {comparison.rho:+.2f}, p = {comparison.p:.4f}; {seeds}"
    return Verdict("confirmed" if comparison.rho > 0.6 and comparison.p < 0.05 else "wrong", seen)


def best_has_crop_without_color(records: Records) -> Verdict:
    case = records.case("blood cells")
    ops = {cell.label: {op.partition("(")[0] for op in cell.ops} for cell in case.results.grid.compositions}
    return best_is(case.ranking, lambda label: "crop" in ops[label] and "color" not in ops[label])


def rotate_matters_to_plankton(records: Records) -> Verdict:
    case, cifar = records.case("plankton"), records.case("CIFAR-10")
    singles = ordered(case.singles, case.ranking.metric)
    more = combined([(1.0, gain(case, "rotate")), (-1.0, gain(cifar, "rotate"))])
    return together(
        best_is(singles, lambda label: label in (case.ops["rotate"], case.ops["crop"])),
        exceed({"gain of rotate minus that on CIFAR-10": more}),
    )


def color_gains_less_than_on_cifar(records: Records) -> Verdict:
    here, there = (gain_over_crop(records.case(name), "color") for name in ("plankton", "CIFAR-10"))
    return exceed({"gain of color on CIFAR-10 minus that on plankton": combined([(1.0, there), (-1.0, here)])})


def cutout_is_the_best_partner(records: Records) -> Verdict:
    case = records.case("spoken digits")
    others = [name for name in case.ops if name not in ("crop", "cutout")]
    contrasts = [minus(case.both("crop", "cutout"), case.both("crop", x)) for x in others]
    names = [f"crop with cutout minus crop with {x}" for x in others]
    return exceed(dict(zip(names, case.differences(*contrasts), strict=True)))


def color_gains_less_than_half(records: Records) -> Verdict:
    here, there = (gain_over_crop(records.case(name), "color") for name in ("Fashion-MNIST", "CIFAR-10"))
    return exceed({"half the gain of color on CIFAR-10 minus that here": combined([(0.5, there), (-1.0, here)])})


def best_cells_differ(records: Records) -> Verdict:
    cases = records.with_seeds()
    return differ([case.ranking.contenders for case in cases.values()], least=3, lacking=len(SETS) - len(cases))


class Confirmation(NamedTuple):
    """The best cell of a set's grid, trained again on both branches with fresh seeds."""

    winner: Cell
    ranking: Ranking
    over_untrained: Difference


def confirmations(records: Records) -> dict[str, Confirmation]:
    """The winner's two-branch confirmation of every set where it has ended."""
    found = {}
    for name, case in records.cases.items():
        directory = SweepDir(case.results.directory).confirmation
        best = case.ranking.best
        if best is None or not is_sweep(directory):
            continue
        confirmed = read_sweep(directory, case.results.grid.measure)
        winner = next((cell for cell in confirmed.grid.with_results if cell.label == best.label), None)
        if winner and not confirmed.pending:
            ranking = order(confirmed.grid)
            difference = over_untrained(confirmed.grid, ranking, winner)
            found |= {name: Confirmation(winner, ranking, difference)} if difference else {}
    return found


def winners_learn(records: Records) -> Verdict:
    found = confirmations(records)
    if not found:
        raise Unmeasured("no whole confirmation")
    verdict = exceed({f"{name}, winner minus untrained": each.over_untrained for name, each in found.items()})
    lacking = len(SETS) - len(found)
    if not lacking or verdict.outcome == "wrong":
        return verdict
    return Verdict("not measured yet", f"{verdict.seen}; {counted(lacking, 'confirmation')} to come")


def replays(records: Records) -> dict[str, pruning.Outcome]:
    """What pruning with its frozen rungs would have cost and missed, of every whole grid with two seeds or more."""
    whole = {name: case for name, case in records.cases.items() if case.ranking.model and not case.results.failed}
    histories = {name: pruning.read(case.results.directory) for name, case in whole.items()}
    return {name: pruning.outcome(known, *pruning.pruned(known, RUNGS)) for name, known in histories.items()}


def pruning_keeps_the_winner(records: Records) -> Verdict:
    found = replays(records)
    if not found:
        raise Unmeasured("no whole grid with two seeds or more")
    outcome, kept = enough({name: replay.regret <= NEAR for name, replay in found.items()}, 4, len(SETS))
    worst = max(found, key=lambda name: found[name].regret)
    seen = f"on {kept} of {counted(len(found), 'set')}; most missed: {100 * found[worst].regret:.1f} points on {worst}"
    return Verdict(outcome, seen)


PREDICTIONS: dict[int, Callable[[Records], Verdict]] = {
    1: crop_with_color_is_best,
    2: lambda records: best_single(records.case("CIFAR-10"), "crop"),
    3: lambda records: best_single(records.case("CIFAR-10"), "rotate", worst=True, but="flip"),
    4: flip_gains_little,
    5: ranks_as_figure_5,
    6: lambda records: lowers_crop(records.case("blood cells"), "color"),
    7: best_has_crop_without_color,
    8: lambda records: exceed({"rotate minus the bare pair": gain(records.case("blood cells"), "rotate")}),
    9: rotate_matters_to_plankton,
    10: color_gains_less_than_on_cifar,
    11: lambda records: lowers_crop(records.case("spoken digits"), "rotate", "flip"),
    12: cutout_is_the_best_partner,
    13: lambda records: lowers_crop(records.case("Fashion-MNIST"), "rotate"),
    14: color_gains_less_than_half,
    15: best_cells_differ,
    16: winners_learn,
    17: pruning_keeps_the_winner,
}


def verdicts(records: Records) -> dict[int, Verdict]:
    """The verdict on every prediction, by its number."""

    def verdict(judge: Callable[[Records], Verdict]) -> Verdict:
        try:
            return judge(records)
        except Unmeasured as reason:
            return Verdict("not measured yet", str(reason))

    return {number: verdict(judge) for number, judge in PREDICTIONS.items()}
