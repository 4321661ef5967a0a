"""The errors of ablate: what each means, who raises it and who catches it; and the sentences that help users.

::

    AblateError
    ├── UsageError              the user's input is wrong or not possible: exit code 2, before any work
    │   └── NotExportable       an op has no equal in a library's pipeline
    ├── ImageError              one image file cannot be used
    │   ├── CorruptImage        it cannot be read
    │   └── UnsupportedImage    it is intact, of a kind that decoding would damage
    ├── Unreadable              an expression in a file of transforms needs that file to be run
    ├── DamagedRecord           a record file is not whole: it is set aside, and its trial runs again
    ├── DiskError               the disk refused a write
    ├── ClusterError            the scheduler did not do what it was asked
    │   ├── ClusterRefused      it answered, and refused
    │   └── ClusterSilent       it did not answer: it is asked again, for some minutes
    ├── WorkerError             a worker did not start
    ├── LostNode                another node's processes are gone: the worker is replaced
    │
    │   the ends of an attempt at a trial that leave no record:
    ├── TrialHeld               another process is at work on the trial
    ├── LostLease               another process has taken the trial over
    ├── Interrupted             the trial was asked to stop, and has written a checkpoint
    ├── Parked                  the trial pauses at a rung of pruning
    │
    │   the faults that become the trial's failed record, as any other exception does:
    ├── Diverged                the loss or a feature is not finite
    ├── NoProgress              a job's attempts all begin at the same step
    └── LostRank                another process of the trial is gone

    KeyboardInterrupt
    └── Interruption            SIGINT or SIGTERM ends the command: exit code 130 or 143

Each also is the built-in exception that callers may expect: a UsageError is a ValueError, a DiskError an OSError.
Exceptions that never leave their module are private to it. The names of the last group stand in records.
"""

from __future__ import annotations

import difflib
import enum
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError


class ExitCode(enum.IntEnum):
    """The exit codes of commands, workers, the processes of a trial, and jobs; each number is written here alone."""

    DONE = 0
    """All went well."""
    FAILED = 1
    """Something went wrong while running: a trial failed, a disk or a scheduler refused, a job gave up."""
    USAGE = 2
    """The user's input is wrong or not possible; nothing was begun."""
    DISK = 74
    """EX_IOERR. A worker, or a process of a trial, could not write; its launcher stops the sweep with FAILED."""
    DEVICE = 75
    """EX_TEMPFAIL. A worker met a CUDA error, which lasts as long as its process; its launcher starts another one."""
    INTERRUPTED = 130
    """128 + SIGINT: Ctrl-C. Of a process of a trial: it stopped in order, or has lost its lease."""
    TERMINATED = 143
    """128 + SIGTERM: told to end. Nothing that was finished is lost."""


class AblateError(Exception):
    """The base class of every error that ablate raises by itself. Nothing raises it as such."""


class UsageError(AblateError, ValueError):
    """What the user asks for is wrong or not possible: an unknown word, a value out of range, a directory in use.

    The message says what was wrong, what is allowed and, where there is one, the nearest match. Everything that reads
    input raises it, before any work. A command prints the one sentence, without a traceback, and exits with 2.
    """


class NotExportable(UsageError):
    """An op that a library's pipeline cannot hold. ``recommend`` then says why it writes no pipeline for it."""


class ImageError(AblateError, ValueError):
    """One image file cannot be used; the message is the reason. The folder's report of images left out quotes it."""


class CorruptImage(ImageError):
    """A file that is not a readable image. Decoding raises it."""


class UnsupportedImage(ImageError):
    """An intact image file of a kind that would be damaged; the message says what was found and what to do."""


class Unreadable(AblateError):
    """An expression whose meaning is not known without running the file; the message says why.

    What reads a file of transforms turns it into a UsageError, or into an unread value, for whoever needs that value.
    """


class DamagedRecord(AblateError, ValueError):
    """A record file that is truncated or is not a record. Whoever reads records sets it aside; its trial runs again."""


class DiskError(AblateError, OSError):
    """The disk refused a write; the files written before are intact.

    Everything that writes a sweep's files raises it. It ends the worker (exit code 74) and the command (1), and never
    becomes the record of a trial, which is not at fault.
    """


class ClusterError(AblateError, RuntimeError):
    """The scheduler did not do what it was asked; the message is one sentence, with which the command exits with 1."""


class ClusterRefused(ClusterError):
    """The scheduler answered and refused; the message ends with its words. An array that is refused is rolled back."""


class ClusterSilent(ClusterError):
    """The controller did not answer; the command is worth another try, and the scheduler's module makes it."""


class WorkerError(AblateError, RuntimeError):
    """A worker did not start, or workers of a machine that joined were killed. The command stops with exit code 1.

    The message ends with the last lines of the worker's log, or says what became of the trial.
    """


class TrialHeld(AblateError):
    """Another process holds the trial. :func:`ablate.sweep.lease.claim` raises it.

    A worker goes on to its next trial; ``ablate train`` exits with 2. ``holder`` is the attempt of the other process,
    :class:`ablate.sweep.attempts.Attempt`.
    """

    def __init__(self, holder: object) -> None:
        super().__init__(holder)
        self.holder = holder

    def __str__(self) -> str:
        """Say who holds the trial."""
        return f"another process is at work on this trial: {self.holder}"


class LostLease(AblateError, RuntimeError):
    """Another process has taken the trial over: this one must write nothing more.

    :meth:`ablate.sweep.lease.Lease.write` raises it instead of writing. A worker goes on to its next trial; ``ablate
    train`` exits with 1.
    """


class Interrupted(AblateError):
    """The trial was asked to stop; a checkpoint of everything trained so far is on disk, and the same call resumes."""


class Parked(AblateError):
    """The trial has reached the rung at which it pauses; its checkpoint and ``parked.json`` are on disk."""


class Diverged(AblateError, FloatingPointError):
    """The training loss, or a feature, became NaN or infinite. It becomes the trial's failed record."""


class NoProgress(AblateError, RuntimeError):
    """A Slurm job was requeued twice without one step of progress in this trial. It becomes the failed record."""


class LostRank(AblateError, RuntimeError):
    """Another process of the trial is gone, or silent for longer than the timeout.

    Collectives raise it. It becomes the failed record, unless whoever runs the other process knows better.
    """


class LostNode(AblateError, RuntimeError):
    """The processes of a trial that another node ran are gone, which is not the trial's fault.

    It ends the worker, as if the worker had died: the launcher starts another one, which resumes the trial.
    """


class Interruption(KeyboardInterrupt):
    """SIGINT (Ctrl-C) or SIGTERM ends the command; the same command goes on from what is finished.

    :func:`ablate.processes.signals.interruptible` raises it, in the main thread, at any point of the program: it is no
    Exception, so that nobody takes it for a failure. Whoever started processes ends them and lets it pass. A command
    prints the sentence and exits with ``code``.

    ``number`` is the number of the signal.
    """

    def __init__(self, number: int, sentence: str = "interrupted; all finished work is kept") -> None:
        super().__init__(sentence)
        self.number = number

    @property
    def code(self) -> ExitCode:
        """The exit code of a command that this ends."""
        return ExitCode(128 + self.number)


def nearest(word: str, allowed: Iterable[str]) -> str:
    """Return ``"; did you mean 'crop'?"`` for the closest allowed word, or ``""`` if none is close.

    Capitals make no difference to what is close.
    """
    by_letters = {name.casefold(): name for name in allowed}
    match = difflib.get_close_matches(word.casefold(), list(by_letters), n=1, cutoff=0.5)
    return f"; did you mean {by_letters[match[0]]!r}?" if match else ""


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
        places: the place where the user wrote a field's value, by the field's name: ``{"memory": "--mem"}``, or
            ``{"encoder.frozen_stages": "--freeze"}``; a field that is not in it goes by its own name.

    Returns:
        ``epochs must be at least 1, not 0``, without a full stop. If no single field is at fault, the
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
    where = ".".join([first, *inner])
    if places and first in places:
        where = " ".join([places[first], *inner])
    elif places:
        where = places.get(where, where)
    value, message = problem["input"], problem["msg"].removeprefix("Value error, ")
    named = message.startswith("unknown ")  # our own words, which have the value
    shown = f", not {value!r}" if isinstance(value, SHOWN) and not named else ""
    if problem["type"] == "literal_error":
        expected = problem["ctx"]["expected"]
        words = re.findall("'(.+?)'", expected)
        return f"{where} must be {expected}{shown}{nearest(str(value), words)}"
    if message.startswith("Input should "):
        return f"{where or 'it'} {must(message)}{shown}"
    if message.startswith("must "):
        return f"{where or 'it'} {message}{shown}"
    return f"{where}: {message[:1].lower()}{message[1:]}{shown}" if where else f"{message}{shown}"


PLAIN = {
    "Input should ": "must ",
    "greater than or equal to": "at least",
    "less than or equal to": "at most",
    "a valid integer": "a whole number",
    "a valid number": "a number",
    "a valid string": "text",
    "a valid boolean": "true or false",
}


def must(message: str) -> str:
    """Return pydantic's ``Input should be a valid integer, unable ...`` in common words: ``must be a whole number``."""
    text = message.partition(",")[0]
    for words, plain in PLAIN.items():
        text = text.replace(words, plain)
    return text


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
