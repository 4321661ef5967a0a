"""What turns a field of a model into an option of the command line; needs no command line itself."""

from __future__ import annotations

import types
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Le
from pydantic import BaseModel
from pydantic.fields import FieldInfo

GRID, SEARCH, TRAIN, PREVIEW = "grid", "search", "train", "preview"
"""The commands whose options are made of fields."""


@dataclass(frozen=True)
class Option:
    """Marks a field as an option of the command line, among the metadata of its annotation.

    Type, default, range and help (``Field(description=...)``) are the field's; this is what a field does not say.

    Args:
        group: the heading of help under which it stands.
        flags: what it is called, where that is not the field's name: ``("--include",)``.
        metavar: what help calls its value, where the type's name does not do.
        default: its default in words, where the field's own value does not say it.
        commands: those that have it, of the ones that take a description.
        listed: it takes a list as one word with commas; other lists are options that may be repeated.
        text: it takes any word, which the field's validators read, or refuse with the nearest match.
        least: the smallest number that it takes, where the field, which also reads records, allows smaller ones.
    """

    group: str
    flags: tuple[str, ...] = ()
    metavar: str | None = None
    default: str = ""
    commands: tuple[str, ...] = (GRID, SEARCH, TRAIN)
    listed: bool = False
    text: bool = False
    least: float | None = None


def option_of(field: FieldInfo) -> Option | None:
    """How ``field`` is an option; None where it is none."""
    return next((item for item in field.metadata if isinstance(item, Option)), None)


def options_of(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """The fields of ``model`` that are options, in its order."""
    return {name: field for name, field in model.model_fields.items() if option_of(field)}


def flag(name: str, field: FieldInfo) -> str:
    """What a field is called on the command line: ``--per-gpu`` of ``per_gpu``, unless it has a flag of its own."""
    option = option_of(field)
    return option.flags[0] if option and option.flags else f"--{name.replace('_', '-')}"


def plain_type(field: FieldInfo) -> Any:
    """The type of a field's value without None and without its ranges."""
    found = field.annotation
    if get_origin(found) in {Union, types.UnionType}:
        found = next(item for item in get_args(found) if item is not types.NoneType)
    return get_args(found)[0] if get_origin(found) is Annotated else found


def bounds(field: FieldInfo) -> tuple[float | None, float | None]:
    """The smallest and the largest number that an option takes, None where there is no limit."""
    option = option_of(field)
    if get_origin(plain_type(field)) is Literal and all(isinstance(value, int) for value in get_args(field.annotation)):
        values = get_args(field.annotation)
        return min(values), max(values)
    limits = [*field.metadata, *_inner(field.annotation)]
    low = next((limit.ge for limit in limits if isinstance(limit, Ge)), None)
    high = next((limit.le for limit in limits if isinstance(limit, Le)), None)
    least = option.least if option and option.least is not None else low
    return least, high  # type: ignore[return-value]


def _inner(annotation: Any) -> list[Any]:
    """The limits inside ``Count | None``, which pydantic leaves there."""
    found: list[Any] = []
    for item in get_args(annotation):
        if get_origin(item) is Annotated:
            for limit in item.__metadata__:
                found += limit.metadata if isinstance(limit, FieldInfo) else [limit]
    return found
