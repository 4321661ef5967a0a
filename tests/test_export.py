from __future__ import annotations

import json
import subprocess
import sys

import optuna
import pandas as pd
import pytest

from ablate.report.data import export
from ablate.report.data.results import read_sweep
from ablate.report.data.study import ALONE
from ablate.sweep.plan import load_plan, plan
from tests.support.cli import ablate, one_sentence
from tests.support.noisy import strengths
from tests.support.sweeps import by_position, record, sweep, write_record


@pytest.fixture
def directory(tmp_path):
    made = sweep(tmp_path / "leaves", ["a", "b"], seeds=2, value=by_position, skip=("a+b",), fail=("b",))
    trial = next(trial for trial in plan(load_plan(made)) if trial.label == "b+a")
    history = tuple({"epoch": float(e), "loss": 1.0, "knn_val_top1": 0.1 * e} for e in (1, 2))
    timed = {"when": "2026-11-01T10:00:00Z", "timings": {"total": 60.0}}
    write_record(made, record(trial, by_position(trial), history=history, versions={"torch": "2.11.0"}, **timed))
    return made


def opened(path):
    storage = optuna.storages.RDBStorage(f"sqlite:///{path}")
    return optuna.load_study(study_name=None, storage=storage)


@pytest.mark.parametrize(("to", "read"), [("csv", pd.read_csv), ("parquet", pd.read_parquet)])
def test_a_table_has_every_planned_trial_and_its_whole_configuration(directory, to, read):
    done = ablate("export", directory, "--to", to)
    assert done.returncode == 0, done.stderr
    path = directory / "report" / f"trials.{to}"
    assert done.stdout == f"wrote {path}\n"
    table = read(path).set_index("id")
    trials = plan(load_plan(directory))
    assert table.index.tolist() == [trial.id for trial in trials]
    assert table.status.value_counts().to_dict() == {"done": 6, "failed": 2, "missing": 2}
    row = table.loc[next(trial.id for trial in trials if trial.label == "b+a")]
    assert row.linear_top1 == pytest.approx(0.3)
    assert (row["op1"], row["op2"], row["op1.p"]) == ("b", "a", 1.0)
    assert [spec["name"] for spec in json.loads(row.composition)] == ["b", "a"]
    assert row["config.encoder.name"] == "resnet18"
    assert row["config.epochs"] == 3
    assert row["version.torch"] == "2.11.0"
    assert row["seconds.total"] == 60
    assert "the loss became nan" in table[table.status == "failed"].error.iloc[0]


def test_the_study_holds_what_optuna_dashboard_shows(directory, tmp_path):
    out = tmp_path / "study.db"
    assert ablate("export", directory, "--to", "optuna", "--out", out).returncode == 0
    study = opened(out)
    assert study.study_name == "leaves"
    assert study.user_attrs["value"] == "linear_val_top1"
    assert study.user_attrs["untrained"] == pytest.approx(0.05)
    states = [trial.state.name for trial in study.trials]
    assert (states.count("COMPLETE"), states.count("FAIL"), len(states)) == (4, 2, 6)
    best = study.best_trial
    assert best.params == {"first": "b", "second": "a", "seed": 1}
    assert best.value == pytest.approx(0.32)  # validation accuracy
    assert best.user_attrs["linear_top1"] == pytest.approx(0.31)
    (timed,) = [trial for trial in study.trials if trial.intermediate_values]
    assert timed.intermediate_values == {1: 0.1, 2: 0.2}
    assert timed.duration.total_seconds() == 60
    assert any(trial.params["second"] == ALONE for trial in study.trials)


def test_compositions_beside_a_grid_are_a_parameter_of_their_own(tmp_path):
    path = export.export(read_sweep(strengths(tmp_path / "s")), "optuna")
    assert opened(path).best_trial.params == {"composition": "crop+color(strength=1.0)", "seed": 1}


def test_again_replaces_the_file_and_leaves_nothing_beside_it(directory):
    for to, name in export.SUFFIX.items():
        for _ in range(2):
            assert ablate("export", directory, "--to", to).returncode == 0
        assert (directory / "report" / name).stat().st_size > 0
    assert {path.name for path in (directory / "report").iterdir()} == set(export.SUFFIX.values())
    assert len(opened(directory / "report" / "study.db").trials) == 6


def test_errors_are_sentences(directory, tmp_path, monkeypatch):
    assert "is not a sweep directory" in one_sentence(ablate("export", tmp_path, "--to", "csv"))
    missing = tmp_path / "none" / "a.csv"
    assert "there is no directory" in one_sentence(ablate("export", directory, "--to", "csv", "--out", missing))
    assert ablate("export", directory, "--to", "excel").returncode == 2
    monkeypatch.setattr(export.importlib.util, "find_spec", lambda name: None)
    assert "pip install 'ablate[parquet]'" in one_sentence(ablate("export", directory, "--to", "parquet"))


def test_neither_export_nor_merge_imports_torch(directory):
    script = (
        "import sys; from ablate.report.data.results import read_sweep; from ablate.report.data.export import export\n"
        "import ablate.sweep.merge\n"
        f"[export(read_sweep({str(directory)!r}), to) for to in ('csv', 'parquet', 'optuna')]\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], timeout=60, check=True)
