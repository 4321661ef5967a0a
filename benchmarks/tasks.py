"""The results in docs/tasks.md, from the committed sweep of digits and speakers: ``python -m benchmarks.tasks``.

It takes seconds and trains nothing. The predictions are read from the page and never written.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ablate.console import counted
from ablate.report.data.grid import Cell
from ablate.report.data.results import read_sweep
from ablate.report.stats.comparison import Comparison, compare
from ablate.report.stats.model import combined
from benchmarks.claims import BARE, OUTCOMES, Case, Verdict, Weights, best_is, exceed, minus, short, wrong_first
from benchmarks.marked import filled

ROOT = Path(__file__).parents[1]
DIRECTORY = ROOT / "results" / "real-spoken-digits-tasks"
PAGE = ROOT / "docs" / "tasks.md"
BEGIN = "<!-- results: python -m benchmarks.tasks -->\n"
ROW = re.compile(r"^\| (\d) \| ([^|]*) \| [^|]* \|$", re.MULTILINE)
OVER_BARE, OVER_CROP = "crop over the bare pair", "color with crop over crop alone"


@dataclass(frozen=True)
class Both:
    """One sweep, read for each of its two tasks."""

    digits: Case
    speakers: Case

    @cached_property
    def agreement(self) -> Comparison:
        """The rank correlation of the two tasks."""
        found = compare(self.digits.results.grid, self.speakers.results.grid, "speaker")
        assert found
        return found

    def gains_more(self, what: str, gain: Callable[[Case], Weights]) -> Verdict:
        """Whether the digits gain more than the speakers."""
        digits, speakers = (case.difference(gain(case)) for case in (self.digits, self.speakers))
        return exceed({f"{what}, digits minus speakers": combined([(1.0, digits), (-1.0, speakers)])})

    def winner_costs(self) -> Verdict:
        """Whether the best cell for digits lies below the best one for speakers."""
        winner, best = (case.ranking.best for case in (self.digits, self.speakers))
        assert winner and best
        if winner.label == best.label:
            return Verdict("undecided", f"{short(best.label)} is the best for both")
        name = f"speakers: {short(best.label)} minus {short(winner.label)}, the best for digits"
        return exceed({name: self.speakers.difference(minus({best.label: 1.0}, {winner.label: 1.0}))})

    def ranks(self) -> Verdict:
        """Whether the rankings are alike, and not the same."""
        rho = self.agreement.rho
        return Verdict("confirmed" if 0 < rho < 0.8 else "wrong", f"Spearman {self.agreement.words}")


def read(directory: Path) -> Both:
    """Read the sweep for digits, its main task, and for speakers."""
    return Both(Case("digits", read_sweep(directory)), Case("speakers", read_sweep(directory, task="speaker")))


def over_bare(case: Case) -> Weights:
    """Crop against the pair that no op augments."""
    return minus(case.alone("crop"), BARE)


def over_crop(case: Case) -> Weights:
    """Color with crop, the mean of both orders, against crop alone."""
    return minus(case.both("crop", "color"), case.alone("crop"))


PREDICTIONS: dict[int, Callable[[Both], Verdict]] = {
    1: lambda both: exceed({f"digits: {OVER_BARE}": both.digits.difference(over_bare(both.digits))}),
    2: lambda both: both.gains_more(OVER_BARE, over_bare),
    3: lambda both: both.gains_more(OVER_CROP, over_crop),
    4: lambda both: best_is(both.speakers.ranking, lambda label: "color" not in label),
    5: Both.winner_costs,
    6: Both.ranks,
}


def written(page: str, both: Both) -> str:
    """The page with its results as the records give them."""
    lines = [opening(both), "", *verdict_table(both, page.partition(BEGIN)[0]), "", *cells(both)]
    return filled(page, BEGIN, lines)


def opening(both: Both) -> str:
    """How much was measured, and what became of the predictions."""
    found = [judge(both).outcome for judge in PREDICTIONS.values()]
    counts = ", ".join(f"{found.count(outcome)} {outcome}" for outcome in OUTCOMES if outcome in found)
    results = both.digits.results
    seconds = statistics.median(results.seconds(cell.label) for cell in results.grid.with_results)
    trials = f"{results.ended} of {counted(len(results.trials), 'trial')}"
    seeds = counted(len(results.experiment.seeds), "seed")
    return f"{trials}, {seeds}; a trial takes {seconds:.0f} s of {results.unit}. Of {len(found)} predictions: {counts}."


def verdict_table(both: Both, page: str) -> list[str]:
    """The predictions with their verdicts, the wrong ones first."""
    texts = {int(number): text for number, text in ROW.findall(page)}
    found = {number: judge(both) for number, judge in PREDICTIONS.items()}
    lines = ["| # | prediction | verdict | measured |", "| --: | --- | --- | --- |"]
    for number, verdict in wrong_first(found):
        lines.append(f"| {number} | {texts[number]} | **{verdict.outcome}** | {verdict.seen} |")
    return lines


def cells(both: Both) -> list[str]:
    """The accuracy of every cell for each task, the best for digits first, and of the references."""
    lines = ["| cell | digits, validation | speakers, validation | digits, test | speakers, test |"]
    lines += ["| --- | --: | --: | --: | --: |"]
    sides = (both.digits, both.speakers)
    there = {cell.label: cell for cell in both.speakers.results.grid.compositions}
    rows = [(cell, there[cell.label]) for cell in both.digits.ranking.cells]
    lines += [line(short(pair[0].label), pair, sides) for pair in rows]
    names = [name for name, cell in both.digits.results.grid.references.items() if cell.n]
    return lines + [line(name, [side.results.grid.references[name] for side in sides], sides) for name in names]


def line(name: str, pair: Sequence[Cell], sides: Sequence[Case]) -> str:
    """A row of the table, in percent; a dot marks what cannot be told from the best."""
    pairs = list(zip(pair, sides, strict=True))
    validation = [
        f"{100 * (case.ranking.score(cell) or 0.0):.1f}{' ●' * (cell.label in case.ranking.contenders)}"
        for cell, case in pairs
    ]
    test = [f"{100 * (cell.mean() or 0.0):.1f}" for cell, _ in pairs]
    return f"| {' | '.join([name, *validation, *test])} |"


def main() -> None:
    """Write the page."""
    PAGE.write_text(written(PAGE.read_text(), read(DIRECTORY)))


if __name__ == "__main__":
    main()
