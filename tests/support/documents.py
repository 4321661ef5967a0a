"""The tables of docs/json.md: the fields of every document. As a command it writes them."""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Any, get_args, get_origin

from ablate.cli.documents import AnyDocument, Document
from ablate.config.base import Model
from tests.support.modules import ROOT

PAGE = ROOT / "docs" / "json.md"
BEGIN, END = "<!-- documents: python -m tests.support.documents -->\n", "<!-- end of documents -->\n"


def tables() -> str:
    """A heading, a sentence and a table of fields for each document."""
    parts = []
    for document in get_args(AnyDocument):
        rows = "\n".join(
            f"| `{name}` | {kind} | {about} |"
            for name, kind, about in fields(document)
            if name not in Document.model_fields
        )
        name = document.model_fields["document"].default
        about = document.__doc__.strip()
        parts.append(f"### {name}\n\n{about}\n\n| field | type | meaning |\n| --- | --- | --- |\n{rows}\n")
    return "\n".join(parts)


def fields(model: type[Model], prefix: str = "") -> Iterator[tuple[str, str, str]]:
    """Every field with its path, its type and its meaning; ``document`` is in the heading."""
    for name, field in model.model_fields.items():
        if name == "document":
            continue
        kind, part, listed = described(field.annotation)
        yield f"{prefix}{name}", kind, field.description
        if part and part.__name__ != "OpSpec":
            yield from fields(part, f"{prefix}{name}{'[]' * listed}.")


def described(annotation: Any) -> tuple[str, type[Model] | None, bool]:
    """The type in JSON's words, the model in it, and whether that is in a list."""
    if get_origin(annotation) in {types.UnionType}:
        inner = [kind for kind in get_args(annotation) if kind is not types.NoneType]
        kind, part, listed = described(inner[0])
        return f"{kind} or null", part, listed
    if get_origin(annotation) is list:
        kind, part, _ = described(get_args(annotation)[0])
        return f"list of {kind}s", part, True
    if get_origin(annotation) is dict:
        return f"object of {described(get_args(annotation)[1])[0]}s", None, False
    if isinstance(annotation, type) and issubclass(annotation, Model):
        return "object", annotation, False
    names = {str: "string", int: "integer", float: "number", bool: "boolean"}
    return names.get(annotation, "any"), None, False


if __name__ == "__main__":
    before, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n{tables()}\n{END}{rest.partition(END)[2]}")
