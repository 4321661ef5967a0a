"""Run trials that span nodes: the first node's worker gives orders, and every other node follows them.

The orders go through a small key-value store, which the worker holds. All nodes know its address before it exists: the
first node's name, and a port that is derived from the job's number.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from types import TracebackType
from typing import Any, Self

from ablate.config.base import Model

ADDRESS, NODES = "ABLATE_CREW_ADDRESS", "ABLATE_CREW_NODES"
PATIENCE = 300.0  # seconds that a node waits for the first node's worker to start, or to return
PARTING = 10.0  # seconds that the worker waits until all nodes have heard the last order
POLL = 0.1


class Order(Model):
    """An order to start a node's processes of a trial, which meet at ``address:port``; without a trial, to end."""

    trial_id: str = ""
    number: int = 0  # the number of the attempt
    address: str = ""
    port: int = 0


@dataclass
class Crew:
    """The nodes of one job, as the first node sees them; a crew of one node does nothing."""

    address: str = "127.0.0.1"
    port: int = 0
    nodes: int = 1
    _store: Any = None
    _given: int = field(default=0)

    @classmethod
    def of_this_job(cls) -> Crew:
        """Return the crew that the job's own process described in the environment.

        Outside such a job, it is a crew of one node.
        """
        if ADDRESS not in os.environ:
            return cls()
        address, _, port = os.environ[ADDRESS].rpartition(":")
        return cls(address, int(port), int(os.environ[NODES]))

    def __enter__(self) -> Self:
        if self.nodes > 1:
            from torch.distributed import TCPStore  # type: ignore[attr-defined]

            self._store = TCPStore("0.0.0.0", self.port, is_master=True, wait_for_workers=False)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """Tell the other nodes to end, but not after an error: then they wait for the worker that replaces this."""
        if self._store is None or error is not None:
            return
        self.give(Order())
        deadline = time.monotonic() + PARTING
        while self._store.add("parted", 0) < self.nodes - 1 and time.monotonic() < deadline:
            time.sleep(POLL)

    def give(self, order: Order) -> None:
        """Give ``order`` to all other nodes, which carry out one order after the other."""
        if self._store is not None:
            self._store.set(f"order/{self._given}", order.model_dump_json())
            self._given += 1


def follow(address: str, port: int, carry_out: Callable[[Order], None], should_stop: Callable[[], bool]) -> None:
    """Carry out the first node's orders until the last one.

    A worker that died may be replaced, and then starts from the beginning.

    Args:
        address: the first node's name.
        port: the port of the store there.
        carry_out: called with each order.
        should_stop: returns True if this node should stop.

    Raises:
        TimeoutError: there was no worker for :data:`PATIENCE` seconds.
    """
    lost = time.monotonic()
    while time.monotonic() - lost < PATIENCE and not should_stop():
        try:
            store = _connect(address, port)
        except RuntimeError:  # the store does not exist yet, or no longer
            time.sleep(POLL)
            continue
        if _follow(store, carry_out, should_stop):
            return
        lost = time.monotonic()
    if should_stop():
        return
    raise TimeoutError(f"the first node's worker ({address}:{port}) has not answered for {PATIENCE:.0f} s")


def _connect(address: str, port: int) -> Any:
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

    return TCPStore(address, port, is_master=False, wait_for_workers=False, timeout=timedelta(seconds=5))


def _follow(store: Any, carry_out: Callable[[Order], None], should_stop: Callable[[], bool]) -> bool:
    """Return True after the last order, and False if the store was lost before."""
    number = 0
    while not should_stop():
        try:
            if not store.check([f"order/{number}"]):
                time.sleep(POLL)
                continue
            order = Order.model_validate_json(store.get(f"order/{number}"))
            if not order.trial_id:
                store.add("parted", 1)
                return True
        except RuntimeError:
            return False
        carry_out(order)
        number += 1
    return True
