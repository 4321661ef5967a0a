"""Printing for the commands: sentences that are wrapped on a terminal, and stay in one line each in a pipe."""

from __future__ import annotations

import io
import os
import re
import shlex
import sys
import textwrap
from collections.abc import Sequence

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

MOST = 20
"""The largest number of sentences of one kind that are printed; a sweep may have thousands of them."""
GLUE = "\N{NO-BREAK SPACE}"
CONTINUED = " \\"  # tells a shell that a command continues in the next line
COMMAND = re.compile(r"(`[^`]+`\S*)")
TOGETHER = re.compile(r"(?<=\d) (?=%)|(?<=±) (?=\d)| (?=± )|(?<=\bn) (?== \d)|(?<=\bn =) (?=\d)|(?<=\d) (?=points)")
QUOTED = re.compile(r"'[^']*'")  # inside quotes a shell would take a line-ending backslash literally


def is_main() -> bool:
    """Return True for the process that prints: every process except those with another rank than 0 under torchrun.

    ``RANK`` alone does not count, since a container or a job script may set it; torchrun sets all its variables.
    """
    of_several = os.environ.get("WORLD_SIZE", "1") != "1" and "LOCAL_RANK" in os.environ
    return not of_several or os.environ.get("RANK", "0") == "0"


def make_console(*, stderr: bool = False) -> Console:
    """Return standard output (or error), without rich's colours for numbers and paths; mute unless :func:`is_main`."""
    return Console(stderr=stderr, highlight=False, quiet=not is_main())


def replace_unknown_characters() -> None:
    """Let standard output and error print ``?`` for what their encoding lacks, such as ``±`` in an ASCII locale."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def command(*words: object) -> str:
    """Write a command into a sentence: in backticks, and quoted so that it can be pasted into a shell."""
    return f"`{shlex.join(map(str, words))}`"


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: ``1 seed``, ``3 seeds``."""
    return f"{number} {noun}{'s' * (number != 1)}"


def say(console: Console, sentence: str, style: str = "") -> None:
    """Print ``sentence``: wrapped between words on a terminal; elsewhere in one line, easy to search and copy."""
    say_text(console, Text(sentence, style=style))


def say_text(console: Console, text: Text) -> None:
    """Print as :func:`say` does. Lines that fit keep their spaces and colours."""
    if console.is_terminal and any(cell_len(line) > console.width for line in text.plain.splitlines()):
        text = Text(wrapped(text.plain, console.width), style=text.style)
    say_as_it_is(console, text)


def say_as_it_is(console: Console, text: str | Text) -> None:
    """Print code, scripts and logs, whose lines must stay what they are."""
    console.print(Text(text) if isinstance(text, str) else text, soft_wrap=True)


def say_each(console: Console, sentences: Sequence[str], style: str = "") -> None:
    """Print the first twenty, and how many more there are."""
    for line in first_lines(sentences, style):
        say_text(console, line)


def first_lines(sentences: Sequence[str], style: str = "") -> list[Text]:
    """Return the first twenty of ``sentences``, and how many more there are."""
    lines = [*sentences[:MOST], f"... and {len(sentences) - MOST} more"] if len(sentences) > MOST else sentences
    return [Text(line, style=style) for line in lines]


def wrapped(text: str, width: int) -> str:
    """Break ``text`` between words, into lines of at most ``width`` columns.

    A longer word, such as a path, stays whole in a line of its own. A command in backticks is kept in one line; a
    command longer than a line is broken as a shell allows, so that it can still be copied.
    """
    return "\n".join("\n".join(_lines(line, width)) for line in text.split("\n"))


def tight(text: str) -> str:
    """Return ``text`` with no-break spaces between numbers and their units or names: ``n = 5``, ``95 %``."""
    return TOGETHER.sub(GLUE, text)


def filled(text: str, columns: int) -> list[str]:
    """Break a figure's ``text`` into lines of at most ``columns`` characters; numbers keep their units."""
    return [line.replace(GLUE, " ") for line in textwrap.wrap(tight(text), columns)]


def shortened(text: str, width: int, *, ascii_only: bool = False) -> str:
    """Return ``text`` in at most ``width`` columns.

    Its middle is cut first, since parameters stand at the end.
    """
    if cell_len(text) <= width:
        return text
    if width <= 0:
        return ""
    head = width // 2
    tail = width - head - 1
    return set_cell_size(text[:head] + ("~" if ascii_only else "…") + (text[-tail:] if tail else ""), width)


def _lines(line: str, width: int) -> list[str]:
    if cell_len(line) <= width:
        return [line]
    indent = line[: len(line) - len(line.lstrip())]
    lines: list[str] = []
    prose = ""
    for number, part in enumerate(COMMAND.split(line)):
        is_command = number % 2 == 1
        if is_command and cell_len(part) > width - len(indent):
            lines += _broken(prose, indent, width)
            lines += _broken(QUOTED.sub(lambda match: _glued(match[0]), part), indent, width, CONTINUED)
            prose = ""
        else:
            prose += _glued(part) if is_command else part
    return lines + _broken(prose, indent, width)


def _glued(words: str) -> str:
    return words.replace(" ", GLUE)


def _broken(text: str, indent: str, width: int, end: str = "") -> list[str]:
    """Return lines of whole words; all but the last end with ``end``."""
    wrapped = textwrap.wrap(
        tight(text.strip()),
        max(1, width - len(end)),
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [line.replace(GLUE, " ") + end * (number < len(wrapped)) for number, line in enumerate(wrapped, start=1)]


def clock(seconds: float) -> str:
    """Return a duration in words: ``under 1 s``, ``42 s``, ``3 min 05 s``, ``2 h 10 min``, ``2 days 03 h``."""
    if 0 < seconds < 0.5:
        return "under 1 s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole >= 2 * 86400:
        return f"{whole // 86400} days {whole % 86400 // 3600:02d} h"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
