"""Interleaved rounds of several contenders, and the JSON that they leave: median, quartiles, versions, hardware."""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

from ablate.provenance import host, versions

RESULTS = Path(__file__).parent / "results"


def measure(contenders: dict[str, Callable[[], object]], images: int, rounds: int = 7) -> dict[str, dict[str, float]]:
    """CPU seconds per call of each contender, one thread, interleaved so that drift hits all alike.

    Returns, by name, images per second per core: ``median``, ``q1``, ``q3``, and ``ratio`` to the first contender.
    """
    torch.set_num_threads(1)
    for call in contenders.values():
        call()
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, call in contenders.items():
            started = time.process_time()
            call()
            rates[name].append(images / (time.process_time() - started))
    first = statistics.median(next(iter(rates.values())))
    rows = {}
    for name, values in rates.items():
        q1, median, q3 = statistics.quantiles(values, n=4)
        rows[name] = {"median": median, "q1": q1, "q3": q3, "ratio": median / first}
    return rows


def save(name: str, rows: dict[str, object]) -> None:
    """Print ``rows`` and write ``benchmarks/results/<name>.json`` with versions and hardware."""
    RESULTS.mkdir(exist_ok=True)
    content = {"versions": versions(), "host": {**host(torch.device("cpu")), "cores": os.cpu_count()}, "rows": rows}
    del content["host"]["name"]
    text = json.dumps(content, indent=1)
    print(text)
    (RESULTS / f"{name}.json").write_text(text + "\n")
