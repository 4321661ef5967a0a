"""Real worker processes on a data set of 72 tiny images; commands that are not about them train in this process."""

from __future__ import annotations

import os
import re
import shutil
import signal
import time

import pytest

from ablate.sweep.plan import load_plan
from ablate.sweep.record import read_records
from tests.support import commands
from tests.support.grids import alive, command, mid_trial, results, run, wait_for, worker_pids
from tests.support.in_process import run_here


@pytest.fixture(scope="module")
def sweep(tiny_folder, cache, tmp_path_factory):
    """A finished sweep of two ops with every reference, by one worker."""
    out = tmp_path_factory.mktemp("sweep") / "out"
    done = run(tiny_folder, cache, out, "--workers", "1", "--references")
    assert done.returncode == 0, done.stdout + done.stderr
    return out, done


def test_a_sweep_from_nothing_to_the_heatmap(sweep):
    out, done = sweep
    assert len(results(out)) == 4 + 3
    assert "4 cells x 1 seed + 3 references = 7 trials; 7 to run" in done.stdout
    assert re.search(r"\[\d/7\] crop\+color seed 0: linear \d+\.\d%", done.stdout)
    for name in ("heatmap.png", "heatmap.svg", "heatmap.pdf", "table.csv", "table.tex"):
        assert (out / "report" / name).stat().st_size > 0
    assert not list(out.glob("running/*"))
    assert done.stderr == ""


@pytest.mark.slow
def test_two_workers_give_identical_results(sweep, tiny_folder, cache, tmp_path):
    done = run(tiny_folder, cache, tmp_path / "two", "--workers", "2", "--references")
    assert done.returncode == 0, done.stdout + done.stderr
    assert results(tmp_path / "two") == results(sweep[0])


@pytest.mark.usefixtures("undrawn")
@pytest.mark.slow
def test_the_same_command_again_runs_nothing_and_extension_runs_the_rest(sweep, tiny_folder, cache, tmp_path):
    out = tmp_path / "copy"
    shutil.copytree(sweep[0], out)
    before = {path: path.stat().st_mtime_ns for path in out.glob("trials/*.json")}
    again = run_here(command(tiny_folder, cache, out, "--workers", "1", "--references"))
    assert again.returncode == 0
    assert "7 done; 0 to run" in again.stdout
    assert {path: path.stat().st_mtime_ns for path in out.glob("trials/*.json")} == before
    more = run_here(command(tiny_folder, cache, out, "--workers", "1", "--seeds", "2", ops="crop,flip"))
    assert more.returncode == 0, more.stderr
    assert "9 cells x 2 seeds + 6 references = 24 trials; 7 done; 17 to run" in more.stdout
    assert before.items() <= {path: path.stat().st_mtime_ns for path in out.glob("trials/*.json")}.items()
    assert load_plan(out).seeds == (0, 1)


@pytest.mark.usefixtures("undrawn")
@pytest.mark.slow
def test_a_disk_that_refuses_stops_the_sweep_and_keeps_what_is_done(sweep, tiny_folder, cache, tmp_path):
    out = tmp_path / "copy"
    shutil.copytree(sweep[0], out)
    sorted(out.glob("trials/*.json"))[0].unlink()
    shutil.rmtree(out / "running", ignore_errors=True)
    (out / "running").write_text("in the way")
    done = run(tiny_folder, cache, out, "--workers", "1", "--references")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "stopped: the disk refused a write" in done.stdout
    assert "finished trials are intact" in done.stdout
    assert len(results(out)) == 6
    (out / "running").unlink()
    assert run_here(command(tiny_folder, cache, out, "--workers", "1", "--references")).returncode == 0
    assert results(out) == results(sweep[0])


@pytest.mark.usefixtures("undrawn")
def test_damaged_records_are_set_aside_and_rerun_alone(sweep, tiny_folder, cache, tmp_path):
    out = tmp_path / "copy"
    shutil.copytree(sweep[0], out)
    victim = sorted(out.glob("trials/*.json"))[0]
    victim.write_text(victim.read_text()[:50])
    leftover = out / "running" / sorted(out.glob("trials/*.json"))[1].stem
    leftover.mkdir(parents=True)
    done = run_here(command(tiny_folder, cache, out, "--workers", "1", "--references"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "damaged record set aside" in done.stdout
    assert "6 done; 1 to run" in done.stdout
    assert (victim.parent / f"{victim.name}.damaged").exists()
    assert not leftover.exists()
    assert results(out) == results(sweep[0])


def test_another_sweep_in_the_directory_is_refused(sweep, tiny_folder, cache):
    done = run_here(command(tiny_folder, cache, sweep[0], "--set", "temperature=0.9"))
    assert done.returncode == 2
    assert "temperature was 0.2, is 0.9" in done.stderr
    assert done.stdout == ""


def test_dry_run_plans_estimates_and_runs_nothing(tiny_folder, cache, tmp_path):
    done = run_here(command(tiny_folder, cache, tmp_path / "dry", "--dry-run", "--workers", "2"))
    assert done.returncode == 0, done.stderr
    assert "4 cells x 1 seed + 1 reference = 5 trials; 5 to run" in done.stdout
    # no estimate, or one with a warning, where the machine is busy
    assert re.search(r"measuring a few steps ...\n(this machine is busy .*\n)?(estimated|no estimate): ", done.stdout)
    assert re.search(r"memory: about 0.4 GiB per worker, .* for 2 workers", done.stdout)
    assert not (tmp_path / "dry").exists()


@pytest.fixture
def long_sweep(tiny_folder, cache, tmp_path):
    """A running sweep, caught in the middle of a trial that has a checkpoint."""
    out = tmp_path / "long"
    line = command(tiny_folder, cache, out, "--workers", "1", "--epochs", "50", ops="crop")
    process = commands.Started(line, tmp_path)
    wait_for(mid_trial(out))
    yield out, line, process
    process.kill()  # its worker ends with it


def test_ctrl_c_stops_within_seconds_and_says_how_to_resume(long_sweep):
    out, _, process = long_sweep
    workers = worker_pids(out)
    started = time.monotonic()
    os.kill(process.pid, signal.SIGINT)
    done = process.wait(60)
    assert time.monotonic() - started < 10  # not a benchmark: a hang
    assert done.returncode == 130
    assert "run the same command again to resume" in done.stderr
    wait_for(lambda: not any(alive(pid) for pid in workers), 10)


@pytest.mark.usefixtures("undrawn")
@pytest.mark.slow
def test_kill_9_in_the_middle_of_a_trial_then_the_same_command_is_bit_identical(long_sweep, tmp_path):
    out, line, process = long_sweep
    victims = worker_pids(out) | {process.pid}
    for pid in victims:
        os.kill(pid, signal.SIGKILL)
    process.wait(60)
    again = commands.run(line)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "; 1 begun; " in again.stdout
    records, _ = read_records(out)
    assert max(record.attempts for record in records.values()) == 2
    fresh = [*line]
    fresh[fresh.index("--out") + 1] = str(tmp_path / "fresh")
    assert run_here(fresh).returncode == 0
    assert results(out) == results(tmp_path / "fresh")


@pytest.mark.slow
def test_a_launcher_killed_alone_takes_its_workers_along(long_sweep):
    out, _, process = long_sweep
    workers = worker_pids(out)
    os.kill(process.pid, signal.SIGKILL)
    wait_for(lambda: not any(alive(pid) for pid in workers), 10)


@pytest.mark.slow
def test_a_worker_killed_once_is_replaced(long_sweep):
    out, _, process = long_sweep
    for pid in worker_pids(out):
        os.kill(pid, signal.SIGKILL)
    done = process.wait(240)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(results(out)) == 2


@pytest.mark.slow
def test_two_commands_do_not_share_a_directory(long_sweep):
    _, line, process = long_sweep
    os.kill(process.pid, signal.SIGSTOP)  # it keeps the directory, however slow the second command is to start
    second = commands.run(line)
    assert second.returncode == 2
    assert "another ablate command is at work" in second.stderr
