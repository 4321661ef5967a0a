"""The one exception that is the user's to mend, and the sentence that helps them mend it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path


class UsageError(ValueError):
    """Bad input: the command line prints its one sentence and exits with 2, without a traceback.

    The message says what was wrong, what is allowed and, where there is one, the nearest match.
    """


def nearest(word: str, allowed: Iterable[str]) -> str:
    """``"; did you mean 'crop'?"`` for the closest allowed word, or ``""`` when nothing is close."""
    match = difflib.get_close_matches(word, list(allowed), n=1, cutoff=0.5)
    return f"; did you mean {match[0]!r}?" if match else ""


def unknown(kind: str, word: str, allowed: Iterable[str]) -> UsageError:
    """The error for a word outside a closed set, with that set and the nearest match."""
    names = list(allowed)
    return UsageError(f"unknown {kind} {word!r}; allowed: {', '.join(names)}{nearest(word, names)}")


def expanded(path: str) -> Path:
    """``path`` with ``~`` replaced; UsageError for a user that is not known, or a name that is not UTF-8."""
    try:
        path.encode()
        return Path(path).expanduser()
    except RuntimeError:
        raise UsageError(f"{path}: there is no such user") from None
    except UnicodeEncodeError:
        raise UsageError(f"{printable(path)}: the name is not valid UTF-8; rename it") from None


def printable(text: str) -> str:
    """``text`` with the bytes of file names that are not UTF-8 replaced, so that it can be printed and stored."""
    return text.encode("utf-8", "replace").decode()


def first_line(error: Exception) -> str:
    """The first line of an error's message, or its type where it has none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
