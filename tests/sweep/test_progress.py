"""What the screen says of a sweep's progress: from made-up sweeps whose trials' durations are known."""

from __future__ import annotations

import io
import json
import random
import time
from dataclasses import replace

import pytest
from rich.console import Console

from ablate.config.sweep import Rung
from ablate.launch.screen import line, outcome, print_status, progress
from ablate.launch.status import sweep_status
from ablate.launch.timing import seconds_left
from ablate.sweep.layout import SweepDir
from ablate.sweep.lock import Work, note_work, sole_user
from ablate.sweep.plan import plan, save_plan
from tests.support.running import begin
from tests.support.sweeps import failure, make_experiment, record, write_record

WORKERS = 2
WORK = Work(workers=WORKERS, since=1000.0)


def planned(directory, labels, **changes):
    """The trials of a sweep that has begun."""
    experiment = make_experiment(labels, **changes)
    save_plan(directory, experiment)
    return plan(experiment)


def at_epoch(directory, trial, epoch, *, resumed=0, took=0.0):
    """Let ``trial`` run: it has reached ``epoch``, from ``resumed``, in ``took`` seconds."""
    path = SweepDir(directory).progress(trial.id)
    if not path.exists():
        begin(directory, trial)
    known = json.loads(path.read_text())
    path.write_text(json.dumps({**known, "epoch": epoch, "resumed": resumed, "updated": known["started"] + took}))


def left(directory):
    return seconds_left(replace(sweep_status(directory), work=WORK))


def test_after_the_first_cell_it_is_right_to_a_quarter(tmp_path):
    """Durations spread by 15 %, laid out over two workers as the launcher does."""
    for seed in range(20):
        draw, directory = random.Random(seed), tmp_path / str(seed)
        trials = planned(directory, list("abcd"), references=())
        seconds = {trial.id: draw.uniform(34, 46) for trial in trials}
        first, second = trials[:2]
        now = seconds[first.id]
        write_record(directory, record(first, timings={"total": now}))
        at_epoch(directory, second, min(2, int(3 * now / seconds[second.id])))
        at_epoch(directory, trials[2], 0)
        free = [max(0.0, seconds[second.id] - now), seconds[trials[2].id]]
        for trial in trials[3:]:
            i = free.index(min(free))
            free[i] += seconds[trial.id]
        assert left(directory) == pytest.approx(max(free), rel=0.25)


def test_only_cells_and_their_like_are_measured(tmp_path):
    trials = planned(tmp_path, list("ab"), references=("untrained", "no-op", "supervised"))
    assert left(tmp_path) is None
    for trial, seconds in zip(trials[:3], (1.0, 40.0, 20.0), strict=True):
        assert trial.reference
        write_record(tmp_path, record(trial, timings={"total": seconds}))
    assert left(tmp_path) == pytest.approx(2 * 40.0)  # four cells, two at once


def test_a_resumed_trials_pace_counts_from_where_it_resumed(tmp_path):
    first, *_ = planned(tmp_path, ["a"], seeds=2, references=())
    at_epoch(tmp_path, first, 3, resumed=1, took=20.0)
    assert left(tmp_path) == pytest.approx(30.0)  # two of three epochs in 20 seconds; the other seed beside it


def test_seeds_to_come_do_not_count_the_untrained_encoder_as_a_cell(tmp_path):
    trials = planned(tmp_path, ["a"], seeds=3)
    write_record(tmp_path, record(trials[1], timings={"total": 40.0}))
    assert left(tmp_path) == pytest.approx(40.0)  # two cells on two workers


def test_the_sentence_about_a_finished_trial(tmp_path):
    trials = planned(tmp_path, list("ab"), references=())
    status = sweep_status(tmp_path)

    def said(**changes):
        return outcome(status, record(trials[0], timings={"total": 2.0}, **changes))[0].partition(": ")[2]

    assert said() == "linear 50.0%, kNN 40.0% in 2 s of wall time"
    assert said(metrics={"rotation_top1": 0.25, "rankme": 3.0}) == "rotation 25.0% in 2 s of wall time"
    flagged = said(metrics={"rankme": 3.0}, flags=("rotation-not-applicable",))
    assert flagged == "done [rotation-not-applicable] in 2 s of wall time"
    assert said(status="pruned", metrics={}, history=({"epoch": 2.0},)) == "pruned after epoch 2"
    assert outcome(status, record(trials[0]))[0].startswith(f"{trials[0].called} seed 0: linear")
    sentence, style = outcome(status, failure(trials[0]))
    assert style == "red"
    assert "failed: the loss became nan <b> (log: " in sentence


def test_the_sentence_names_each_measure_once(tmp_path):
    experiment = make_experiment(list("ab"), references=()).replace(measure="auroc")
    save_plan(tmp_path, experiment)
    trials = plan(experiment)
    found = {"linear_auroc": 0.9, "knn_balanced_accuracy": 0.5}
    said, _ = outcome(sweep_status(tmp_path), record(trials[0], metrics=found))
    assert said.startswith(f"{trials[0].called} seed 0: AUROC: linear 90.0%; balanced accuracy: kNN 50.0%")


def test_at_a_rung_it_says_how_many_are_there(tmp_path):
    experiment = make_experiment(list("ab"), references=()).replace(prune=(Rung(eighth=5, keep=0.5),))
    save_plan(tmp_path, experiment)
    trials = plan(experiment)

    def said():
        status = replace(sweep_status(tmp_path), work=WORK)
        return progress(status, WORK.since).plain.partition("elapsed 0 s, ")[2]

    assert said() == "0 of 4 trials at the rung after epoch 2, time left: depends on pruning"
    at_epoch(tmp_path, trials[0], 2)
    at_epoch(tmp_path, trials[1], 1)
    assert said().startswith("1 of 4 trials at the rung after epoch 2")
    for trial in trials[1:]:
        write_record(tmp_path, record(trial, status="pruned", metrics={}, history=({"epoch": 2.0},)))
    assert said() == "time left: depends on pruning"


def test_the_last_evaluation_is_no_unknown_time(tmp_path):
    """All epochs are done: nothing is left to become known after the first ones."""
    first, second = planned(tmp_path, list("a"), references=(), seeds=2)

    def said():
        return progress(replace(sweep_status(tmp_path), work=WORK), WORK.since).plain

    at_epoch(tmp_path, first, first.config.epochs, took=30.0)
    at_epoch(tmp_path, second, 1, took=30.0)
    assert "about " in said()
    at_epoch(tmp_path, second, second.config.epochs, took=30.0)
    assert said() == "2 of 2 workers busy, elapsed 0 s, only evaluation is left"


def test_a_trial_without_epochs_counts_none(tmp_path):
    trials = planned(tmp_path, list("a"))
    for trial in trials:
        at_epoch(tmp_path, trial, 0)
    status = sweep_status(tmp_path)
    assert line(status, WORK.since).plain.endswith("; untrained s0, a s0 0/3")
    console = Console(record=True, width=120, file=io.StringIO())
    print_status(status, console)
    assert "0/3" in (text := console.export_text()) and "0/0" not in text


def test_it_says_how_many_workers_are_busy_and_since_when(tmp_path):
    trials = planned(tmp_path, list("ab"), references=())
    at_epoch(tmp_path, trials[0], 1, took=10.0)
    with sole_user(tmp_path):
        assert sweep_status(tmp_path).work is None
        note_work(tmp_path, WORKERS)
        status = sweep_status(tmp_path)
    assert status.work is not None
    said = progress(status, status.work.since + 65).plain
    assert said == "1 of 2 workers busy, elapsed 1 min 05 s, about 1 min 00 s left"  # 30 s each, 20 of the first
    assert sweep_status(tmp_path).work is None  # the command has ended


def test_the_note_of_an_earlier_command_is_gone(tmp_path):
    planned(tmp_path, ["a"])
    for _ in range(2):
        with sole_user(tmp_path):
            assert sweep_status(tmp_path).work is None
            note_work(tmp_path, WORKERS)
            assert abs(sweep_status(tmp_path).work.since - time.time()) < 60
