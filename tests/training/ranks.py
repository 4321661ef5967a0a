"""Real processes for a test, forked from one that has imported torch already."""

from __future__ import annotations

import importlib
import os
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from ablate.distributed import join, leave
from tests.support import commands


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def run(function: str, sizes: Sequence[int], out: Path) -> dict[int, list[Any]]:
    """What ``function(world)`` (``MODULE:NAME``) returned on every process of worlds of ``sizes``, in this order."""
    ports = [free_port() for _ in sizes]
    processes = [
        commands.context.Process(target=_join_worlds, args=(function, out, rank, ports, sizes, dict(os.environ)))
        for rank in range(max(sizes))
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(240)
    assert [process.exitcode for process in processes] == [0] * max(sizes)
    return {size: [torch.load(out / f"{size}-{rank}.pt", weights_only=True) for rank in range(size)] for size in sizes}


def _join_worlds(
    function: str, out: Path, rank: int, ports: Sequence[int], sizes: Sequence[int], environment: Mapping[str, str]
) -> None:
    os.environ |= {**environment, "RANK": str(rank), "LOCAL_RANK": str(rank), "MASTER_ADDR": "127.0.0.1"}
    module, _, name = function.partition(":")
    torch.set_num_threads(1)
    for port, size in zip(ports, sizes, strict=True):
        if rank < size:
            os.environ |= {"WORLD_SIZE": str(size), "MASTER_PORT": str(port)}
            world = join(torch.device("cpu"), timeout=60)
            result = getattr(importlib.import_module(module), name)(world)
            torch.save(result, out / f"{world.size}-{world.rank}.pt")
            leave()
