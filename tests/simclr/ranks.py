"""Real processes for a test: ``python -m tests.simclr.ranks MODULE:FUNCTION OUT PORT SIZE...`` is one of them."""

from __future__ import annotations

import importlib
import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def run(function: str, sizes: Sequence[int], out: Path) -> dict[int, list[Any]]:
    """What ``function(world)`` returned on every process of worlds of ``sizes``, one world after the other."""
    ports = [str(free_port()) for _ in sizes]
    command = [sys.executable, "-m", "tests.simclr.ranks", function, str(out), ",".join(ports)]
    processes = [
        subprocess.Popen(
            [*command, *map(str, sizes)],
            env={**os.environ, "OMP_NUM_THREADS": "1", "RANK": str(rank), "LOCAL_RANK": str(rank)},
        )
        for rank in range(max(sizes))
    ]
    assert [process.wait(240) for process in processes] == [0] * max(sizes)
    return {size: [torch.load(out / f"{size}-{rank}.pt", weights_only=True) for rank in range(size)] for size in sizes}


def main(function: str, out: Path, ports: Sequence[str], sizes: Sequence[str]) -> None:
    from ablate.distributed import join, leave

    module, _, name = function.partition(":")
    torch.set_num_threads(1)
    for port, size in zip(ports, sizes, strict=True):
        if int(os.environ["RANK"]) < int(size):
            os.environ |= {"WORLD_SIZE": size, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
            world = join(torch.device("cpu"), timeout=60)
            result = getattr(importlib.import_module(module), name)(world)
            torch.save(result, out / f"{world.size}-{world.rank}.pt")
            leave()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3].split(","), sys.argv[4:])
