"""The end of a command: its errors as one sentence, without a traceback, and an exit code."""

from __future__ import annotations

import contextlib
import errno
import functools
import os
import sys
from collections.abc import Callable, Iterator
from typing import NoReturn, ParamSpec, TextIO

import typer

from ablate.cli.answers import answering, refusal
from ablate.config.at_hand import at_hand
from ablate.console import make_console, say
from ablate.errors import ClusterError, DiskError, ExitCode, LostLease, TrialHeld, UsageError
from ablate.processes.signals import interruption

P = ParamSpec("P")

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NO_MORE_FILES = (errno.EMFILE, errno.ENFILE)
NO_PATH = (errno.ENAMETOOLONG, errno.ELOOP)  # errors for names that no file can have on any disk


def with_exit_code(function: Callable[P, int | None]) -> Callable[P, None]:
    """Make ``function`` exit with the code that it returns or, after an error, with the error's.

    See :class:`ablate.errors.ExitCode` for the codes, and :mod:`ablate.errors` for the errors.
    """

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        with answering(function.__name__, wanted=bool(kwargs.get("as_json"))), _ending():
            with at_hand(function.__name__):
                code = function(*args, **kwargs)
            raise typer.Exit(code or 0)

    return run


@contextlib.contextmanager
def _ending() -> Iterator[None]:
    """Turn the errors of a command into its end."""
    try:
        yield
    except UsageError as error:
        _leave(f"error: {error}", ExitCode.USAGE)
    except TrialHeld as error:
        _leave(f"error: {error}; wait for it, or choose another --out", ExitCode.USAGE)
    except (LostLease, ClusterError) as error:
        _leave(f"error: {error}", ExitCode.FAILED)
    except DiskError as error:
        _leave(f"error: the disk refused a write ({error}); finished trials are intact", ExitCode.FAILED)
    except OSError as error:
        if error.errno in NO_MORE_FILES:
            _leave("error: too many open files; allow more, as with `ulimit -n 1024`", ExitCode.FAILED)
        if error.filename is None:
            raise
        code = ExitCode.USAGE if error.errno in NO_PATH else ExitCode.FAILED
        _leave(f"error: {error.filename} cannot be read or written ({error.strerror})", code)
    except KeyboardInterrupt as error:
        end = interruption(error)
        _leave(str(end), end.code)


@contextlib.contextmanager
def refused_writes() -> Iterator[None]:
    """Exit with one sentence and code 1 if a disk is full, including the one that holds standard output."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        for stream in filter(None, (sys.stdout, sys.stderr)):
            _give_up(stream)
        sentence = f"error: a write was refused ({error.strerror}), by the disk or by standard output"
        with contextlib.suppress(OSError):
            say(make_console(stderr=True), f"{sentence}; finished work is kept")
        raise SystemExit(ExitCode.FAILED) from None
    finally:
        if sys.stderr is not None:
            _give_up(sys.stderr)


def _give_up(stream: TextIO) -> None:
    """Discard printed and later text if it cannot be written; Python would try again when it exits."""
    try:
        stream.flush()
    except OSError:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


def _leave(sentence: str, code: int) -> NoReturn:
    """Print on standard error and exit; under torchrun only one process prints."""
    with contextlib.suppress(OSError):
        say(make_console(stderr=True), sentence)
    refusal(sentence, code)
    raise typer.Exit(code) from None
