"""Pruning: who goes on from a rung, what it costs, and that neither workers nor interruptions have a say."""

from __future__ import annotations

import re
import signal
import subprocess
import time
from dataclasses import replace

import pytest

from ablate.config.sweep import Rung
from ablate.errors import UsageError
from ablate.files import write_atomically
from ablate.launch.status import sweep_status
from ablate.launch.timing import seconds_left
from ablate.report import write_report
from ablate.report.data.results import read_sweep
from ablate.report.figures.pruning import went_on
from ablate.sweep.attempts import Attempt
from ablate.sweep.layout import SweepDir
from ablate.sweep.lease import claim
from ablate.sweep.plan import load_plan, plan, save_plan
from ablate.sweep.prune import RUNGS, check_seeds, cost, go_on, kept, on_plateau, prune, rungs_in_words, short_of
from ablate.sweep.record import read_record
from ablate.sweep.record import to_json as as_json
from tests.support.cli import ablate, one_sentence
from tests.support.grids import command, is_at_work, results, wait_for
from tests.support.in_process import run_here
from tests.support.parking import park
from tests.support.sweeps import failure, make_experiment, record, write_record

OPS = "crop,color,blur"


def test_how_many_go_on_and_what_is_left_of_the_training():
    assert [kept(Rung(eighth=1, keep=0.1), n) for n in (1, 9, 10, 11, 49)] == [1, 1, 1, 2, 5]
    experiment = make_experiment(list("abcdefg")).model_copy(update={"prune": RUNGS})
    shared = experiment.shared.model_copy(update={"epochs": 16})
    experiment = experiment.model_copy(update={"shared": shared})
    assert rungs_in_words(experiment) == "2 to 20 cells, and after epoch 8 to 5 cells"
    assert cost(experiment) == pytest.approx((49 * 2 + 20 * 6 + 5 * 8) / (49 * 16))


def test_the_best_by_mean_knn_over_seeds_go_on_and_the_rest_have_records(tmp_path):
    experiment = make_experiment(["a", "b"], 2)
    trials = [t for t in plan(experiment) if not t.reference]
    knn = {"a": (0.52, 0.48), "a+b": (0.54, 0.56), "b+a": (0.24, 0.26), "b": (0.41, 0.39)}  # by seed
    for trial in trials:
        park(tmp_path, trial, knn[trial.label][trial.seed])
    prune(tmp_path, trials, Rung(eighth=1, keep=0.5), 1)
    alive = {t.label for t in trials if not SweepDir(tmp_path).record(t.id).exists()}
    assert alive == {"a", "a+b"}  # 0.5 and 0.55, against 0.25 and 0.4
    for trial in trials:
        assert SweepDir(tmp_path).begun(trial.id).exists() == (trial.label in alive)
        if trial.label not in alive:
            assert read_record(SweepDir(tmp_path).record(trial.id)).status == "pruned"
    prune(tmp_path, trials, Rung(eighth=1, keep=0.5), 1)  # again, as after an interruption
    assert {t.label for t in trials if not SweepDir(tmp_path).record(t.id).exists()} == alive


def test_what_seeds_cannot_tell_from_the_best_goes_on_beyond_the_share():
    noisy = {"a": {0: 0.5, 1: 0.7}, "b": {0: 0.7, 1: 0.45}, "c": {0: 0.52, 1: 0.55}, "d": {}}
    assert go_on(noisy, Rung(eighth=1, keep=0.25)) == {"a", "b", "c"}
    once = {label: {0: values.get(0, 0.1)} for label, values in noisy.items()}
    assert go_on(once, Rung(eighth=1, keep=0.25)) == {"b"}
    clear = {label: {s: mean + 0.001 * (-1) ** s for s in range(3)} for label, mean in {"a": 0.5, "b": 0.7}.items()}
    assert go_on(clear, Rung(eighth=1, keep=0.25)) == {"b"}


def test_nothing_is_pruned_while_no_cell_is_above_the_untrained_encoder(tmp_path):
    trials = plan(make_experiment(["a", "b"], 2))
    cells = [t for t in trials if not t.reference]
    for trial in trials:
        if trial.reference == "untrained":
            write_record(tmp_path, record(trial, metrics={"knn_top1": 0.2}))
    for trial, knn in zip(cells, (0.1, 0.11, 0.12, 0.19, 0.15, 0.16, 0.17, 0.2), strict=True):
        park(tmp_path, trial, knn)
    prune(tmp_path, trials, Rung(eighth=1, keep=0.25), 1)
    assert not any(SweepDir(tmp_path).record(t.id).exists() for t in cells)
    assert not on_plateau({"a": {0: 0.21}, "b": {}}, {0: 0.2})
    assert not on_plateau({"a": {0: 0.1}}, {})


@pytest.mark.parametrize(
    ("untrained", "said"), [(0.3, "4 of 4: none was above the untrained encoder"), (0.1, "4 of 4")]
)
def test_the_page_says_where_a_rung_waited(tmp_path, untrained, said):
    experiment = make_experiment(["a", "b"], 2).model_copy(update={"prune": RUNGS[:1]})
    epochs = 8
    shared = experiment.shared.model_copy(update={"epochs": epochs})
    experiment = experiment.model_copy(update={"shared": shared})
    save_plan(tmp_path, experiment)
    for trial in plan(experiment):
        history = tuple({"epoch": float(epoch), "knn_val_top1": 0.2} for epoch in range(1, epochs + 1))
        own = {"metrics": {"knn_top1": untrained}} if trial.reference == "untrained" else {"history": history}
        write_record(tmp_path, record(trial, **own))
    assert went_on(read_sweep(tmp_path), RUNGS[0]) == said


def test_who_goes_on_does_not_depend_on_which_seeds_have_failed():
    """Seed 1 is good to every cell, and the third best cell lacks it: its plain mean is that of the fifth best."""
    rung = Rung(eighth=1, keep=0.3)
    knn = {
        f"c{c}": {s: 0.5 - 0.02 * c + 0.1 * (s == 1) + 1e-4 * ((7 * c + s) % 3) for s in range(3)} for c in range(10)
    }
    assert go_on(knn, rung) == {"c0", "c1", "c2"}
    for label in knn:
        assert go_on({**knn, label: {0: knn[label][0], 2: knn[label][2]}}, rung) == {"c0", "c1", "c2"}


def test_a_cell_that_shares_no_seed_goes_on_and_leaves_the_others_their_comparison():
    knn = {"a": {0: 0.5, 1: 0.7}, "b": {0: 0.7, 1: 0.45}, "c": {0: 0.52, 1: 0.55}, "d": {5: 0.1}}
    assert go_on(knn, Rung(eighth=1, keep=0.25)) == {"a", "b", "c", "d"}


def test_the_untrained_encoder_is_compared_over_the_seeds_that_both_have():
    """Seed 1 is better by 0.3 for all."""
    assert not on_plateau({"a": {0: 0.25}}, {0: 0.2, 1: 0.5})
    assert on_plateau({"a": {0: 0.2, 1: 0.5}, "b": {2: 0.9}}, {0: 0.3})


def test_the_untrained_encoder_is_there_before_the_first_rung(tmp_path):
    trials = plan(make_experiment(["a", "b"]))
    assert {t.reference for t in short_of(tmp_path, trials, 1)} == {None, "untrained"}


def test_a_cell_that_is_done_already_competes_and_keeps_its_record(tmp_path):
    experiment = make_experiment(["a", "b"])
    trials = [t for t in plan(experiment) if not t.reference]
    history = ({"epoch": 1.0, "knn_val_top1": 0.1}, {"epoch": 3.0, "knn_val_top1": 0.2})
    write_record(tmp_path, record(trials[0], history=history))
    for trial, value in zip(trials[1:], (0.5, 0.6, 0.7), strict=True):
        park(tmp_path, trial, value)
    prune(tmp_path, trials, Rung(eighth=1, keep=0.5), 1)
    assert read_record(SweepDir(tmp_path).record(trials[0].id)).status == "done"
    assert [SweepDir(tmp_path).record(t.id).exists() for t in trials[1:]] == [True, False, False]


def test_a_seed_that_is_new_to_a_pruned_cell_is_refused(tmp_path):
    two, three = (make_experiment(["a", "b"], n).model_copy(update={"prune": RUNGS}) for n in (2, 3))
    check_seeds(tmp_path, three)  # nothing there
    save_plan(tmp_path, two)
    trials = [t for t in plan(two) if not t.reference]
    for trial in trials:
        park(tmp_path, trial, 0.1 * (trial.label == "a"))
    check_seeds(tmp_path, three)  # nothing pruned
    prune(tmp_path, trials, Rung(eighth=1, keep=0.25), 1)
    check_seeds(tmp_path, two)
    with pytest.raises(UsageError, match=r"a\+b was pruned in .* without seed 2"):
        check_seeds(tmp_path, three)
    check_seeds(tmp_path, three.model_copy(update={"prune": ()}))
    SweepDir(tmp_path).record(
        trials[-1].id
    ).unlink()  # a pruned cell's trial that runs again, damaged or failed, is not new
    check_seeds(tmp_path, two)


def test_a_seed_that_comes_late_is_pruned_as_its_cell_was(tmp_path):
    trials = [t for t in plan(make_experiment(["a", "b"], 2)) if not t.reference]
    for trial in trials:
        park(tmp_path, trial, 0.1 * (trial.label == "a"))
    prune(tmp_path, trials, Rung(eighth=1, keep=0.25), 1)
    late = next(t for t in trials if t.label == "b")
    SweepDir(tmp_path).record(late.id).unlink()
    park(tmp_path, late, 0.9)  # better than all others, by itself
    prune(tmp_path, trials, Rung(eighth=1, keep=0.25), 1)
    assert read_record(SweepDir(tmp_path).record(late.id)).status == "pruned"


def test_what_was_trained_beyond_a_rung_before_anything_was_pruned_does_not_compete_there(tmp_path):
    trials = [t for t in plan(make_experiment(["a", "b"])) if not t.reference]
    first, *others = trials
    long = park(tmp_path, first, 0.1)
    history = (*long.history, {"epoch": 4.0, "knn_val_top1": 0.99})  # from a sweep that did not prune, interrupted
    write_atomically(SweepDir(tmp_path).parked(first.id), as_json(long.model_copy(update={"history": history})))
    for trial, knn in zip(others, (0.5, 0.6, 0.7), strict=True):
        park(tmp_path, trial, knn)
    prune(tmp_path, trials, Rung(eighth=1, keep=0.5), 1)
    assert len(read_record(SweepDir(tmp_path).record(first.id)).history) == 1
    for trial, knn in zip(others[1:], (0.6, 0.7), strict=True):
        park(tmp_path, trial, knn, 4)
    prune(tmp_path, trials, Rung(eighth=4, keep=0.25), 4)
    assert [t.label for t in trials if not SweepDir(tmp_path).record(t.id).exists()] == [others[-1].label]


def test_a_trial_that_fails_in_the_end_takes_nobodys_place(tmp_path):
    trials = [t for t in plan(make_experiment(["a", "b"])) if not t.reference]
    history = ({"epoch": 1.0, "knn_val_top1": 0.99},)
    write_record(tmp_path, failure(trials[0]).model_copy(update={"history": history}))
    for trial, knn in zip(trials[1:], (0.5, 0.6, 0.7), strict=True):
        park(tmp_path, trial, knn)
    prune(tmp_path, trials, Rung(eighth=1, keep=0.25), 1)
    assert [t.label for t in trials if not SweepDir(tmp_path).record(t.id).exists()] == [trials[-1].label]


def test_pruned_cells_show_no_accuracy_and_blank_their_rows_average(tmp_path):
    experiment = make_experiment(["a", "b"]).model_copy(update={"prune": RUNGS})
    save_plan(tmp_path, experiment)
    for trial in plan(experiment):
        pruned = trial.label == "b+a"
        history = ({"epoch": 1.0, "loss": 1.0, "knn_val_top1": 0.3},)
        changes = {"status": "pruned", "metrics": {}} if pruned else {}
        write_record(tmp_path, record(trial, history=history, **changes))
    report = write_report(tmp_path)
    assert report.grid.cells["b", "a"].status == "pruned"
    assert report.grid.average("b") is None
    assert report.grid.average("a") is not None
    assert "pruned" in (tmp_path / "report" / "table.csv").read_text()
    page = (tmp_path / "report" / "index.html").read_text()
    assert "Pruning" in page
    assert "pruned" in ablate("status", tmp_path, cwd=tmp_path).stdout


def test_to_go_on_from_a_rung_is_no_interruption_to_the_page(tmp_path):
    experiment = make_experiment(["a", "b"]).model_copy(update={"prune": RUNGS})
    experiment = experiment.model_copy(update={"shared": experiment.shared.model_copy(update={"epochs": 8})})
    save_plan(tmp_path, experiment)
    for trial in plan(experiment):
        attempts = {"a": 3, "b": 4}.get(trial.label, 1)  # b was interrupted once, besides the two rungs
        history = tuple({"epoch": float(e), "loss": 1.0, "knn_val_top1": 0.3} for e in range(1, 9))
        write_record(tmp_path, record(trial, history=history, attempts=attempts))
    write_report(tmp_path)
    page = (tmp_path / "report" / "index.html").read_text()
    assert re.findall(r"attempt (\d)", page) == ["2"]
    assert "all 4 are equal" in page  # no warning, and no correlation that is not a number


def test_status_says_who_waits_at_a_rung_and_promises_no_time(tmp_path):
    experiment = make_experiment(["a", "b"]).model_copy(update={"prune": RUNGS})
    save_plan(tmp_path, experiment)
    first, second, third, _ = (t for t in plan(experiment) if not t.reference)
    write_record(tmp_path, record(third, when="2026-01-01T00:00:00Z", timings={"total": 60.0}))
    park(tmp_path, first, 0.5)
    path = SweepDir(tmp_path).begun(first.id) / "attempt-1.json"
    path.write_text(Attempt(number=1, released=True).model_dump_json())
    assert sweep_status(tmp_path).states[first.id] == "parked"
    later = path.with_name("attempt-2.json")  # it has gone on from the rung, and was stopped
    later.write_text(Attempt(number=2, released=True).model_dump_json())
    assert sweep_status(tmp_path).states[first.id] == "interrupted"
    later.unlink()
    with claim(tmp_path, second.id):
        found = sweep_status(tmp_path)
        assert (found.states[first.id], found.states[second.id]) == ("parked", "running")
        assert seconds_left(found) is None
        assert seconds_left(replace(found, experiment=experiment.model_copy(update={"prune": ()}))) is not None
    said = ablate("status", tmp_path, cwd=tmp_path).stdout
    assert "1 parked" in said
    assert f"to complete it: `{experiment.command} --out {tmp_path}`" in said.replace("\n", "")


def start(*args):
    return subprocess.Popen(command(*args), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def pruned(tiny_folder, cache, tmp_path_factory):
    out = tmp_path_factory.mktemp("pruned") / "out"
    done = run_here(command(tiny_folder, cache, out, "--epochs", "8", "--prune", ops=OPS))
    assert done.returncode == 0, done.stdout + done.stderr
    return out, done


@pytest.mark.slow
def test_a_real_grid_is_pruned_at_both_rungs(pruned):
    out, done = pruned
    found = {t.label: read_record(SweepDir(out).record(t.id)) for t in plan(load_plan(out))}
    lengths = sorted(len(r.history) for r in found.values() if r.reference is None)
    assert lengths == [1] * 5 + [4] * 3 + [8]
    assert sum(r.status == "pruned" for r in found.values()) == 8
    assert "pruned after epoch 1" in done.stdout
    assert not list(out.glob("running/*"))
    assert read_sweep(out).experiment.prune == RUNGS


@pytest.mark.slow
def test_neither_workers_nor_kills_have_a_say(pruned, tiny_folder, cache, tmp_path):
    arguments = ("--epochs", "8", "--prune", "--workers")
    for attempt, workers in enumerate(("1", "2")):
        process = subprocess.Popen(
            command(tiny_folder, cache, tmp_path, *arguments, workers, ops=OPS),
            start_new_session=True,
            stdout=subprocess.DEVNULL,
        )
        before, began = len(list(tmp_path.glob("running/*/parked.json"))), time.monotonic()
        while len(list(tmp_path.glob("running/*/parked.json"))) < before + 2 and process.poll() is None:
            assert time.monotonic() - began < 100
            time.sleep(0.05)
            if list(tmp_path.glob("trials/*.json")) and attempt:
                break
        process.send_signal(signal.SIGKILL)
        process.wait()
    wait_for(lambda: not is_at_work(tmp_path))
    again = run_here(command(tiny_folder, cache, tmp_path, *arguments, "2", ops=OPS))
    assert again.returncode == 0, again.stdout + again.stderr
    assert results(tmp_path) == results(pruned[0])


@pytest.mark.slow
def test_without_pruning_the_same_command_trains_the_rest_to_what_it_would_have_been(
    pruned, tiny_folder, cache, tmp_path
):
    out, _ = pruned
    whole = run_here(command(tiny_folder, cache, tmp_path, "--epochs", "8", ops=OPS))
    assert whole.returncode == 0, whole.stdout + whole.stderr
    best = {name: r for name, r in results(out).items() if r["status"] == "done"}
    assert len(best) == 2  # and the untrained encoder
    assert best.items() <= results(tmp_path).items()  # a trial that was parked twice has the bits of one that was not
    rest = run_here(command(tiny_folder, cache, out, "--epochs", "8", ops=OPS))
    assert "2 done; 8 pruned (to train to the end); 8 to run" in rest.stdout
    assert results(out) == results(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--epochs", "3"], "needs at least 5 epochs"),
        (["--world-size", "2"], "one process"),
    ],
)
def test_what_cannot_be_pruned_is_refused(arguments, expected, tiny_folder, cache, tmp_path):
    line = ["grid", "--ops", "crop,color", "--prune", "--data", f"folder:{tiny_folder}", "--size", "16", "--batch-size"]
    sentence = one_sentence(ablate(*line, "16", "--device", "cpu", "--cache", cache, *arguments, cwd=tmp_path))
    assert "prune" in sentence
    assert expected in sentence
