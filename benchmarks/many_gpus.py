"""A simulation of one sweep on 1, 8 and 64 GPUs of a machine: how long it takes, and where GPUs wait.

``python -m benchmarks.many_gpus``; a second. Nothing is measured here. From committed results come
the seconds of a trial on an H100 (``gpu.json``), how processor time spreads over a grid's trials (the records of
``results/fig5-glyphs``), the seconds from the command to the first step (``startup.json``), and the calls to the file
system (``file_calls.json``). Assumed are the latency of a call, and that trials do not slow each other down.
"""

from __future__ import annotations

import heapq
import itertools
import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ablate.launch.monitor import EVERY
from ablate.launch.watch import pause
from ablate.sweep.record import read_records
from benchmarks.harness import RESULTS, save

GRID = Path(__file__).parents[1] / "results" / "fig5-glyphs"
GPUS = (1, 8, 64)
EPOCHS = 100
LATENCIES = {"local disk, 0.1 ms": 1e-4, "NFS, 1 ms": 1e-3, "slow NFS, 10 ms": 1e-2}


@dataclass(frozen=True)
class Costs:
    """What running a trial costs beside its own seconds.

    ``startup``: seconds until a worker is ready, at the start of every stage. ``trial``: calls to the file system per
    trial. ``look``, ``record`` and ``running``: calls per look of the command at the sweep, and per record and running
    trial that it sees. ``latency``: seconds per call.
    """

    startup: float = 0.0
    trial: float = 0.0
    look: float = 0.0
    record: float = 0.0
    running: float = 0.0
    latency: float = 0.0


@dataclass
class Looks:
    """The looks of the command at the sweep, during which it hands out no trial, as ``launch.monitor`` times them."""

    costs: Costs
    records: int = 0
    running: int = 0
    calls: float = 0.0
    _ends: float = 0.0  # of the last look
    _next: float = 0.0  # when the next one begins

    def until(self, moment: float) -> float:
        """Return when the command can hand out a trial: ``moment``, or the end of the look that it falls into."""
        while self._next <= moment:
            calls = self.costs.look + self.costs.record * self.records + self.costs.running * self.running
            self.calls += calls
            self._ends = self._next + calls * self.costs.latency
            self._next = self._ends + pause(EVERY, calls * self.costs.latency)
        return max(moment, self._ends)


@dataclass
class Outcome:
    """The seconds that a sweep takes, its calls per second, and the seconds of all GPUs by what they did."""

    seconds: float = 0.0
    calls: float = 0.0
    spent: dict[str, float] = field(
        default_factory=lambda: dict.fromkeys(("training", "start-up", "files", "command", "last trials"), 0.0)
    )

    def row(self) -> dict[str, float]:
        """Return hours, calls per second and shares of the GPUs' time."""
        whole = sum(self.spent.values())
        shares = {name: seconds / whole for name, seconds in self.spent.items()}
        return {"hours": self.seconds / 3600, "calls per second": self.calls / self.seconds, **shares}


def simulate(stages: Sequence[Sequence[float]], gpus: int, costs: Costs) -> Outcome:
    """Run trials on GPUs, each on the next free one, in order; a stage begins when the one before has ended.

    Args:
        stages: the seconds of the trials of each stage.
        gpus: the number of GPUs, one worker on each.
        costs: what trials cost beside their seconds.
    """
    outcome, looks, now, begun = Outcome(), Looks(costs), 0.0, 0
    files = costs.trial * costs.latency
    for trials in stages:
        free = [now + costs.startup] * gpus
        outcome.spent["start-up"] += costs.startup * gpus
        for seconds in trials:
            ready = heapq.heappop(free)
            looks.running = sum(moment > ready for moment in free) if begun else 0
            looks.records = begun - looks.running
            begins = looks.until(ready)
            begun += 1
            heapq.heappush(free, begins + seconds + files)
            outcome.spent["command"] += begins - ready
            outcome.spent["training"] += seconds
            outcome.spent["files"] += files
        end = max(free)
        outcome.spent["last trials"] += sum(end - moment for moment in free)
        looks.until(end)
        now = end
    outcome.seconds = now
    outcome.calls = looks.calls + costs.trial * sum(map(len, stages))
    return outcome


def per_trial(trials: dict[str, dict[str, int]]) -> float:
    """Return the calls of a trial of ``EPOCHS`` epochs, on the line through those of few and of more epochs."""
    (few, a), (many, b) = ((int(epochs), sum(calls.values())) for epochs, calls in trials.items())
    return a + (b - a) / (many - few) * (EPOCHS - few)


def workloads() -> dict[str, float]:
    """Return the seconds of a trial of 100 CIFAR-10 epochs alone on an H100, as ``gpu.json`` has them."""
    rows = result("gpu")
    step = rows["ResNet-18 step, 32 px, B512"]["compiled"]["seconds per CIFAR-10 epoch"]
    return {
        "ResNet-18": EPOCHS * step + sum(rows["evaluation"].values()),
        "ResNet-8 of width 64": 3600 / rows["trials side by side"]["1"]["cells per GPU hour"],
    }


def grid() -> dict[int, list[float]]:
    """Return the seconds of the grid's trials relative to their median, by seed."""
    done = [record for record in read_records(GRID)[0].values() if record.reference is None]
    # Processor time: by the clock, other work on the machine shows, in single trials fivefold.
    median = statistics.median(record.timings["cpu"] for record in done)
    seeds = sorted({record.seed for record in done})
    return {seed: [r.timings["cpu"] / median for r in done if r.seed == seed] for seed in seeds}


def simulations() -> dict[str, Any]:
    """Return hours and shares by workload, barrier, latency and number of GPUs."""
    startup = result("startup")["ablate grid to its first step"]["median"]
    counts = result("file_calls")
    trial = per_trial(counts["trial"])
    look, record, running = (sum(counts["look"][name].values()) for name in ("each", "record", "running"))
    seeds, rows = grid(), dict[str, Any]()
    for name, seconds in workloads().items():
        scaled = [[seconds * share for share in shares] for shares in seeds.values()]
        for words, stages in (("no barrier", [list(itertools.chain(*scaled))]), ("a barrier after each seed", scaled)):
            for disk, latency in LATENCIES.items():
                costs = Costs(startup, trial, look, record, running, latency)
                by_gpus = {str(gpus): simulate(stages, gpus, costs).row() for gpus in GPUS}
                rows.setdefault(name, {}).setdefault(words, {})[disk] = by_gpus
    return rows


def result(name: str) -> dict[str, Any]:
    """Return the rows of another benchmark's committed result."""
    rows: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text())["rows"]
    return rows


if __name__ == "__main__":
    calls = {name: per_trial(counts) for name, counts in result("file_calls").items() if name != "look"}
    save("many_gpus", {"seconds of a trial": workloads(), "calls of a trial": calls, "simulated": simulations()})
