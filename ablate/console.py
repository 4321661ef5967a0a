"""What the commands print through: sentences that no pipe cuts into lines and no bracket turns into markup."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text


def make_console(*, stderr: bool = False) -> Console:
    """Standard output (or error), without rich's colouring of numbers and paths."""
    return Console(stderr=stderr, highlight=False)


def counted(number: int, noun: str) -> str:
    """``1 seed``, ``3 seeds``."""
    return f"{number} {noun}{'s' * (number != 1)}"


def say(console: Console, sentence: str, style: str = "") -> None:
    """Print ``sentence`` as it is: one line, whatever its length, so that it can be searched and copied."""
    console.print(Text(sentence, style=style), soft_wrap=True)
