"""The signals that end a command, SIGINT (Ctrl-C) and SIGTERM: every command that trains takes both in the same way."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from ablate.errors import Interruption

REPLACED = {
    # a shell starts the background jobs of a script with SIGINT ignored, so that Ctrl-C ends the script alone; but a
    # sweep takes hours, and `kill -INT` must end it in order there, too
    signal.SIGINT: (signal.default_int_handler, signal.SIG_DFL, signal.SIG_IGN),
    signal.SIGTERM: (signal.SIG_DFL,),
}
"""The handlers that :func:`interruptible` replaces. Any other is the program's own, and stays."""


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Raise Interruption in the main thread when SIGINT or SIGTERM arrives inside the block.

    In a program that has a handler of its own for one of them, that handler stays. In another thread than the main one
    the block does nothing: Python leaves signals to the main thread.
    """

    def interrupt(number: int) -> None:
        raise Interruption(number)

    ours = [number for number, handlers in REPLACED.items() if signal.getsignal(number) in handlers]
    with handling(interrupt, ours):
        yield


@contextlib.contextmanager
def handling(handle: Callable[[int], None], numbers: Iterable[int] = tuple(REPLACED)) -> Iterator[None]:
    """Call ``handle`` with the number of every signal of ``numbers`` that arrives inside the block.

    Args:
        handle: called in the main thread, between two of its steps; it may raise.
        numbers: the signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, lambda number, frame: handle(number)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)


@contextlib.contextmanager
def resumable(directory: Path, then: str = "run the same command again to resume") -> Iterator[None]:
    """Say of an interruption of the block where finished work lies, and how it goes on."""
    try:
        yield
    except KeyboardInterrupt as error:
        kept = f"finished trials and checkpoints are in {directory}"
        sentence = f"interrupted; {kept}: {then}"
        raise Interruption(interruption(error).number, sentence) from None


def interruption(error: KeyboardInterrupt) -> Interruption:
    """Return ``error``, or the Interruption for one that Python's own handler of Ctrl-C has raised."""
    return error if isinstance(error, Interruption) else Interruption(signal.SIGINT)
