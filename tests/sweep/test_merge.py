from __future__ import annotations

import shutil

import pytest

from ablate.config.sweep import NamedOp
from ablate.errors import UsageError
from ablate.ops import parse_op, spec
from ablate.report import write_report
from ablate.sweep.layout import SweepDir
from ablate.sweep.lock import sole_user
from ablate.sweep.merge import merge
from ablate.sweep.plan import load_plan, plan, save_plan
from ablate.sweep.prune import RUNGS
from ablate.sweep.record import read_record, read_records
from tests.support.cli import ablate, one_sentence
from tests.support.grids import command
from tests.support.in_process import run_here
from tests.support.running import begin
from tests.support.sweeps import by_position, failure, make_experiment, record, sweep, write_record


def value(trial):
    return 0.4 if trial.label in ("c", "a+c", "c+a") else by_position(trial)


def shard(directory, seeds, labels=("a", "b"), **changes):
    """A sweep of these seeds alone."""
    experiment = make_experiment(list(labels)).model_copy(update={"seeds": tuple(seeds), **changes})
    save_plan(directory, experiment)
    for trial in plan(experiment):
        write_record(directory, record(trial, value(trial)))
    return directory


def contents(directory):
    return {path.relative_to(directory): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


@pytest.fixture
def pair(tmp_path):
    return shard(tmp_path / "A", [0, 1]), shard(tmp_path / "B", [2])


@pytest.mark.usefixtures("undrawn")
def test_shards_by_seed_are_the_sweep_that_ran_everything(pair, tmp_path):
    before = [contents(directory) for directory in pair]
    merged = merge(pair, tmp_path / "C")
    assert (merged.copied, merged.there, merged.missing) == (15, 0, 0)
    assert [contents(directory) for directory in pair] == before
    whole = sweep(tmp_path / "whole", ["a", "b"], seeds=3, value=by_position)
    for directory in (whole, tmp_path / "C"):
        write_report(directory)
    for name in ("table.csv", "table.tex"):
        assert (tmp_path / "C" / "report" / name).read_bytes() == (whole / "report" / name).read_bytes()
    assert {k: v for k, v in contents(tmp_path / "C").items() if k.parts[0] == "trials"} == {
        k: v for k, v in contents(whole).items() if k.parts[0] == "trials"
    }


def test_again_changes_nothing_and_adds_what_is_new(pair, tmp_path):
    out = tmp_path / "C"
    merge(pair, out)
    before = contents(out)
    again = merge(pair, out)
    assert (again.copied, again.there) == (0, 15)
    assert contents(out) == before
    more = merge([shard(tmp_path / "D", [0], ("a", "c"))], out)
    assert (more.copied, more.there, more.missing) == (3, 15, 3 * 10 - 18)
    assert [op.label for op in load_plan(out).ops] == ["a", "b", "c"]


def test_logs_previews_and_encoders_come_along(pair, tmp_path):
    trial = plan(load_plan(pair[0]))[0]
    encoder = pair[0] / "encoders" / f"{trial.id}.safetensors"
    for path in (SweepDir(pair[0]).log(trial.id), SweepDir(pair[0]).preview(trial.config.key), encoder):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"of A")
    merge(pair, tmp_path / "C")
    for path in (SweepDir(pair[0]).log(trial.id), SweepDir(pair[0]).preview(trial.config.key), encoder):
        assert (tmp_path / "C" / path.relative_to(pair[0])).read_bytes() == b"of A"


def test_done_wins_over_failed(pair, tmp_path):
    other = tmp_path / "again"
    shutil.copytree(pair[0], other)
    first, second = plan(load_plan(other))[:2]
    write_record(other, failure(first))
    write_record(pair[0], failure(second))
    merge([pair[0], other], tmp_path / "C")
    records, _ = read_records(tmp_path / "C")
    assert {record.status for record in records.values()} == {"done"}


def test_done_wins_over_pruned_and_pruned_over_failed(pair, tmp_path):
    other = tmp_path / "again"
    shutil.copytree(pair[0], other)
    first, second, third = plan(load_plan(other))[-3:]
    for directory, trial in ((pair[0], first), (other, second), (other, third)):
        write_record(directory, record(trial, status="pruned", metrics={}))
    write_record(pair[0], failure(third))
    merge([pair[0], other], tmp_path / "C")
    records, _ = read_records(tmp_path / "C")
    assert [records[trial.id].status for trial in (first, second, third)] == ["done", "done", "pruned"]


def test_a_pruned_shard_and_a_whole_one_are_to_be_whole(pair, tmp_path):
    for directory, prune in ((pair[0], RUNGS), (pair[1], ())):
        save_plan(directory, load_plan(directory).model_copy(update={"prune": prune}))
    assert merge(pair, tmp_path / "C").experiment.prune == ()
    assert merge(pair[:1], tmp_path / "D").experiment.prune == RUNGS


def test_a_failed_record_that_is_done_elsewhere_by_now_is_replaced(pair, tmp_path):
    trial = plan(load_plan(pair[0]))[0]
    good = read_record(SweepDir(pair[0]).record(trial.id))
    write_record(pair[0], failure(trial))
    merge(pair, tmp_path / "C")
    write_record(pair[0], good)
    assert merge(pair, tmp_path / "C").copied == 1
    assert read_record(SweepDir(tmp_path / "C").record(trial.id)).status == "done"


def test_one_trial_with_two_results_is_refused(pair, tmp_path):
    other = tmp_path / "again"
    shutil.copytree(pair[0], other)
    trial = plan(load_plan(other))[1]
    write_record(other, record(trial, 0.99))
    with pytest.raises(
        UsageError, match=rf"trial {trial.id} \(a, seed 0\) has different results .*linear_top1 0.1 and 0.99"
    ):
        merge([pair[0], other], tmp_path / "C")
    assert not (tmp_path / "C").exists()


def test_other_settings_are_refused_by_name(pair, tmp_path):
    experiment = load_plan(pair[1])
    save_plan(pair[1], experiment.model_copy(update={"shared": experiment.shared.model_copy(update={"epochs": 9})}))
    with pytest.raises(UsageError, match=r"not shards of one sweep .*epochs was 3, is 9"):
        merge(pair, tmp_path / "C")
    assert not (tmp_path / "C").exists()


def test_the_same_images_may_lie_elsewhere(tmp_path):
    pair = shard(tmp_path / "A", [0], data="folder:/here"), shard(tmp_path / "B", [1], data="folder:/there")
    merge(pair, tmp_path / "C")
    assert load_plan(tmp_path / "C").data == "folder:/here"


def test_what_is_left_behind_is_said(pair, tmp_path):
    first, second = plan(load_plan(pair[0]))[:2]
    SweepDir(pair[0]).record(first.id).unlink()
    begin(pair[0], first)
    SweepDir(pair[0]).record(second.id).write_text("{")
    done = ablate("merge", *pair, "--out", tmp_path / "C")
    assert done.returncode == 0, done.stderr
    assert "13 records copied, 0 there already, 2 trials to run" in done.stdout
    assert f"not copied: 1 trial of {pair[0]} begun but without a record" in done.stdout
    assert f"damaged record, left out: {SweepDir(pair[0]).record(second.id)}" in done.stdout


def test_errors_are_sentences(pair, tmp_path):
    a, b = pair
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").write_text("")
    for args, said in (
        ([a, a], "are the same directory"),
        ([a, tmp_path / "none"], "there is no directory"),
        ([a, b, "--out", a], "neither may lie in the other"),
        ([a, b, "--out", a / "inside"], "neither may lie in the other"),
        ([a, b, "--out", tmp_path / "full"], "holds other files"),
        ([a, b, "--out", tmp_path / "full" / "x"], "is not a directory"),
    ):
        line = args if "--out" in args else [*args, "--out", tmp_path / "C"]
        assert said in one_sentence(ablate("merge", *line)), args
    merge(pair, tmp_path / "C")
    with sole_user(tmp_path / "C"):
        assert "another ablate command is at work" in one_sentence(ablate("merge", a, b, "--out", tmp_path / "C"))


@pytest.mark.usefixtures("undrawn")
@pytest.mark.slow
def test_the_grid_command_completes_what_was_merged(tiny_folder, cache, tmp_path):
    """A directory was trained by the command; the other is its copy, with another op and a made-up record of it."""
    assert run_here(command(tiny_folder, cache, tmp_path / "A", "--workers", "1", ops="crop")).returncode == 0
    shutil.copytree(tmp_path / "A", tmp_path / "B")
    trained = load_plan(tmp_path / "A")
    other = trained.model_copy(update={"ops": (NamedOp(label="flip", op=spec(parse_op("flip"))),)})
    save_plan(tmp_path / "B", other)
    for trial in plan(trained):
        if not trial.reference:
            SweepDir(tmp_path / "B").record(trial.id).unlink()
    for trial in plan(other):
        if not trial.reference:
            write_record(tmp_path / "B", record(trial))
    merged = merge([tmp_path / "A", tmp_path / "B"], tmp_path / "C")
    assert (merged.copied, merged.missing) == (3, 2)
    done = run_here(command(tiny_folder, cache, tmp_path / "C", "--workers", "1", ops="crop,flip"))
    assert "3 done; 2 to run" in done.stdout, done.stderr
    assert done.returncode == 0
