"""What the commands print through: sentences that no pipe cuts into lines and no bracket turns into markup."""

from __future__ import annotations

import os
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

MOST = 20
"""Sentences of one kind that are printed; a sweep may have thousands of them."""


def is_main() -> bool:
    """True for the process that speaks: all but those to which torchrun gave another rank than 0."""
    return os.environ.get("RANK", "0") == "0"


def make_console(*, stderr: bool = False) -> Console:
    """Standard output (or error), without rich's colouring of numbers and paths; mute unless :func:`is_main`."""
    return Console(stderr=stderr, highlight=False, quiet=not is_main())


def counted(number: int, noun: str) -> str:
    """``1 seed``, ``3 seeds``."""
    return f"{number} {noun}{'s' * (number != 1)}"


def say(console: Console, sentence: str, style: str = "") -> None:
    """Print ``sentence`` as it is: one line, whatever its length, so that it can be searched and copied."""
    console.print(Text(sentence, style=style), soft_wrap=True)


def say_each(console: Console, sentences: Sequence[str], style: str = "") -> None:
    """Print the first twenty, and how many more there are."""
    for line in first_lines(sentences, style):
        console.print(line, soft_wrap=True)


def first_lines(sentences: Sequence[str], style: str = "") -> list[Text]:
    """The first twenty of ``sentences``, and how many more there are."""
    lines = [*sentences[:MOST], f"... and {len(sentences) - MOST} more"] if len(sentences) > MOST else sentences
    return [Text(line, style=style) for line in lines]
