"""A grid within a budget: batches of cells, resuming, what is refused, and that no prediction is taken for a result."""

from __future__ import annotations

import csv
import io
import itertools
import shutil
import signal
import subprocess
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from ablate.config.experiment import Experiment
from ablate.config.sweep import Budgeted, NamedComposition, Prior
from ablate.errors import ExitCode, UsageError
from ablate.launch.batches import run_batches
from ablate.launch.screen import progress
from ablate.launch.status import sweep_status
from ablate.planning.prior import priors
from ablate.report import write_report
from ablate.report.data.export import rows
from ablate.report.data.load import load_results
from ablate.report.data.results import read_sweep
from ablate.report.recommendation.files import as_json
from ablate.report.recommendation.recommend import recommend
from ablate.report.stats.order import order
from ablate.report.stats.predicted import chance_in_words, outlook, predicted
from ablate.report.stats.summary import summary
from ablate.sweep.batches import every_cell, further_trials, in_words, not_asked_for, started
from ablate.sweep.extend import merge_with_existing
from ablate.sweep.layout import SweepDir
from ablate.sweep.merge import merge
from ablate.sweep.plan import load_plan, plan, save_plan
from ablate.sweep.survey import survey
from tests.support.cli import ablate, one_sentence
from tests.support.grids import command, results
from tests.support.in_process import run_here
from tests.support.sweeps import failure, make_experiment, record, write_record

OPS = ("a", "b", "c", "d")


def experiment(budget="8", seeds=1, ops=OPS, **changes):
    return make_experiment(list(ops), seeds).replace(budgeted=Budgeted(**{"budget": budget, "within": 1.0, **changes}))


def value_of(label, seed):
    """Made up: b is good, and best first; two ops are a little better than one."""
    first, _, second = label.partition("+")
    mean = 0.3 + 0.3 * (first == "b") + 0.1 * (second == "b") + 0.05 * bool(second)
    return mean + 0.002 * np.random.default_rng([seed, *label.encode()]).standard_normal()


class Training:
    """In place of a launcher: writes the missing records, or stops. ``batches`` holds the new cells of each call."""

    def __init__(self, directory, fails=(), stops=None):
        self.directory, self.fails, self.stops = directory, fails, stops
        self.batches = []

    def __call__(self, planned):
        whole = merge_with_existing(self.directory, planned)
        save_plan(self.directory, whole)
        missing = survey(self.directory, plan(whole)).missing
        self.batches.append({trial.label for trial in missing if not trial.reference})
        for trial in missing[: self.stops]:
            there = record(trial, 0.1 if trial.reference else value_of(trial.label, trial.seed))
            write_record(self.directory, failure(trial) if trial.label in self.fails else there)
        return ExitCode.DONE


def train(directory, planned, **kwargs):
    """Train as a command does; return the exit code, the training and the lines that were printed."""
    training, said = Training(directory, **kwargs), io.StringIO()
    whole = started(merge_with_existing(directory, planned))
    code = run_batches(directory, whole, training, Console(file=said, width=10_000, highlight=False))
    return code, training, said.getvalue().splitlines()


def table_of(directory, name):
    return list(csv.DictReader(io.StringIO((directory / "report" / name).read_text())))


def trained(directory):
    return load_plan(directory).budgeted.cells


def test_cells_are_trained_batch_by_batch_until_the_budget_is_spent(tmp_path):
    code, training, said = train(tmp_path, experiment("8", within=0.001))
    assert code == 0
    assert [len(batch) for batch in training.batches] == [4, 4]
    assert len(set(trained(tmp_path))) == 8
    assert "the budget of 8 trials is spent (8)" in said
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
    assert "the budget of 9 trials is spent (15)" in said


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


def test_no_prediction_is_written_or_read_as_a_result(tmp_path, undrawn):
    train(tmp_path, experiment("12", seeds=2, within=0.001))
    write_report(tmp_path)
    sweep, cells = read_sweep(tmp_path), set(trained(tmp_path))
    free = set(not_asked_for(sweep.experiment))
    assert len(free) == 10
    assert set(outlook(sweep).cells) == free
    assert {cell.label for cell in sweep.grid.compositions} == cells
    assert not any(cell.values for cell in sweep.grid.cells.values() if cell.label in free)
    assert {row["label"] for row in rows(sweep)} == {*cells, "untrained"}
    assert set(load_results(tmp_path)["label"]) == {*cells, "untrained"}
    table = table_of(tmp_path, "table.csv")
    assert {row["label"] for row in table if row["kind"] == "cell"} == cells
    for row in (row for row in table if row["kind"] == "average"):
        whole = all(sweep.grid.cells[row["first"], op].n for op in OPS)
        assert bool(row["linear_top1_mean"]) == whole
    guessed = table_of(tmp_path, "predicted.csv")
    assert {row["label"] for row in guessed} == free
    assert all(name.startswith("predicted_") for name in list(guessed[0])[4:])
    content = as_json(recommend(tmp_path))["sweep"]
    assert {item["composition"] for item in content["candidates"]} <= cells
    assert content["best"] in cells
    assert any("The probability that an untrained composition is better" in line for line in content["evidence"])


def test_when_the_rest_is_trained_no_prediction_is_left(tmp_path, undrawn):
    train(tmp_path, experiment("8"))
    write_report(tmp_path)
    assert (tmp_path / "report" / "predicted.csv").exists()
    Training(tmp_path)(make_experiment(list(OPS)))
    write_report(tmp_path)
    assert not (tmp_path / "report" / "predicted.csv").exists()
    assert "≈" not in (tmp_path / "report" / "index.html").read_text()
    assert predicted(read_sweep(tmp_path)) == []


def test_the_report_hatches_untrained_cells_and_says_what_the_numbers_are(tmp_path):
    train(tmp_path, experiment("8", within=0.001))
    report, said = write_report(tmp_path), io.StringIO()
    report.show(Console(file=said, width=200))
    page, picture = ((tmp_path / "report" / name).read_text() for name in ("index.html", "heatmap.svg"))
    assert page.count('class="cell predicted"') == 8
    assert "Predicted, not trained" in page
    assert "Best composition of the 8 trained by validation accuracy" in page
    assert "predicted from the trained cells" in picture
    assert said.getvalue().count("≈") == 9  # eight cells and the line that explains the sign
    assert "Hatched: not trained" in (tmp_path / "report" / "caption.txt").read_text()


def test_what_it_costs_is_said_before_and_the_cells_while_it_runs(tmp_path):
    planned = started(experiment("12", seeds=2))
    assert further_trials(planned) == 2 * 2
    assert further_trials(experiment("3h")) == 0
    assert "budget: 12 trials, without references; 4 of 16 cells asked for so far, 4 at a time" in in_words(planned)
    train(tmp_path, experiment("8"))
    SweepDir(tmp_path).record(plan(load_plan(tmp_path))[-1].id).unlink()
    assert "8 of 16 cells asked for, budget 8 trials" in progress(sweep_status(tmp_path), 0.0).plain


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


def elsewhere(directory, sign=1):
    """A whole grid of the same ops; with ``sign`` -1 its best cells are the worst here."""
    planned = make_experiment(list(OPS))
    save_plan(directory, planned)
    for trial in plan(planned):
        write_record(directory, record(trial, 0.5 + sign * 0.5 * (value_of(trial.label, 9) - 0.5)))
    return directory


def knowing(directory, budget="8", **changes):
    budgeted = experiment(budget, **changes).budgeted
    means = {cell.label: cell.validation for cell in read_sweep(directory).grid.compositions}
    prior = Prior(name=str(directory), means=means)
    return make_experiment(list(OPS)).replace(budgeted=budgeted.replace(prior=(prior,)))


def test_a_prior_is_learnt_from_kept_and_said(tmp_path):
    there = elsewhere(tmp_path / "there")
    train(tmp_path / "here", knowing(there, within=0.001))
    assert trained(tmp_path / "here")[0] == max(every_cell(experiment()), key=lambda label: value_of(label, 9))
    said = " ".join(summary(read_sweep(tmp_path / "here")))
    assert f"knew the means of other sweeps beforehand: {there} (16 compositions)" in said
    train(tmp_path / "here", experiment("12", within=0.001))  # without naming it again
    assert load_plan(tmp_path / "here").budgeted.prior
    train(tmp_path / "once", knowing(there, "12", within=0.001))
    assert load_plan(tmp_path / "here").budgeted == load_plan(tmp_path / "once").budgeted


def test_a_misleading_prior_loses_its_weight(tmp_path):
    train(tmp_path / "misled", knowing(elsewhere(tmp_path / "there", sign=-1), "12", within=0.001))
    found = max(value_of(label, 0) for label in trained(tmp_path / "misled"))
    assert found > max(value_of(label, 0) for label in every_cell(experiment())) - 0.01


def test_a_prior_is_read_by_the_names_of_ops_and_kept_when_its_directory_is_gone(tmp_path):
    there = elsewhere(tmp_path / "there")
    wish = Experiment(ops=list(OPS), budget="8", prior=[str(there)])
    cells = [NamedComposition(label=label, ops=ops) for label, ops in every_cell(experiment()).items()]
    (prior,) = priors(wish, tmp_path / "here", cells)
    assert prior.means == pytest.approx({cell.label: cell.validation for cell in read_sweep(there).grid.compositions})
    train(tmp_path / "here", experiment().replace(budgeted=experiment().budgeted.replace(prior=(prior,))))
    shutil.rmtree(there)
    assert priors(wish, tmp_path / "here", cells) == (prior,)
    with pytest.raises(UsageError, match="there is no directory"):
        priors(wish, tmp_path / "other", cells)
    other = [NamedComposition(label="x", ops=[op.replace(name="x") for op in cells[0].ops])]
    with pytest.raises(UsageError, match="only 0 of its compositions"):
        priors(wish, tmp_path / "here", other)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--budget", "0"], "budget must be a number of trials (40), hours (3h) or GPU hours (3gpuh), not '0'"),
        (["--budget", "many"], "not 'many'"),
        (["--budget", "3gpuh"], "these trials run on CPUs"),
        (["--budget", "4", "--prune"], "budget and prune do not go together"),
        (["--budget", "4", "--seeds", "auto"], "budget and seeds auto do not go together"),
        (["--budget", "4", "--include", "color|crop", "--branches", "two"], "color|crop has ops of its own"),
        (["--batch", "4"], "batch is for a budget"),
        (["--budget", "4", "--prior", "nowhere"], "there is no directory"),
        (["--prior", "results"], "prior is for a budget or a search"),
        (["--within", "4"], "within is for seeds auto or a budget"),
    ],
)
def test_what_cannot_be_is_refused(arguments, expected, tiny_folder, cache, tmp_path):
    line = command(tiny_folder, cache, tmp_path / "out", *arguments)[3:]
    assert expected in one_sentence(ablate(*line, cwd=tmp_path))
    assert not (tmp_path / "out").exists()


def test_the_page_says_what_it_finds_on_a_committed_grid(tmp_path):
    source = Path("results/fig5-glyphs")
    whole, everything = load_plan(source), order(read_sweep(source).grid)

    def copy(planned):
        merged = merge_with_existing(tmp_path, planned)
        save_plan(tmp_path, merged)
        for trial in survey(tmp_path, plan(merged)).missing:
            record_there = SweepDir(source).record(trial.id)
            SweepDir(tmp_path).trials.mkdir(exist_ok=True)
            shutil.copy(record_there, SweepDir(tmp_path).record(trial.id))
        return ExitCode.DONE

    rows = []
    for budget in ("24", "36", "48", "60", "72", "144"):
        asked = whole.replace(budgeted=Budgeted(budget=budget, within=1.0))
        run_batches(tmp_path, started(merge_with_existing(tmp_path, asked)), copy, Console(quiet=True))
        sweep, cells = read_sweep(tmp_path), len(trained(tmp_path))
        best = order(sweep.grid).best.label
        below = 100 * (max(everything.scores.values()) - everything.scores[best])
        chance = chance_in_words(outlook(sweep).better)
        rows.append(f"| {3 * cells} | {cells} | {best} | {below:.1f} points | {chance}")
    assert rows[-1] == rows[-2]  # it has ended
    page = Path("docs/budget.md").read_text()
    for row in rows:
        assert row in page, row


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
