"""A grid within a budget: batches of cells, resuming, what is refused, and that no prediction is taken for a result."""

from __future__ import annotations

import io
import itertools
import signal
import subprocess
import time
from functools import partial

import pytest
from rich.console import Console

from ablate.config.experiment_file import validated
from ablate.errors import ExitCode, UsageError
from ablate.launch.batches import with_next
from ablate.launch.screen import progress
from ablate.launch.status import sweep_status
from ablate.report.data.results import read_sweep
from ablate.report.stats.predicted import outlook, predicted
from ablate.sweep.batches import asking_for, every_cell, further_trials, in_words, not_asked_for, started
from ablate.sweep.extend import merge_with_existing
from ablate.sweep.layout import SweepDir
from ablate.sweep.merge import merge
from ablate.sweep.plan import load_plan, plan
from ablate.sweep.survey import survey
from tests.support.batches import OPS, Training, experiment, train, trained, value_of
from tests.support.cli import ablate, one_sentence
from tests.support.grids import command, results
from tests.support.in_process import run_here
from tests.support.sweeps import make_experiment, record, write_record


def test_cells_are_trained_batch_by_batch_until_the_budget_is_spent(tmp_path):
    code, training, said = train(tmp_path, experiment("8", within=0.001))
    assert code == 0
    assert [len(batch) for batch in training.batches] == [4, 4]
    assert len(set(trained(tmp_path))) == 8
    assert "the budget of 8 trials is spent (8 used)" in said
    assert {t.label for t in plan(load_plan(tmp_path)) if not t.reference} == set(trained(tmp_path))
    assert sorted([*trained(tmp_path), *not_asked_for(load_plan(tmp_path))]) == sorted(every_cell(experiment()))


def test_it_finds_the_best_cells_and_stops_when_a_better_one_is_unlikely(tmp_path):
    _, _, said = train(tmp_path, experiment("16", within=20.0))
    best = max(every_cell(experiment()), key=lambda label: value_of(label, 0))
    assert value_of(best, 0) - max(value_of(label, 0) for label in trained(tmp_path)) < 0.2
    assert len(trained(tmp_path)) < 16
    assert said[-1].startswith("stop: it is below 5 %")
    assert outlook(read_sweep(tmp_path)).better < 0.05
    assert "It is below 5 %" in predicted(read_sweep(tmp_path))[1]
    before = trained(tmp_path)
    train(tmp_path, experiment("16", within=0.0001))
    assert trained(tmp_path)[: len(before)] == before
    assert len(trained(tmp_path)) > len(before)


def test_however_often_it_is_interrupted_the_plan_and_the_records_are_the_same(tmp_path):
    whole, parts, planned = tmp_path / "whole", tmp_path / "parts", experiment("24", seeds=2, within=0.001)
    train(whole, planned)
    for stops in itertools.chain((3, 1, 4, 2, 5, 6), itertools.repeat(None)):
        code, _, _ = train(parts, planned, stops=stops)
        if code == ExitCode.DONE:
            break
    assert load_plan(parts) == load_plan(whole)
    assert {p.name for p in parts.glob("trials/*")} == {p.name for p in whole.glob("trials/*")}
    _, training, _ = train(parts, planned)
    assert (training.batches, load_plan(parts)) == ([set()], load_plan(whole))


def test_a_larger_budget_continues_as_if_it_had_been_that_large(tmp_path):
    train(tmp_path / "small", experiment("5", within=0.001))
    assert len(trained(tmp_path / "small")) == 5
    assert len(load_plan(tmp_path / "small").budgeted.waiting) == 3
    train(tmp_path / "small", experiment("10", within=0.001))
    train(tmp_path / "large", experiment("10", within=0.001))
    assert load_plan(tmp_path / "small") == load_plan(tmp_path / "large")


def test_trials_count_with_all_seeds_and_further_seeds_go_to_the_same_cells(tmp_path):
    train(tmp_path, experiment("9", seeds=2, within=0.001))
    assert len(trained(tmp_path)) == 5  # 10 trials: the last cell has all its seeds too
    _, training, said = train(tmp_path, experiment("9", seeds=3, within=0.001))
    assert training.batches == [set(trained(tmp_path))]
    assert "the budget of 9 trials is spent (15 used)" in said


def test_hours_are_for_whole_batches_and_count_what_ran(tmp_path):
    planned, said = started(experiment("1h", within=0.001)), io.StringIO()
    assert len(asking_for(planned, ["a", "b", "c"], 0.999).budgeted.cells) == 4 + 3
    Training(tmp_path)(planned)
    console = Console(file=said, width=10_000, highlight=False)
    assert len(with_next(tmp_path, planned, console).budgeted.cells) == 8  # made-up records took no time
    for hour, trial in enumerate(t for t in plan(planned) if not t.reference):
        timed = record(trial, 0.5, when=f"2026-01-01T0{hour}:00:00Z", timings={"total": 1800.0})
        write_record(tmp_path, timed)
    assert with_next(tmp_path, planned, console) == planned
    assert "the budget of 1 hour is spent (2 used)" in said.getvalue()


def test_without_the_budget_the_same_directory_trains_the_rest_and_a_whole_grid_keeps_its_cells(tmp_path):
    train(tmp_path, experiment("8"))
    whole = merge_with_existing(tmp_path, make_experiment(list(OPS)))
    assert whole.budgeted is None
    assert len([t for t in plan(whole) if not t.reference]) == 16
    Training(tmp_path, stops=10)(make_experiment(list(OPS)))
    _, training, _ = train(tmp_path, experiment("12", ops=(*OPS, "e"), within=0.001))
    recorded = {record.label for record in survey(tmp_path, plan(load_plan(tmp_path))).finished}
    assert recorded >= set(trained(tmp_path))
    assert not training.batches[0]  # 12 or more cells of the smaller grid are on record
    assert any("e" in label for label in not_asked_for(load_plan(tmp_path)))


def test_cells_that_fail_are_not_asked_for_again_and_the_others_go_on(tmp_path):
    first = started(experiment()).budgeted.cells
    code, training, _ = train(tmp_path, experiment("12", within=0.001), fails=first[:2])
    assert code == ExitCode.FAILED
    assert len(training.batches) == 3
    assert len(set(trained(tmp_path))) == 12
    assert not set(first) & set(not_asked_for(load_plan(tmp_path)))


def test_if_all_fail_cells_are_drawn_until_the_budget_is_spent(tmp_path):
    code, training, _ = train(tmp_path, experiment("8"), fails=tuple(every_cell(experiment())))
    assert (code, len(training.batches)) == (ExitCode.FAILED, 2)
    assert outlook(read_sweep(tmp_path)) is None
    assert "too few results" in " ".join(predicted(read_sweep(tmp_path)))


def test_partial_grids_are_merged_with_the_cells_of_both(tmp_path):
    train(tmp_path / "one", experiment("4"))
    train(tmp_path / "other", experiment("8", within=0.001))
    merged = merge([tmp_path / "one", tmp_path / "other"], tmp_path / "out")
    assert set(merged.experiment.budgeted.cells) == set(trained(tmp_path / "other"))
    assert merged.missing == 0


def test_what_it_costs_is_said_before_and_the_cells_while_it_runs(tmp_path):
    planned = started(experiment("12", seeds=2))
    assert further_trials(planned) == 2 * 2
    assert further_trials(experiment("3h")) == 0
    assert "budget: 12 trials, without references; 4 of 16 cells asked for so far, 4 at a time" in in_words(planned)
    train(tmp_path, experiment("8"))
    SweepDir(tmp_path).record(plan(load_plan(tmp_path))[-1].id).unlink()
    assert "8 of 16 cells asked for, budget 8 trials" in progress(sweep_status(tmp_path), 0.0).plain


def test_status_says_that_a_command_killed_between_two_batches_has_more_to_do(tmp_path):
    Training(tmp_path)(started(experiment("8", within=0.001)))
    said = ablate("status", tmp_path).stdout
    assert "4 of 16 cells asked for, budget 8 trials" in said
    assert "the same command trains further compositions" in said
    train(tmp_path, experiment("8", within=0.001))
    said = ablate("status", tmp_path).stdout
    assert "8 of 16 cells asked for, budget 8 trials" in said
    assert "the same command" not in said


def test_both_views_with_ops_of_their_own_are_refused_and_a_fixed_first_view_is_not():
    first = make_experiment(["a"]).replace(first=None)
    cell, other = (plan(first)[1].config.composition for _ in range(2))
    assert cell == other
    grid = experiment().replace(first={"label": "a", "ops": [op.model_dump() for op in cell]})
    assert list(every_cell(grid))[:2] == ["a|a", "a|a+b"]
    assert [op.name for op in every_cell(grid)["a|b+c"]] == ["b", "c"]
    beside = [{"label": "b|a", "ops": [{"name": "b", "version": 1, "params": {}}], "second": [cell[0].model_dump()]}]
    with pytest.raises(UsageError, match=r"b\|a has ops of its own for the second view"):
        every_cell(experiment().replace(compositions=beside))


@pytest.mark.parametrize("budget", [3.5, 0, True, [1]])
def test_a_budget_in_a_file_is_a_whole_number_or_a_text(budget):
    with pytest.raises(UsageError, match=r'budget must be a number of trials \(40\), hours \("3h"\)'):
        validated({"ops": ["crop"], "budget": budget})


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--budget", "0"], "budget must be a number of trials (40), hours (3h) or GPU hours (3gpuh), not '0'"),
        (["--budget", "many"], "not 'many'"),
        (["--budget", "3gpuh"], "these trials run on CPUs"),
        (["--budget", "4", "--prune"], "budget and prune do not go together"),
        (["--budget", "4", "--seeds", "auto"], "budget and seeds auto do not go together"),
        (["--budget", "4", "--include", "color|crop", "--branches", "two"], "color|crop has ops of its own"),
        (["--batch", "4"], "batch is for a budget; the images in a batch are --batch-size"),
        (["--budget", "4", "--prior", "nowhere"], "there is no directory"),
        (["--prior", "results"], "prior is for a budget or a search"),
        (["--within", "4"], "within is for seeds auto or a budget"),
    ],
)
def test_what_cannot_be_is_refused(arguments, expected, tiny_folder, cache, tmp_path):
    line = command(tiny_folder, cache, tmp_path / "out", *arguments)[3:]
    assert expected in one_sentence(ablate(*line, cwd=tmp_path))
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_neither_workers_nor_kills_have_a_say(tiny_folder, cache, tmp_path):
    """Cells have the bits of a whole grid, and a command per budget, each killed once, ends where one command does."""
    settings = ("--batch", "2", "--within", "0.001")
    once, often = (partial(command, tiny_folder, cache, tmp_path / name, *settings) for name in ("once", "often"))
    assert run_here(once("--budget", "6", "--workers", "2", ops="crop,color,blur")).returncode == 0
    for records, budget in ((2, "1"), (3, "3"), (5, "6")):
        line = often("--budget", budget, "--workers", "1", ops="crop,color,blur")
        process = subprocess.Popen(line, start_new_session=True, stdout=subprocess.DEVNULL)
        began = time.monotonic()
        while len(list((tmp_path / "often").glob("trials/*.json"))) < records and process.poll() is None:
            assert time.monotonic() - began < 200
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.wait()
    again = often("--budget", "6", "--workers", "2", ops="crop,color,blur")
    assert run_here(again).returncode == 0
    assert load_plan(tmp_path / "often").budgeted == load_plan(tmp_path / "once").budgeted
    assert len(trained(tmp_path / "once")) == 6
    assert results(tmp_path / "often") == results(tmp_path / "once")
