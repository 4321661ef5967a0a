from __future__ import annotations

import time

from rich.console import Console

from ablate.config.slurm import Slurm
from ablate.launch import watch
from ablate.launch.monitor import watch_status
from ablate.launch.screen import print_status
from ablate.launch.slurm.answers import QueuedJob
from ablate.launch.slurm.past import past
from ablate.launch.slurm.submission import Array, Submission
from ablate.launch.status import sweep_status
from ablate.report import write_report
from ablate.sweep.layout import SweepDir
from ablate.sweep.plan import plan, save_plan
from tests.support.running import begin
from tests.support.sweeps import failure, make_experiment, record, write_record

NOBODY = 2**22 + 1  # above the largest process id


def test_every_place(tmp_path):
    experiment = make_experiment(["a", "b", "c"])
    save_plan(tmp_path, experiment)
    trials = plan(experiment)
    write_record(tmp_path, record(trials[0]))
    write_record(tmp_path, failure(trials[1]))
    begin(tmp_path, trials[2])
    begin(tmp_path, trials[3], pid=NOBODY)
    begin(tmp_path, trials[4], machine="elsewhere", job="17_3", host="node4")
    begin(tmp_path, trials[5], machine="elsewhere", touched=time.time() - 600)
    begin(tmp_path, trials[7], released=True)
    path = write_record(tmp_path, record(trials[6]))
    path.write_text("{")
    status = sweep_status(tmp_path)
    expected = ["done", "failed", "running", "lost", "running", "lost", "missing", "interrupted"]
    expected += ["missing"] * 2
    assert [status.states[trial.id] for trial in trials] == expected
    assert status.damaged == [path]
    console = Console(record=True, width=120)
    print_status(status, console)
    text = console.export_text()
    assert "10 trials: 1 done, 1 failed, 2 running, 1 interrupted, 2 lost, 3 missing" in text
    assert "2/3" in text
    assert "node4" in text
    assert "17_3" in text
    assert "1.250" in text
    assert "the loss became nan <b>" in text  # not taken for markup
    assert str(path) in text.replace("\n", "")


def test_of_many_failures_the_first_are_told(tmp_path):
    experiment = make_experiment(["a", "b", "c", "d", "e"])
    save_plan(tmp_path, experiment)
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
    save_plan(tmp_path, make_experiment(["a"]))
    console = Console(record=True, width=120)
    print_status(sweep_status(tmp_path), console)
    text = console.export_text()
    assert "2 trials: 0 done, 2 missing" in text
    assert f"to complete it: `ablate grid --ops x --out {tmp_path}`" in text.replace("\n", "")


def test_unreadable_progress_counts_as_none(tmp_path):
    experiment = make_experiment(["a"])
    save_plan(tmp_path, experiment)
    trial = plan(experiment)[0]
    begin(tmp_path, trial)
    (SweepDir(tmp_path).begun(trial.id) / "progress.json").write_text("{")
    status = sweep_status(tmp_path)
    assert status.states[trial.id] == "running"
    assert status.begun[trial.id][1].epoch == 0


def test_watching_goes_on_while_the_scheduler_does_not_answer(tmp_path, monkeypatch):
    experiment = make_experiment(["a"])
    save_plan(tmp_path, experiment)
    ids = tuple((trial.id,) for trial in plan(experiment))
    array = Array(name="ablate-x", first=0, count=2, job_id="17")
    submission = Submission(
        token="t", created=0, user="me", host="", cache="", slurm=Slurm(), packs=ids, arrays=(array,)
    )
    queue = [QueuedJob(f"17_{task}", "17", task, "PENDING", "me", "", "ablate-x") for task in (0, 1)]
    answers = [(past([submission], queue), ""), (None, "silent"), (None, "silent"), (past([submission], []), "")]
    monkeypatch.setattr(watch, "look_up", lambda _: answers.pop(0) if len(answers) > 1 else answers[0])
    monkeypatch.setattr(watch, "ASK", 0.0)
    console = Console(record=True, width=200)
    watch_status(tmp_path, console, 0.01)
    lines = console.export_text().splitlines()
    assert sum("2 queued; 2 jobs: 2 pending" in line for line in lines) >= 1, "the scheduler's last word holds"
    assert "2 missing" in " ".join(lines[-4:])
    assert len(answers) == 1
