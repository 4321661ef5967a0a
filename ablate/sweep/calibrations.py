"""Find the calibrations of other sweeps: their directories, and what they say about the same images. Needs no torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ablate.config.sweep import SweepPlan
from ablate.sweep.layout import SweepDir
from ablate.sweep.plan import is_sweep


def calibrated(directory: Path) -> list[Path]:
    """Return the directories of the cheaper sweeps of a calibration, in the order of their names."""
    below = SweepDir(directory).calibration
    return sorted(path for path in below.iterdir() if is_sweep(path)) if below.is_dir() else []


def quote(directory: Path, plan: SweepPlan) -> str:
    """Return what the calibration of a sweep beside ``directory`` found on the same images; nothing without one.

    Of several calibrations it is the last one.

    Args:
        directory: the directory of the sweep that is planned.
        plan: its plan.
    """
    results = directory.absolute().parent.glob(f"*/{SweepDir(Path()).calibration_result}")
    for path in sorted(results, key=_written, reverse=True):
        content = _read(path)
        if content and _is_of(content, plan):
            return f"calibration of {path.parent.parent} ({content['setting']}): {content['conclusion']}"
    return ""


def within_of(directory: Path) -> float | None:
    """Return the regret, a fraction, within which the calibration of a sweep was asked to decide; None without one."""
    content = _read(SweepDir(directory).calibration_result)
    return content["within"] if content else None


def _written(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _read(path: Path) -> dict[str, Any] | None:
    """Read the result of a calibration; return None if it is gone, damaged or of another version."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        known = {"data", "eval_data", "fingerprints", "setting", "within", "conclusion"} <= content.keys()
        return content if known else None
    except (OSError, ValueError, AttributeError):
        return None


def _is_of(content: dict[str, Any], plan: SweepPlan) -> bool:
    """Return True if a calibration is of the images of ``plan``, at whatever size and of however many of them."""
    named = (content["data"], content["eval_data"]) == (plan.data, plan.eval_data)
    return named or plan.shared.data.fingerprint in content["fingerprints"]
