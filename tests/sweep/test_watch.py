"""How the processes of one trial are watched, with processes that train nothing, and what becomes of their trial."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch

from ablate.errors import DiskError, Interrupted, LostLease, LostNode
from ablate.launch import ranks
from ablate.launch.nodes import Crew
from ablate.launch.ranks import run_ranks, watch
from ablate.sweep.layout import SweepDir
from ablate.sweep.lease import claim
from ablate.sweep.plan import plan
from ablate.sweep.record import Failure, failed_from_outside, read_record
from tests.support.sweeps import write_record


@pytest.fixture(autouse=True)
def hasty(monkeypatch):
    monkeypatch.setattr(ranks, "POLL", 0.02)
    monkeypatch.setattr(ranks, "LOOK", 0.1)
    monkeypatch.setattr(ranks, "GRACE", 5.0)


@pytest.fixture
def shells():
    """Processes that run shell lines, as the ranks of a trial."""
    started = []

    def start(*lines):
        started.extend(subprocess.Popen(["sh", "-c", line], stdin=subprocess.PIPE) for line in lines)
        return started

    yield start
    assert all(process.poll() is not None for process in started), "left running"


def test_a_process_that_stopped_in_order_has_not_failed_and_the_others_may_save(shells):
    first, codes = watch(shells("exit 130", "sleep 0.5; exit 130"))
    assert (first, codes) == ("", [130, 130])


def test_after_a_failure_the_others_have_a_moment_to_write_it_down(shells):
    first, codes = watch(shells("sleep 0.5; exit 1", "kill -9 $$"))
    assert first == "process 1 of 2 (signal SIGKILL)"
    assert codes == [1, -signal.SIGKILL]


def test_the_moment_ends(shells, monkeypatch):
    monkeypatch.setattr(ranks, "GRACE", 0.1)
    began = time.monotonic()
    first, codes = watch(shells("exit 3", "exec sleep 300"))
    assert first == "process 0 of 2 (exit code 3)"
    assert codes == [3, None]
    assert time.monotonic() - began < 60  # not a benchmark: a hang


def test_all_are_asked_to_stop_once(shells, tmp_path):
    line = f"trap 'echo x >> {tmp_path}/asked; [ -e {tmp_path}/go ] && exit 130' TERM; touch {tmp_path}/up$$; "
    processes = shells(*[line + "while :; do sleep 0.05; done"] * 2)
    looks = []

    def should_stop():
        looks.append(len(list(tmp_path.glob("up*"))) == 2)
        (tmp_path / "go").touch()
        return looks[-1]

    first, codes = watch(processes, should_stop)
    assert (first, codes) == ("", [130, 130])
    assert (tmp_path / "asked").read_text() == "x\n" * 2


@pytest.mark.parametrize("lines", [("exec sleep 300",) * 2, ("exit 74", "exec sleep 300")])
def test_whoever_may_write_no_more_is_killed_at_once(shells, lines):
    """The lease is lost, or the disk refuses: there is nothing to wait for."""
    began = time.monotonic()
    _, codes = watch(shells(*lines), held=lambda: "exit 74" in lines)
    assert codes[1] is None
    assert time.monotonic() - began < 2 * ranks.GRACE - 2


@pytest.fixture
def trial(experiment):
    return plan(experiment)[0]


@pytest.fixture
def ended(trial, tmp_path, monkeypatch):
    """Runs a trial whose processes end in a given way, having left ``record``; ``first`` is the first to fail."""

    def run(first, codes, record="", nodes=1, should_stop=False, before_the_end=lambda: None):
        def watched(*_):
            if record:
                failure = Failure(type=record, message="another process died", traceback="")
                write_record(tmp_path, failed_from_outside(trial, failure, 1))
            before_the_end()
            return first, codes

        monkeypatch.setattr(ranks, "start_ranks", lambda *_, **__: [])
        monkeypatch.setattr(ranks, "watch", watched)
        with claim(tmp_path, trial.id) as lease:
            crew = Crew(nodes=nodes)
            return run_ranks(trial, lease, torch.device("cpu"), Path("/cache"), crew, lambda: should_stop)

    return run


def test_the_record_that_the_processes_left_is_the_trials(ended, trial, tmp_path):
    assert ended("process 1 of 2 (exit code 1)", [1, 1], "Diverged") == read_record(SweepDir(tmp_path).record(trial.id))


def test_a_process_that_died_is_named_in_what_the_other_wrote(ended, trial, tmp_path):
    result = ended("process 1 of 2 (signal SIGKILL)", [1, -9], "LostRank")
    assert result.error.message == "process 1 of 2 (signal SIGKILL) ended; another process died"
    assert read_record(SweepDir(tmp_path).record(trial.id)) == result


@pytest.mark.parametrize(
    ("first", "codes"), [("process 0 of 2 (exit code 1)", [1, 1]), ("process 1 of 2 (exit code 1)", [None, 1])]
)
def test_a_process_lost_on_another_node_is_not_the_trials_fault(ended, trial, tmp_path, first, codes):
    """Those here end with exit code 1, having noticed; the trial is to be tried again."""
    with pytest.raises(LostNode, match="another process died"):
        ended(first, codes, "LostRank", nodes=2)
    assert not SweepDir(tmp_path).record(trial.id).exists()
    assert len(list(tmp_path.glob("trials/*.lost"))) == 1


def test_a_process_that_was_missed_when_all_were_to_stop_is_not_the_trials_fault(ended, trial, tmp_path):
    with pytest.raises(Interrupted):
        ended("process 1 of 2 (signal SIGTERM)", [1, -signal.SIGTERM], "LostRank", should_stop=True)
    assert not SweepDir(tmp_path).record(trial.id).exists()


def test_of_several_nodes_too_a_process_that_died_here_is_named(ended):
    result = ended("process 1 of 2 (signal SIGSEGV)", [1, -signal.SIGSEGV], "LostRank", nodes=2)
    assert result.error.message.startswith("process 1 of 2 (signal SIGSEGV) ended")


def test_without_a_record(ended, trial, tmp_path):
    with pytest.raises(Interrupted):
        ended("", [130, 130], should_stop=True)
    with pytest.raises(Interrupted):
        ended("process 1 of 2 (signal SIGTERM)", [None, -signal.SIGTERM], should_stop=True)  # as it was starting
    with pytest.raises(DiskError, match=r"logs/.*\.log"):
        ended("process 0 of 2 (exit code 74)", [74, None])
    result = ended("process 1 of 2 (signal SIGKILL)", [None, -9])
    assert (result.error.type, result.attempts) == ("ProcessDied", 4)
    assert "first to end: process 1 of 2 (signal SIGKILL)" in result.error.message


def test_who_lost_the_lease_writes_no_record(ended, trial, tmp_path):
    later = tmp_path / "running" / trial.id / "attempt-2.json"
    with pytest.raises(LostLease):
        ended("", [None, None], before_the_end=lambda: later.write_text("{}"))
    assert not list(tmp_path.glob("trials/*"))


def test_processes_that_did_not_meet_those_of_another_node_are_not_the_trials_fault(ended, trial, tmp_path):
    with pytest.raises(LostNode, match="could not connect to those of the other nodes"):
        ended("process 0 of 1 (exit code 1)", [1], nodes=2)
    assert not SweepDir(tmp_path).record(trial.id).exists()
    assert ended("process 0 of 2 (exit code 1)", [1, 1]).error.type == "ProcessDied"  # on one node it is
