"""The base class of all configuration, and the ranges of its numbers."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
)

LARGEST_SEED = 2**53 - 1
"""Seeds up to here are exact in every table and page that holds them: int64, SQLite, JSON in a browser, float64."""

Positive = Annotated[float, Field(gt=0)]

Fraction = Annotated[float, Field(ge=0, le=1)]

Count = Annotated[int, Field(ge=1, strict=True)]

Area = Annotated[float, Field(ge=1e-4, le=1)]

Ratio = Annotated[float, Field(ge=0.01, le=100)]

LATER = "later"
"""Marks a field that earlier records lack: its default is what they had, and it is hashed only when it differs."""

GIVEN = "given"
"""Marks a field of a trial that is no setting: it is given by other words of the description, or found out."""

RECORDED = {"recorded": True}
"""The validation context of what is read from a sweep's directory: it may hold what was allowed when it was written."""

Branches = Literal["one", "two"]


class Model(BaseModel):
    """Frozen, and refuses unknown fields and non-finite numbers."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def replace(self, **changes: Any) -> Self:
        """Return a copy with ``changes``, validated as a whole; pydantic's own copies hold whatever they are given.

        Fields that were never set stay so. Parts that are models are shared, not copied: ten thousand trials hold few
        configurations.

        Raises:
            ValidationError: what comes out could not have been constructed, or there is no such field.
        """
        values = {name: getattr(self, name) for name in self.model_fields_set} | changes
        return type(self).model_validate(values, context=self._held_to())

    def _held_to(self) -> dict[str, bool] | None:
        """The validation context of this object's copies."""
        return None


class OpSpec(Model):
    """One op, resolved: its registered name, the version of its pixels, and every parameter."""

    name: str
    version: int
    params: dict[str, Any]

    def __str__(self) -> str:
        """``color(brightness=0.8, ...)``: every parameter, rounded to four digits."""
        return f"{self.name}({', '.join(f'{name}={_rounded(value)}' for name, value in self.params.items())})"


def _rounded(value: object) -> str:
    if isinstance(value, list | tuple):
        return f"({', '.join(map(_rounded, value))})"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
