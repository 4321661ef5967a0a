"""The request behind a report page, stored in the page itself, so that other commands can rewrite it."""

from __future__ import annotations

import html
import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ablate.config.interval import Interval
from ablate.config.measure import Measure, measure_of
from ablate.sweep.layout import SweepDir

NOTE = re.compile(r'<meta name="ablate" content="([^"]*)">')
HEAD = 4096  # the note is within this many characters of the start of a page


@dataclass(frozen=True)
class Asked:
    """The request behind a page.

    ``others``: the directories shown beside the sweep. ``paper``: True if Figure 5 was requested too. ``metric``: the
    metric by which cells were chosen. ``task``: the further task that judged them; empty for the main one.
    ``interval``: what intervals hold. ``recommends``: True if the page names a composition to use, with its code.
    """

    others: tuple[str, ...] = ()
    paper: bool = False
    metric: str = ""
    interval: Interval = "seeds"
    recommends: bool = False
    task: str = ""

    @property
    def measure(self) -> Measure | None:
        """The measure by which cells were chosen; None if it is not known."""
        return measure_of(self.metric) if self.metric else None

    @property
    def judges(self) -> tuple[str, str, Interval]:
        """The metric, the task and what intervals hold: pages with other ones differ in their figures."""
        return self.metric, self.task, self.interval

    def __str__(self) -> str:
        return json.dumps(asdict(self))


def asked_for(directory: Path) -> Asked | None:
    """Read the request behind ``DIR/report/index.html``; return None if there is no page.

    A page of an earlier version holds no request; it is taken to recommend a composition.
    """
    try:
        with (SweepDir(directory).page).open(encoding="utf-8") as file:
            note = NOTE.search(file.read(HEAD))
    except OSError:
        return None
    try:
        known: dict[str, Any] = json.loads(html.unescape(note[1])) if note else {"recommends": True}
        return Asked(**{**known, "others": tuple(known.get("others", ()))})
    except (ValueError, TypeError, AttributeError):
        return Asked(recommends=True)
