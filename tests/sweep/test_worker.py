"""A worker's main loop in this process: what it is asked over its pipes, and what it answers."""

from __future__ import annotations

import os
import signal
import sys
import threading

import pytest
import torch

from ablate.config.sweep import NamedOp, SweepPlan
from ablate.data import prepare
from ablate.launch import worker
from ablate.ops import parse_op, spec
from ablate.sweep.attempts import Attempt, last_attempt
from ablate.sweep.layout import SweepDir
from ablate.sweep.plan import plan, save_plan
from ablate.sweep.record import read_record
from ablate.training.trainer import Trainer
from tests.support.reevaluation import config


@pytest.fixture
def trials(tiny_folder, cache, tmp_path):
    """Of a sweep in ``tmp_path``: crop with two seeds."""
    images = prepare(f"folder:{tiny_folder}", cache=cache, image_size=16)
    shared = config(images).model_copy(update={"composition": ()})
    crop = NamedOp(label="crop", op=spec(parse_op("crop")))
    experiment = SweepPlan(
        data=f"folder:{tiny_folder}",
        seeds=(0, 1),
        ops=(crop,),
        reference_crop=crop.op,
        references=(),
        shared=shared,
    )
    save_plan(tmp_path, experiment)
    return plan(experiment)


@pytest.fixture
def serve(cache, tmp_path, monkeypatch):
    """Runs a worker that is given these trials, each when the one before is answered; its exit code, its answers."""
    handler = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(os, "_exit", lambda code: None)  # that of a worker whose launcher is gone; this is pytest

    def run(*trial_ids):
        (asked, questions), (heard, told) = os.pipe(), os.pipe()
        answers, before = [], set(threading.enumerate())

        def launcher():
            with os.fdopen(heard) as lines, os.fdopen(questions, "w") as to_worker:
                left = list(trial_ids)
                for line in lines:
                    answers.append(line.strip())
                    if not left:
                        break
                    print(left.pop(0), file=to_worker, flush=True)

        with os.fdopen(asked) as stdin:
            monkeypatch.setattr(sys, "stdin", stdin)
            with os.fdopen(told, "w") as stdout:
                monkeypatch.setattr(worker, "own_stdout", lambda: stdout)
                threading.Thread(target=launcher).start()
                code = worker.main(tmp_path, torch.device("cpu"), cache)
            for thread in set(threading.enumerate()) - before:
                thread.join(20)
        return code, answers

    yield run
    signal.signal(signal.SIGTERM, handler)


def test_a_trial_that_somebody_else_has_is_held_and_the_next_one_is_run(trials, serve, tmp_path):
    first, second = (trial.id for trial in trials)
    elsewhere = SweepDir(tmp_path).begun(first) / "attempt-1.json"
    elsewhere.parent.mkdir(parents=True)
    elsewhere.write_text(Attempt(number=1, machine="another").model_dump_json())
    before = sorted(elsewhere.parent.iterdir())
    assert serve(first, second) == (0, ["ready", f"held {first}", f"done {second}"])
    assert sorted(elsewhere.parent.iterdir()) == before
    assert not SweepDir(tmp_path).record(first).exists()
    assert read_record(SweepDir(tmp_path).record(second)).status == "done"


def test_a_trial_that_is_taken_over_is_given_up_for_the_next_one(trials, serve, tmp_path, monkeypatch):
    first, second = (trial.id for trial in trials)
    running, step = SweepDir(tmp_path).begun(first), Trainer._update

    def overtaken(self, *rest):
        if running.exists():
            (running / "attempt-2.json").write_text(Attempt(number=2, machine="another").model_dump_json())
        return step(self, *rest)

    monkeypatch.setattr(Trainer, "_update", overtaken)
    assert serve(first, second) == (0, ["ready", f"held {first}", f"done {second}"])
    assert not SweepDir(tmp_path).record(first).exists()
    assert not (running / "checkpoint.pt").exists()


@pytest.mark.parametrize("times", [1, 2])
def test_asked_to_end_it_saves_and_leaves_the_trial(trials, serve, tmp_path, monkeypatch, times):
    first, second = (trial.id for trial in trials)
    made, step = [], Trainer._update

    def asked(self, *rest):
        result = step(self, *rest)
        made.append(1)
        for _ in range(times):
            os.kill(os.getpid(), signal.SIGTERM)
        return result

    monkeypatch.setattr(Trainer, "_update", asked)
    assert serve(first, second) == (0, ["ready"])
    assert len(made) == 1
    assert last_attempt(tmp_path, first).released
    assert (SweepDir(tmp_path).begun(first) / "checkpoint.pt").exists()
    assert not SweepDir(tmp_path).begun(second).exists()


def test_a_trial_that_was_finished_meanwhile_is_not_run_again(trials, serve, tmp_path, monkeypatch):
    first = trials[0].id
    serve(first)
    monkeypatch.setattr(worker, "execute", None)  # would fail if called
    assert serve(first) == (0, ["ready", f"done {first}"])
    assert not SweepDir(tmp_path).begun(first).exists()
