"""The mark that turns a field of a model into a command-line option; needs no command line itself."""

from __future__ import annotations

import types
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Le
from pydantic import BaseModel
from pydantic.fields import FieldInfo

GRID, DROP, SEARCH, TRAIN, PREVIEW = "grid", "drop", "search", "train", "preview"
"""The commands whose options are made from fields."""


@dataclass(frozen=True)
class Option:
    """Marks a field as an option of the command line; it stands in the metadata of the field's annotation.

    The field itself gives the type, default, range and help (``Field(description=...)``); this adds the rest.

    Args:
        group: the heading in the help under which the option is listed.
        flags: the option's flags where they are not the field's name: ``("--include",)``.
        metavar: the name of its value in the help, where the type's name is not clear enough.
        default: the default in words, where the field's own default does not show it.
        commands: the commands that have the option, among those that take a description.
        listed: the option takes a list as one word with commas; other lists are options that may be repeated.
        text: the option takes any word; the field's validators read it, or refuse it with the nearest match.
        least: the smallest number allowed, where the field allows smaller ones because it also reads records.
    """

    group: str
    flags: tuple[str, ...] = ()
    metavar: str | None = None
    default: str = ""
    commands: tuple[str, ...] = (GRID, DROP, SEARCH, TRAIN)
    listed: bool = False
    text: bool = False
    least: float | None = None


def option_of(field: FieldInfo) -> Option | None:
    """Return the :class:`Option` of ``field``, or None if it is not an option."""
    return next((item for item in field.metadata if isinstance(item, Option)), None)


def options_of(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """Return the fields of ``model`` that are options, in the model's order."""
    return {name: field for name, field in model.model_fields.items() if option_of(field)}


def flag(name: str, field: FieldInfo) -> str:
    """Return the flag of a field: its own if it has one, else made from its name (``--per-gpu`` for ``per_gpu``)."""
    option = option_of(field)
    return option.flags[0] if option and option.flags else f"--{name.replace('_', '-')}"


def plain_type(field: FieldInfo) -> Any:
    """Return the type of a field's value without None and without its ranges."""
    annotation = field.annotation
    if get_origin(annotation) in {Union, types.UnionType}:
        annotation = next(item for item in get_args(annotation) if item is not types.NoneType)
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def bounds(field: FieldInfo) -> tuple[float | None, float | None]:
    """Return the smallest and the largest number that an option takes, None where there is no limit."""
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
    """Return the limits inside ``Count | None``, where pydantic leaves them."""
    limits: list[Any] = []
    for item in get_args(annotation):
        if get_origin(item) is Annotated:
            for limit in item.__metadata__:
                limits += limit.metadata if isinstance(limit, FieldInfo) else [limit]
    return limits
