from __future__ import annotations

import io
import socket

import pytest
from PIL import Image

from ablate.sweep.layout import SweepDir
from ablate.sweep.plan import load_plan, plan
from tests.support.sweeps import by_position, record, sweep, write_record
from tests.support.tracked import memory

__all__ = ["memory"]

WHEN = "2026-11-01T10:00:00Z"


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    """Refuse every connection to another machine."""
    connect = socket.socket.connect

    def local(self, address):
        assert self.family == socket.AF_UNIX or address[0] in {"127.0.0.1", "::1", "localhost"}, address
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", local)


def whole(trial):
    """A record with curves, whose last epoch has no kNN."""
    history = tuple({"epoch": e, "loss": 2.0 - e / 2, "lr": 0.1, "images_per_second": 9.0} for e in (1.0, 2.0, 3.0))
    watched = {**history[1], "knn_val_top1": 0.25}
    timed = {"when": WHEN, "timings": {"total": 60.0}, "host": {"name": "node7"}}
    return record(trial, by_position(trial), history=(history[0], watched, history[2]), **timed)


def picture(kind):
    buffer = io.BytesIO()
    Image.new("RGB", (12, 4), "red").save(buffer, kind, lossless=True)
    return buffer.getvalue()


@pytest.fixture
def undrawn(monkeypatch):
    """Let the heatmap be an empty picture, since drawing it takes most of the time."""
    monkeypatch.setattr("ablate.report.trackers.runs._heatmap", lambda sweep: picture("PNG"))


@pytest.fixture
def tracked(tmp_path):
    """Two ops, two seeds: ``a+b`` has no record, ``b`` has failed, ``b+a`` has curves and a picture."""
    made = sweep(tmp_path / "leaves.v2", ["a", "b"], seeds=2, value=by_position, skip=("a+b", "b+a"), fail=("b",))
    for trial in plan(load_plan(made)):
        if trial.label == "b+a":
            write_record(made, whole(trial))
            path = SweepDir(made).preview(trial.config.key)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(picture("WEBP"))
    return made


@pytest.fixture
def retried(tracked):
    """A function that puts a record in the place of that of ``b`` with seed 0, which has failed."""
    trial = next(trial for trial in plan(load_plan(tracked)) if trial.label == "b")

    def retry():
        SweepDir(tracked).record(trial.id).unlink()
        write_record(tracked, whole(trial))

    return retry
