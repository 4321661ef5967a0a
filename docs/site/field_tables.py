"""Tables of the fields of pydantic models, for the API page: name, values, default and description."""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Any, get_args

from pydantic import TypeAdapter
from pydantic.fields import FieldInfo

from ablate.config.base import Model

NAMES = {
    "integer": "int",
    "number": "float",
    "string": "str",
    "boolean": "bool",
    "array": "list",
    "object": "table",
    "null": "None",
}
"""Python's names of JSON's types; a table of an experiment file is a dict in Python."""


def table(model: type[Model]) -> str:
    """Return a Markdown table of a model's fields; parts that are models follow with dotted names."""
    rows = [f"| `{name}` | {_kind(field)} | {_default(field)} | {field.description} |" for name, field in fields(model)]
    return "\n".join(["| field | values | default | meaning |", "| --- | --- | --- | --- |", *rows])


def fields(model: type[Model], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Yield every field with its dotted name, such as ``encoder.width``."""
    for name, field in model.model_fields.items():
        yield f"{prefix}{name}", field
        if not field.is_required() and (part := _part(field)):
            yield from fields(part, f"{prefix}{name}.")


def _part(field: FieldInfo) -> type[Model] | None:
    """Return the model that a field holds, or may hold beside None."""
    kinds = [kind for kind in (field.annotation, *get_args(field.annotation)) if kind is not types.NoneType]
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Model)), None)


def _kind(field: FieldInfo) -> str:
    return _named(TypeAdapter(field.rebuild_annotation()).json_schema(ref_template="{model}"))


def _named(schema: dict[str, Any]) -> str:
    """Return the values that a JSON schema allows, two levels deep: ``int from 1``, ``one or two``, ``list of str``."""
    if choices := schema.get("enum") or ([schema["const"]] if "const" in schema else []):
        return " or ".join(f"`{choice}`" for choice in choices)
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(map(_named, schema["anyOf"])))
    if "$ref" in schema or "properties" in schema:
        return f"`{schema.get('$ref') or schema['title']}`"
    name = NAMES[schema["type"]]
    if "prefixItems" in schema:
        return f"(low, high), each {_named(schema['prefixItems'][0])}"
    inner = schema.get("items") or schema.get("additionalProperties")
    if not isinstance(inner, dict) or "anyOf" in inner or inner.get("type") in {"array", "object"}:
        return name + _range(schema)
    return f"{name} of {NAMES[inner['type']] if inner.get('type') in {'integer', 'number'} else _named(inner)}"


def _range(schema: dict[str, Any]) -> str:
    low, high = schema.get("minimum", schema.get("exclusiveMinimum")), schema.get("maximum")
    above = "above" if "exclusiveMinimum" in schema else "from"
    return (f" {above} {low:g}" if low is not None else "") + (f" to {high:g}" if high is not None else "")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default()
    if isinstance(value, Model):
        return ""
    return f"`{[*value] if isinstance(value, tuple) else value}`" if value != "" else "empty"
