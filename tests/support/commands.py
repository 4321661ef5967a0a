"""Run ablate's commands in processes of their own, forked from one that has imported torch and matplotlib already.

A command of a test spends more time on imports than on work. Whatever needs an interpreter of its own (an encoding, a
count of imports, a process that is killed and its session) starts one with :mod:`subprocess` instead.
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


def run(
    line: Sequence[object], *, cwd: Path | None = None, env: Mapping[str, str] | None = None, timeout: float = 300
) -> subprocess.CompletedProcess[str]:
    """Run ``python -m ablate ARGUMENT...`` to its end, as :func:`subprocess.run` would with its output captured.

    Raises:
        subprocess.TimeoutExpired: it has not ended after ``timeout`` seconds; it is killed then.
    """
    python, *ablate = map(str, line[:3])
    assert (python, ablate) == (sys.executable, ["-m", "ablate"]), line
    arguments = [str(argument) for argument in line[3:]]
    with tempfile.TemporaryDirectory() as said:
        out, err = Path(said, "stdout"), Path(said, "stderr")
        environment = dict(os.environ if env is None else env)
        process = context.Process(target=_main, args=(arguments, str(cwd or Path.cwd()), environment, out, err))
        process.start()
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(list(map(str, line)), timeout, out.read_text(), err.read_text())
        code = process.exitcode
        process.close()
        return subprocess.CompletedProcess(list(map(str, line)), code, out.read_text(), err.read_text())


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
