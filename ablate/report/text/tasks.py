"""Do the tasks of one sweep want the same augmentations? Where their rankings disagree, and what each choice costs."""

from __future__ import annotations

from functools import cached_property
from typing import ClassVar

from ablate.report.data.results import Results, read_tasks
from ablate.report.section import Section
from ablate.report.stats.winners import Side
from ablate.report.stats.words import judge
from ablate.report.text import agreement
from ablate.report.text.agreement import Agreement, of_sides

MOST = 10  # compositions that are listed: those whose ranks differ most
SHARED = (
    "All tasks judge the same trained encoders. They share the noise of training, which can make their rankings more "
    "alike than those of two sweeps."
)


class Tasks(Agreement):
    """The tasks of one sweep as grids that are compared, at most eight of them."""

    noun: ClassVar[str] = "task"

    @cached_property
    def has_ranks(self) -> bool:
        """True if there is a grid, whose cells are ranked; otherwise there are only further compositions."""
        return any(self.pairs.values())

    def sentences(self) -> list[str]:
        """Say in at most three sentences how much the tasks agree, and what choosing for one costs the others."""
        said = super().sentences()
        return said if self.has_ranks else said[1:]


def tasks_of(sweep: Results) -> Tasks | None:
    """Compare the tasks of a sweep, the one that it is read for first; return None if it has only one."""
    every = read_tasks(sweep.directory)
    sides = [Side(task.name, read.grid) for task, read in zip(sweep.experiment.tasks, every, strict=False)]
    own = sweep.task_name or next((side.name for side in sides), "")
    sides = [Side(own, sweep.grid), *(side for side in sides if side.name != own)]
    compared = of_sides(sides)
    return Tasks(compared.sides, compared.left_out) if compared else None


def section(tasks: Tasks | None) -> list[Section]:
    """Return the section of the page: how alike the tasks rank, where they disagree, and whose winner costs what."""
    if tasks is None:
        return []
    parts = [agreement.ranks(tasks)] * tasks.has_ranks
    parts += [*_disagreements(tasks), agreement.winners(tasks)]
    return [Section("Tasks", (*tasks.sentences(), SHARED), parts=tuple(parts))]


def _disagreements(tasks: Tasks) -> list[Section]:
    """Return the table of the compositions that the tasks rank most differently; none without two that all ranked."""
    scores = {side.name: side.ranking.scores for side in tasks.sides}
    first, *others = scores.values()
    labels = [label for label in first if all(label in of for of in others)]
    if len(labels) < 2:
        return []
    place = {name: _places({label: of[label] for label in labels}) for name, of in scores.items()}

    def apart(label: str) -> int:
        ranks = [of[label] for of in place.values()]
        return max(ranks) - min(ranks)

    shown = sorted((label for label in labels if apart(label)), key=lambda label: -apart(label))[:MOST]
    if not shown:
        return []
    rows = tuple(
        (label, *(f"{place[name][label]} ({100 * scores[name][label]:.1f} %)" for name in scores)) for label in shown
    )
    by = "; ".join(f"{side.name}: {judge(side.grid)}" for side in tasks.sides)
    text = (
        f"Rank among {len(labels)} compositions for each task ({by}). Listed are those whose ranks differ most. Ranks "
        "of compositions that cannot be told apart differ by chance.",
    )
    return [Section("Where do the rankings disagree?", text, ("composition", *scores), rows)]


def _places(scores: dict[str, float]) -> dict[str, int]:
    """Return the rank of each label, 1 for the highest score; equal scores share the best rank."""
    return {label: 1 + sum(other > score for other in scores.values()) for label, score in scores.items()}
