"""A difference of accuracies with its interval, and what that interval holds."""

from __future__ import annotations

from dataclasses import dataclass

EQUAL = 1e-9  # accuracies closer than this count as equal
NARROWEST = 1e-6  # intervals narrower than this come from rounding: the root of a rounded variance of 0 is some 1e-9


@dataclass(frozen=True)
class Difference:
    """A mean difference over ``n`` seeds with its 95 % interval, as fractions.

    There is no interval with fewer than two seeds.
    """

    mean: float
    low: float | None
    high: float | None
    n: int
    how: str = "paired by seed"

    def bounds(self, most: float = 1.0) -> tuple[float, float] | None:
        """Return the interval, cut at ``most`` on both sides, since accuracies do not differ by more than 1.

        Return None if there is no interval: with one seed, if nothing varies over seeds, and with so few seeds that the
        interval would hold all possible values.
        """
        if self.low is None or self.high is None or self.is_constant or (self.low <= -most and self.high >= most):
            return None
        return max(-most, self.low), min(most, self.high)

    @property
    def is_constant(self) -> bool:
        """True if it is the same with every seed, of which there are several; that does not make it certain."""
        return self.low is not None and self.high is not None and self.high - self.low < NARROWEST

    def __str__(self) -> str:
        text, bounds = f"{100 * self.mean:+z.1f} points", self.bounds()
        if bounds:
            return f"{text} {interval_in_points(*bounds)} (95 %, {self.how}, n = {self.n})"
        if self.low is None:
            return f"{text} (one seed)"
        if self.is_constant:
            return f"{text} (no interval: the same with all {self.n} seeds)"
        return f"{text} ({self.n} seeds are too few for an interval)"


def interval_in_points(low: float, high: float) -> str:
    """Return an interval of fractions in points, such as ``[-1.0, +3.1]``.

    An end that would round to 0 has two decimals, as in ``[-5.3, -0.03]``: so one sees whether the interval holds 0.
    """
    return f"[{_end(low)}, {_end(high)}]"


def _end(value: float) -> str:
    rounded = f"{100 * value:+z.1f}"
    return rounded if float(rounded) or abs(value) < EQUAL else f"{100 * value:+.2f}"
