"""Children that are told what to do by their parent, and end with it."""

from __future__ import annotations

import os
import subprocess
import sys

from ablate.errors import ExitCode
from ablate.processes.children import lines_of_parent

CHILD = """
import threading
from ablate.processes.children import end_with_parent, own_stdout
answers = own_stdout()
print("of an op", flush=True)
end_with_parent(lambda line: print(len(line), file=answers, flush=True))
threading.Event().wait()
"""


def test_a_child_answers_on_an_output_of_its_own_and_ends_when_its_parent_is_gone():
    command = [sys.executable, "-c", CHILD]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        for line in ("crop", "x" * 300_000):  # more than a pipe holds
            child.stdin.write(f"{line}\n")
            child.stdin.flush()
            assert child.stdout.readline() == f"{len(line)}\n"
        child.stdin.close()
        assert child.wait(60) == ExitCode.FAILED
        assert child.stderr.read() == "of an op\n"


def test_lines_arrive_whole_however_they_are_sent(monkeypatch):
    reading, writing = os.pipe()
    with os.fdopen(reading) as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        lines = lines_of_parent()
        for part in (b"a", b"b\nc\n\xc3", b"\xa9\n"):
            os.write(writing, part)
        os.close(writing)
        assert list(lines) == ["ab", "c", "é"]
