"""CIFAR-10 on one GPU in at most ten minutes: ``make real-gpu IMAGES=~/images``.

``python -m benchmarks.real_gpu --images FOLDER [--minutes 10] [--device cpu] [--dry-run]``. First the public recipe
``cifar10-fast`` for 100 epochs with one seed; then, by ResNet-18, as many cells of the one-branch grid as fit into the
time that is left, the best first by the grid on CPUs, and how far both agree on the ranks. The same command resumes. On
the CPU everything runs through in small, which shows no more than that it runs.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ablate.errors import UsageError
from ablate.report.data.results import Results, read_sweep
from ablate.report.stats.order import order
from ablate.report.stats.ranks import FEWEST, correlation_in_words, ops_of
from ablate.sweep.layout import SweepDir
from ablate.sweep.plan import is_sweep
from ablate.trial.provenance import host, versions
from benchmarks.harness import RESULTS

ROOT = Path(__file__).parents[1]
PUBLISHED = "85.6 +- 0.2 % linear on the official files (github.com/dkobak/simclr-cifar10)"
ENDING = 30.0  # seconds kept for a checkpoint and the next command's start
SMALL: dict[str, object] = {"epochs": 2, "warmup_epochs": 1, "batch_size": 16, "head.hidden": 8, "head.output": 4}
SMALL |= {"encoder.name": "resnet8", "encoder.width": 4}
"""What the CPU trains in place of ResNet-18."""


@dataclass(frozen=True)
class Run:
    """One sweep of the script: its directory and its experiment."""

    directory: Path
    experiment: dict[str, Any]

    @property
    def toml(self) -> str:
        """The experiment file; JSON's strings, numbers and lists are TOML's."""
        own = {name: value for name, value in self.experiment.items() if name != "set"}
        changed = self.experiment["set"]
        lines = [f"{name} = {json.dumps(value)}" for name, value in own.items()]
        return "\n".join([*lines, "", "[set]", *(f'"{name}" = {json.dumps(value)}' for name, value in changed.items())])

    def start(self, seconds: float, cache: str | None = None) -> int:
        """Run or resume it for at most ``seconds``, and return its exit code, which is 0 if it ended by itself."""
        with tempfile.TemporaryDirectory() as folder:
            begun = is_sweep(self.directory)  # the ranking of the cells may have changed since, their order here not
            file = SweepDir(self.directory).experiment if begun else Path(folder) / "experiment.toml"
            if not begun:
                file.write_text(self.toml)
            command = [sys.executable, "-m", "ablate", "run", str(file), "--out", str(self.directory)]
            return within([*command, *(["--cache", cache] if cache else [])], seconds)


def within(command: Sequence[str], seconds: float) -> int:
    """Run a command, interrupt it after ``seconds``, and return its exit code."""
    process = subprocess.Popen(command)
    try:
        return process.wait(max(0.0, seconds))
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
        return process.wait()


def recipe(images: Path, device: str, out: Path) -> Run:
    """The public recipe on all training images, both branches augmented."""
    small = SMALL if device == "cpu" else {}
    experiment = {"preset": "cifar10-fast", "branches": "two", "compositions": ["crop+color"], "references": []}
    return Run(out / "real-gpu-recipe", {**asked(images, device), **experiment, "set": small})


def cells(images: Path, device: str, out: Path, grid: Results) -> Run:
    """The cells of the CPUs' grid by the default of a GPU, the best first, on the same training images."""
    small = SMALL if device == "cpu" else {}
    labels = [cell.label for cell in order(grid.grid).cells]
    limit = {"limit": grid.experiment.limit} if grid.experiment.limit else {}
    experiment = {"preset": "one-gpu", "branches": "one", "compositions": labels, "references": ["untrained"], **limit}
    return Run(out / "real-gpu", {**asked(images, device), **experiment, "set": small})


def asked(images: Path, device: str) -> dict[str, Any]:
    return {"data": f"folder:{images / 'cifar10'}", "device": device, "seeds": 1}


def agreement(ours: Results, grid: Results) -> str:
    """How both rank the cells that the GPU has trained, by validation accuracy."""
    here, there = order(ours.grid), order(grid.grid)
    common = [cell for cell in there.cells if cell.label in here.scores]
    if len(common) < FEWEST:
        return f"no rank correlation: {len(common)} cells in common, fewer than {FEWEST}"
    values = [[ranking.scores[cell.label] for cell in common] for ranking in (here, there)]
    if any(len(set(scores)) == 1 for scores in values):
        return f"no rank correlation: the {len(common)} cells in common are all equal on one side"
    words = correlation_in_words(values[0], values[1], [ops_of(cell) for cell in common])
    best = f"best here {here.cells[0].label}, there {there.cells[0].label}"
    return f"Spearman {words} over the {len(common)} cells that are best on CPUs; {best}"


def found(ran: Run, again: Run, grid: Results) -> dict[str, object]:
    """What the records say, with versions and hardware."""
    rows: dict[str, object] = {"published": PUBLISHED}
    if is_sweep(ran.directory):
        whole = read_sweep(ran.directory)
        rows["recipe"] = {record.label: {**record.metrics, **record.timings} for record in whole.records.values()}
    if is_sweep(again.directory):
        part = read_sweep(again.directory)
        rows["cells"] = {cell.label: cell.mean() for cell in order(part.grid).cells}
        rows["of"] = len(part.grid.compositions)
        rows["agreement with the grid on CPUs"] = agreement(part, grid)
    device = torch.device(ran.experiment["device"])
    place = {name: value for name, value in host(device).items() if name != "name"}
    return {"versions": versions(), "host": {**place, "cores": os.cpu_count()}, "rows": rows}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run both parts within the time, and print and keep what they found."""
    started = time.monotonic()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True, help="the folder above cifar10/train and cifar10/test")
    parser.add_argument("--minutes", type=float, default=10.0, help="how long it may take")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--out", type=Path, default=Path("results"), help="where the sweeps lie, also the grid on CPUs")
    parser.add_argument("--cache", help="where decoded images are kept")
    parser.add_argument("--dry-run", action="store_true", help="print both experiments and run nothing")
    wish = parser.parse_args(arguments)
    images = wish.images.expanduser().absolute()
    if not (images / "cifar10").is_dir():
        sys.exit(f"error: there is no folder {images / 'cifar10'}; docs/real-images.md says what to unpack there")
    try:
        grid = read_sweep(wish.out / "real-cifar10")
    except UsageError as error:
        sys.exit(f"error: {error}; `make real` trains the grid on CPUs, by which the cells are ordered")
    ran, again = recipe(images, wish.device, wish.out), cells(images, wish.device, wish.out, grid)
    if wish.dry_run:
        print("\n\n".join(f"# {run.directory}\n{run.toml}" for run in (ran, again)))
        return
    if wish.device == "cuda" and not torch.cuda.is_available():
        sys.exit("error: torch sees no GPU here; --device cpu shows that the script runs, --dry-run what it would run")
    for run in (ran, again):
        left = 60 * wish.minutes - ENDING - (time.monotonic() - started)
        if left > 0:
            run.start(left, wish.cache)
    text = json.dumps(found(ran, again, grid), indent=1)
    print(text)
    if wish.device == "cuda":
        (RESULTS / "real-gpu.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
