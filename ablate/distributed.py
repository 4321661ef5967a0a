"""Several processes that train one model: their ranks, and the few messages that they exchange.

Everything goes through one ``torch.distributed`` process group: gloo for tensors on the CPU, NCCL for those on a GPU.
The convention everywhere: a loss is the *sum* over the ranks of the part that each computes, so gradients are summed
too, never averaged.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from ablate.errors import Interrupted, LostRank, UsageError, first_line

TIMEOUT = 600.0  # seconds that a rank waits for the others before it gives them up
POLL = 0.2
GRACE = 2.0  # seconds in which a rank at fault writes its record before the others write theirs


@dataclass(frozen=True)
class World:
    """The group of processes that train together, with this one's rank; the default is a process alone."""

    rank: int = 0
    size: int = 1
    store: Any = None

    def share(self, n: int, start: int = 0) -> slice:
        """Return this rank's part of ``n`` images that begin at ``start``; ``n`` is a multiple of ``size``."""
        each = n // self.size
        return slice(start + self.rank * each, start + (self.rank + 1) * each)

    def any(self, flag: bool) -> bool:
        """Return True on every rank if ``flag`` is True on one; a dead rank is noticed here.

        Raises:
            LostRank: one of the others does not answer.
        """
        if self.size == 1:
            return flag
        votes = torch.tensor(float(flag))
        try:
            dist.all_reduce(votes)
        except RuntimeError as error:
            raise lost(error) from error
        return bool(votes > 0)

    def sum_(self, tensors: Sequence[Tensor]) -> None:
        """Replace every tensor by its sum over the ranks, in one message per dtype."""
        if self.size == 1:
            return
        for dtype in sorted({t.dtype for t in tensors}, key=str):
            part = [t for t in tensors if t.dtype == dtype]
            flat = torch.cat([t.reshape(-1) for t in part])
            dist.all_reduce(flat)
            pieces = flat.split([t.numel() for t in part])
            torch._foreach_copy_(part, [piece.view_as(t) for piece, t in zip(pieces, part, strict=True)])

    def broadcast(self, value: Any) -> Any:
        """Return rank 0's ``value``, on every rank."""
        if self.size == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, src=0, device=torch.device("cpu"))
        return box[0]

    def tell(self, message: str) -> None:
        """Send ``message`` from rank 0 to the others (see :meth:`hear`) and wait, briefly, until they have it.

        Rank 0 may hold the store, which ends with it. If the store is gone already, so are the processes that would
        listen.
        """
        if self.store is None:
            return
        with contextlib.suppress(RuntimeError):
            self.store.set("message", message)
            deadline = time.monotonic() + GRACE
            while (heard := self.store.add("heard", 0)) < self.size - 1 and time.monotonic() < deadline:
                time.sleep(POLL / 4)
            if heard == self.size - 1:  # the next trial of this world hears its own message
                self.store.delete_key("message")
                self.store.add("heard", -heard)

    def hear(self) -> str:
        """Wait for the message of rank 0, however long it takes; the other ranks call this."""
        assert self.store is not None
        try:
            while not self.store.check(["message"]):
                time.sleep(POLL)
            message = str(self.store.get("message").decode())
            self.store.add("heard", 1)
            return message
        except RuntimeError as error:
            raise lost(error) from error


ALONE = World()


def lost(error: Exception) -> LostRank:
    """Return the error of a collective as one about the missing process."""
    if isinstance(error, LostRank):
        return error
    return LostRank("another process of this trial died or did not answer in time; the trial's last checkpoint is kept")


def is_communication_error(error: BaseException) -> bool:
    """Return True if ``error``, or one that it came from, is a collective's error about a lost rank."""
    if isinstance(error, LostRank | dist.DistError):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and any(word in text for word in ("gloo", "nccl", "connection closed"))


def asked_for() -> int:
    """Return the number of processes that a launcher such as torchrun started: ``$WORLD_SIZE``, 1 without one.

    Raises:
        UsageError: it is set, but the other variables that torchrun sets are not.
    """
    size = os.environ.get("WORLD_SIZE", "1")
    if not size.isdecimal() or int(size) < 1:
        raise UsageError(f"WORLD_SIZE must be a number of processes, not {size!r}")
    missing = [name for name in ("RANK", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT") if name not in os.environ]
    if int(size) > 1 and missing:
        raise UsageError(f"WORLD_SIZE is {size}, but {', '.join(missing)} is not set; start with torchrun")
    return int(size)


def join(device: torch.device, timeout: float = TIMEOUT, stop_requested: Callable[[], bool] = lambda: False) -> World:
    """Meet the other processes, as torchrun's environment describes them; without it, return a world of one.

    Args:
        device: the device of this rank; decides whether NCCL is needed.
        timeout: seconds after which a silent rank counts as lost.
        stop_requested: asked while this rank waits for the others; returns True if it should wait no longer.

    Raises:
        UsageError: the others do not arrive, or the address cannot be used.
        Interrupted: ``stop_requested()`` returned True before the others had arrived.
    """
    if asked_for() == 1:
        return ALONE
    if device.type == "cuda":
        torch.cuda.set_device(device)
    met: Future[World] = Future()

    def meet() -> None:
        try:
            met.set_result(_meet(device, timeout))
        except BaseException as error:
            met.set_exception(error)

    # in a thread, since Python runs no signal handler while torch waits; a daemon, since that wait cannot be ended
    threading.Thread(target=meet, daemon=True).start()
    while not met.done():
        time.sleep(POLL / 4)
        if stop_requested():
            wait([met], GRACE)  # where all are here, all go on, and stop together at their first step
            if not met.done():
                raise Interrupted
    return met.result()


def _meet(device: torch.device, timeout: float) -> World:
    if device.type == "cuda":
        torch.cuda.set_device(device)  # each thread has a current device of its own
    patience = timedelta(seconds=timeout)
    try:
        store, rank, size = next(iter(dist.rendezvous("env://", timeout=patience)))  # type: ignore[attr-defined]
        dist.init_process_group(
            "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo",
            store=dist.PrefixStore("group", store),  # type: ignore[attr-defined]
            rank=rank,
            world_size=size,
            timeout=patience,
        )
    except (RuntimeError, ValueError) as error:
        address = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
        raise UsageError(
            f"the processes of this trial could not connect to each other at {address}: {first_line(error)}"
        ) from error
    return World(rank, size, dist.PrefixStore("ablate", store))  # type: ignore[attr-defined]


def current() -> World:
    """Return the world of the default process group, or a process alone."""
    if dist.is_available() and dist.is_initialized():
        return World(dist.get_rank(), dist.get_world_size())
    return ALONE


def leave() -> None:
    """End this process's part; do nothing for a process alone."""
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, world: World) -> Tensor:
        ctx.world = world
        parts = [torch.empty_like(x) for _ in range(world.size)]
        dist.all_gather(parts, x.contiguous())
        return torch.stack(parts)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        total = grads[0].contiguous()
        dist.all_reduce(total)
        return total[ctx.world.rank], None


def gather(x: Tensor, world: World) -> Tensor:
    """Return ``[n, ...]`` of every rank as ``[size, n, ...]``; its gradient is summed over the losses of all ranks."""
    if world.size == 1:
        return x[None]
    gathered: Tensor = _Gather.apply(x, world)
    return gathered


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        total = grads[0].clone()
        dist.all_reduce(total)
        return total


def summed(x: Tensor, world: World) -> Tensor:
    """Return the sum of every rank's ``x``, differentiable: its gradient is summed over the losses of all ranks."""
    if world.size == 1:
        return x
    total: Tensor = _Sum.apply(x)
    return total
