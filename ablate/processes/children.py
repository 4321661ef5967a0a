"""A child process that its parent tells what to do, line by line, and that ends with its parent."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from typing import TextIO

from ablate.errors import ExitCode

CHUNK = 1 << 16  # bytes read at once


def own_stdout() -> TextIO:
    """Return the process's standard output for answers alone; all other output goes to standard error."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return answers


def lines_of_parent() -> Iterator[str]:
    """Yield the lines of standard input, until the parent closes it or is gone."""
    # os.read, not sys.stdin: a thread that waits in that holds its lock, which the interpreter wants when it ends.
    number, rest = sys.stdin.fileno(), b""
    while chunk := os.read(number, CHUNK):
        *lines, rest = (rest + chunk).split(b"\n")
        yield from (line.decode() for line in lines)


def end_with_parent(take: Callable[[str], None] = lambda line: None) -> None:
    """End this process at once when its parent is gone, from a thread that passes on the parent's lines until then."""

    def follow() -> None:
        for line in lines_of_parent():
            take(line)
        os._exit(ExitCode.FAILED)  # not sys.exit, which would end the thread alone

    threading.Thread(target=follow, daemon=True).start()
