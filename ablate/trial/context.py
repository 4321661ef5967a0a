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
from ablate.errors import Interrupted, Interruption
from ablate.processes.signals import handling

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

    SIGINT (Ctrl-C) and SIGTERM ask to stop. A single process stops at the second signal wherever it is. Several
    processes all stop at the same step, since a process that left earlier would count as lost. They take further
    signals for the same request, because one request may well arrive twice: from the terminal or the scheduler and from
    torchrun.

    Args:
        config: the configuration of the trial.
        timeout: seconds that the processes wait for each other.

    Raises:
        Interruption: this process was asked to stop, and the trial has stopped or has not begun; or another was asked.
        UsageError: the other processes do not arrive.
    """
    alone = config.world_size == 1
    asked: list[int] = []  # a list: an Event's lock must not be taken in a signal handler

    def ask(number: int) -> None:
        if asked and alone:
            raise Interruption(number)
        asked.append(number)

    def is_asked() -> bool:
        return bool(asked)

    own_gpu = config.device == "cuda" and not alone
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"])) if own_gpu else torch.device(config.device)
    try:
        with handling(ask):
            yield Part(ALONE if alone else join(device, timeout, is_asked), device, is_asked)
    except Interrupted:
        raise Interruption(asked[0] if asked else signal.SIGINT) from None
    finally:
        leave()
