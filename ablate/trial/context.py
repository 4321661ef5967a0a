"""The instructions that a trial gets from whoever runs it, and how its processes find one another."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch

from ablate.config.trial import TrialConfig
from ablate.distributed import ALONE, World, join, leave
from ablate.errors import Interrupted  # noqa: F401 (earlier versions defined it here)

STOPPED = "stopped"  # the message of process 0 to the others in place of a record


@dataclass
class Context:
    """The exchange between a trial and whoever runs it; the defaults suit a trial run by hand.

    If ``records_loss`` is True, a process that finds another one gone writes the record of it. Otherwise LostRank is
    raised: whoever runs the other process knows better whether the trial was at fault, or may be gone with it.
    ``until`` is the epoch after which a trial of one process is parked, to continue later; None trains to the end.
    """

    report: Callable[[int, dict[str, Any]], None] = field(default=lambda epoch, metrics: None)
    stop_requested: Callable[[], bool] = field(default=lambda: False)
    records_loss: bool = True
    until: int | None = None


@dataclass(frozen=True)
class Part:
    """This process's part in a trial: the world it belongs to, its device, and the request to stop."""

    world: World
    device: torch.device
    stop_requested: Callable[[], bool]


@contextlib.contextmanager
def taking_part(config: TrialConfig, timeout: float) -> Iterator[Part]:
    """Join the processes that torchrun started, if any, for one trial; each gets the GPU of its number on its host.

    SIGINT (Ctrl-C) and SIGTERM ask to stop. A single process raises KeyboardInterrupt at the second signal. Several
    processes all stop at the same step, since a process that left earlier would count as lost. They take further
    signals for the same request, because one request may well arrive twice: from the terminal or the scheduler and from
    torchrun.
    """
    alone = config.world_size == 1
    asked: list[int] = []  # a list: an Event's lock must not be taken in a signal handler

    def ask(number: int, frame: object) -> None:
        if asked and alone:
            raise KeyboardInterrupt
        asked.append(number)

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    own_gpu = config.device == "cuda" and not alone
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"])) if own_gpu else torch.device(config.device)
    try:
        yield Part(ALONE if alone else join(device, timeout), device, lambda: bool(asked))
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        leave()
