"""Descriptions of experiments, as short as a test can say them."""

from __future__ import annotations

from typing import Any

from ablate.config.experiment import Experiment
from ablate.config.experiment_file import validated


def wish(**content: Any) -> Experiment:
    """The description with these fields, on the CPU and of the bare pair unless they say otherwise."""
    cells = {} if "ops" in content else {"compositions": ["none"]}
    return validated({"device": "cpu", **cells, **content}, "a test")
