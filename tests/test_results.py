from __future__ import annotations

import json

import pytest

from ablate import load_results
from ablate.config.trial import DataIdentity, TrialConfig
from ablate.errors import DamagedRecord
from ablate.files import names_in, set_aside, write_atomically
from ablate.sweep.layout import SweepDir
from ablate.sweep.record import Failure, TrialResult, read_record, read_records
from tests.support.sweeps import write_record

CONFIG = TrialConfig(composition=(), data=DataIdentity(name="glyphs", fingerprint="0123", classes=10))


def record(seed=0, **changes):
    metrics = {"linear_top1": 0.5 + seed / 100, "linear_val_top1": 0.4, "knn_top1": 0.3}
    content = {"status": "done", "metrics": metrics, "timings": {"total": 2.5}, **changes}
    return TrialResult(key=CONFIG.key, seed=seed, label="none", config=CONFIG, **content)


def test_round_trip(tmp_path):
    path = write_record(tmp_path, record())
    assert path == SweepDir(tmp_path).record(f"{CONFIG.key}-s0")
    assert read_record(path) == record()
    assert [p.name for p in path.parent.iterdir()] == [path.name]  # no temporary file is left


def test_truncated_or_renamed_records_are_told_apart_from_absent_ones(tmp_path):
    path = write_record(tmp_path, record())
    with pytest.raises(FileNotFoundError):
        read_record(SweepDir(tmp_path).record("no-such"))
    other = path.with_name("0000000000000000-s0.json")
    other.write_text(path.read_text())
    with pytest.raises(DamagedRecord, match="holds the record of"):
        read_record(other)
    other.unlink()
    path.write_text(path.read_text()[:100])
    with pytest.raises(DamagedRecord, match="not a complete trial record"):
        read_record(path)
    records, bad = read_records(tmp_path)
    assert not records
    assert bad == [path]


HISTORY = ({"epoch": 1.0, "loss": 2.0}, {"epoch": 2.0, "loss": None})


def test_many_records_are_read_without_their_histories(tmp_path):
    path = write_record(tmp_path, record(history=HISTORY))
    assert read_record(path).history == HISTORY
    assert read_record(path, points=0) == record()
    assert read_records(tmp_path) == ({path.stem: record()}, [])


@pytest.mark.parametrize("history", ["", [1.0], [{"loss": "low"}], [{"loss": [1.0]}], {"loss": 1.0}], ids=str)
def test_a_history_that_is_left_out_is_checked_all_the_same(tmp_path, history):
    path = write_record(tmp_path, record())
    path.write_text(json.dumps({**json.loads(path.read_text()), "history": history}))
    with pytest.raises(DamagedRecord):
        read_record(path, points=0)
    assert read_records(tmp_path) == ({}, [path])


def test_names_in(tmp_path):
    assert names_in(tmp_path / "none") == names_in(tmp_path) == set()
    (tmp_path / "a").mkdir()
    (tmp_path / "b").touch()
    assert names_in(tmp_path) == {"a", "b"}
    assert names_in(tmp_path / "b") == set()


def test_set_aside_never_overwrites(tmp_path):
    names = []
    for _ in range(3):
        path = tmp_path / "a.json"
        path.write_text("x")
        names.append(set_aside(path).name)
    assert names == ["a.json.damaged", "a.json.damaged1", "a.json.damaged2"]


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    path.write_text("old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_load_results(tmp_path):
    write_record(tmp_path, record(0))
    error = Failure(type="ValueError", message="too bad", traceback="Traceback ...")
    write_record(tmp_path, record(1, status="failed", metrics={}, error=error))
    frame = load_results(tmp_path).sort_values("seed")
    assert frame["linear_top1"].iloc[0] == 0.5
    assert frame["linear_top1"].isna().tolist() == [False, True]
    assert frame["status"].tolist() == ["done", "failed"]
    assert frame["error"].iloc[1] == "too bad"
    assert frame["seconds"].iloc[0] == 2.5


def test_load_results_before_the_first_record_has_the_columns(tmp_path):
    with pytest.raises(FileNotFoundError, match="neither"):
        load_results(tmp_path)
    (tmp_path / "trials").mkdir()
    frame = load_results(tmp_path)
    assert len(frame) == 0
    assert {"key", "seed", "status", "linear_top1"} <= set(frame.columns)


def test_load_results_without_labels(tmp_path):
    write_record(tmp_path, record(metrics={"rankme": 3.0, "rotation_val_top1": 0.4, "rotation_top1": 0.5}))
    columns = list(load_results(tmp_path).columns)
    assert columns[8:] == ["rotation_top1", "rotation_val_top1", "rankme", "seconds", "error"]


def test_a_record_from_before_protocols_were_recorded(tmp_path):
    path = write_record(tmp_path, record())
    content = json.loads(path.read_text())
    del content["protocols"]
    path.write_text(json.dumps(content))
    assert read_record(path) == record()
    assert read_record(path).protocols == {}


def test_records_are_plain_json(tmp_path):
    content = json.loads(write_record(tmp_path, record()).read_text())
    assert content["schema_version"] == 1
    assert content["config"]["data"]["fingerprint"] == "0123"
