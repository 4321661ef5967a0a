"""What a page was asked for, which the page itself says: so another command than ``report`` can write it again."""

from __future__ import annotations

import html
import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ablate.config.measure import Measure

PAGE = "index.html"
NOTE = re.compile(r'<meta name="ablate" content="([^"]*)">')
HEAD = 4096  # characters of a page within which the note stands


@dataclass(frozen=True)
class Asked:
    """``others``: the directories beside the sweep; ``paper``: Figure 5 too; ``metric``: what cells were chosen by.

    ``recommends``: whether the page names a composition to use, with its code.
    """

    others: tuple[str, ...] = ()
    paper: bool = False
    metric: str = ""
    recommends: bool = False

    @property
    def measure(self) -> Measure | None:
        """The accuracy that chose; None where it is not known."""
        return ("balanced" if "balanced" in self.metric else "top1") if self.metric else None

    def __str__(self) -> str:
        return json.dumps(asdict(self))


def asked_for(directory: Path) -> Asked | None:
    """What ``DIR/report/index.html`` was asked for; nothing is known of an earlier version's; None without a page."""
    try:
        with (directory / "report" / PAGE).open(encoding="utf-8") as file:
            note = NOTE.search(file.read(HEAD))
    except OSError:
        return None
    try:
        known: dict[str, Any] = json.loads(html.unescape(note[1])) if note else {"recommends": True}
        return Asked(**{**known, "others": tuple(known.get("others", ()))})
    except (ValueError, TypeError, AttributeError):
        return Asked(recommends=True)
