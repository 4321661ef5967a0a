"""The budget of a search or of a grid, and the part that is spent, counted from its records."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from ablate.errors import UsageError
from ablate.sweep.record import TrialResult

Unit = Literal["trials", "h", "gpuh"]
WITHIN = 0.01
"""The difference of accuracies that does not matter, unless another is asked for: one point."""
UNLIKELY = 0.05
"""The probability of a better composition below which no more are trained."""


@dataclass(frozen=True)
class Budget:
    """A limit of ``amount`` trials, hours in which trials ran, or GPU hours; references do not count.

    A sweep within a budget also ends when a composition that is better than the best one by more than ``within``, a
    fraction, is unlikely.
    """

    amount: float
    unit: Unit
    within: float = WITHIN

    @classmethod
    def parse(cls, text: str, device: str, within: float = WITHIN) -> Budget:
        """Return the budget of ``40`` (trials), ``3h`` or ``3gpuh``.

        Args:
            text: the budget.
            device: the device on which the trials run.
            within: the difference of accuracies that does not matter, as a fraction.

        Raises:
            UsageError: the text has another form, the amount is 0, or it is GPU hours for trials on CPUs.
        """
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(h|gpuh)?", text.strip())
        if not match or not float(match[1]) or (not match[2] and "." in match[1]):
            raise UsageError(f"budget must be a number of trials (40), hours (3h) or GPU hours (3gpuh), not {text!r}")
        if match[2] == "gpuh" and device != "cuda":
            raise UsageError(f"budget {text}: these trials run on CPUs; allowed: trials (40) or hours (3h)")
        unit: Unit = "trials" if not match[2] else "h" if match[2] == "h" else "gpuh"
        return cls(float(match[1]), unit, within)

    def spent(self, records: Iterable[TrialResult]) -> float:
        """Return the cost of ``records`` in the budget's unit."""
        if self.unit == "trials":
            return float(sum(1 for _ in records))
        if self.unit == "gpuh":
            return sum(r.timings.get("total", 0.0) * r.config.world_size for r in records) / 3600
        return _at_work(records) / 3600

    @property
    def _number(self) -> str:
        """The amount without an exponent, which :meth:`parse` does not read: ``1000000``, ``2.5``."""
        return f"{Decimal(str(self.amount)).normalize():f}"

    @property
    def text(self) -> str:
        """The budget as :meth:`parse` reads it."""
        return f"{self._number}{'' if self.unit == 'trials' else self.unit}"

    def __str__(self) -> str:
        name = {"trials": "trials", "h": "hours", "gpuh": "GPU hours"}[self.unit]
        return f"{self._number} {name.removesuffix('s') if self.amount == 1 else name}"


def _at_work(records: Iterable[TrialResult]) -> float:
    """Return the seconds in which at least one of the trials ran, without the pauses between batches."""
    spans = []
    for record in records:
        if record.when:
            end = datetime.datetime.fromisoformat(record.when).timestamp()
            spans.append((end - record.timings.get("total", 0.0), end))
    total, until = 0.0, 0.0
    for begin, end in sorted(spans):
        total += max(0.0, end - max(begin, until))
        until = max(until, end)
    return total
