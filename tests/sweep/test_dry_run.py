"""What a dry run says beside its estimate."""

from __future__ import annotations

import io
import os

import pytest
from rich.console import Console

from ablate.launch import dry_run


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize(("load", "device", "told"), [(3.5, "cpu", True), (0.9, "cpu", False), (3.5, "cuda", False)])
def test_a_busy_machine_makes_an_estimate_doubtful(experiment, tmp_path, monkeypatch, load, device, told):
    monkeypatch.setattr(os, "getloadavg", lambda: (load, 0.0, 0.0))
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    console = Console(file=io.StringIO(), width=200)
    dry_run.measured(experiment, device, tmp_path, console)
    said = console.file.getvalue()
    sentence = "this machine is busy (load average 3.5 on 2 cores), so the estimate may be too long"
    assert (sentence in said) == told
