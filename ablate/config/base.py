"""The base class of all configuration, and the ranges of its numbers."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
)

LARGEST_SEED = 2**53 - 1
"""The largest seed: exact in every table and page that holds seeds (int64, SQLite, JSON in a browser, float64)."""

Positive = Annotated[float, Field(gt=0)]

Fraction = Annotated[float, Field(ge=0, le=1)]

Count = Annotated[int, Field(ge=1, strict=True)]

Area = Annotated[float, Field(ge=1e-4, le=1)]

Ratio = Annotated[float, Field(ge=0.01, le=100)]

LATER = "later"
"""Marks a field that earlier records lack. Its default is the value they had; it is hashed only when it differs."""

GIVEN = "given"
"""Marks a field of a trial that is no setting: other parts of the description give it, or it is found out."""

RECORDED = {"recorded": True}
"""The validation context for files of a sweep's directory: they may hold values that were allowed when written."""

Branches = Literal["one", "two"]


class Model(BaseModel):
    """The base of all configuration: frozen, without unknown fields and without non-finite numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def replace(self, **changes: Any) -> Self:
        """Return a copy with ``changes``, validated as a whole; pydantic's own ``model_copy`` validates nothing.

        Fields that were never set stay unset. Parts that are models are shared, not copied, since ten thousand trials
        hold only a few configurations.

        Raises:
            ValidationError: an unknown field, or values that could not have been given to the constructor.
        """
        values = {name: getattr(self, name) for name in self.model_fields_set} | changes
        return type(self).model_validate(values, context=self._held_to())

    def _held_to(self) -> dict[str, bool] | None:
        """Return the validation context for copies of this object."""
        return None


class OpSpec(Model):
    """One op, resolved: its registered name, the version of its pixels, and every parameter."""

    name: str
    version: int
    params: dict[str, Any]

    def __str__(self) -> str:
        """Return ``color(brightness=0.8, ...)``: the name and every parameter, rounded to four digits."""
        return f"{self.name}({', '.join(f'{name}={_rounded(value)}' for name, value in self.params.items())})"


def _rounded(value: object) -> str:
    if isinstance(value, list | tuple):
        return f"({', '.join(map(_rounded, value))})"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
