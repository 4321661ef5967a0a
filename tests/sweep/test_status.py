from __future__ import annotations

import json
import os
import socket
import time

from rich.console import Console

from ablate.report import write_report
from ablate.results import write_record
from ablate.sweep.plan import plan, save_experiment
from ablate.sweep.status import print_status, sweep_status
from ablate.sweep.workspace import running_directory
from tests.report.test_report import failure, make_experiment, record

NOBODY = 2**22 + 1  # above the largest process id


def begin(directory, trial, **changes):
    folder = running_directory(directory, trial.id)
    folder.mkdir(parents=True)
    now = time.time()
    progress = {
        "id": trial.id, "label": trial.label, "seed": 0, "epoch": 2, "epochs": 3, "metrics": {"loss": 1.25},
        "pid": os.getpid(), "host": socket.gethostname(), "started": now, "updated": now, **changes,
    }  # fmt: skip
    (folder / "progress.json").write_text(json.dumps(progress))


def test_every_place(tmp_path):
    experiment = make_experiment(["a", "b", "c"])
    save_experiment(tmp_path, experiment)
    trials = plan(experiment)
    write_record(tmp_path, record(trials[0]))
    write_record(tmp_path, failure(trials[1]))
    begin(tmp_path, trials[2])
    begin(tmp_path, trials[3], pid=NOBODY)
    begin(tmp_path, trials[4], host="elsewhere")
    begin(tmp_path, trials[5], host="elsewhere", updated=time.time() - 600)
    path = write_record(tmp_path, record(trials[6]))
    path.write_text("{")
    status = sweep_status(tmp_path)
    expected = ["done", "failed", "running", "interrupted", "running", "interrupted", *["missing"] * 4]
    assert [status.places[trial.id] for trial in trials] == expected
    assert status.damaged == [path]
    console = Console(record=True, width=120)
    print_status(status, console)
    text = console.export_text()
    assert "10 trials: 1 done, 1 failed, 2 running, 2 interrupted, 4 missing" in text
    assert "2/3" in text
    assert "1.250" in text
    assert "the loss became nan <b>" in text  # not taken for markup
    assert str(path) in text.replace("\n", "")


def test_of_many_failures_the_first_are_told(tmp_path):
    experiment = make_experiment(["a", "b", "c", "d", "e"])
    save_experiment(tmp_path, experiment)
    for trial in plan(experiment):
        write_record(tmp_path, failure(trial))
    for text in (shown(tmp_path), reported(tmp_path)):
        assert text.count("seed 0: the loss became nan") == 20
        assert "... and 6 more" in text
        assert "--retry-failed" in text


def shown(directory):
    console = Console(record=True, width=120)
    print_status(sweep_status(directory), console)
    return console.export_text()


def reported(directory):
    console = Console(record=True, width=120)
    write_report(directory).show(console)
    return console.export_text()


def test_a_fresh_sweep_says_how_to_run_it(tmp_path):
    save_experiment(tmp_path, make_experiment(["a"]))
    console = Console(record=True, width=120)
    print_status(sweep_status(tmp_path), console)
    text = console.export_text()
    assert "2 trials: 0 done, 2 missing" in text
    assert "to complete it: ablate grid --ops x" in text


def test_unreadable_progress_counts_as_missing(tmp_path):
    experiment = make_experiment(["a"])
    save_experiment(tmp_path, experiment)
    trial = plan(experiment)[0]
    begin(tmp_path, trial)
    (running_directory(tmp_path, trial.id) / "progress.json").write_text("{")
    assert sweep_status(tmp_path).places[trial.id] == "missing"
