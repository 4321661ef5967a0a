"""Run ablate's commands in this process, and look at what they said."""

from __future__ import annotations

import contextlib
import functools
import subprocess

import typer.testing
from typer.testing import CliRunner

from ablate.cli.app import app

# Otherwise every call builds all commands anew, which takes half of a call that is refused.
typer.testing._get_command = functools.cache(typer.testing._get_command)
GROUP = typer.testing._get_command(app)


def ablate(*args, cwd=".", **env):
    """The command line in this process (importing torch anew for every question would take minutes)."""
    line = [str(arg) for arg in args]
    with contextlib.chdir(cwd):
        done = CliRunner().invoke(app, line, env=env)
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return subprocess.CompletedProcess(line, done.exit_code, done.stdout, done.stderr)


def one_sentence(done):
    assert done.returncode == 2, (done.returncode, done.stdout, done.stderr)
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("error: ")
    return lines[0]
