"""How a command ends: its errors as one sentence, without a traceback, and an exit code."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NoReturn, ParamSpec

import typer

from ablate.console import make_console, say
from ablate.errors import UsageError
from ablate.lease import Held, LostLease
from ablate.results import DiskTrouble
from ablate.sweep.slurm.cluster import ClusterTrouble

P = ParamSpec("P")

USAGE, TROUBLE, INTERRUPTED = 2, 1, 130


def with_exit_code(function: Callable[P, int | None]) -> Callable[P, None]:
    """``function``, leaving with its own code or, after an error, with the error's.

    It is 2 for a UsageError and where somebody else is at work, 1 for trouble on the way, and 130 after Ctrl-C.
    """

    @functools.wraps(function)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        try:
            code = function(*args, **kwargs)
        except UsageError as error:
            _leave(f"error: {error}", USAGE)
        except Held as error:
            who = f"another process is at work on this trial: {error.holder}"
            _leave(f"error: {who}; wait for it, or choose another --out", USAGE)
        except (LostLease, ClusterTrouble) as error:
            _leave(f"error: {error}", TROUBLE)
        except DiskTrouble as error:
            _leave(f"error: the disk refused a write ({error}); finished trials are intact", TROUBLE)
        except (PermissionError, IsADirectoryError, NotADirectoryError) as error:
            _leave(f"error: {error.filename} cannot be read or written ({error.strerror})", TROUBLE)
        except KeyboardInterrupt:
            _leave("interrupted; nothing that was finished is lost", INTERRUPTED)
        raise typer.Exit(code or 0)

    return run


def _leave(sentence: str, code: int) -> NoReturn:
    """Print on standard error, once however many processes torchrun started, and leave."""
    say(make_console(stderr=True), sentence)
    raise typer.Exit(code) from None
