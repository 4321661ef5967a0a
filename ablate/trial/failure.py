"""The record of a trial that an exception ended, in words that help."""

from __future__ import annotations

import contextlib
import traceback

import torch

from ablate.distributed import World, is_communication_error, lost
from ablate.sweep.record import MEMORY_ADVICE, OUT_OF_MEMORY, Failure


def describe(error: Exception, world: World) -> Failure:
    """Return the exception that is being handled, for the record of a trial of ``world``; free its CUDA memory."""
    message = str(error) or type(error).__name__
    if is_communication_error(error):
        return Failure(type="LostRank", message=str(lost(error)), traceback=traceback.format_exc())
    kind = type(error).__name__
    if is_out_of_memory(error):
        kind, message = OUT_OF_MEMORY, f"out of memory; {MEMORY_ADVICE} ({message})"
        with contextlib.suppress(Exception):
            torch.cuda.empty_cache()
    if world.size > 1:
        message = f"process {world.rank} of {world.size}: {message}"
    return Failure(type=kind, message=message, traceback=traceback.format_exc())


def is_out_of_memory(error: BaseException) -> bool:
    """Return True for every way in which torch, CUDA and Python report that memory is used up."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    signs = ("out of memory", "can't allocate memory", "not enough memory", "alloc_failed")
    return isinstance(error, RuntimeError) and any(sign in str(error).lower() for sign in signs)
