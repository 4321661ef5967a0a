"""The one exception for mistakes that users can correct, and the sentences that help them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError


class UsageError(ValueError):
    """Bad input: the command line prints its one sentence and exits with 2, without a traceback.

    The message says what was wrong, what is allowed and, where there is one, the nearest match.
    """


def nearest(word: str, allowed: Iterable[str]) -> str:
    """Return ``"; did you mean 'crop'?"`` for the closest allowed word, or ``""`` if none is close."""
    match = difflib.get_close_matches(word, list(allowed), n=1, cutoff=0.5)
    return f"; did you mean {match[0]!r}?" if match else ""


def unknown(kind: str, word: str, allowed: Iterable[str]) -> UsageError:
    """Return the error for a word outside a closed set, with that set and the nearest match."""
    names = list(allowed)
    choices = f"; allowed: {', '.join(names)}" if names else ""
    return UsageError(f"unknown {kind} {word!r}{choices}{nearest(word, names)}")


def sentence(
    error: ValidationError,
    *,
    kind: str = "setting",
    allowed: Collection[str] = (),
    places: Mapping[str, str] | None = None,
) -> str:
    """Return the first problem of ``error`` as one sentence: place, allowed values, given value, nearest match.

    Args:
        error: pydantic's error, which is worded for programmers and names fields, not flags.
        kind: the user's word for the names: ``setting``, ``key``.
        allowed: the names to choose from where one is unknown.
        places: the place where the user wrote a field's value, by the field's name: ``{"memory": "--mem"}``; a field
            that is not in it goes by its own name.

    Returns:
        ``epochs must be greater than or equal to 1, not 0``, without a full stop. If no single field is at fault, the
        sentence begins with the problem.
    """
    problems = [p for p in error.errors(include_url=False) if p["loc"][:1] == error.errors()[0]["loc"][:1]]
    # every member of a union refuses the value; a refusal in our own words is the clearest
    problem = next((p for p in problems if p["type"] == "value_error"), problems[0])
    first, *rest = [str(part) for part in problem["loc"]] or [""]
    # the place also holds the member that refused ("list[int]", "constrained-str"), which users did not write
    inner = [part for part in rest if not UNION_MEMBER.match(part)]
    if problem["type"] == "extra_forbidden":
        return str(unknown(kind, ".".join([first, *inner]), allowed))
    where = " ".join([places[first], *inner]) if places and first in places else ".".join([first, *inner])
    value, message = problem["input"], problem["msg"].removeprefix("Value error, ")
    shown = f", not {value!r}" if isinstance(value, SHOWN) else ""
    if problem["type"] == "literal_error":
        expected = problem["ctx"]["expected"]
        words = re.findall("'(.+?)'", expected)
        return f"{where} must be {expected}{shown}{nearest(str(value), words)}"
    if message.startswith("Input should "):
        return f"{where or 'it'} must {message.removeprefix('Input should ')}{shown}"
    return f"{where}: {message[:1].lower()}{message[1:]}{shown}" if where else f"{message}{shown}"


UNION_MEMBER = re.compile(r"(constrained-)?(str|int|float|bool|list|dict|tuple|none)(\[.*)?$|\w+(-\w+)*\[")
SHOWN = (str, int, float, bool, list, tuple, type(None))  # values that messages repeat; a whole table is too long


def expanded(path: str) -> Path:
    """Return ``path`` with ``~`` replaced; raise UsageError for an unknown user, or a name that is not UTF-8."""
    try:
        path.encode()
        return Path(path).expanduser()
    except RuntimeError:
        raise UsageError(f"{path}: there is no such user") from None
    except UnicodeEncodeError:
        raise UsageError(f"{printable(path)}: the name is not valid UTF-8; rename it") from None


def printable(text: str) -> str:
    """Return ``text`` with the bytes of non-UTF-8 file names replaced, so that it can be printed and stored."""
    return text.encode("utf-8", "replace").decode()


def first_line(error: Exception) -> str:
    """Return the first line of an error's message, or its type if it has no message."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
