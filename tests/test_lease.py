from __future__ import annotations

import ast
import errno
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ablate.errors import LostLease, TrialHeld
from ablate.processes.identity import UNTOLD, machine_id, start_time
from ablate.sweep import holders, lease
from ablate.sweep.attempts import UNBEGUN, Attempt, last_attempt
from ablate.sweep.holders import holder
from ablate.sweep.layout import SweepDir
from ablate.sweep.lease import claim, handed_on, inherit, release
from tests.support.modules import modules

TRIAL = "0123456789abcdef-s0"


def attempt_file(directory: Path, number: int = 1) -> Path:
    return SweepDir(directory).begun(TRIAL) / f"attempt-{number}.json"


def left_behind(directory: Path, number: int = 1, seconds_ago: float = 0.0, **changes: object) -> Attempt:
    """An attempt of a process on another machine that touched its file ``seconds_ago``."""
    attempt = Attempt.model_validate({"number": number, "machine": "another", "pid": 1, "host": "node4", **changes})
    path = attempt_file(directory, number)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(attempt.model_dump_json())
    touched = time.time() - seconds_ago
    os.utime(path, (touched, touched))
    return attempt


def test_one_at_a_time_and_the_holder_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "17")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    monkeypatch.setenv("SLURMD_NODENAME", "node7")
    with claim(tmp_path, TRIAL) as mine:
        assert mine.number == 1
        with pytest.raises(
            TrialHeld, match=r"another process is at work on this trial: job 17_3 on node7 \(process \d+ of \w+\)"
        ):
            claim(tmp_path, TRIAL).__enter__()
    assert holder(tmp_path, TRIAL) is None
    with claim(tmp_path, TRIAL) as again:
        assert again.number == 2


RACE = """
import sys
from pathlib import Path
from ablate.errors import TrialHeld
from ablate.sweep.lease import claim
print("ready", flush=True)
sys.stdin.readline()
try:
    with claim(Path(sys.argv[1]), "{}"):
        print("mine", flush=True)
        sys.stdin.read()
except TrialHeld:
    print("held", flush=True)
"""


def test_of_many_processes_at_once_exactly_one_has_the_trial(tmp_path):
    left_behind(tmp_path, seconds_ago=3600)  # they race for the succession
    command = [sys.executable, "-c", RACE.format(TRIAL), str(tmp_path)]
    racers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) for _ in range(6)
    ]
    assert [racer.stdout.readline() for racer in racers] == ["ready\n"] * 6
    for racer in racers:
        racer.stdin.write("go\n")
    answers = sorted(racer.stdout.readline().strip() for racer in racers)
    for racer in racers:
        racer.communicate(timeout=60)
    assert answers == ["held"] * 5 + ["mine"]
    assert last_attempt(tmp_path, TRIAL).number == 2


def test_of_many_threads_of_one_process_exactly_one_has_the_trial(tmp_path, monkeypatch):
    create, created, over = lease.create, threading.Event(), threading.Barrier(4)

    def slowly(path, content):
        try:
            return create(path, content)
        finally:
            created.set()
            time.sleep(0.2)  # in which the others look at who has it

    def attempt(number, directory):
        if number > 0:
            assert created.wait(20)
        try:
            with claim(directory, TRIAL) as mine:
                over.wait(20)
                return mine.number
        except TrialHeld:
            over.wait(20)
            return 0

    monkeypatch.setattr(lease, "create", slowly)
    (tmp_path / "link").symlink_to(tmp_path)
    monkeypatch.chdir(tmp_path)
    with ThreadPoolExecutor(4) as pool:
        numbers = list(pool.map(attempt, range(4), [tmp_path, tmp_path, tmp_path / "link", Path()]))
    assert numbers == [1, 0, 0, 0]


def test_a_process_that_died_on_this_machine_is_succeeded_at_once(tmp_path):
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, text=True) as process:
        left_behind(tmp_path, machine=machine_id(), pid=process.pid, born=start_time(process.pid))
        assert holder(tmp_path, TRIAL).pid == process.pid
        with pytest.raises(TrialHeld):
            claim(tmp_path, TRIAL).__enter__()
        process.kill()
    assert holder(tmp_path, TRIAL) is None
    with claim(tmp_path, TRIAL) as mine:
        assert mine.number == 2


def test_a_process_that_the_system_hides_is_told_by_its_signs_of_life(tmp_path, monkeypatch):
    """Mounts with hidepid show nobody the processes of another user, but that there is one."""
    left_behind(tmp_path, machine=machine_id(), pid=os.getppid(), born=17)
    monkeypatch.setattr(holders, "start_time", lambda pid: UNTOLD)
    assert holder(tmp_path, TRIAL)
    os.utime(attempt_file(tmp_path), (0, 0))
    assert holder(tmp_path, TRIAL) is None


def test_who_finishes_may_remove_the_folder_at_any_moment(tmp_path, monkeypatch):
    create, removed = lease.create, []

    def too_late(path, content):
        if not removed:
            removed.append(path.parent.rmdir())
        return create(path, content)

    monkeypatch.setattr(lease, "create", too_late)
    with claim(tmp_path, TRIAL) as mine:
        assert mine.number == 1
    assert removed


def test_a_process_number_that_was_given_out_again_is_not_the_holder(tmp_path):
    left_behind(tmp_path, machine=machine_id(), pid=os.getppid(), born=start_time(os.getppid()) - 1)
    assert holder(tmp_path, TRIAL) is None


def test_on_another_machine_silence_decides_by_the_file_servers_clock(tmp_path, monkeypatch):
    left_behind(tmp_path, seconds_ago=holders.STALE - 30)
    monkeypatch.setattr(time, "time", lambda: 0.0)  # this machine's own clock is far behind
    with pytest.raises(TrialHeld):
        claim(tmp_path, TRIAL).__enter__()
    monkeypatch.undo()
    left_behind(tmp_path, seconds_ago=holders.STALE + 30)
    with claim(tmp_path, TRIAL) as mine:
        assert mine.number == 2


def test_the_holder_shows_signs_of_life(tmp_path, monkeypatch):
    monkeypatch.setattr(lease, "BEAT", 0.05)
    with claim(tmp_path, TRIAL):
        os.utime(attempt_file(tmp_path), (0, 0))
        deadline = time.monotonic() + 10
        while attempt_file(tmp_path).stat().st_mtime == 0 and time.monotonic() < deadline:
            time.sleep(0.02)
        assert attempt_file(tmp_path).stat().st_mtime > 0


def test_who_was_succeeded_must_write_nothing_more(tmp_path):
    with claim(tmp_path, TRIAL) as first:
        assert first.held()
        left_behind(tmp_path, number=2)
        assert not first.held()
        with pytest.raises(LostLease, match=r"taken this trial over \(node4 \(process 1 of "):
            first.check()
        with pytest.raises(LostLease):
            first.begin(5)
        release(tmp_path, TRIAL, first.number)
        assert holder(tmp_path, TRIAL).number == 2  # and cannot give away what is not its own
    attempt_file(tmp_path, 2).unlink()
    attempt_file(tmp_path, 1).unlink()
    with pytest.raises(LostLease, match="it has finished"):  # the other one, and has cleaned up
        first.check()


def test_what_is_written_through_a_lost_lease_is_refused(tmp_path):
    path = SweepDir(tmp_path).record(TRIAL)
    with claim(tmp_path, TRIAL) as first:
        first.write(path, "mine")
        left_behind(tmp_path, number=2)
        for lost in (first, handed_on(tmp_path, TRIAL, 1)):
            with pytest.raises(LostLease, match="nothing more was written"):
                lost.write(path, "not mine")
    assert path.read_text() == "mine"


def test_an_inherited_lease_counts_as_no_attempt_and_ends_with_the_next_one(tmp_path):
    path = SweepDir(tmp_path).record(TRIAL)
    inherit(tmp_path, TRIAL, None).write(path, "of a trial that nobody began")
    over = left_behind(tmp_path, number=3, seconds_ago=3600)
    heir = inherit(tmp_path, TRIAL, over)
    heir.write(path, "of a dead process")
    assert last_attempt(tmp_path, TRIAL) == over
    with claim(tmp_path, TRIAL) as mine:
        assert mine.number == 4
        with pytest.raises(LostLease):
            heir.write(path, "too late")
    assert path.read_text() == "of a dead process"


LEASED = {"record", "parked", "checkpoint", "encoder"}
"""The files of a trial that a lease writes, by their names in SweepDir."""


def bypasses(call: ast.Call) -> bool:
    """True for a call that makes a lease, or writes one of the ``LEASED`` files itself."""
    name = ast.unparse(call.func).rpartition(".")[2]
    called = [node.func for node in ast.walk(call) if isinstance(node, ast.Call)]
    named = {function.attr for function in called if isinstance(function, ast.Attribute)}
    return name == "Lease" or (name in ("write_atomically", "write_text", "write_bytes") and bool(named & LEASED))


def test_only_leases_write_what_they_protect_and_only_their_module_makes_them():
    found = [
        f"{module}:{node.lineno}"
        for module, path in modules().items()
        if module != "ablate.sweep.lease"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and bypasses(node)
    ]
    assert not found
    assert bypasses(ast.parse("Lease(directory, trial_id, 1)").body[0].value)
    assert bypasses(ast.parse("write_atomically(SweepDir(directory).record(name), text)").body[0].value)


def test_without_hard_links(tmp_path, monkeypatch):
    def refuse(self, target):
        raise OSError(errno.EPERM, "no hard links here")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    with claim(tmp_path, TRIAL), pytest.raises(TrialHeld):
        claim(tmp_path, TRIAL).__enter__()


def test_a_link_whose_answer_nfs_lost_is_ones_own(tmp_path, monkeypatch):
    link = Path.hardlink_to

    def lose_the_answer(self, target):
        link(self, target)
        raise FileExistsError(errno.EEXIST, "the repeated request found the first one's work")

    monkeypatch.setattr(Path, "hardlink_to", lose_the_answer)
    with claim(tmp_path, TRIAL) as mine:
        assert mine.number == 1


def test_a_third_attempt_from_the_same_step_is_fruitless_within_one_job_only(tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    for number, step in enumerate((40, 40), 1):
        left_behind(tmp_path, number=number, job="17", step=step, released=True)
    with claim(tmp_path, TRIAL) as mine:
        assert mine.number == 3
        assert mine.is_fruitless(40)
        assert handed_on(tmp_path, TRIAL, 3).is_fruitless(40)  # as the processes of a trial of several see it
        assert not mine.is_fruitless(41)
        mine.begin(41)
        assert last_attempt(tmp_path, TRIAL).step == 41
    monkeypatch.setenv("SLURM_JOB_ID", "18")
    with claim(tmp_path, TRIAL) as mine:
        assert not mine.is_fruitless(41)


def test_a_job_whose_attempts_end_before_the_first_step_leads_nowhere(tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    for number in (1, 2):
        left_behind(tmp_path, number=number, job="17", released=True)
    with claim(tmp_path, TRIAL) as mine:
        assert mine.is_fruitless(UNBEGUN)
        assert not mine.is_fruitless(0)


def test_an_unreadable_attempt_still_counts(tmp_path):
    left_behind(tmp_path, number=3)
    attempt_file(tmp_path, 3).write_text("{")
    with pytest.raises(TrialHeld, match="an unknown host"):  # it may be in the making
        claim(tmp_path, TRIAL).__enter__()
    os.utime(attempt_file(tmp_path, 3), (0, 0))
    with claim(tmp_path, TRIAL) as mine:
        assert mine.number == 4
