"""From CIFAR-10 to blood cells, the results in docs/init.md, from committed records: ``python -m benchmarks.transfer``.

It takes seconds and trains nothing. The predictions are read from the page and never written. They were written before
any encoder was trained from given weights on these images.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ablate.report.data.grid import Cell
from ablate.report.data.results import Results, read_sweep
from ablate.report.stats.model import Difference
from ablate.report.stats.order import order
from ablate.report.stats.untrained import paired_difference
from ablate.report.stats.words import in_points
from ablate.sweep.plan import is_sweep
from benchmarks.claims import Unmeasured, Verdict, exceed, in_words, rivals_in_words, short, wrong_first
from benchmarks.marked import filled

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "init.md"
ADAPTED, SCRATCH = ROOT / "results" / "real-blood-cells-adapted", ROOT / "results" / "real-blood-cells"
BEGIN = "<!-- results: python -m benchmarks.transfer -->\n"
CROP, ROTATE = "crop(flip_p=0.0)", "rotate"
BOTH = (f"{CROP}+{ROTATE}", f"{ROTATE}+{CROP}")
CELLS = (CROP, ROTATE, *BOTH)
HELPS = 0.03  # validation accuracy by which adapting is expected to help at least
ALIKE = 0.02  # validation accuracy by which the two starts are expected to differ at most
Scores = Mapping[str, Mapping[int, float]]
"""Validation accuracy as a fraction, by the label of a cell or reference and the seed."""


@dataclass(frozen=True)
class Starts:
    """The same cells from both starts.

    ``adapted`` began with the encoder of CIFAR-10, which its reference ``untrained`` is as given; ``contenders`` are
    the compositions that cannot be told from its best, the best first. ``scratch`` began with drawn weights.
    """

    adapted: Scores
    scratch: Scores
    contenders: Sequence[str]

    @property
    def as_given(self) -> Mapping[int, float]:
        return self.adapted["untrained"]


def read() -> Starts:
    """Read the committed records; raises Unmeasured with the reason."""
    for directory in (ADAPTED, SCRATCH):
        if not is_sweep(directory):
            raise Unmeasured(f"{directory.name}: no records")
    adapted, scratch = read_sweep(ADAPTED), read_sweep(SCRATCH)
    if adapted.pending:
        raise Unmeasured(f"{ADAPTED.name}: {adapted.ended} of {len(adapted.trials)} trials")
    return Starts(scores(adapted), scores(scratch), order(adapted.grid).contenders)


def scores(sweep: Results) -> Scores:
    """The validation accuracy of every cell and reference."""
    cells: list[Cell] = [*sweep.grid.compositions, *sweep.grid.references.values()]
    return {cell.label: cell.seeds(sweep.grid.validation_metric) for cell in cells}


def minus(a: Mapping[int, float], b: Mapping[int, float]) -> Difference:
    """The difference over seeds, paired; raises Unmeasured if they share no seed."""
    difference = paired_difference(a, b)
    if difference is None:
        raise Unmeasured("no seed in common")
    return difference


def both_orders(found: Scores) -> dict[int, float]:
    """Crop with rotate, the mean of both orders, by seed."""
    first, second = (found[label] for label in BOTH)
    return {seed: (first[seed] + second[seed]) / 2 for seed in sorted(first.keys() & second.keys())}


def given_above_untrained(starts: Starts) -> Verdict:
    difference = minus(starts.as_given, starts.scratch["untrained"])
    return exceed({"as given minus untrained": difference})


def adapting_helps(starts: Starts) -> Verdict:
    best = starts.contenders[0]
    return exceed({f"{short(best)} minus as given": minus(starts.adapted[best], starts.as_given)}, HELPS)


def no_op_falls(starts: Starts) -> Verdict:
    return exceed({"as given minus no-op": minus(starts.as_given, starts.adapted["no-op"])})


def both_are_best(starts: Starts) -> Verdict:
    found = set(BOTH) & set(starts.contenders)
    return Verdict("confirmed" if found else "wrong", rivals_in_words(starts.contenders))


def the_start_is_forgotten(starts: Starts) -> Verdict:
    difference = minus(both_orders(starts.adapted), both_orders(starts.scratch))
    seen = in_words("adapted minus from scratch", difference)
    if difference.low is None or difference.high is None:
        return Verdict("not measured yet", f"one seed: {seen}")
    if difference.low > -ALIKE and difference.high < ALIKE:
        return Verdict("confirmed", seen)
    return Verdict("wrong" if difference.low > ALIKE or difference.high < -ALIKE else "undecided", seen)


PREDICTIONS: dict[int, Callable[[Starts], Verdict]] = {
    1: given_above_untrained,
    2: adapting_helps,
    3: no_op_falls,
    4: both_are_best,
    5: the_start_is_forgotten,
}


def written(page: str) -> str:
    """The page with its results as the committed records give them."""
    try:
        lines = results(read())
    except Unmeasured as reason:
        lines = [f"Not run yet ({reason})."]
    return filled(page, BEGIN, lines)


def results(starts: Starts) -> list[str]:
    """The verdicts, the wrong ones first, and the cells from both starts, in Markdown."""
    found = {number: judge(starts) for number, judge in PREDICTIONS.items()}
    lines = ["| # | verdict | measured |", "| --: | --- | --- |"]
    for number, verdict in wrong_first(found):
        lines.append(f"| {number} | **{verdict.outcome}** | {verdict.seen} |")
    lines += ["", "| | adapted, % | from scratch, % | difference, points |", "| --- | --: | --: | --: |"]
    names = {"untrained": "as given, and untrained", "no-op": "no-op", "supervised": "supervised"}
    for label in (*CELLS, *names):
        ours, theirs = starts.adapted[label], starts.scratch[label]
        means = [f"{100 * sum(values.values()) / len(values):.1f}" for values in (ours, theirs)]
        lines.append(f"| {names.get(label, short(label))} | {' | '.join(means)} | {in_points(minus(ours, theirs))} |")
    return [*lines, "", "Validation accuracy, means over seeds; differences paired by seed, with 95 % intervals."]


def main() -> None:
    """Write the page."""
    PAGE.write_text(written(PAGE.read_text()))


if __name__ == "__main__":
    main()
