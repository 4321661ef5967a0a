"""Claims about committed grids, and what the records say of them: docs/real-images.md explains the rules.

A claim is confirmed, wrong, undecided, or not measured yet. It knows what was measured in words, whatever it became.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, product
from typing import Literal

from ablate.console import counted
from ablate.report.data.grid import Cell
from ablate.report.data.results import Results
from ablate.report.stats.model import Difference
from ablate.report.stats.order import Ranking, order, ordered

Outcome = Literal["wrong", "undecided", "confirmed", "not measured yet"]
OUTCOMES: tuple[Outcome, ...] = ("wrong", "undecided", "confirmed", "not measured yet")
"""In the order of the page."""
Weights = Mapping[str, float]
"""The weight of each cell's mean in a contrast, by label."""
BARE: Weights = {"no-op": 1.0}
"""The bare pair, which no op augments."""


class Unmeasured(Exception):
    """The records do not suffice for a claim; the message is the reason."""


@dataclass(frozen=True)
class Verdict:
    """What became of a claim, and what was measured, in words."""

    outcome: Outcome
    seen: str


def wrong_first(found: Mapping[int, Verdict]) -> list[tuple[int, Verdict]]:
    """The verdicts by number, in the order of a page: by outcome, the wrong ones first, then by number."""
    return sorted(found.items(), key=lambda item: (OUTCOMES.index(item[1].outcome), item[0]))


@dataclass(frozen=True)
class Case:
    """A whole grid; ``name`` is that of its data set in the text."""

    name: str
    results: Results

    @cached_property
    def ranking(self) -> Ranking:
        """The compositions, the best first."""
        return order(self.results.grid)

    @cached_property
    def with_bare(self) -> Ranking:
        """The compositions and the bare pair, which is trained and shares their seeds, and so is a cell like others."""
        grid = self.results.grid
        bare = [grid.references["no-op"]] if "no-op" in grid.references else []
        return ordered([*grid.with_results, *bare], grid.validation_metric)

    @cached_property
    def ops(self) -> dict[str, str]:
        """The label of each op by its own name: ``crop`` may be ``crop(flip_p=0.0)``."""
        return {label.partition("(")[0]: label for label in self.results.grid.ops}

    def cell(self, *names: str) -> str:
        """The label of a composition, given by the ops' own names."""
        return "+".join(self.ops[name] for name in names)

    def alone(self, name: str) -> Weights:
        return {self.cell(name): 1.0}

    def both(self, a: str, b: str) -> Weights:
        """Two ops together: the mean of both orders."""
        return {self.cell(a, b): 0.5, self.cell(b, a): 0.5}

    @property
    def singles(self) -> list[Cell]:
        return self.results.grid.singles

    def differences(self, *contrasts: Weights) -> list[Difference]:
        """The contrasts with their 95 % intervals, which hold jointly where there are several."""
        lacking = {label for weights in contrasts for label in weights} - self.with_bare.scores.keys()
        if lacking:
            raise Unmeasured(f"{self.name}: {sorted(lacking)[0]} has no result")
        model = self.with_bare.model
        if model is None or len(contrasts) == 1:
            return [self.with_bare.contrast(weights) for weights in contrasts]
        return model.contrasts(contrasts)

    def difference(self, contrast: Weights) -> Difference:
        return self.differences(contrast)[0]


def short(label: str) -> str:
    """A cell's label, or a sentence with labels, without the parameters of ops."""
    return re.sub(r"(?<=\w)\([^)]*\)", "", label)


def minus(a: Weights, b: Weights) -> Weights:
    """The contrast ``a`` minus ``b``."""
    return {label: a.get(label, 0.0) - b.get(label, 0.0) for label in {**a, **b}}


def exceed(differences: Mapping[str, Difference], above: float = 0.0) -> Verdict:
    """Whether every difference, by its name, is above a fraction. The verdict names the smallest one."""
    known = differences.values()
    seen = in_words(*min(differences.items(), key=lambda item: item[1].mean))
    seen += f"; the smallest of {len(differences)}" if len(differences) > 1 else ""
    seen += f" (above {100 * above:+.0f} points expected)" if above else ""
    if any(difference.low is None or difference.high is None for difference in known):
        return Verdict("not measured yet", f"one seed: {seen}")
    if any(difference.is_constant for difference in known):
        return Verdict("undecided", seen)
    if any(difference.high < above for difference in known):  # type: ignore[operator]
        return Verdict("wrong", seen)
    confirmed = all(difference.low > above for difference in known)  # type: ignore[operator]
    return Verdict("confirmed" if confirmed else "undecided", seen)


def in_words(name: str, difference: Difference) -> str:
    """As in ``crop minus flip: +16.0 points [+11.7, +20.3]``."""
    return f"{name}: {str(difference).partition(' (')[0]}"


def best_is(ranking: Ranking, fits: Callable[[str], bool]) -> Verdict:
    """Whether the best cell fits: confirmed if every contender for it does, wrong if none does."""
    if ranking.best is None:
        raise Unmeasured("no results")
    if not ranking.contenders:
        return Verdict("not measured yet", f"one seed: {short(ranking.best.label)} is the best so far")
    seen = rivals_in_words(
        [ranking.best.label, *(rival for rival in ranking.contenders if rival != ranking.best.label)]
    )
    fitting = [fits(label) for label in ranking.contenders]
    return Verdict("confirmed" if all(fitting) else "undecided" if any(fitting) else "wrong", seen)


def rivals_in_words(labels: Sequence[str]) -> str:
    """The best cell, the first of ``labels``, and those that cannot be told from it."""
    best, *rivals = map(short, labels)
    return best + (f"; not told from it: {', '.join(rivals)}" if rivals else ", alone")


def together(*parts: Verdict) -> Verdict:
    """A claim of several parts: wrong if one of them is, confirmed if all of them are."""
    outcomes = {part.outcome for part in parts}
    first: tuple[Outcome, ...] = ("wrong", "not measured yet", "undecided", "confirmed")
    return Verdict(next(outcome for outcome in first if outcome in outcomes), "; ".join(part.seen for part in parts))


def differ(contenders: Sequence[Sequence[str]], least: int, lacking: int) -> Verdict:
    """Whether the best cells of several sets are at least ``least`` different ones, ``lacking`` sets not measured yet.

    Confirmed if that is so whichever contender of each set is its best cell, wrong if it is so for no choice of them.
    """
    leaders = ", ".join(short(labels[0]) for labels in contenders)
    seen = f"{counted(len({labels[0] for labels in contenders}), 'different best cell')}: {leaders}"
    union = sorted({label for labels in contenders for label in labels})
    few = any(all(set(labels) & set(chosen) for labels in contenders) for chosen in combinations(union, least - 1))
    if len(union) >= least and not few:  # no choice of fewer cells has one of every set's contenders
        return Verdict("confirmed", seen)
    if lacking:
        return Verdict("not measured yet", f"{seen}; {counted(lacking, 'set')} to come")
    triples = (choice for sets in combinations(contenders, least) for choice in product(*sets))
    return Verdict("undecided" if any(len(set(choice)) == least for choice in triples) else "wrong", seen)


def enough(holds: Mapping[str, bool], least: int, of: int) -> tuple[Outcome, int]:
    """Whether something holds for at least ``least`` of ``of`` sets, some of which are known, and for how many."""
    yes = sum(holds.values())
    if yes >= least:
        return "confirmed", yes
    return "wrong" if len(holds) - yes > of - least else "not measured yet", yes
