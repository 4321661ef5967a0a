"""A search that prunes: a batch competes at rungs with all before it, and TPE learns from what was pruned."""

from __future__ import annotations

import contextlib
import itertools
import signal
import subprocess
import sys
import time

import pytest

from ablate.config.sweep import NamedComposition
from ablate.errors import Interruption
from ablate.files import write_atomically
from ablate.report import write_report
from ablate.report.data.results import read_sweep
from ablate.report.figures import search as searched
from ablate.search.measured import Measured
from ablate.search.run import values
from ablate.sweep.layout import SweepDir
from ablate.sweep.plan import load_plan, plan, save_plan
from ablate.sweep.prune import RUNGS, knn_at, run_rungs
from ablate.sweep.record import read_record
from ablate.sweep.record import to_json as as_json
from benchmarks import searching
from tests.support.grids import SETTINGS, results
from tests.support.in_process import run_here
from tests.support.searches import begun, labels, search_there, space, value_of, walk
from tests.support.sweeps import record, write_record

EPOCHS = 8  # rungs after 1 and 4


def test_tpe_learns_from_what_was_pruned_as_from_what_was_not():
    def proposed(become):
        return [item.label for item in walk(space(sampler="tpe"), 5, become)]

    pruned = proposed(lambda item: Measured(item, None, {1: value_of(item)}))
    assert pruned == proposed(lambda item: Measured(item, value_of(item)))
    assert pruned != proposed(Measured)  # those failed


def test_of_two_that_were_pruned_the_one_that_came_further_counts_as_better():
    def proposed(become):
        search = space(max_length=4, sampler="tpe")
        return [item.label for item in walk(search, 5, lambda item: become(item, "color" in item.label))]

    pruned = proposed(lambda item, good: Measured(item, None, {1: 0.2, 4: 0.3} if good else {1: 0.9}))
    assert pruned == proposed(lambda item, good: Measured(item, 0.9 if good else 0.1))
    assert pruned != proposed(lambda item, good: Measured(item, 0.1 if good else 0.9))


class Rungs:
    """Trains by making results up, as far as a rung; is interrupted after so many trials, on request."""

    def __init__(self, directory, stop_after=None):
        self.directory, self.left = directory, stop_after

    def __call__(self, experiment):
        self.directory.mkdir(parents=True, exist_ok=True)
        save_plan(self.directory, experiment)
        trials = plan(experiment)
        return run_rungs(self.directory, experiment, trials, trials, self.train)

    def train(self, trials, until):
        for trial in trials:
            if self.left == 0:
                raise Interruption(signal.SIGINT)
            self.left = None if self.left is None else self.left - 1
            if trial.reference:
                write_record(self.directory, record(trial, 0.1))
                continue
            value = value_of(NamedComposition(label=trial.label, ops=trial.config.composition)) + 0.001 * trial.seed
            epochs = range(1, (until or EPOCHS) + 1)
            history = tuple({"epoch": float(e), "loss": 1.0, "knn_val_top1": value - 0.1 / e} for e in epochs)
            if until is None:
                write_record(self.directory, record(trial, value, history=history))
                continue
            parked = record(trial, status="pruned", metrics={}, history=history)
            write_atomically(SweepDir(self.directory).parked(trial.id), as_json(parked))
        return 0


def go(directory, budget, stop_after=None, **changes):
    shared = {"epochs": EPOCHS}
    experiment = begun(**changes)
    experiment = experiment.model_copy(
        update={"prune": RUNGS, "shared": experiment.shared.model_copy(update=shared)}, deep=True
    )
    return search_there(directory, budget, Rungs(directory, stop_after), experiment=experiment)


def outcomes(directory):
    """Of every composition, in order, after how many epochs it was over."""
    experiment = load_plan(directory)
    ends: dict[str, set[int]] = {}
    for trial in plan(experiment):
        if trial.reference is None:
            ends.setdefault(trial.label, set()).add(len(read_record(SweepDir(directory).record(trial.id)).history))
    assert all(len(end) == 1 for end in ends.values())  # a cell is pruned with all its seeds
    return [(label, end.pop()) for label, end in ends.items()]


def test_a_batch_competes_with_all_before_it(tmp_path):
    assert go(tmp_path, 32) == 0
    found = outcomes(tmp_path)
    assert len(found) == 16
    # 40 % of four, rounded up, and of the two that are left, which are equal, both
    assert sorted(end for _, end in found[:4]) == [1, 1, 8, 8]
    worth = {item.label: value_of(item) for item in load_plan(tmp_path).compositions}
    whole = {label for label, end in found if end == EPOCHS}
    for until in (4, 8, 12, 16):  # after every batch: the best so far has been trained to the end
        assert max([label for label, _ in found[:until]], key=worth.__getitem__) in whole
    assert 1 <= sum(end == EPOCHS for _, end in found) <= 5
    pruned = {t.id for t in plan(load_plan(tmp_path)) if t.label in dict(found) and t.label not in whole}
    assert not pruned & {path.name for path in tmp_path.glob("running/*")}


@pytest.mark.parametrize("sampler", ["gp", "tpe"])
def test_however_often_it_is_interrupted_it_is_the_same(tmp_path, sampler):
    assert go(tmp_path / "whole", 24, sampler=sampler) == 0
    code, attempts = None, itertools.count(1)
    while code is None:
        with contextlib.suppress(Interruption):
            code = go(tmp_path / "often", 24, stop_after=next(attempts) + 2, sampler=sampler)
    assert code == 0
    assert next(attempts) > 4
    assert outcomes(tmp_path / "often") == outcomes(tmp_path / "whole")


def test_a_budget_ends_with_a_whole_batch_so_that_a_larger_one_goes_on_as_if_it_had_been_that_large(tmp_path):
    go(tmp_path / "small", 10)
    assert len(labels(tmp_path / "small")) == 8  # of two seeds: sixteen trials
    go(tmp_path / "small", 24)
    go(tmp_path / "large", 24)
    assert outcomes(tmp_path / "small") == outcomes(tmp_path / "large")


def test_what_the_study_is_told_of_what_was_pruned(tmp_path):
    go(tmp_path, 8)
    sweep = read_sweep(tmp_path)
    by_label = {t.label: sweep.records[t.id] for t in sweep.trials if t.seed == 0}
    for known in values(sweep):
        first = by_label[known.composition.label]
        if first.status == "done":
            assert known.value is not None
            assert list(known.knn) == [1, 4]
            assert sum(known.by_seed.values()) / 2 == known.value
        else:
            assert known.value is None
            assert not known.by_seed
            assert list(known.knn) == [epoch for epoch in (1, 4) if epoch <= len(first.history)]
        assert known.knn[1] == pytest.approx(knn_at(first, 1) + 0.0005)  # the mean over both seeds


def test_the_report_says_what_was_pruned(tmp_path):
    go(tmp_path, 40, sampler="tpe")
    write_report(tmp_path)
    sweep = read_sweep(tmp_path)
    pruned = [label for label, end in outcomes(tmp_path) if end < EPOCHS]
    axes = searched.history(sweep).axes[0]
    legend = [text.get_text() for text in axes.get_legend().get_texts()]
    assert legend == ["a composition", "best so far", "pruned"]
    assert len(axes.collections[0].get_offsets()) == 20 - len(pruned)
    assert len(axes.collections[1].get_offsets()) == len(pruned)
    page = (tmp_path / "report" / "index.html").read_text()
    assert "in comparison with all earlier compositions" in page
    assert f"{sum(end > 1 for _, end in outcomes(tmp_path))} of 20" in page


@pytest.mark.parametrize("sampler", ["gp", "tpe"])
def test_the_replay_of_the_docs_is_the_search_itself(tmp_path, sampler):
    experiment, grid = load_plan(searching.TRIED_ON), searching.Whole.committed(searching.TRIED_ON)
    replay = searching.Replay.of(grid, number=0, sampler=sampler, rungs=RUNGS)
    records = read_sweep(searching.TRIED_ON).records
    by_names = {
        (tuple(op.name for op in trial.config.composition), trial.seed): records[trial.id]
        for trial in plan(experiment)
        if trial.reference is None
    }

    class FromRecords(Rungs):
        def train(self, trials, until):
            for trial in trials:
                if trial.reference:
                    write_record(self.directory, record(trial, 0.1))
                    continue
                known = by_names[tuple(op.name for op in trial.config.composition), int(replay.seeds[trial.seed])]
                history = tuple(entry for entry in known.history if until is None or entry["epoch"] <= until)
                made = record(trial, known.metrics["linear_val_top1"], history=history)
                if until is None:
                    write_record(self.directory, made)
                    continue
                parked = made.model_copy(update={"status": "pruned", "metrics": {}})
                write_atomically(SweepDir(self.directory).parked(trial.id), as_json(parked))
            return 0

    shared = begun().shared.model_copy(update={"epochs": grid.histories.epochs})
    wanted = begun(seeds=len(replay.seeds)).model_copy(
        update={"prune": RUNGS, "shared": shared, "search": replay.search}, deep=True
    )
    search_there(tmp_path, 60, FromRecords(tmp_path), experiment=wanted)
    found = outcomes(tmp_path)
    assert len(found) == 20
    for _ in zip(replay.run(), range(5), strict=False):
        pass
    names = [label.replace("(area=(0.6, 1.0), flip_p=0.0)", "") for label, _ in found]
    assert {names[i]: end for i, (_, end) in enumerate(found)} == {
        replay.labels[cell]: end for cell, end in list(replay.epochs.items())[:20]
    }


def command(tiny_folder, cache, out, *extra):
    line = [sys.executable, "-m", "ablate", "search", "--ops", "crop,color,blur", "--budget", "8", "--batch", "4"]
    where = ["--data", f"folder:{tiny_folder}", "--cache", str(cache), "--out", str(out)]
    return [*line, *where, *SETTINGS, "--epochs", "8", "--prune", *extra]


@pytest.mark.slow
def test_a_real_search_that_prunes_killed_at_a_rung_ends_as_one_that_was_not(tiny_folder, cache, tmp_path):
    done = run_here(command(tiny_folder, cache, tmp_path / "whole"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "pruned after epoch 1" in done.stdout
    assert "the budget of 8 trials is spent" in done.stdout
    out = tmp_path / "killed"
    process = subprocess.Popen(command(tiny_folder, cache, out, "--workers", "1"), start_new_session=True)
    while not list(out.glob("running/*/parked.json")):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    again = run_here(command(tiny_folder, cache, out))
    assert again.returncode == 0, again.stdout + again.stderr
    assert labels(out) == labels(tmp_path / "whole")
    assert results(out) == results(tmp_path / "whole")
