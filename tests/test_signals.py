"""SIGINT and SIGTERM end every command that trains in the same way, also where SIGINT arrives ignored."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import socket
import sys
import tempfile
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from ablate.errors import Interruption
from ablate.processes.signals import handling, interruptible, resumable
from ablate.sweep.layout import CONFIRMATION
from ablate.sweep.plan import load_plan, plan
from tests.support import commands
from tests.support.grids import SETTINGS, alive, wait_for
from tests.support.sweeps import record, write_record
from tests.sweep.stub_worker import PRELUDE

FIRST_THEN_WAIT = """
def stop(number, frame):
    (directory / "stopped").touch()  # in order: a real worker writes a checkpoint
    os._exit(0)

signal.signal(signal.SIGTERM, stop)
say("ready")
for number, trial in enumerate(given()):
    if number == 0:
        finish(trial)
    else:
        (directory / "busy").write_text(str(os.getpid()))
        time.sleep(300)
"""


@contextlib.contextmanager
def started(function, *arguments, env=None, interrupts=None):
    """Start ``function(*arguments)`` in a process of its own, which does not outlive the block."""
    with tempfile.TemporaryDirectory() as said:
        process = commands.Started(arguments, Path(said), env=env, call=function, interrupts=interrupts)
        try:
            yield process
        finally:
            process.kill()


INT, TERM = signal.SIGINT, signal.SIGTERM
ENDINGS = [
    pytest.param(INT, signal.default_int_handler, 130, id="SIGINT"),
    pytest.param(INT, signal.SIG_IGN, 130, id="SIGINT-ignored"),
    pytest.param(TERM, signal.default_int_handler, 143, id="SIGTERM"),
    pytest.param(TERM, signal.SIG_IGN, 143, id="SIGTERM-where-SIGINT-is-ignored"),
]
TWO = ENDINGS[1:3]
"""For commands that share all of this with ``grid`` but what they call."""


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """In place of Python, for the launcher: a worker that finishes one trial, and is busy with the next."""
    folder = tmp_path_factory.mktemp("stub")
    script, start = folder / "stub.py", folder / "python"
    script.write_text(PRELUDE + FIRST_THEN_WAIT)
    start.write_text(f'#!/bin/sh\nexec {shlex.join([sys.executable, "-S", "-E", str(script)])} "$@"\n')
    start.chmod(0o755)
    return str(start)


def with_workers(python, function, *arguments, **keywords):
    """What a new process does: call ``function``, with other workers."""
    import ablate.launch.pool

    ablate.launch.pool.sys = SimpleNamespace(executable=python)
    function(*arguments, **keywords)


def grid(data, out):
    return ["grid", "--ops", "crop,color", *data, "--out", out, *SETTINGS]


def run(data, out):
    file = out.with_suffix(".toml")
    file.write_text(f'ops = ["crop", "color"]\ndata = "{data[1]}"\nset = {{ image_size = 16, batch_size = 16 }}\n')
    return ["run", file, *data[2:], "--out", out]


def search(data, out):
    return ["search", "--ops", "crop,color", "--budget", "4", *data, "--out", out, *SETTINGS]


@pytest.fixture(scope="module")
def finished(tiny_folder, cache, python, tmp_path_factory):
    """A sweep of which every trial has a made-up record."""
    out = tmp_path_factory.mktemp("finished") / "out"
    line = grid(("--data", f"folder:{tiny_folder}", "--cache", cache), out)
    with started(with_workers, python, commands.command, line) as process:
        wait_for((out / "busy").exists)
        process.process.terminate()
        process.wait(60)
    for trial in plan(load_plan(out)):
        write_record(out, record(trial, 0.4 if trial.reference else 0.9))
    return out


@pytest.mark.parametrize(("number", "inherited", "code"), ENDINGS)
def test_a_grid(number, inherited, code, tiny_folder, cache, python, tmp_path):
    test_a_command_with_workers(grid, number, inherited, code, tiny_folder, cache, python, tmp_path)


@pytest.mark.parametrize(("number", "inherited", "code"), TWO)
@pytest.mark.parametrize("command", [run, search])
def test_a_command_with_workers(command, number, inherited, code, tiny_folder, cache, python, tmp_path):
    out = tmp_path / "out"
    line = command(("--data", f"folder:{tiny_folder}", "--cache", cache, "--workers", "1"), out)
    done = ended(number, inherited, out, with_workers, python, commands.command, line)
    assert done.returncode == code, done.stderr
    assert done.stderr == words(out)


@pytest.mark.parametrize(("number", "inherited", "code"), TWO)
def test_a_confirmation(number, inherited, code, finished, cache, python):
    line = ["recommend", finished, "--confirm", "--cache", cache, "--workers", "1"]
    out = finished / CONFIRMATION
    for name in ("busy", "stopped"):
        (out / name).unlink(missing_ok=True)
    done = ended(number, inherited, out, with_workers, python, commands.command, line)
    assert done.returncode == code, done.stderr
    assert done.stderr == words(out)


def from_python(folder, cache, out):
    import ablate

    ablate.grid("crop,color", out, data=folder, cache=cache, workers=1, batch_size=16, image_size=16, device="cpu")


@pytest.mark.parametrize(("number", "inherited", "code"), TWO)
def test_from_python(number, inherited, code, tiny_folder, cache, python, tmp_path):
    """A script ends as Python ends for Ctrl-C, with a traceback that says what to do; SIGTERM has no traceback."""
    out = tmp_path / "out"
    done = ended(number, inherited, out, with_workers, python, from_python, f"folder:{tiny_folder}", cache, out)
    assert done.stderr.startswith(words(out))
    assert (
        "KeyboardInterrupt: interrupted; make the same call again to resume, or run: ablate run" in done.stderr
    ) == (number == INT)
    assert done.returncode == (code if number == TERM else 1)  # multiprocessing's for an exception; a script's is 130


def ended(number, inherited, out, function, *arguments):
    """The end of a process that gets a signal while its worker is at its second trial."""
    with started(function, *arguments, interrupts=inherited) as process:
        wait_for(lambda: ((out / "busy").exists() and (out / "busy").read_text()) or over(process))
        worker = int((out / "busy").read_text())
        os.kill(process.pid, number)
        done = process.wait(60)
    assert (out / "stopped").exists()
    assert not alive(worker)
    assert len(list(out.glob("trials/*.json"))) == 1  # what was finished is there
    return done


def over(process):
    assert process.process.is_alive(), process.wait(1)
    return False


def words(out):
    return f"interrupted; finished trials and checkpoints are in {out}: run the same command again to resume\n"


@pytest.mark.parametrize(("number", "inherited", "code"), TWO)
def test_train(number, inherited, code, tiny_folder, cache, tmp_path):
    line = train(tiny_folder, cache, tmp_path)
    with started(commands.command, line, interrupts=inherited) as process:
        wait_for(lambda: list(tmp_path.glob("running/*/checkpoint.pt")) or over(process))
        os.kill(process.pid, number)
        done = process.wait(60)
    assert done.returncode == code, done.stderr
    assert done.stderr == words(tmp_path)


def train(folder, cache, out):
    data = ["--data", f"folder:{folder}", "--cache", cache, "--out", out]
    return ["train", "crop", *data, *SETTINGS, "--epochs", "100000", "--no-keep-encoder"]


@pytest.mark.parametrize(("number", "inherited", "code"), TWO)
def test_train_while_it_waits_for_processes_that_do_not_come(number, inherited, code, tiny_folder, cache, tmp_path):
    """As where the variables of torchrun are left over, or where torchrun's other processes have died."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = str(free.getsockname()[1])
    ranks = {"WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0", "MASTER_ADDR": "localhost", "MASTER_PORT": port}
    line, env = train(tiny_folder, cache, tmp_path), {**os.environ, **ranks}
    with started(commands.command, line, env=env, interrupts=inherited) as process:
        wait_for(lambda: accepts(port) or over(process))
        os.kill(process.pid, number)
        done = process.wait(60)
    assert done.returncode == code, done.stderr
    assert "waiting for that many processes" in done.stdout
    assert done.stderr == words(tmp_path)


def accepts(port):
    with socket.socket() as probe:
        return probe.connect_ex(("localhost", int(port))) == 0


def test_a_handler_of_the_program_stays_and_all_are_put_back():
    def own(number, frame):
        heard.append(number)

    heard: list[int] = []
    before = {INT: signal.signal(INT, signal.SIG_IGN), TERM: signal.signal(TERM, own)}
    try:
        with interruptible():
            os.kill(os.getpid(), TERM)
            with pytest.raises(Interruption, match="all finished work is kept"):
                os.kill(os.getpid(), INT)
        assert heard == [TERM]
        assert (signal.getsignal(INT), signal.getsignal(TERM)) == (signal.SIG_IGN, own)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_outside_the_main_thread_signals_are_left_alone():
    def look():
        with interruptible(), handling(print):
            seen.append(signal.getsignal(TERM))

    seen: list[object] = []
    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(TERM)]


@pytest.mark.parametrize(("error", "code"), [(KeyboardInterrupt(), 130), (Interruption(TERM), 143)])
def test_an_interruption_says_how_to_go_on(error, code, tmp_path):
    with pytest.raises(Interruption, match="run the same command again") as end, resumable(tmp_path):
        raise error
    assert end.value.code == code
