"""The effect of a change to a composition, and what its interval says: it helps, costs little, harms, or is unknown."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from ablate.config.measure import Measure, in_short
from ablate.report.data.grid import Cell
from ablate.report.stats.model import Difference
from ablate.report.stats.words import in_points

COST = 0.01
"""The accuracy that leaving out an op may cost, as a fraction: a point."""
Kind = Literal["removal", "addition", "change"]
Finding = Literal["raises", "costs little", "lowers", "undecided"]
WORDS: dict[tuple[Kind, Finding], str] = {
    ("removal", "raises"): "What hurts ({what} rises without it)",
    ("removal", "costs little"): f"What you can delete ({{what}} falls by less than {100 * COST:g} point without it)",
    ("removal", "lowers"): "What is needed ({what} falls without it)",
    ("removal", "undecided"): "Undecided (keep these, or add seeds)",
    ("addition", "raises"): "What would help",
    ("addition", "lowers"): "What would harm",
    ("change", "raises"): "Better than as it is",
    ("change", "lowers"): "Worse than as it is",
}
"""The start of a sentence on the changes of one kind that have one finding; the others are only in the table.

``what`` stands for the measure."""


@dataclass(frozen=True)
class Effect:
    """The effect of a change: on validation accuracy, with a joint interval, and on test accuracy.

    It is a cell's difference from the baseline, or, without a ``cell``, an average over the cells of a screening
    design. ``ops`` are the names of the ops that are left out or added; empty for another change.
    """

    label: str
    cell: Cell | None
    kind: Kind
    ops: tuple[str, ...]
    difference: Difference
    test: float | None

    def __str__(self) -> str:
        """Return ``blur -3.1 [-5.2, -1.0]``, or ``blur -3.1 (no interval)``: a number alone would look certain."""
        without = "" if self.difference.bounds() else " (no interval)"
        return f"{'+'.join(self.ops) or self.label} {in_points(self.difference)}{without}"

    @property
    def finding(self) -> Finding:
        """What the interval says: accuracy rises, falls by less than :data:`COST`, falls, or none of these."""
        low, high = self.difference.bounds() or (-1.0, 1.0)
        if low > 0:
            return "raises"
        return "costs little" if low > -COST else "lowers" if high < 0 else "undecided"


def in_words(effects: Iterable[Effect], measure: Measure) -> list[str]:
    """Return a sentence for each kind of change and finding that :data:`WORDS` names, listing its effects.

    Args:
        effects: the effects.
        measure: the measure in which they are points.
    """
    there = list(effects)
    sentences = []
    for (kind, finding), words in WORDS.items():
        if those := [str(effect) for effect in there if (effect.kind, effect.finding) == (kind, finding)]:
            sentences.append(f"{words.format(what=in_short(measure))}: {', '.join(those)}.")
    return sentences
