"""The predictions of docs/shortcut.md, by number, as claims about what was measured; its tables and its picture.

Their text stands in the page alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement, permutations
from math import factorial, prod
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from ablate.evaluation.shortcut import interval
from ablate.report.figures.style import STYLE
from ablate.report.stats.model import Difference, combined
from ablate.report.stats.ranks import ends, spearman
from benchmarks.claims import Outcome, Verdict, exceed, in_words, together
from benchmarks.predictions import SETS

CERTAIN = 0.05
BELOW, LOWER = -8, ("plankton", "Fashion-MNIST")  # labels that would lie on others; offset in points
LITTLE = 0.03  # what flip changes at most
MARKS = dict(zip(SETS, ("o", "s", "^", "D", "v"), strict=True))
COLOURS = dict(zip(SETS, ("#31688e", "#b2182b", "#35b779", "#7b3294", "#e08214"), strict=True))


@dataclass(frozen=True)
class Measured:
    """The rows of ``benchmarks/results/shortcut.json``, by set."""

    rows: Mapping[str, Any]

    @property
    def main(self) -> str:
        """The definition of the predictions."""
        return next(iter(self.rows["CIFAR-10"]["found"]))

    def ops(self, name: str) -> list[str]:
        """The ops that were added to crop."""
        return list(self.rows[name]["worth"])

    def shares(self, name: str, op: str = "crop", definition: str = "") -> NDArray[np.float64]:
        """How often the other view was found, by draw."""
        return np.array(self.rows[name]["found"][definition or self.main][op])

    def lowered(self, name: str, op: str, definition: str = "") -> NDArray[np.float64]:
        """What the op lowers that by, by draw."""
        return self.shares(name, "crop", definition) - self.shares(name, op, definition)

    def worth(self, name: str, op: str) -> Difference:
        """What the op is worth with crop."""
        return Difference(*self.rows[name]["worth"][op], self.rows[name]["seeds"])


def of_draws(values: NDArray[np.float64]) -> Difference:
    """The mean of the draws with its interval."""
    return Difference(*interval(values), len(values), "by draw")


def beyond(differences: Mapping[str, Difference], above: float = 0.0) -> Verdict:
    """As :func:`benchmarks.claims.exceed`, by the page's rule: draws that are all equal leave no doubt."""
    name, least = min(differences.items(), key=lambda item: item[1].mean)
    seen = in_words(name, least) + (f"; the smallest of {len(differences)}" if len(differences) > 1 else "")
    seen += f" (above {100 * above:+.0f} points expected)" if above else ""
    lows, highs = ([getattr(d, end) for d in differences.values()] for end in ("low", "high"))
    outcome: Outcome = "wrong" if min(highs) < above else "confirmed" if min(lows) > above else "undecided"
    return Verdict(outcome, seen)


def found_above(name: str, share: float) -> Callable[[Measured], Verdict]:
    return lambda data: beyond({"found": of_draws(data.shares(name))}, share)


def compared(stronger: Sequence[str], weaker: Sequence[str]) -> Callable[[Measured], Verdict]:
    """Whether the shortcut is stronger on each of some sets than on each of others."""

    def claim(data: Measured) -> Verdict:
        of = {name: of_draws(data.shares(name)) for name in SETS}
        return beyond(
            {f"{a} minus {b}": combined([(1, of[a]), (-1, of[b])]) for a in stronger for b in weaker if a != b}
        )

    return claim


def color_lowers_most(data: Measured) -> Verdict:
    return beyond(
        {
            f"{name}: color minus {op}": of_draws(data.lowered(name, "color") - data.lowered(name, op))
            for name in SETS
            for op in data.ops(name)
            if op != "color"
        }
    )


def flip_changes_little(data: Measured) -> Verdict:
    by = {name: data.lowered(name, "flip") for name in SETS}
    return together(
        beyond({f"{name}: flip raises it by": of_draws(-values) for name, values in by.items()}, -LITTLE),
        beyond({f"{name}: flip lowers it by": of_draws(values) for name, values in by.items()}, -LITTLE),
    )


def color_lowers_half(data: Measured) -> Verdict:
    half = data.lowered("CIFAR-10", "color") - data.shares("CIFAR-10") / 2
    return beyond({"what color lowers it by minus half of it": of_draws(half)})


def points(data: Measured, names: Sequence[str], definition: str = "") -> tuple[list[float], list[float]]:
    """What each op lowers the shortcut by and what it is worth, set after set."""
    pairs = [(name, op) for name in names for op in data.ops(name)]
    lowered = [float(data.lowered(name, op, definition).mean()) for name, op in pairs]
    return lowered, [data.worth(name, op).mean for name, op in pairs]


def correlation(data: Measured, definition: str = "") -> tuple[float, float, float]:
    """The rank correlation over sets and ops, and its interval over all ways to draw the sets."""
    drawn = []
    for names in combinations_with_replacement(SETS, len(SETS)):
        ways = factorial(len(SETS)) // prod(factorial(names.count(name)) for name in SETS)
        drawn += ways * [spearman(*points(data, names, definition))]
    return spearman(*points(data, list(SETS), definition)), *ends(np.array(drawn))


def the_shortcut_predicts_worth(data: Measured) -> Verdict:
    rho, low, high = correlation(data)
    outcome: Outcome = "confirmed" if low > 0 else "wrong" if high < 0 else "undecided"
    return Verdict(outcome, f"Spearman {rho:+.2f} [{low:+.2f}, {high:+.2f}]")


def color_is_worth_what_it_breaks(data: Measured) -> Verdict:
    lowered = [float(data.lowered(name, "color").mean()) for name in SETS]
    worth = [data.worth(name, "color").mean for name in SETS]
    rho = spearman(lowered, worth)
    others = np.array([spearman(lowered, list(order)) for order in permutations(worth)])
    above, below = float((others >= rho - 1e-9).mean()), float((others <= rho + 1e-9).mean())
    outcome: Outcome = "confirmed" if above <= CERTAIN else "wrong" if below <= CERTAIN else "undecided"
    seen = f"Spearman {rho:+.2f} over five sets, reached by {100 * above:.0f} % of all orders"
    return Verdict(outcome, seen)


def stain_is_shortcut_and_class(data: Measured) -> Verdict:
    gain = data.worth("blood cells", "color")
    ends = (None, None) if gain.low is None or gain.high is None else (-gain.high, -gain.low)
    harm = Difference(-gain.mean, *ends, gain.n)
    lowered = beyond({"the shortcut is lowered by": of_draws(data.lowered("blood cells", "color"))}, 0.05)
    return together(lowered, exceed({"crop minus crop with color": harm}))


PREDICTIONS: dict[int, Callable[[Measured], Verdict]] = {
    1: found_above("CIFAR-10", 0.30),
    2: compared(["CIFAR-10"], list(SETS)),
    3: found_above("blood cells", 0.10),
    4: compared(list(SETS), ["plankton"]),
    5: compared(["spoken digits"], ["Fashion-MNIST"]),
    6: color_lowers_most,
    7: flip_changes_little,
    8: color_lowers_half,
    9: the_shortcut_predicts_worth,
    10: color_is_worth_what_it_breaks,
    11: stain_is_shortcut_and_class,
}


def tables(data: Measured, picture: str) -> list[str]:
    """The picture and the tables, in Markdown."""
    sets = [name for name in data.rows if name in SETS]
    lines = ["", "## Results", "", f"![What each op lowers the shortcut by, and what it is worth]({picture})", ""]
    lines += ["| set | shortcut, % | op | lowers it by, points | worth with crop, points |"]
    lines += ["| --- | --: | --- | --: | --: |"]
    for name in data.rows:
        for number, op in enumerate(data.ops(name)):
            of_set = f"{name} | {written(of_draws(data.shares(name)), '')}" if number == 0 else " | "
            lowered = written(of_draws(data.lowered(name, op)))
            lines.append(f"| {of_set} | {op} | {lowered} | {written(data.worth(name, op))} |")
    lines += ["", "The rank correlation over sets and ops, by what is compared:", ""]
    lines += ["| what is compared | shortcut with crop, % | rank correlation |", "| --- | --- | --: |"]
    for definition in data.rows[sets[0]]["found"]:
        strength = ", ".join(f"{name} {100 * data.shares(name, 'crop', definition).mean():.0f}" for name in sets)
        rho, low, high = correlation(data, definition)
        lines.append(f"| {definition} | {strength} | {rho:+.2f} [{low:+.2f}, {high:+.2f}] |")
    seconds = [row["cpu_seconds"] for row in data.rows.values()]
    return [*lines, "", f"All four took {min(seconds):.0f} to {max(seconds):.0f} CPU seconds a set."]


def written(difference: Difference, sign: str = "+") -> str:
    """As in ``+8.6 [+5.0, +12.2]``."""
    mean = f"{100 * difference.mean:{sign}.1f}"
    if difference.low is None or difference.high is None:
        return mean
    return f"{mean} [{100 * difference.low:{sign}.1f}, {100 * difference.high:{sign}.1f}]"


def scatter(data: Measured) -> Figure:
    """Draw what each op is worth against what it lowers the shortcut by; each set has a mark and a colour."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6.0, 4.0), layout="constrained")
        axes = figure.subplots()
        axes.axhline(0, color="#999999", linewidth=0.6)
        axes.axvline(0, color="#999999", linewidth=0.6)
        for name in SETS:
            ops = data.ops(name)
            x = [100 * float(data.lowered(name, op).mean()) for op in ops]
            y = [100 * data.worth(name, op).mean for op in ops]
            axes.scatter(x, y, s=26, marker=MARKS[name], color=COLOURS[name], label=name, linewidths=0, zorder=3)
            for op, at, value in zip(ops, x, y, strict=True):
                gain = data.worth(name, op)
                if gain.low is not None and gain.high is not None:
                    axes.plot([at, at], [100 * gain.low, 100 * gain.high], color=COLOURS[name], linewidth=0.6)
                if at > 1:
                    axes.annotate(
                        op,
                        (at, value),
                        (5, BELOW if name in LOWER else 3),
                        textcoords="offset points",
                        fontsize=6,
                        color=COLOURS[name],
                    )
        axes.annotate("flip and rotate change no histogram", (0, -15), (5, 0), textcoords="offset points", fontsize=6)
        axes.set_xlim(-4, 68)
        axes.set_xlabel("the op lowers the shortcut by (points)")
        axes.set_ylabel("worth of the op with crop (points of validation accuracy)")
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=7)
    return figure
