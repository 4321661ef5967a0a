"""Run ablate's commands in processes of their own, forked from one that has imported torch and matplotlib already.

A command of a test spends more time on imports than on work. Whatever needs an interpreter of its own (an encoding, a
count of imports, a session) starts one with :mod:`subprocess` instead.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

PRELOADED = [
    "ablate.cli",
    "ablate.planning.request",
    "ablate.report.data.study",
    "ablate.report.write",
    "ablate.search.run",
    "ablate.launch.start",
    "matplotlib.backends.backend_agg",
    "matplotlib.backends.backend_pdf",
    "matplotlib.backends.backend_svg",
    "optuna",
    "pandas",
    "scipy.stats",
    "tests.support.commands",
    "tests.support.fonts",
]
context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(PRELOADED)


class Started:
    """A command, or a function, in a process of its own."""

    def __init__(
        self,
        line: Sequence[object],
        said: Path,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        *,
        call: Callable[..., object] | None = None,
        interrupts: signal.Handlers | None = None,
    ) -> None:
        """Start ``python -m ablate ARGUMENT...``; its output goes to two files in the directory ``said``.

        Args:
            line: the command line.
            said: the directory of the two files.
            cwd: the directory to run in.
            env: its environment.
            call: a function of the module level, called with the items of ``line`` in place of the command.
            interrupts: what it inherits for SIGINT: SIG_IGN, as in the background of a script; None: the default.
        """
        self.line = list(map(str, line))
        arguments = tuple(line)
        if call is None:
            assert self.line[:3] == [sys.executable, "-m", "ablate"], self.line
            call, arguments = command, (self.line[3:],)
        self.out, self.err = said / "stdout", said / "stderr"
        environment = dict(os.environ if env is None else env)
        where = str(cwd or Path.cwd())
        given = (call, arguments, where, environment, self.out, self.err, interrupts)
        self.process = context.Process(target=_main, args=given)
        self.process.start()
        assert self.process.pid
        self.pid = self.process.pid

    def wait(self, timeout: float) -> subprocess.CompletedProcess[str]:
        """Wait for its end, as :func:`subprocess.run` does.

        Raises:
            subprocess.TimeoutExpired: it has not ended after ``timeout`` seconds; it is killed then.
        """
        self.process.join(timeout)
        code = self.process.exitcode
        if code is None:
            self.kill()
            raise subprocess.TimeoutExpired(self.line, timeout, self.out.read_text(), self.err.read_text())
        return subprocess.CompletedProcess(self.line, code, self.out.read_text(), self.err.read_text())

    def kill(self) -> None:
        """Kill it if it has not ended."""
        self.process.kill()
        self.process.join()


def run(
    line: Sequence[object], *, cwd: Path | None = None, env: Mapping[str, str] | None = None, timeout: float = 300
) -> subprocess.CompletedProcess[str]:
    """Run ``python -m ablate ARGUMENT...`` to its end, as :func:`subprocess.run` would with its output captured.

    Raises:
        subprocess.TimeoutExpired: it has not ended after ``timeout`` seconds; it is killed then.
    """
    with tempfile.TemporaryDirectory() as said:
        return Started(line, Path(said), cwd, env).wait(timeout)


def _main(
    call: Callable[..., object],
    arguments: Sequence[object],
    cwd: str,
    environment: Mapping[str, str],
    out: Path,
    err: Path,
    interrupts: signal.Handlers | None,
) -> None:
    """What the new process does; it is left by SystemExit, or an exception as a script would be."""
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    signal.signal(signal.SIGINT, signal.default_int_handler if interrupts is None else interrupts)
    for path, descriptor in ((out, 1), (err, 2)):
        file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
        os.dup2(file, descriptor)
        os.close(file)
    call(*arguments)


def command(arguments: Sequence[object]) -> None:
    """Run ``ablate ARGUMENT...`` in this process."""
    sys.argv = ["ablate", *map(str, arguments)]
    from ablate.cli import main

    main()
