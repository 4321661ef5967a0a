"""The local launcher's dealings with its workers, and with trials that others are at work on."""

from __future__ import annotations

import signal
import subprocess
import time

import pytest

from ablate.errors import DiskError, WorkerError
from ablate.launch import oom as memory
from ablate.launch import pool as local
from ablate.launch.pool import WorkerPool
from ablate.processes.identity import machine_id, start_time
from ablate.sweep.attempts import Attempt, last_attempt
from ablate.sweep.layout import SweepDir
from ablate.sweep.plan import plan
from ablate.sweep.record import OUT_OF_MEMORY, read_record
from tests.sweep.stub_worker import given


@pytest.fixture
def trials(experiment):
    return plan(experiment)


@pytest.fixture
def launch(tmp_path, monkeypatch):
    """A launcher in ``tmp_path``; no test takes longer than a minute."""
    monkeypatch.setattr(local, "LOOK", 0.05)
    monkeypatch.setattr(local, "POLL", 0.05)
    deadline = time.monotonic() + 60

    def run(trials, on_change=lambda running: None, workers=1, **settings):
        def watched(running):
            assert time.monotonic() < deadline, "the launcher waits for ever"
            on_change(running)

        launcher = WorkerPool(tmp_path, tmp_path / "cache", ["cpu"] * workers, 1, **settings)
        launcher.run(trials, watched)

    return run


def at_work(directory, trial, **attempt):
    """Somebody's attempt at ``trial``."""
    attempt = Attempt(number=1, **attempt)
    path = SweepDir(directory).begun(trial.id) / "attempt-1.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(attempt.model_dump_json())
    return path


@pytest.fixture
def holder():
    """A living process of this machine, as an attempt names it."""
    with subprocess.Popen(["sleep", "300"]) as process:
        yield process, {"machine": machine_id(), "pid": process.pid, "born": start_time(process.pid)}
        process.kill()


HELD_ONCE = """
say("ready")
seen = set()
for trial in given():
    if trial.startswith(HELD) and trial not in seen:
        seen.add(trial)
        say("held", trial)
    else:
        finish(trial)
"""


def test_a_trial_that_another_process_has_is_waited_for_until_it_dies(launch, trials, tmp_path, holder, stub_worker):
    first, second = trials[:2]
    process, attempt = holder
    at_work(tmp_path, first, **attempt)
    stub_worker(f"HELD = {first.id!r}" + HELD_ONCE)
    looks = []

    def on_change(running):
        if SweepDir(tmp_path).record(second.id).exists():
            looks.append(given(tmp_path))
        if len(looks) == 10:
            process.kill()
            process.wait()

    launch([first, second], on_change)
    assert given(tmp_path) == [first.id, second.id, first.id]
    assert looks[9] == [first.id, second.id], "it was given out again while its holder lived"
    assert SweepDir(tmp_path).record(first.id).exists()


def test_a_trial_that_its_holder_finishes_is_not_run_again(launch, trials, tmp_path, holder, stub_worker):
    first = trials[0]
    attempt = at_work(tmp_path, first, **holder[1])
    stub_worker(f"HELD = {first.id!r}" + HELD_ONCE)
    looks = []

    def on_change(running):
        looks.append(running)
        if len(looks) == 15:
            SweepDir(tmp_path).record(first.id).parent.mkdir()
            SweepDir(tmp_path).record(first.id).write_text("its holder's record")
            attempt.unlink()

    launch([first], on_change)
    assert given(tmp_path) == [first.id]
    assert SweepDir(tmp_path).record(first.id).read_text() == "its holder's record"


def test_a_trial_is_left_to_a_holder_that_is_not_waited_for(launch, trials, tmp_path, holder, stub_worker):
    first, second = trials[:2]
    at_work(tmp_path, first, job="18", **holder[1])
    stub_worker(f"HELD = {first.id!r}" + HELD_ONCE)
    asked = []
    launch([first, second], waits_for=lambda attempt: bool(asked.append(attempt.job)))
    assert given(tmp_path) == [first.id, second.id]
    assert asked == ["18"]
    assert not SweepDir(tmp_path).record(first.id).exists()
    assert holder[0].poll() is None


def kernel(tmp_path, monkeypatch):
    """A control group of this process, as the kernel shows it; its file that counts."""
    group = tmp_path / "cgroup" / "job_17"
    group.mkdir(parents=True)
    (group / "memory.events.local").write_text("oom 0\noom_kill 3\n")
    (tmp_path / "membership").write_text("0::/job_17\n")
    monkeypatch.setattr(memory, "CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(memory, "MEMBERSHIP", tmp_path / "membership")
    return group / "memory.events.local"


KILLED = """
say("ready")
for trial in given():
    if trial == VICTIM and given_so_far().count(VICTIM) <= TIMES:
        print("about to be killed", file=sys.stderr, flush=True)
        if COUNTED:
            Path(COUNTED).write_text("oom_kill 4\\n")
        os.kill(os.getpid(), signal.SIGKILL)
    finish(trial)
"""
SO_FAR = "def given_so_far():\n    return (directory / 'given').read_text().split()\n"


def killed(victim, times, counted=""):
    return f"{SO_FAR}VICTIM, TIMES, COUNTED = {victim.id!r}, {times}, {str(counted)!r}" + KILLED


@pytest.mark.parametrize("counted", [True, False])
def test_a_trial_whose_worker_is_killed_twice_has_failed(launch, trials, tmp_path, monkeypatch, stub_worker, counted):
    file = kernel(tmp_path, monkeypatch)
    stub_worker(killed(trials[0], 2, file if counted else ""))
    launch(trials[:3])
    assert given(tmp_path) == [trials[0].id] * 2 + [trials[1].id, trials[2].id]
    record = read_record(SweepDir(tmp_path).record(trials[0].id))
    assert (record.status, record.attempts) == ("failed", 2)
    assert record.error.type == (OUT_OF_MEMORY if counted else "WorkerDied")
    assert "the worker died 2 times in this trial, last with signal SIGKILL" in record.error.message
    assert ("the kernel killed it for lack of memory" in record.error.message) == counted
    assert ("killed from outside, often for lack of memory" in record.error.message) != counted
    assert "micro_batch" in record.error.message
    assert record.error.traceback.endswith("about to be killed")


def test_a_guest_whose_workers_are_killed_leaves_the_trial_to_others(launch, trials, tmp_path, stub_worker):
    stub_worker(killed(trials[0], 2))
    with pytest.raises(WorkerError, match=r"killed 2 times in .* seed 0.* left to other machines"):
        launch(trials[:2], is_guest=True)
    assert not SweepDir(tmp_path).record(trials[0].id).exists()
    assert given(tmp_path) == [trials[0].id] * 2


def test_a_worker_killed_once_is_nobodys_fault(launch, trials, tmp_path, stub_worker):
    stub_worker(killed(trials[0], 1))
    launch(trials[:2])
    assert given(tmp_path) == [trials[0].id, trials[0].id, trials[1].id]
    assert SweepDir(tmp_path).record(trials[0].id).read_text() == "a record"


def test_a_worker_that_dies_after_its_record_does_not_lose_it(launch, trials, tmp_path, stub_worker):
    stub_worker('say("ready")\nfor trial in given():\n    finish(trial)\n    os._exit(75)\n')
    launch(trials[:2])
    assert given(tmp_path) == [trials[0].id, trials[1].id]


def test_a_worker_that_never_comes_up_ends_the_run_in_words(launch, trials, stub_worker):
    stub_worker("sys.exit('no such module')")
    with pytest.raises(WorkerError, match=r"exit code 1 before its first trial(.|\n)*no such module"):
        launch(trials)


def test_a_disk_that_refuses_ends_the_run(launch, trials, stub_worker):
    stub_worker('say("ready")\nfor trial in given():\n    say("disk [Errno 28] No space left")\n')
    with pytest.raises(DiskError, match="No space left"):
        launch(trials)


class Enough(Exception):
    pass


STUBBORN = """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
say("ready")
for trial in given():
    running = directory / "running" / trial
    running.mkdir(parents=True, exist_ok=True)
    (running / "draft").write_text(ATTEMPT % os.getpid())
    (running / "draft").rename(running / "attempt-1.json")
    time.sleep(300)
"""


@pytest.mark.parametrize("here", [True, False])
def test_a_worker_that_takes_too_long_to_end_is_killed_and_its_own_trial_released(
    launch,
    trials,
    tmp_path,
    stub_worker,
    here,
):
    machine = machine_id() if here else "another, whose processes have the same numbers"
    attempt = Attempt(number=1, machine=machine, born=1).model_dump_json().replace('"pid":0', '"pid":%d')
    stub_worker(f"ATTEMPT = {attempt!r}" + STUBBORN)

    def on_change(running):
        if last_attempt(tmp_path, trials[0].id):
            raise Enough

    began = time.monotonic()
    with pytest.raises(Enough):
        launch(trials, on_change, grace=lambda: 0.2)
    assert time.monotonic() - began < 30  # not a benchmark: a hang
    found = last_attempt(tmp_path, trials[0].id)
    assert found.released == here
    assert start_time(found.pid) == -1


def test_workers_are_given_the_grace_that_is_left(launch, trials, tmp_path, stub_worker):
    """It is asked for again and again: Slurm may come with SIGTERM while they save."""
    saving = "time.sleep(0.3); (directory / 'saved').touch(); os._exit(0)"
    stub_worker(
        f"signal.signal(signal.SIGTERM, lambda *_: exec({saving!r}))\n"
        'say("ready")\nfor trial in given():\n    (directory / "begun").touch()\n    time.sleep(300)\n'
    )
    asked = []

    def on_change(running):
        if (tmp_path / "begun").exists():
            raise Enough

    with pytest.raises(Enough):
        launch(trials, on_change, grace=lambda: asked.append(time.monotonic()) or 30.0)
    assert (tmp_path / "saved").exists()
    assert len(asked) > 1


def test_workers_never_hear_slurms_warning(launch, trials, tmp_path, stub_worker):
    stub_worker('say("ready")\nfor trial in given():\n    os.kill(os.getpid(), signal.SIGUSR2)\n    finish(trial)\n')
    launch(trials[:1])
    assert given(tmp_path) == [trials[0].id]
    assert signal.SIGUSR2 not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_fewer_workers_go_on_from_a_rung_than_came_to_it(trials, tmp_path, stub_worker):
    stub_worker('say("ready")\nfor line in given():\n    finish(line.split()[0])\n')
    launcher = WorkerPool(tmp_path, tmp_path / "cache", ["cpu"] * 2, 1)
    launcher.run(trials[:2], lambda running: None, until=1)
    launcher.run(trials[2:3], lambda running: None)
    lines = sorted((tmp_path / "given").read_text().splitlines())
    assert lines == sorted([f"{trials[0].id} 1", f"{trials[1].id} 1", trials[2].id])
