"""The simulation of many GPUs, on cases whose answers are known, and the count of calls that it rests on."""

from __future__ import annotations

import pytest

from benchmarks import many_gpus
from benchmarks.file_calls import between, kind_of
from benchmarks.many_gpus import Costs, per_trial, simulate


def spent(outcome):
    return {name: round(seconds, 6) for name, seconds in outcome.spent.items() if seconds}


def test_one_gpu_runs_trials_one_after_the_other():
    outcome = simulate([[10.0, 20.0, 30.0]], 1, Costs(startup=5.0))
    assert outcome.seconds == 65.0
    assert spent(outcome) == {"training": 60.0, "start-up": 5.0}


def test_the_last_trials_leave_gpus_waiting():
    outcome = simulate([[10.0, 10.0, 10.0]], 2, Costs(startup=5.0))
    assert outcome.seconds == 25.0
    assert spent(outcome) == {"training": 30.0, "start-up": 10.0, "last trials": 10.0}
    assert outcome.row()["training"] == pytest.approx(0.6)
    assert simulate([[10.0] * 3], 64, Costs(startup=5.0)).seconds == 15.0  # more GPUs than trials gain nothing


def test_a_stage_begins_when_the_one_before_has_ended():
    outcome = simulate([[10.0, 4.0], [6.0, 6.0]], 2, Costs(startup=1.0))
    assert outcome.seconds == 1 + 10 + 1 + 6
    assert spent(outcome) == {"training": 26.0, "start-up": 4.0, "last trials": 6.0}


def test_calls_to_the_file_system_take_their_latency():
    outcome = simulate([[10.0, 10.0]], 1, Costs(trial=100.0, latency=0.01))
    assert outcome.seconds == pytest.approx(22.0)
    assert spent(outcome) == {"training": 20.0, "files": 2.0}
    assert outcome.calls == 200


def test_a_worker_that_asks_during_a_look_waits_for_its_end():
    """Looks of a second, ten times as long apart: from 0 to 1, 11 to 12, 22 to 23, ..."""
    outcome = simulate([[10.5, 5.0, 1.0]], 1, Costs(startup=0.25, look=100.0, latency=0.01))
    assert outcome.seconds == pytest.approx(1 + 10.5 + 0.5 + 5 + 1)
    assert spent(outcome) == {"training": 16.5, "start-up": 0.25, "command": 0.75 + 0.5}
    assert outcome.calls == 200  # the looks at 0 and 11


def test_looks_see_the_records_and_the_running_trials():
    """A look per second, from 0 to 6; in the first there is nothing."""
    assert simulate([[3.0, 3.0]], 1, Costs(look=1.0)).calls == 7
    assert simulate([[3.0, 3.0]], 1, Costs(record=1.0)).calls == 6
    assert simulate([[3.0, 6.0, 3.0]], 2, Costs(running=1.0)).calls == 3 + 3  # while the one of 6 seconds runs


def test_the_calls_of_many_epochs_lie_on_a_line():
    assert per_trial({"4": {"open": 30, "stat": 10}, "12": {"open": 70, "stat": 10}}) == 40 + 5 * 96


def test_the_committed_simulation_follows_from_the_committed_results():
    rows = many_gpus.result("many_gpus")
    assert rows["seconds of a trial"] == pytest.approx(many_gpus.workloads())
    again = many_gpus.simulations()["ResNet-18"]["no barrier"]["NFS, 1 ms"]
    assert rows["simulated"]["ResNet-18"]["no barrier"]["NFS, 1 ms"]["64"] == pytest.approx(again["64"])


TRACE = """
7 write(3<pipe:[1]>, "ready\\n", 6) = 6
7 openat(AT_FDCWD</tmp>, "/s/trials", O_RDONLY|O_DIRECTORY) = 5</s/trials>
7 newfstatat(5</s/trials>, "", {st_mode=S_IFDIR|0755, ...}, AT_EMPTY_PATH) = 0
7 getdents64(5</s/trials>, 0x5 /* 4 entries */, 32768) = 128
7 getdents64(5</s/trials>, 0x5 /* 0 entries */, 32768) = 0
7 close(5</s/trials>) = 0
8 openat(AT_FDCWD</tmp>, "/elsewhere", O_RDONLY) = 5</elsewhere>
7 write(3<pipe:[1]>, "done 0123-s0\\n", 13) = 13
8 rename("/s/.a", "/s/a") = 0
7 write(3<pipe:[1]>, "done 4567-s0\\n", 13) = 13
7 unlink("/s/a") = 0
"""


def test_calls_are_counted_by_kind_between_marks():
    first, second = ({k: n for k, n in part.items() if n} for part in between(TRACE, "/s", "ready|done "))
    assert first == {"open": 1, "list": 1}
    assert second == {"rename": 1}
    assert kind_of("7 fsync(5</s/trials/.x>) = 0", "/s") == "sync"
    assert kind_of('7 stat("/other", 0x7) = -1 ENOENT', "/s") is None
