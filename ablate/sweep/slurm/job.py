"""Placeholder: replaced by the module that runs inside a job."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Job:
    """Pack ``number`` of submission ``token`` of the sweep in ``directory``."""

    directory: str
    token: str
    number: int

    def __call__(self) -> None:
        """Run the pack."""
        raise RuntimeError("replaced at merge")
