"""The time left: from a made-up sweep whose trials' durations are known."""

from __future__ import annotations

import random
import time

import pytest
from rich.console import Console

from ablate.launch.display import Progress
from ablate.sweep.plan import plan
from ablate.sweep.progress import TrialProgress
from ablate.sweep.record import write_record
from tests.support.sweeps import make_experiment, record

WORKERS = 2


def display(directory, trials):
    return Progress(Console(quiet=True), directory, trials, 0, WORKERS)


def at_epoch(trial, epoch):
    return trial, TrialProgress.nothing_yet(trial).model_copy(update={"epoch": epoch})


def finished(progress, trial, seconds, **changes):
    write_record(progress.directory, record(trial, timings={"total": seconds}, **changes))
    progress.finish([trial])


def test_after_the_first_cell_it_is_right_to_a_quarter(tmp_path):
    """Durations spread by 15 %, laid out over two workers as the launcher does."""
    for seed in range(20):
        draw = random.Random(seed)
        trials = [trial for trial in plan(make_experiment(list("abcd"))) if trial.reference is None]
        seconds = {trial.id: draw.uniform(34, 46) for trial in trials}
        progress = display(tmp_path / str(seed), trials)
        first, second = trials[:2]
        now = seconds[first.id]
        finished(progress, first, now)
        progress.running = [at_epoch(second, min(2, int(3 * now / seconds[second.id]))), at_epoch(trials[2], 0)]
        free = [max(0.0, seconds[second.id] - now), seconds[trials[2].id]]
        for trial in trials[3:]:
            i = free.index(min(free))
            free[i] += seconds[trial.id]
        assert progress.seconds_left() == pytest.approx(max(free), rel=0.25)


def test_only_cells_and_their_like_are_measured(tmp_path):
    trials = plan(make_experiment(list("ab"), references=("untrained", "no-op", "supervised")))
    progress = display(tmp_path, trials)
    assert progress.seconds_left() is None
    for trial, seconds in zip(trials[:3], (1.0, 40.0, 20.0), strict=True):
        assert trial.reference
        finished(progress, trial, seconds)
    assert progress.seconds_left() == pytest.approx(2 * 40.0)  # four cells, two at once


def test_a_resumed_trials_pace_counts_from_where_it_resumed(tmp_path):
    trials = plan(make_experiment(list("ab"), references=()))
    progress = display(tmp_path, trials)
    progress.running = [at_epoch(trials[0], 3)]
    progress.began, progress.first_epoch = {trials[0].id: time.monotonic() - 20}, {trials[0].id: 1}
    (pace,) = progress._paces()
    assert pace == pytest.approx(30, rel=0.01)  # two of three epochs in 20 seconds


def test_seeds_to_come_do_not_count_the_untrained_encoder_as_a_cell(tmp_path):
    trials = plan(make_experiment(["a"], seeds=3))
    progress = display(tmp_path, trials)
    finished(progress, trials[1], 40.0)
    assert progress.seconds_left() == pytest.approx(40.0)  # two cells on two workers


def test_the_line_of_a_finished_trial(tmp_path, capsys):
    trials = [trial for trial in plan(make_experiment(list("ab"))) if trial.reference is None]
    progress = Progress(Console(width=200), tmp_path, trials, 0, WORKERS)
    finished(progress, trials[0], 2.0)
    finished(progress, trials[1], 2.0, metrics={"rotation_top1": 0.25, "rankme": 3.0})
    finished(progress, trials[2], 2.0, metrics={"rankme": 3.0}, flags=("rotation-not-applicable",))
    assert [line.partition(": ")[2] for line in capsys.readouterr().out.splitlines()] == [
        "linear 50.0%, kNN 40.0% in 2 s of wall time",
        "rotation 25.0% in 2 s of wall time",
        "done [rotation-not-applicable] in 2 s of wall time",
    ]


def test_at_a_rung_it_says_how_many_are_there(tmp_path):
    trials = [trial for trial in plan(make_experiment(list("ab"))) if trial.reference is None]
    progress = Progress(Console(quiet=True), tmp_path, trials, 0, WORKERS, prunes=True)

    def runs(*running):
        progress.refreshed = 0.0
        progress.update(list(running))
        return progress._headline()

    progress.head_for(trials, 2)
    assert "0/4 trials done · 0/4 at the rung after epoch 2 · 2 running" in runs(*trials[:2])
    assert "2/4 at the rung after epoch 2 · 1 running" in runs(trials[2])
    assert "3/4 at the rung after epoch 2 · 1 running" in runs(trials[3])
    for trial in trials[1:]:
        write_record(tmp_path, record(trial, status="pruned", metrics={}, history=({"epoch": 2.0},)))
    progress.head_for(trials[:1], None)
    progress.finish(trials[1:])
    progress.running = []
    assert "3/4 trials done · 0 running · 1 still to train" in progress._headline()
    said = runs(trials[0])
    assert "3/4 trials done · 1 running" in said
    assert "rung" not in said
