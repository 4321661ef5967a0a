"""Inside a Slurm job: signals, the clock, requeues, and which devices its workers use."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ablate.config.slurm import Slurm
from ablate.errors import ExitCode
from ablate.launch.nodes import ADDRESS, NODES
from ablate.launch.slurm import cluster, job
from ablate.launch.slurm.job import BEGAN, HURRY, LEAST, Ended, Job, Watchman
from ablate.sweep.attempts import Attempt, last_attempt
from ablate.sweep.holders import STALE
from ablate.sweep.layout import SweepDir
from ablate.sweep.record import read_record, read_records
from tests.support.cli import ablate
from tests.support.grids import SETTINGS, mid_trial, results, wait_for
from tests.support.in_process import train_here
from tests.sweep.stub_worker import given

NOW = 1_000_000.0
REQUEUE, CANCELLED = "requeue", "cancelled"


@pytest.fixture(autouse=True)
def own_handlers():
    """The handlers that a job installs are gone after the test."""
    before = {number: signal.getsignal(number) for number in (signal.SIGUSR2, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def clock(monkeypatch):
    """Sets the time; it begins at NOW, when the job did."""
    monkeypatch.setenv(BEGAN, str(int(NOW)))

    def at(seconds):
        monkeypatch.setattr(job.time, "time", lambda: NOW + seconds)

    at(0)
    return at


def look(watchman):
    """What the watchman has to say: None, or how the job ends."""
    try:
        watchman.look([])
    except Ended:
        return CANCELLED if watchman.ordered else REQUEUE
    return None


def hear(*numbers):
    for number in numbers:
        os.kill(os.getpid(), number)


USR2, TERM = signal.SIGUSR2, signal.SIGTERM


@pytest.mark.parametrize(
    ("signals", "answer", "patience"),
    [
        ((), None, 80),
        ((USR2,), REQUEUE, 80),
        ((USR2, USR2), REQUEUE, 80),
        ((TERM,), CANCELLED, HURRY),
        ((TERM, TERM), CANCELLED, HURRY),
        ((USR2, TERM), CANCELLED, HURRY),
        ((TERM, USR2), CANCELLED, HURRY),
    ],
)
def test_signals_in_the_middle_of_a_job(clock, signals, answer, patience):
    watchman = Watchman(Slurm())
    clock(3600)
    hear(*signals)
    assert [look(watchman), look(watchman)] == [answer, answer]
    assert watchman.patience() == patience


def test_sigterm_leaves_less_time_to_workers_that_are_saving(clock):
    watchman = Watchman(Slurm())
    hear(USR2)
    assert look(watchman) == REQUEUE
    assert watchman.patience() == 80
    hear(TERM)
    assert watchman.patience() == HURRY


@pytest.mark.parametrize(
    ("minutes", "grace", "stops", "patience"),
    [
        (1, 90, 40, 10),
        (5, 90, 210, 80),
        (10, 90, 510, 80),
        (240, 90, 14310, 80),
        (240, 10, 14390, LEAST),
        (1, 10, 50, LEAST),
    ],
)
@pytest.mark.parametrize("warned", [True, False])
def test_the_clock_decides_on_a_time_limit_however_early_slurm_warns(clock, minutes, grace, stops, patience, warned):
    """Its warning may come up to a minute early, which of a short job would be all that there is."""
    watchman = Watchman(Slurm(time=minutes, grace=grace))
    assert look(watchman) is None
    if warned:
        clock(max(0, stops - 60))
        hear(USR2)
        assert look(watchman) is None
    clock(stops)
    assert look(watchman) is None
    clock(stops + 0.1)
    assert look(watchman) == REQUEUE
    assert watchman.patience() == patience
    assert stops + patience <= 60 * minutes, "workers would save after the time limit"


def test_a_warning_long_before_the_time_limit_is_of_somebody_more_urgent(clock):
    watchman = Watchman(Slurm(time=10))
    clock(510 - job.EARLY - 1)
    hear(USR2)
    assert look(watchman) == REQUEUE


def test_the_time_of_setup_lines_counts(monkeypatch):
    """The batch script says when it began; without its word, the job has just begun."""
    monkeypatch.setenv(BEGAN, str(int(time.time()) - 200))
    assert 98 <= Watchman(Slurm(time=5)).left <= 100
    monkeypatch.delenv(BEGAN)
    assert 298 <= Watchman(Slurm(time=5)).left <= 300


def requeues(fake_slurm):
    """The jobs that scontrol was told to requeue."""
    return [words[1] for words in fake_slurm.arguments("scontrol") if words[0] == "requeue"]


def test_a_job_runs_its_own_pack(in_job, sweep, stub_worker):
    stub_worker('say("ready")\nfor trial in given():\n    finish(trial)\n')
    begun = in_job(trials=3)
    SweepDir(sweep.directory).record(sweep.trials[1]).parent.mkdir()
    SweepDir(sweep.directory).record(sweep.trials[1]).write_text("there already")
    begun()
    assert given(sweep.directory) == [sweep.trials[0], sweep.trials[2]]


WARNED = """
def stop(*_):
    {last_words}
    os._exit(0)

signal.signal(signal.SIGTERM, stop)
say("ready")
for trial in given():
    {first_words}
    time.sleep(300)
"""


def to_launcher(*names):
    return "; ".join(f"os.kill(os.getppid(), signal.{name})" for name in names) or "pass"


@pytest.mark.parametrize(
    ("first", "last", "code", "times"),
    [
        (["SIGUSR2"], ["SIGUSR2"], 0, 1),  # Slurm warns twice: of the time limit and of somebody more urgent
        (["SIGTERM"], ["SIGTERM"], 143, 0),
        (["SIGUSR2"], ["SIGTERM"], 143, 0),  # cancelled while it was stopping
        (["SIGTERM"], ["SIGUSR2"], 143, 0),
    ],
)
def test_a_job_requeues_itself_once_and_only_after_a_warning(
    in_job, sweep, fake_slurm, stub_worker, first, last, code, times
):
    """``last`` comes while the workers are saving."""
    stub_worker(WARNED.format(first_words=to_launcher(*first), last_words=to_launcher(*last)))
    with pytest.raises(SystemExit) as ended:
        in_job()()
    assert ended.value.code == code
    assert requeues(fake_slurm) == ["4001_0"] * times
    assert fake_slurm.task("4001", 0)["state"] == ("PENDING" if times else "RUNNING")
    assert not list(sweep.directory.glob("trials/*"))


def test_a_job_that_is_cancelled_while_its_workers_start_ends_in_order(in_job, fake_slurm, stub_worker):
    """Slurm's SIGTERM goes to the workers, too, which cannot hear it yet and die."""
    stub_worker(f"{to_launcher('SIGTERM')}; os.kill(os.getpid(), signal.SIGTERM); time.sleep(60)")
    with pytest.raises(SystemExit) as ended:
        in_job()()
    assert ended.value.code == 143
    assert not requeues(fake_slurm)


@pytest.fixture
def too_late(fake_slurm, monkeypatch):
    """Starts a job whose time is up before its trials begin; its exit code."""

    def start(begun):
        fake_slurm.set_state("4001", "RUNNING", 0)
        monkeypatch.setenv(BEGAN, "0")
        with pytest.raises(SystemExit) as ended:
            begun()
        monkeypatch.delenv(BEGAN)
        return ended.value.code

    return start


def test_what_came_to_nothing_twice_has_failed(in_job, sweep, stub_worker, too_late):
    stub_worker("time.sleep(300)")
    begun = in_job(trials=2)
    begin_attempt(sweep.directory, sweep.trials[1])  # of an earlier job
    assert [too_late(begun), too_late(begun), too_late(begun)] == [0, 0, ExitCode.FAILED]
    for trial_id in sweep.trials[:2]:
        record = read_record(SweepDir(sweep.directory).record(trial_id))
        assert (record.error.type, record.attempts) == ("NoProgress", 1)
        assert record.error.message.startswith("the job started 2 times, but no trial began")
        assert "4001_0" in record.error.traceback
    assert not SweepDir(sweep.directory).record(sweep.trials[2]).exists()


def begin_attempt(directory, trial_id):
    path = SweepDir(directory).begun(trial_id) / "attempt-1.json"
    path.parent.mkdir(parents=True)
    path.write_text(Attempt(number=1, released=True).model_dump_json())


def live_attempt(directory, trial_id):
    path = SweepDir(directory).begun(trial_id) / "attempt-1.json"
    path.parent.mkdir(parents=True)
    path.write_text(Attempt(number=1, machine="elsewhere", job="4001_0").model_dump_json())


def finish_trial(directory, trial_id):
    SweepDir(directory).record(trial_id).parent.mkdir()
    SweepDir(directory).record(trial_id).write_text("a record")


@pytest.mark.parametrize(
    ("starts", "progress"),
    [(0, None), (1, None), (2, begin_attempt), (2, finish_trial)],
)
def test_what_has_begun_or_came_to_nothing_less_often_goes_on(in_job, sweep, stub_worker, too_late, starts, progress):
    stub_worker('say("ready")\nfor trial in given():\n    finish(trial)\n')
    begun = in_job(trials=2)
    assert [too_late(begun) for _ in range(starts)] == [0] * starts
    if progress:
        progress(sweep.directory, sweep.trials[0])
    begun()
    assert given(sweep.directory)[-1] == sweep.trials[1]
    assert SweepDir(sweep.directory).record(sweep.trials[1]).read_text() == "a record"


def test_a_job_that_waits_for_its_first_copy_does_not_give_up(in_job, sweep, stub_worker, too_late):
    stub_worker("time.sleep(300)")
    begun = in_job()
    live_attempt(sweep.directory, sweep.trials[0])
    assert [too_late(begun) for _ in range(4)] == [0] * 4
    assert not list(sweep.directory.glob("trials/*"))


def test_a_job_that_was_requeued_often_with_nothing_left_to_do_ends(in_job, sweep, stub_worker):
    stub_worker("sys.exit('a worker was started')")
    begun = in_job()
    finish_trial(sweep.directory, sweep.trials[0])
    begun()
    assert SweepDir(sweep.directory).record(sweep.trials[0]).read_text() == "a record"


def test_a_job_is_a_directory_and_keys():
    """Nothing of the configuration, which could be older than the sweep, and no code."""
    one = Job("/some/where", "0123abcd", 17)
    text = pickle.dumps(one)
    assert len(text) < 400
    assert pickle.loads(text) == one
    assert vars(one) == {"directory": "/some/where", "token": "0123abcd", "number": 17}
    assert one.checkpoint().function == one


@pytest.mark.parametrize(
    ("shared", "slurm", "devices"),
    [
        ({"device": "cpu"}, {"workers": 3}, ["cpu"] * 3),
        ({"device": "cpu", "world_size": 2}, {"workers": 3}, ["cpu"]),
        ({"device": "cuda"}, {"gpus": 1}, ["cuda:0"]),
        ({"device": "cuda"}, {"gpus": 2, "per_gpu": 2}, ["cuda:0", "cuda:1", "cuda:0", "cuda:1"]),
        ({"device": "cuda", "world_size": 2}, {"gpus": 2}, ["cuda:0"]),
        ({"device": "cuda", "world_size": 2}, {"gpus": 6}, ["cuda:0", "cuda:2", "cuda:4"]),
        ({"device": "cuda", "world_size": 4}, {"gpus": 2, "nodes": 2}, ["cuda:0"]),
    ],
)
def test_the_devices_of_a_jobs_workers(in_job, sweep, monkeypatch, shared, slurm, devices):
    monkeypatch.setenv("SUBMITIT_EXECUTOR", "slurm")
    monkeypatch.setenv("SLURM_JOB_NODELIST", "127.0.0.[1-2]")
    for name in (ADDRESS, NODES):
        monkeypatch.setenv(name, "")  # so that it is gone after the test
        monkeypatch.delenv(name)
    in_job()
    (submission,) = sweep.submissions()
    submission = submission.model_copy(update={"slurm": Slurm(**slurm)})
    experiment = sweep.experiment
    experiment = experiment.model_copy(update={"shared": experiment.shared.model_copy(update=shared)})
    launcher = job._launcher(sweep.directory, submission, experiment, 7, Watchman(submission.slurm))
    assert launcher.devices == devices
    assert launcher.prefix == f"job-{submission.token}-7"
    crew = ("127.0.0.1:24002", "2") if slurm.get("nodes", 1) > 1 else (None, None)
    assert (os.environ.get(ADDRESS), os.environ.get(NODES)) == crew


def test_a_job_waits_for_its_first_copy_and_for_others_until_it_is_certain_that_they_live(in_job, sweep, monkeypatch):
    """What was killed on another machine seconds ago cannot yet be told from what is at work there."""
    in_job()
    (submission,) = sweep.submissions()
    launcher = job._launcher(sweep.directory, submission, sweep.experiment, 0, Watchman(submission.slurm))
    mine, others = Attempt(number=1, job="4001_0"), [Attempt(number=1, job="3000_7"), Attempt(number=2)]
    began = time.monotonic()
    assert all(map(launcher.waits_for, [mine, *others]))
    monkeypatch.setattr(job.time, "monotonic", lambda: began + STALE - 1)
    assert all(map(launcher.waits_for, [mine, *others]))
    later = Attempt(number=3, job="3000_7")
    assert launcher.waits_for(later)
    monkeypatch.setattr(job.time, "monotonic", lambda: began + STALE + 10)
    assert [launcher.waits_for(each) for each in (mine, *others, later)] == [True, False, False, True]


@pytest.mark.parametrize("missing", [True, False])
def test_a_further_node_follows_where_there_is_something_to_do(in_job, sweep, monkeypatch, missing):
    begun, followed = in_job(), []
    monkeypatch.setenv("SLURM_PROCID", "1")
    monkeypatch.setattr(job, "_follow", lambda *_: followed.append(True))
    if not missing:
        finish_trial(sweep.directory, sweep.trials[0])
    begun()
    assert bool(followed) == missing


def test_a_job_on_one_node_starts_without_torch():
    code = "import sys, ablate.launch.slurm.job; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.fixture
def trained_here(cache, tmp_path):
    """Trains a sweep's trials in this process, one after the other: the results that Slurm's are to equal."""

    def run(out):
        train_here(out, cache, tmp_path / "here")
        return results(tmp_path / "here")

    return run


@pytest.fixture
def submitted(tiny_folder, cache, tmp_path, fake_slurm, monkeypatch):
    """A submitted job of two trials on real images, one of which takes a while; its directory."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    out = tmp_path / "out"
    where = ["--data", f"folder:{tiny_folder}", "--cache", cache, "--out", out, *SETTINGS, "--epochs", "60"]
    done = ablate("grid", "--ops", "crop", "--launcher", "slurm", "--trials-per-job", "2", *where)
    assert done.returncode == 0, done.stderr
    return out


def caught_in_the_act(out):
    """The running trial's id, and the process of its worker's launcher."""
    wait_for(mid_trial(out))
    (progress,) = out.glob("running/*/progress.json")
    trial_id = progress.parent.name
    stat = Path(f"/proc/{last_attempt(out, trial_id).pid}/stat").read_text()
    return trial_id, int(stat.rpartition(")")[2].split()[1])


@pytest.mark.slow
def test_a_job_told_to_end_and_started_again_has_the_bits_of_an_uninterrupted_sweep(
    submitted, fake_slurm, trained_here
):
    process = fake_slurm.start("4001")
    trial_id, launcher = caught_in_the_act(submitted)
    fake_slurm.set_state("4001", "PENDING")  # Slurm requeues it, and says so
    os.kill(launcher, signal.SIGTERM)
    assert fake_slurm.finish(process, "4001") != 0
    assert last_attempt(submitted, trial_id).released
    assert (submitted / "running" / trial_id / "checkpoint.pt").exists()
    assert not requeues(fake_slurm)
    assert fake_slurm.run("4001") == 0
    assert fake_slurm.task("4001")["restarts"] == 1
    records, _ = read_records(submitted)
    assert {each: record.attempts for each, record in records.items() if record.attempts > 1} == {trial_id: 2}
    assert results(submitted) == trained_here(submitted)
    assert not list(submitted.glob("running/*"))


@pytest.mark.slow
def test_a_job_warned_twice_requeues_itself_once_and_goes_on(submitted, fake_slurm, trained_here):
    process = fake_slurm.start("4001")
    trial_id, launcher = caught_in_the_act(submitted)
    for _ in range(2):
        os.kill(launcher, signal.SIGUSR2)
    fake_slurm.finish(process, "4001")
    assert requeues(fake_slurm) == ["4001"]
    assert last_attempt(submitted, trial_id).released
    assert fake_slurm.run("4001") == 0
    assert read_records(submitted)[0][trial_id].attempts == 2
    assert results(submitted) == trained_here(submitted)


def test_a_job_cancelled_while_slurm_does_not_answer_is_not_put_back(in_job, fake_slurm, monkeypatch):
    in_job()
    fake_slurm.fail("scontrol", times=10)
    asked = []
    monkeypatch.setattr(cluster, "PAUSE", (0.01, 0.02))
    assert not cluster.requeue("4001_0", unless=lambda: asked.append(1) or len(asked) > 3)
    assert len(requeues(fake_slurm)) == 3
    assert fake_slurm.task("4001", 0)["state"] == "RUNNING"
