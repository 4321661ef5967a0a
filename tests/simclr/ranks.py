"""Starting real processes for a test: ``python -m tests.simclr.ranks MODULE:FUNCTION OUT`` is one rank of them."""

from __future__ import annotations

import importlib
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch


def environment(rank: int, size: int, port: int) -> dict[str, str]:
    """What torchrun would set."""
    own = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    return {**os.environ, "OMP_NUM_THREADS": "1", **{name: str(value) for name, value in own.items()}}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def run(function: str, size: int, out: Path) -> list[Any]:
    """What ``function(world)`` returned on every one of ``size`` processes."""
    port = free_port()
    command = [sys.executable, "-m", "tests.simclr.ranks", function, str(out)]
    processes = [subprocess.Popen(command, env=environment(rank, size, port)) for rank in range(size)]
    assert [process.wait(240) for process in processes] == [0] * size
    return [torch.load(out / f"{size}-{rank}.pt", weights_only=True) for rank in range(size)]


def main() -> None:
    from ablate.distributed import join, leave

    module, _, name = sys.argv[1].partition(":")
    torch.set_num_threads(1)
    world = join(torch.device("cpu"), timeout=60)
    result = getattr(importlib.import_module(module), name)(world)
    torch.save(result, Path(sys.argv[2]) / f"{world.size}-{world.rank}.pt")
    leave()


if __name__ == "__main__":
    main()
