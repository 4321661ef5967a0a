"""Interleaved rounds of several contenders, and the JSON that they leave: median, quartiles, versions, hardware."""

from __future__ import annotations

import json
import os
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ablate.trial.provenance import host, versions

RESULTS = Path(__file__).parent / "results"


def measure(
    contenders: dict[str, Callable[[], object]], images: int, rounds: int = 7, *, threads: int = 1, wall: bool = False
) -> dict[str, dict[str, float]]:
    """Seconds per call of each contender, of the processor or by the clock, interleaved so that drift hits all alike.

    Returns, by name, images per second: ``median``, ``q1``, ``q3``, and ``ratio`` to the first contender.
    """
    torch.set_num_threads(threads)
    clock = time.perf_counter if wall else time.process_time
    for call in contenders.values():
        call()
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, call in contenders.items():
            started = clock()
            call()
            rates[name].append(images / (clock() - started))
    rows = {name: quartiles(values) for name, values in rates.items()}
    first = next(iter(rows.values()))["median"]
    return {name: {**row, "ratio": row["median"] / first} for name, row in rows.items()}


def quartiles(values: Sequence[float]) -> dict[str, float]:
    """``median``, ``q1`` and ``q3``; of one value thrice the same."""
    q1, median, q3 = statistics.quantiles(values, n=4) if len(values) > 1 else [values[0]] * 3
    return {"median": median, "q1": q1, "q3": q3}


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """The slope of log value over log size: 1 is linear, below it a constant part still shows."""
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def saved(name: str) -> dict[str, Any]:
    """The rows that :func:`save` wrote; none before it did."""
    path = RESULTS / f"{name}.json"
    return dict(json.loads(path.read_text())["rows"]) if path.is_file() else {}


def save(name: str, rows: dict[str, object]) -> None:
    """Print ``rows`` and write ``benchmarks/results/<name>.json`` with versions and hardware."""
    RESULTS.mkdir(exist_ok=True)
    content = {"versions": versions(), "host": {**host(torch.device("cpu")), "cores": os.cpu_count()}, "rows": rows}
    del content["host"]["name"]
    text = json.dumps(content, indent=1)
    print(text)
    (RESULTS / f"{name}.json").write_text(text + "\n")
