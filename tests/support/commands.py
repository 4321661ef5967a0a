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
from collections.abc import Mapping, Sequence
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
    "torchvision",
]
context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(PRELOADED)


class Started:
    """A command in a process of its own."""

    def __init__(
        self,
        line: Sequence[object],
        said: Path,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        """Start ``python -m ablate ARGUMENT...``; its output goes to two files in the directory ``said``."""
        self.line = list(map(str, line))
        assert self.line[:3] == [sys.executable, "-m", "ablate"], self.line
        self.out, self.err = said / "stdout", said / "stderr"
        environment = dict(os.environ if env is None else env)
        where = str(cwd or Path.cwd())
        self.process = context.Process(target=_main, args=(self.line[3:], where, environment, self.out, self.err))
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


def _main(arguments: Sequence[str], cwd: str, environment: Mapping[str, str], out: Path, err: Path) -> None:
    """What the new process does; it is left by SystemExit."""
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for path, descriptor in ((out, 1), (err, 2)):
        file = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
        os.dup2(file, descriptor)
        os.close(file)
    sys.argv = ["ablate", *arguments]
    from ablate.cli import main

    main()
