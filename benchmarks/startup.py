"""How long a user and a trial wait before anything happens: imports, commands, a grid's first step, a warm trial.

``python -m benchmarks.startup``; two minutes. Seconds by the clock. ``first step``: from the command ``ablate grid`` to
the moment a worker notes that its first trial begins, with glyphs in the cache or rendered first, compiled kernels kept
or not. ``warm trial``: in a process that has run one, from being handed the next to its first step.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from unittest import mock

import torch

from ablate.config.experiment import Experiment
from ablate.data import cache_dir, prepare
from ablate.ops.composition import Composition
from ablate.ops.cpu import kernel
from ablate.planning.settings import shared_config
from ablate.training.step import EagerStep
from ablate.trial.run import run_trial
from benchmarks.harness import quartiles, save

ROUNDS = 5


def command(*arguments: str) -> dict[str, float]:
    return quartiles([seconds_of([sys.executable, *arguments]) for _ in range(ROUNDS)])


def seconds_of(line: Sequence[str]) -> float:
    started = time.perf_counter()
    subprocess.run(line, check=True, capture_output=True)
    return time.perf_counter() - started


def first_step(*, cold: bool) -> dict[str, float]:
    return quartiles([_first_step(cold) for _ in range(ROUNDS)])


def _first_step(cold: bool) -> float:
    with tempfile.TemporaryDirectory() as name:
        out, cache = Path(name, "sweep"), Path(name, "cache") if cold else cache_dir(None)
        if cold:
            for kept in Path(kernel.__file__).parent.glob("__pycache__/*.nb*"):
                kept.unlink()
        line = [sys.executable, "-m", "ablate", "grid", "--ops", "crop,color,blur", "--cache", cache, "--out", out]
        started = time.perf_counter()
        process = subprocess.Popen(line, stdout=subprocess.DEVNULL, start_new_session=True)
        try:
            while not any(map(has_begun, out.glob("running/*/attempt-1.json"))):
                assert process.poll() is None, "the grid ended before its first step"
                time.sleep(0.01)
            return time.perf_counter() - started
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            shutil.rmtree(out, ignore_errors=True)


def has_begun(attempt: Path) -> bool:
    try:
        return json.loads(attempt.read_text()).get("step") is not None
    except (OSError, ValueError):
        return False


def warm_trial() -> dict[str, float]:
    data = prepare("glyphs", cache=cache_dir(None), image_size=32)
    config = shared_config(Experiment(device="cpu", compositions=["none"]), data.identity)
    config = config.replace(composition=Composition.parse("crop+color+blur").specs(), epochs=1, warmup_epochs=0)

    class Begun(BaseException):
        pass

    def begin(*_: object) -> None:
        raise Begun

    waits = []
    for seed in range(ROUNDS + 1):
        with tempfile.TemporaryDirectory() as out, mock.patch.object(EagerStep, "gradients", begin):
            started = time.perf_counter()
            try:
                run_trial(config, out, data=data, seed=seed)
            except Begun:
                waits.append(time.perf_counter() - started)
    return quartiles(waits[1:])


if __name__ == "__main__":
    torch.set_num_threads(1)
    rows = {
        "import torch": command("-c", "import torch"),
        "import ablate": command("-c", "import ablate"),
        "ablate --help": command("-m", "ablate", "--help"),
        "ablate ops": command("-m", "ablate", "ops"),
        "ablate grid to its first step": first_step(cold=False),
        "the same, glyphs not rendered, kernels not compiled": first_step(cold=True),
        "a warm trial to its first step": warm_trial(),
    }
    save("startup", rows)
