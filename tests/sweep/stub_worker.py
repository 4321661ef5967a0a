"""Workers in place of the real ones: they speak their protocol, train nothing, and are there at once."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

PRELUDE = """
import os, signal, sys, time
from pathlib import Path

directory = Path(sys.argv[3])  # -m ablate.launch.worker DIR DEVICE CACHE

def say(*words):
    print(*words, flush=True)

def finish(trial):
    (directory / "trials").mkdir(exist_ok=True)
    (directory / "trials" / f"{trial}.json").write_text("a record")
    say("done", trial)

def given():
    for line in sys.stdin:
        with (directory / "given").open("a") as file:
            file.write(line)
        yield line.strip()

"""


@pytest.fixture
def stub_worker(tmp_path, monkeypatch):
    """Once called with what they do after the prelude, the launcher's workers are these."""

    def install(source: str) -> None:
        script, start = tmp_path / "stub.py", tmp_path / "stub"
        script.write_text(PRELUDE + source)
        start.write_text(f'#!/bin/sh\nexec {shlex.join([sys.executable, "-S", "-E", str(script)])} "$@"\n')
        start.chmod(0o755)
        monkeypatch.setattr("ablate.launch.pool.sys", SimpleNamespace(executable=str(start)))

    return install


def given(directory: Path) -> list[str]:
    """The trials that workers were given, in order."""
    return (directory / "given").read_text().split()
