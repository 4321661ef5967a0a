"""Rounds of seeds in a sweep: barriers, resuming, what is printed, and that neither workers nor kills have a say."""

from __future__ import annotations

import signal
import subprocess
import time

import numpy as np
import pytest
from rich.console import Console

from ablate.config.sweep import Rounds
from ablate.errors import ExitCode, UsageError
from ablate.launch.rounds import run_rounds
from ablate.launch.screen import progress
from ablate.launch.status import sweep_status
from ablate.report import write_report
from ablate.report.data.results import read_sweep
from ablate.report.recommendation.conclusion import next_steps
from ablate.report.recommendation.recommend import recommend
from ablate.report.stats.order import order
from ablate.report.stats.rounds import comparison, rounds, takes_more
from ablate.report.stats.summary import summary as summary_of
from ablate.sweep.extend import extend, merge_with_existing
from ablate.sweep.layout import SweepDir
from ablate.sweep.merge import merge
from ablate.sweep.plan import load_plan, plan, save_plan
from ablate.sweep.rounds import after, further_trials, in_words
from ablate.sweep.survey import summary, survey
from tests.support.cli import ablate, one_sentence
from tests.support.grids import command, is_at_work, results, wait_for
from tests.support.in_process import run_here
from tests.support.sweeps import failure, make_experiment, record, write_record

CLEAR = {"a": 0.9, "b": 0.5, "a+b": 0.7, "b+a": 0.6}
CLOSE = {"a": 0.9, "b": 0.5, "a+b": 0.9, "b+a": 0.6}


def experiment(within=1.0, largest=20):
    return make_experiment(["a", "b"], 3).replace(rounds=Rounds(within=within, largest=largest))


class Training:
    """In place of a launcher: writes the missing records, or fails. ``rounds`` holds the trials of each call."""

    def __init__(self, directory, means, spread=0.002, fails=(), stops=None):
        self.directory, self.means, self.spread, self.fails, self.stops = directory, means, spread, fails, stops
        self.rounds = []

    def __call__(self, planned):
        whole = merge_with_existing(self.directory, planned)
        save_plan(self.directory, whole)
        missing = survey(self.directory, plan(whole)).missing
        self.rounds.append({f"{t.label} s{t.seed}" for t in missing if not t.reference})
        for trial in missing[: self.stops]:
            self.write(trial)
        return ExitCode.DONE

    def write(self, trial):
        if trial.label in self.fails:
            write_record(self.directory, failure(trial))
            return
        noise = self.spread * np.random.default_rng([trial.seed, *trial.label.encode()]).standard_normal()
        write_record(self.directory, record(trial, self.means.get(trial.label, 0.1) + noise))


def train(directory, planned, means=CLEAR, **kwargs):
    training = Training(directory, means, **kwargs)
    return run_rounds(directory, planned, training, Console(quiet=True)), training


def test_it_ends_after_the_first_round_where_one_is_clearly_the_best(tmp_path):
    code, training = train(tmp_path, experiment())
    assert code == 0
    assert len(training.rounds) == 1
    assert load_plan(tmp_path).rounds.compared == (3,)
    sweep = read_sweep(tmp_path)
    assert comparison(sweep).why == "decided"
    assert rounds(sweep) == ["Decided after 3 seeds: a is the best, with 95 % confidence over all rounds."]


def test_without_any_noise_nothing_is_said_to_be_sure(tmp_path):
    train(tmp_path / "apart", experiment(largest=5), CLEAR, spread=0.0)
    assert rounds(read_sweep(tmp_path / "apart"))[0].startswith("Not decided: the largest number of seeds, 5,")
    train(tmp_path / "equal", experiment(), dict.fromkeys(CLEAR, 1.0), spread=0.0)
    (said,) = rounds(read_sweep(tmp_path / "equal"))
    assert said.startswith("Practically equal") and said.endswith("close to the best, as far as these seeds show.")


def test_only_the_cells_that_are_left_get_more_seeds(tmp_path):
    code, training = train(tmp_path, experiment(within=0.05, largest=8), CLOSE)
    first, second, *_ = training.rounds
    assert (code, len(first)) == (0, 12)
    assert second == {f"{label} s{seed}" for label in ("a", "a+b") for seed in (3, 4)}
    whole = load_plan(tmp_path)
    assert whole.rounds.dropped == {"b": 3, "b+a": 3}
    assert whole.seeds == tuple(range(8))
    counts = {cell.label: cell.n for cell in read_sweep(tmp_path).grid.compositions}
    assert counts == {"a": 8, "a+b": 8, "b": 3, "b+a": 3}
    assert all(cell.status == "done" for cell in read_sweep(tmp_path).grid.compositions)


def test_what_is_practically_equal_ends_it_and_the_report_says_so(tmp_path):
    train(tmp_path, experiment(within=1.0), CLOSE)
    sweep = read_sweep(tmp_path)
    assert comparison(sweep).why == "equal"
    said = " ".join(rounds(sweep))
    assert "Practically equal within 1 point" in said
    assert set(order(sweep.grid).contenders) == {"a", "a+b"}
    report = write_report(tmp_path)
    page = (tmp_path / "report" / "index.html").read_text()
    assert "Practically equal within 1 point" in page
    with Console(width=200).capture():
        report.show(Console(quiet=True))


def test_the_largest_number_ends_it_and_a_larger_one_goes_on_from_there(tmp_path, monkeypatch):
    _, training = train(tmp_path, experiment(within=0.01, largest=5), CLOSE)
    sweep = read_sweep(tmp_path)
    assert comparison(sweep).why == "largest"
    (said, unequal) = rounds(sweep)
    assert "the largest number of seeds, 5, is reached" in said
    assert "raise --max-seeds" in said
    with monkeypatch.context() as patch:
        patch.setattr("ablate.report.stats.rounds.few_images", lambda _: ["few"])
        assert rounds(sweep)[0].endswith("Add images: more seeds would be judged by the same few validation images.")
    assert "from 3 to 5 seeds" in unequal
    again, more = train(tmp_path, experiment(within=0.01, largest=5), CLOSE)
    assert (again, more.rounds) == (0, [set()])
    _, more = train(tmp_path, experiment(within=0.01, largest=8), CLOSE)
    assert [len(trials) for trials in more.rounds] == [0, 2 * 3]
    assert load_plan(tmp_path).rounds.compared == (3, 5, 8)
    assert [len(trials) for trials in training.rounds] == [12, 4]


def test_a_training_that_stops_ends_it_and_the_same_command_resumes_to_the_same(tmp_path):
    whole, planned = tmp_path / "whole", experiment(within=0.05, largest=8)
    train(whole, planned, CLOSE)
    parts = tmp_path / "parts"
    for stops in (5, 9, 1, 2, 3, None):
        code, _ = train(parts, planned, CLOSE, stops=stops)
        assert code == (ExitCode.FAILED if stops else ExitCode.DONE)
    assert load_plan(parts) == load_plan(whole)
    assert {p.name for p in parts.glob("trials/*")} == {p.name for p in whole.glob("trials/*")}
    _, training = train(parts, planned, CLOSE)
    assert (training.rounds, load_plan(parts)) == ([set()], load_plan(whole))


def test_a_kill_between_the_last_record_and_the_comparison_costs_nothing(tmp_path):
    planned = experiment(within=0.05, largest=8)
    Training(tmp_path, CLOSE)(planned)
    assert load_plan(tmp_path).rounds.compared == ()
    assert "to complete it: `" in ablate("status", tmp_path).stdout
    train(tmp_path, planned, CLOSE)
    assert load_plan(tmp_path).rounds.compared == (3, 5, 8)
    assert "to complete it: `" not in ablate("status", tmp_path).stdout


def test_a_cell_that_fails_does_not_keep_the_others_from_a_verdict(tmp_path):
    code, _ = train(tmp_path, experiment(), fails=("b+a",))
    assert code == ExitCode.FAILED
    assert comparison(read_sweep(tmp_path)).why == "decided"
    assert "b+a" not in load_plan(tmp_path).rounds.dropped


def test_if_all_fail_nothing_is_decided_and_no_round_follows(tmp_path):
    code, training = train(tmp_path, experiment(), fails=tuple(CLEAR))
    assert (code, len(training.rounds)) == (ExitCode.FAILED, 1)
    assert comparison(read_sweep(tmp_path)).why == "alone"


def test_a_sweep_of_fixed_seeds_goes_on_in_rounds(tmp_path):
    fixed = make_experiment(["a", "b"], 2)
    Training(tmp_path, CLOSE)(fixed)
    _, training = train(tmp_path, experiment(within=0.05, largest=5), CLOSE)
    assert [len(trials) for trials in training.rounds] == [4, 4]


def test_what_would_leave_the_rounds_or_was_not_compared_is_refused(tmp_path):
    old = after(experiment(), comparison_of(tmp_path))
    with pytest.raises(UsageError, match="in rounds of seeds"):
        extend(old, make_experiment(["a", "b"], 3), tmp_path)
    wider = make_experiment(["a", "b", "c"], 3).replace(rounds=old.rounds.replace(compared=(), dropped={}))
    with pytest.raises(UsageError, match="have been compared without"):
        extend(old, wider, tmp_path)
    assert extend(experiment(), wider, tmp_path).rounds.compared == ()


def comparison_of(directory):
    train(directory, experiment(largest=3), CLOSE)
    return comparison(read_sweep(directory))


def test_sweeps_whose_rounds_differ_are_not_merged(tmp_path):
    train(tmp_path / "one", experiment(), CLEAR)
    train(tmp_path / "other", experiment(within=0.05, largest=5), CLOSE)
    with pytest.raises(UsageError, match="their rounds of seeds differ"):
        merge([tmp_path / "one", tmp_path / "other"], tmp_path / "out")


def test_a_cell_that_was_dropped_is_not_the_best_even_if_the_others_fall_below_it(tmp_path):
    """One rule for all sentences: the best is one of the cells that are left."""
    planned = experiment().replace(rounds=Rounds(within=0.01, largest=5, compared=(3, 5), dropped={"b": 3}))
    planned = planned.replace(seeds=tuple(range(5)))
    save_plan(tmp_path, planned)
    for trial in plan(planned):
        falls = 0.5 if trial.seed > 2 and trial.label in {"a", "a+b"} else 0.0
        write_record(tmp_path, record(trial, {**CLOSE, "b": 0.89, "a+b": 0.91}.get(trial.label, 0.1) - falls))
    sweep = read_sweep(tmp_path)
    ranking = order(sweep.grid)
    assert ranking.scores["b"] > ranking.scores["a+b"]
    assert [cell.label for cell in ranking.cells][-1] == "b"
    assert "b" not in ranking.contenders and "b" not in [cell.label for cell in ranking.equals]
    assert summary_of(sweep)[0].startswith("Best composition by validation accuracy: a+b, ")


def test_rounds_that_have_ended_take_no_more_seeds(tmp_path):
    """A best cell that is not clearly above the untrained encoder is provisional, and no seeds would change that."""
    for means, more in ((CLEAR, False), (CLOSE, True)):
        directory = tmp_path / str(more)
        planned = experiment(within=0.01, largest=4)
        planned = planned.replace(shared=planned.shared.replace(branches="two", base=None))
        train(directory, planned, {**means, "untrained": 0.898}, spread=0.002)
        advice = recommend(directory)
        assert advice.decided.provisional
        (first, *_) = next_steps(advice)
        assert ("--max-seeds" in first) == more == takes_more(read_sweep(directory)), first
        assert more or "train longer" in first


def test_with_a_hundred_seeds_no_larger_number_is_advised(tmp_path):
    planned = experiment().replace(rounds=Rounds(within=0.01, largest=100, compared=(67, 100)))
    planned = planned.replace(seeds=tuple(range(100)))
    save_plan(tmp_path, planned)
    for trial in plan(planned):
        write_record(
            tmp_path, record(trial, 0.5 + 0.1 * np.random.default_rng([trial.seed, len(trial.label)]).random())
        )
    (said,) = rounds(read_sweep(tmp_path))
    assert "the largest number of seeds, 100, is reached" in said and "--max-seeds" not in said


def test_what_it_costs_is_said_before_and_the_round_while_it_runs(tmp_path):
    planned = experiment()
    assert further_trials(planned) == 4 * 17
    assert "4 cells to 3 seeds in this round" in in_words(planned)
    assert "at most 68 trials after this round" in in_words(planned)
    train(tmp_path, experiment(within=0.01, largest=5), CLOSE)
    whole = load_plan(tmp_path)
    assert "4 cells x 3 to 5 seeds" in summary(plan(whole), survey(tmp_path, plan(whole)), False)
    assert progress(sweep_status(tmp_path), 0.0).plain == "round 2: 2 of 4 cells to 5 seeds"
    SweepDir(tmp_path).record(plan(whole)[-1].id).unlink()
    assert "round 2: 2 of 4 cells to 5 seeds" in progress(sweep_status(tmp_path), 0.0).plain


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--seeds", "0"], "--seeds must be a whole number from 1 to 1000, or auto, not '0'"),
        (["--seeds", "many"], "or auto, not 'many'"),
        (["--seeds", "auto", "--first-seed", "3"], "--first-seed is for a number of seeds"),
        (["--seeds", "auto", "--prune"], "seeds auto and prune do not go together"),
        (["--seeds", "3", "--within", "2"], "within is for seeds auto"),
        (["--max-seeds", "9"], "max_seeds is for seeds auto"),
        (["--seeds", "auto", "--max-seeds", "2"], "max-seeds"),
        (["--seeds", "auto", "--ops", "crop"], "seeds auto compares compositions: give at least two"),
    ],
)
def test_what_cannot_be_is_refused(arguments, expected, tiny_folder, cache, tmp_path):
    line = command(tiny_folder, cache, tmp_path / "out", *arguments)[3:]
    assert expected in one_sentence(ablate(*line, cwd=tmp_path))
    assert not (tmp_path / "out").exists()


AUTO = ("--seeds", "auto", "--max-seeds", "5", "--within", "0.01")


@pytest.fixture(scope="module")
def uninterrupted(tiny_folder, cache, tmp_path_factory):
    out = tmp_path_factory.mktemp("rounds") / "out"
    done = run_here(command(tiny_folder, cache, out, *AUTO))
    assert done.returncode == 0, done.stdout + done.stderr
    return out, done


@pytest.mark.slow
def test_a_real_grid_in_rounds(uninterrupted):
    out, done = uninterrupted
    whole = load_plan(out)
    assert whole.rounds.compared[0] == 3
    assert not survey(out, plan(whole)).missing
    assert "rounds" in done.stdout
    assert "seeds" in (out / "experiment.toml").read_text()


@pytest.mark.slow
def test_neither_workers_nor_kills_have_a_say(uninterrupted, tiny_folder, cache, tmp_path):
    out, _ = uninterrupted
    for records, workers in ((2, "1"), (16, "2")):  # in the first round, which has 15 trials, and in the second
        line = command(tiny_folder, cache, tmp_path, *AUTO, "--workers", workers)
        process = subprocess.Popen(line, start_new_session=True, stdout=subprocess.DEVNULL)
        began = time.monotonic()
        while len(list(tmp_path.glob("trials/*.json"))) < records and process.poll() is None:
            assert time.monotonic() - began < 200
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.wait()
    wait_for(lambda: not is_at_work(tmp_path))
    again = run_here(command(tiny_folder, cache, tmp_path, *AUTO))
    assert again.returncode == 0, again.stdout + again.stderr
    assert results(tmp_path) == results(out)
    assert load_plan(tmp_path).rounds == load_plan(out).rounds
