from __future__ import annotations

from pathlib import Path

from ablate.launch import local as run
from ablate.launch.status import sweep_status
from ablate.sweep.layout import SweepDir
from ablate.sweep.plan import plan, save_plan
from ablate.sweep.survey import survey
from tests.support.sweeps import failure, make_experiment, record, write_record


def test_the_seeds_of_a_cell_share_one_configuration():
    trials = plan(make_experiment(["a", "b"], seeds=3))
    assert len(trials) == 3 * 5
    for one, *others in zip(trials[:5], trials[5:10], trials[10:], strict=True):
        assert all(other.config is one.config for other in others)
        assert [t.id for t in (one, *others)] == [f"{one.config.key}-s{seed}" for seed in range(3)]


def test_every_record_has_its_place(tmp_path):
    trials = plan(make_experiment(["a", "b"], seeds=2))
    for trial in trials[:4]:
        write_record(tmp_path, record(trial, history=({"loss": 1.0},)))
    write_record(tmp_path, failure(trials[4]))
    damaged = write_record(tmp_path, record(trials[5]))
    damaged.write_text(damaged.read_text()[:-20])
    other = SweepDir(tmp_path).record(trials[6].id)
    other.write_bytes(SweepDir(tmp_path).record(trials[0].id).read_bytes())
    SweepDir(tmp_path).begun(trials[7].id).mkdir(parents=True)
    SweepDir(tmp_path).begun(trials[0].id).mkdir()
    state = survey(tmp_path, trials)
    assert [result.id for result in state.finished] == [trial.id for trial in trials[:4]]
    assert all(result.history == () for result in state.finished)
    assert [result.id for result in state.failed] == [trials[4].id]
    assert state.missing == trials[5:]
    assert state.damaged == [damaged, other]
    assert state.begun == 1


def test_what_is_not_there_is_not_asked_for_one_by_one(tmp_path, monkeypatch):
    experiment = make_experiment(["a", "b"], seeds=4)
    save_plan(tmp_path, experiment)
    write_record(tmp_path, record(plan(experiment)[0]))
    opened: list[Path] = []
    read_bytes = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: (opened.append(path), read_bytes(path))[1])
    assert sweep_status(tmp_path).count("done") == 1
    assert len(opened) == 1


def test_a_record_that_goes_while_it_is_looked_for_is_missing(tmp_path, monkeypatch):
    trials = plan(make_experiment(["a"]))
    monkeypatch.setattr(run, "names_in", lambda directory: {f"{trial.id}.json" for trial in trials})
    assert survey(tmp_path, trials).missing == trials


def test_only_directories_that_are_left_over_are_removed(tmp_path, monkeypatch):
    trials = plan(make_experiment(["a", "b"]))
    for trial in trials:
        write_record(tmp_path, record(trial))
    left = SweepDir(tmp_path).begun(trials[1].id)
    left.mkdir(parents=True)
    removed: list[Path] = []
    rmtree = run.shutil.rmtree
    monkeypatch.setattr(run.shutil, "rmtree", lambda path, **how: (removed.append(path), rmtree(path, **how)))
    assert run.make_way(tmp_path, trials, survey(tmp_path, trials), False, None) == []
    assert removed == [left]
    assert not left.exists()
