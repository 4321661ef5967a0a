"""``--json``: a command's answer as one JSON document on standard output; all that it says otherwise goes to stderr."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ablate.console import is_main
from ablate.errors import UsageError
from ablate.facts import note, noted

if TYPE_CHECKING:
    from ablate.cli.documents import Document

ANSWER, ERROR = "answer", "error"
Json = Annotated[bool, typer.Option("--json", help="Print the answer as one JSON document; all else goes to stderr")]


def answer(*known: Any) -> None:
    """Keep what a command knows at its end, such as a status: the document is filled with it; nothing without --json.

    Args:
        known: the arguments of the function in :mod:`ablate.cli.filled` for it.
    """
    note(**{ANSWER: known})


def refuse_both(watch: bool, as_json: bool) -> None:
    """Raise UsageError if a command is to show many screens and to print one document."""
    if watch and as_json:
        raise UsageError("--json prints one document, and --watch shows the sweep until it ends: give one of them")


def refusal(sentence: str, code: int) -> None:
    """Keep the sentence and exit code with which the command ends; without ``--json`` nothing comes of it."""
    note(**{ERROR: {"exit_code": int(code), "message": sentence.removeprefix("error: ")}})


@contextlib.contextmanager
def answering(command: str, *, wanted: bool) -> Iterator[None]:
    """Print the answer of a command, or its error, at the end of the block, if it is ``wanted``.

    Args:
        command: the command's name.
        wanted: False: change nothing.
    """
    if not wanted:
        yield
        return
    with noted() as facts:
        try:
            with contextlib.redirect_stdout(sys.stderr):
                yield
        finally:
            document = _document(facts)
            if document is not None and is_main():
                typer.echo(document.replace(command=command).model_dump_json(indent=1))


def _document(facts: Mapping[str, Any]) -> Document | None:
    """Return the answer, else the error, else the facts of a dry run as a plan; None if there is nothing to say."""
    from ablate.cli.documents import ErrorDocument, PlanDocument
    from ablate.cli.filled import filled

    if ANSWER in facts:
        return filled(*facts[ANSWER])
    if ERROR in facts:
        return ErrorDocument.model_validate({"error": facts[ERROR]})
    plan = {name: facts[name] for name in PlanDocument.model_fields if name in facts}
    return PlanDocument.model_validate(plan) if plan else None
