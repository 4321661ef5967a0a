"""Trials that are stopped, killed and resumed: the record is that of a trial left alone, and no step is made twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import ablate.trial.attempt
from ablate.config.objectives import KINDS
from ablate.config.trial import Base, Optimiser
from ablate.distributed import World
from ablate.errors import Interrupted
from ablate.evaluation.protocols import PROTOCOLS
from ablate.ops.composition import Composition
from ablate.sweep.attempts import Attempt
from ablate.sweep.layout import SweepDir
from ablate.sweep.record import read_record, read_records
from ablate.training import checkpoint
from ablate.training.trainer import Trainer
from ablate.trial.context import Context
from tests.support.cli import ablate as command
from tests.support.grids import SETTINGS
from tests.support.interruptions import EPOCHS, PROTOCOLS_ASKED, SGD, STEPS, run
from tests.support.processes import of_objective
from tests.support.trials import comparable
from tests.training import ranks

VARIANTS = {
    "sgd": SGD,
    "adamw": {"optimiser": Optimiser(name="adamw", lr=0.01)},
    "lars": {"optimiser": Optimiser(name="lars", lr=0.5, weight_decay=1e-4)},
    "micro-batches": {**SGD, "micro_batch": 16},
    "supervised": {**SGD, "objective": "supervised"},
    "dino": {**SGD, **of_objective("dino")},
    "noise, elastic, kornia, one branch": {
        "composition": Composition.parse("noise+elastic+kornia.RandomGaussianNoise(p=0.5)").specs(),
        "optimiser": SGD["optimiser"],
        "branches": "one",
        "base": Base(area=(0.5, 1.0)),
    },
}


@pytest.fixture
def made(monkeypatch):
    """The steps that any trainer makes, as (epoch, step)."""
    steps, step = [], Trainer._update

    def noted(self, number, *rest):
        steps.append((self.epoch, number))
        return step(self, number, *rest)

    monkeypatch.setattr(Trainer, "_update", noted)
    return steps


@pytest.fixture
def saved(monkeypatch):
    """The numbers of steps at which checkpoints were written."""
    steps, to_bytes = [], checkpoint.to_bytes
    monkeypatch.setattr(checkpoint, "to_bytes", lambda state: (to_bytes(state), steps.append(state["steps"]))[0])
    return steps


def stop_after(count, made):
    """A context that asks to stop once so many more steps are made."""
    until = len(made) + count
    return Context(stop_requested=lambda: len(made) >= until)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The record of a trial left alone."""
    return run(tmp_path_factory.mktemp("whole"))


EVERY_STEP = [(epoch, step) for epoch in range(EPOCHS) for step in range(STEPS)]


@pytest.mark.parametrize("variant", VARIANTS)
def test_stopped_thrice_twice_in_the_same_epoch(variant, made, tmp_path):
    whole = run(tmp_path / "whole", **VARIANTS[variant])
    assert made == EVERY_STEP
    made.clear()
    for steps, total in ((1, 1), (2, 3), (4, 7)):
        with pytest.raises(Interrupted):
            run(tmp_path / "part", stop_after(steps, made), **VARIANTS[variant])
        assert len(made) == total
        assert checkpoint.steps_done(tmp_path / "part" / "running" / whole.id / "checkpoint.pt") == total
    resumed = run(tmp_path / "part", **VARIANTS[variant])
    assert made == EVERY_STEP
    assert resumed.status == "done"
    assert resumed.attempts == 4
    assert "online_top1" in resumed.metrics
    assert comparable(resumed) == comparable(whole)
    assert not (tmp_path / "part" / "running" / whole.id).exists()


@pytest.mark.slow
@pytest.mark.parametrize("at", range(EPOCHS * STEPS + 1))
def test_stopped_at_any_step(at, whole, made, tmp_path):
    with pytest.raises(Interrupted):
        run(tmp_path / "part", stop_after(at, made))
    assert comparable(run(tmp_path / "part")) == comparable(whole)
    assert made == EVERY_STEP


@pytest.mark.parametrize("protocol", PROTOCOLS_ASKED)
def test_stopped_during_evaluation(protocol, whole, made, tmp_path, monkeypatch):
    """While ``protocol`` runs; what is after it is not begun, and training is not repeated."""
    evaluated = []

    def noted(name):
        runs = PROTOCOLS[name].run
        return replace(PROTOCOLS[name], run=lambda frozen, at: (evaluated.append(name), runs(frozen, at))[1])

    with monkeypatch.context() as patch:
        for name in PROTOCOLS_ASKED:
            patch.setitem(PROTOCOLS, name, noted(name))
        context = Context(stop_requested=lambda: protocol in evaluated)
        if protocol == PROTOCOLS_ASKED[-1]:
            run(tmp_path / "part", context)  # there was nothing left to stop
        else:
            with pytest.raises(Interrupted):
                run(tmp_path / "part", context)
    assert evaluated == list(PROTOCOLS_ASKED[: PROTOCOLS_ASKED.index(protocol) + 1])
    resumed = run(tmp_path / "part")
    assert made == EVERY_STEP
    assert comparable(resumed) == comparable(whole)


def test_checkpoints_within_an_epoch_change_nothing(made, saved, tmp_path, monkeypatch):
    whole = run(tmp_path / "whole")
    assert saved == [STEPS, 2 * STEPS]  # this trial takes less than five minutes
    saved.clear(), made.clear()
    monkeypatch.setattr("ablate.trial.pace.CHECKPOINT_EVERY", 0)
    assert comparable(run(tmp_path / "part")) == comparable(whole)
    assert saved == [*range(STEPS + 1), *range(STEPS, 2 * STEPS + 1)]
    assert made == EVERY_STEP


def test_killed_after_a_checkpoint_within_an_epoch(whole, made, saved, tmp_path, monkeypatch):
    """Without a warning, so that the step under way is lost, and no more."""
    monkeypatch.setattr("ablate.trial.pace.CHECKPOINT_EVERY", 0)
    step = Trainer._update

    def killed(self, number, *rest):
        if (self.epoch, number) == (1, 2):
            raise KeyboardInterrupt
        return step(self, number, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_update", killed)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "part")
    assert made == EVERY_STEP[:7]
    assert saved[-1] == 7
    assert comparable(run(tmp_path / "part")) == comparable(whole)
    assert made == EVERY_STEP


KILLED = """
import os, sys
import ablate.trial.pace
from ablate.training.trainer import Trainer
from tests.support.interruptions import run
from tests.support.processes import of_objective

ablate.trial.pace.CHECKPOINT_EVERY = 0
step = Trainer._update
Trainer._update = lambda self, number, *rest: os._exit(9) if number == 3 else step(self, number, *rest)
for objective in sys.argv[2:]:
    if os.fork() == 0:
        run(f"{sys.argv[1]}-{objective}", **of_objective(objective))
    assert os.waitstatus_to_exitcode(os.wait()[1]) == 9
"""


@pytest.mark.slow
def test_a_killed_process_loses_the_step_under_way(made, tmp_path):
    """Of every objective: each is trained by a process of its own, which ends without a word."""
    objectives = [name for name in KINDS if name != "supervised"]
    part = tmp_path / "part"
    subprocess.run([sys.executable, "-c", KILLED, str(part), *objectives], timeout=240, check=True)
    for objective in objectives:
        whole = run(tmp_path / f"whole-{objective}", **of_objective(objective))
        made.clear()
        assert comparable(run(f"{part}-{objective}", **of_objective(objective))) == comparable(whole)
        assert made == EVERY_STEP[3:]


def in_processes(world: World) -> dict:
    """A trial left alone, and one that the second process is asked to stop, then the first in evaluation."""
    out, made, step = Path(os.environ["ABLATE_TEST_OUT"]), [], Trainer._update
    Trainer._update = lambda self, *rest: (made.append(1), step(self, *rest))[1]
    changes = {**VARIANTS["lars"], "micro_batch": 16}
    whole = run(out / "whole", world=world, **changes)
    counts = [len(made)]
    for rank, steps in ((1, 2), (0, 8)):  # after the second, training is over
        with pytest.raises(Interrupted):
            run(out / "part", stop_after(steps, made) if rank == world.rank else None, world, **changes)
        counts.append(len(made))
        assert not read_records(out / "part")[0]
    resumed = run(out / "part", world=world, **changes)
    return {"records": [whole.model_dump_json(), resumed.model_dump_json()], "counts": [*counts, len(made)]}


@pytest.mark.slow
def test_processes_stopped_within_an_epoch_and_in_evaluation(tmp_path, monkeypatch):
    monkeypatch.setenv("ABLATE_TEST_OUT", str(tmp_path))
    for found in ranks.run("tests.test_interruptions:in_processes", (2,), tmp_path)[2]:
        whole, resumed = map(ablate.sweep.record.TrialResult.model_validate_json, found["records"])
        assert found["counts"] == [10, 12, 20, 20]
        assert resumed.attempts == 3
        assert comparable(resumed) == comparable(whole)


def train(tiny_folder, cache, out):
    data = ("--data", f"folder:{tiny_folder}", "--cache", cache, "--out", out, "--no-keep-encoder")
    return command("train", "crop", *data, *SETTINGS)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_command_at_its_next_step(number, tiny_folder, cache, made, tmp_path, monkeypatch):
    whole = train(tiny_folder, cache, tmp_path / "whole")
    assert whole.returncode == 0, whole.stderr
    total = len(made)
    handlers = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    made.clear()
    signalled(monkeypatch, number, step=(1, 1), times=1)
    first = train(tiny_folder, cache, tmp_path / "part")
    assert first.returncode == 128 + number
    assert "run the same command again to resume" in first.stderr
    assert made[-1] == (1, 1)
    (path,) = (tmp_path / "part").glob("running/*/checkpoint.pt")
    assert checkpoint.steps_done(path) == len(made) < total
    second = train(tiny_folder, cache, tmp_path / "part")
    assert second.returncode == 0, second.stderr
    assert len(made) == total
    a, b = (read_record(next((tmp_path / name).glob("trials/*"))) for name in ("whole", "part"))
    assert comparable(a) == comparable(b)
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == handlers


def test_the_second_signal_does_not_wait(tiny_folder, cache, made, tmp_path, monkeypatch):
    signalled(monkeypatch, signal.SIGINT, step=(1, 1), times=2)
    done = train(tiny_folder, cache, tmp_path)
    assert done.returncode == 130
    assert "run the same command again to resume" in done.stderr
    (path,) = tmp_path.glob("running/*/checkpoint.pt")
    assert checkpoint.steps_done(path) == len(made) - 2  # the end of the first epoch


def signalled(monkeypatch, number, step, times):
    """This process gets a signal when it comes to ``step``, (epoch, number), for the first time."""
    left, make = [step], Trainer._update

    def with_signal(self, which, *rest):
        result = make(self, which, *rest)
        if (self.epoch, which) in left:
            left.clear()
            for _ in range(times):
                os.kill(os.getpid(), number)
        return result

    monkeypatch.setattr(Trainer, "_update", with_signal)


def elsewhere(directory, trial_id, number):
    """Another machine's attempt at the trial, just begun."""
    attempt = Attempt(number=number, host="node4", user="ann", machine="another", pid=4711, job="17_3")
    path = SweepDir(directory).begun(trial_id) / f"attempt-{number}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(attempt.model_dump_json())


def test_the_command_says_who_is_at_work_on_its_trial(tiny_folder, cache, tmp_path, monkeypatch):
    """Before it has begun, and where it is taken over in the middle."""
    step = Trainer._update

    def overtaken(self, *rest):
        (running,) = tmp_path.glob("running/*")
        elsewhere(tmp_path, running.name, 2)
        return step(self, *rest)

    monkeypatch.setattr(Trainer, "_update", overtaken)
    holder = "job 17_3 on node4 (process 4711 of ann)"
    lost = train(tiny_folder, cache, tmp_path)
    assert lost.returncode == 1
    assert lost.stderr == f"error: another process has taken this trial over ({holder}); nothing more was written\n"
    held = train(tiny_folder, cache, tmp_path)
    assert held.returncode == 2
    assert held.stderr == (
        f"error: another process is at work on this trial: {holder}; wait for it, or choose another --out\n"
    )
    assert not list(tmp_path.glob("trials/*"))
