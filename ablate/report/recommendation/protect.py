"""A constraint on a recommendation: no composition under which a protected class loses more than some points."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ablate.console import command, counted
from ablate.errors import UsageError, unknown
from ablate.inference.difference import EQUAL
from ablate.report.data.classes import names_of, recalls, results_of, with_images
from ablate.report.data.grid import Cell
from ablate.report.data.results import Results
from ablate.report.stats.classes import Array, means
from ablate.report.stats.order import Ranking, order
from ablate.report.stats.verdict import majority_bar
from ablate.report.stats.words import judge, mentioned, points
from ablate.sweep.again import completing
from ablate.sweep.layout import SweepDir

POINTS = 2.0


@dataclass(frozen=True)
class Protected:
    """A class, by name and number, and the points of recall that it may lose, as a fraction."""

    name: str
    number: int
    may_lose: float


def protect(sweep: Results, wishes: Sequence[str]) -> Results:
    """Return the sweep with only those compositions left that may be chosen, and sentences on what that changes.

    A composition may be chosen if the recall of every protected class, on the validation images, is at most so many
    points below the highest of all compositions that are compared. Those that are no better than always predicting the
    largest class do not count for the highest, since they can have any recall of one class.

    Args:
        sweep: the sweep.
        wishes: ``CLASS`` or ``CLASS:POINTS``, each class once.

    Raises:
        UsageError: an unknown class or an impossible number of points; a class without validation images; trials
            without results for every image; no composition keeps all classes.
    """
    if not wishes:
        return sweep
    if sweep.task:
        raise UsageError(f"--protect is for classes of the main task, not of task {sweep.task_name}")
    if not sweep.experiment.shared.data.classes:
        raise UsageError(f"--protect is for classes, and {sweep.experiment.shared.data.name} has none")
    asked, ranking = _parsed(wishes, sweep), order(sweep.grid)
    if not ranking.cells:
        return sweep
    known = _recalls(sweep, ranking)
    counts = sweep.experiment.class_counts
    for each in asked:
        if np.isnan(known[:, each.number]).any():
            raise UsageError(f"class {each.name!r} has no validation image, so its recall is not known")
    highest = _highest(sweep, ranking, known)
    over = np.max([highest[each.number] - known[:, each.number] - each.may_lose for each in asked], axis=0)
    left = [number for number, cell in enumerate(ranking.cells) if cell.label in (sweep.grid.left or ranking.scores)]
    allowed = [ranking.cells[number] for number in left if over[number] <= EQUAL]
    if not allowed:
        nearest = min(left, key=lambda number: over[number])
        raise UsageError(_none_keeps(asked, ranking.cells[nearest], highest - known[nearest]))
    grid = dataclasses.replace(sweep.grid, left=frozenset(cell.label for cell in allowed))
    recall = dict(zip((cell.label for cell in ranking.cells), known, strict=True))
    images = counts.validation if counts else ()
    sentences = [*_told(sweep, ranking, recall, highest, asked, allowed), *(_coarse(each, images) for each in asked)]
    return dataclasses.replace(sweep, grid=grid, protect=tuple(wishes), protected=tuple(filter(None, sentences)))


def _parsed(wishes: Sequence[str], sweep: Results) -> list[Protected]:
    found, names = dict[str, Protected](), names_of(sweep.experiment)
    for wish in wishes:
        name, colon, number = wish.rpartition(":")
        if wish in names or not colon:
            name, number = wish, str(POINTS)
        if name not in names:
            raise _unknown(name, sweep)
        if name in found:
            raise UsageError(f"class {name!r} is protected twice: name it once")
        found[name] = Protected(name, names.index(name), _points(number, wish) / 100)
    return list(found.values())


def _unknown(name: str, sweep: Results) -> UsageError:
    """Return the error for a class that the sweep does not know, and how it learns names if it knows none."""
    error, plan = unknown("class", name, names_of(sweep.experiment)), sweep.experiment
    if plan.classes:
        return error
    again = completing(sweep.directory, plan)
    return UsageError(f"{error}; the sweep was planned before names were stored: `{again}` adds them")


def _points(number: str, wish: str) -> float:
    try:
        value = float(number)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 100:
        raise UsageError(
            f"--protect {wish}: the points that a class may lose must be a number from 0 to 100, not {number!r}"
        )
    return value


def _recalls(sweep: Results, ranking: Ranking) -> Array:
    """Return the validation recall of every class under the compared compositions, ``[cells, classes]``."""
    trials = with_images(sweep, ranking.scores)
    known: dict[str, dict[int, Array]] = {}
    damaged = [trial.id for trial in trials]
    for trial, found in results_of(sweep, trials):
        known.setdefault(trial.label, {})[trial.seed] = recalls(found.validation, len(names_of(sweep.experiment)))
        damaged.remove(trial.id)
    planned = sum(len(cell.seeds(ranking.metric)) for cell in ranking.cells)
    if damaged or len(trials) < planned:
        raise UsageError(_incomplete(sweep.directory, planned, planned - len(trials), damaged))
    return means(known, ranking.cells)


def _incomplete(directory: Path, planned: int, without: int, damaged: Sequence[str]) -> str:
    """Return the sentence on the trials ``without`` image results and on those whose file is damaged, by id."""
    all_of = f"{counted(planned, 'trial')} of {directory}"
    lacks = [f"{without} of {all_of} {'has' if without == 1 else 'have'} none"] * bool(without)
    if damaged:
        more = f" and {len(damaged) - 1} more" if len(damaged) > 1 else ""
        lacks.append(f"{SweepDir(directory).image_results(damaged[0])}{more} {'are' if more else 'is'} damaged")
    again = command("ablate", "evaluate", directory, "--protocol", "linear", "--again")
    return (
        f"--protect needs results for every image, and {' and '.join(lacks)}; {again} writes them where encoders were "
        "kept, and training again does elsewhere"
    )


def _highest(sweep: Results, ranking: Ranking, known: Array) -> Array:
    """Return the highest recall of each class, ``[classes]``, among compositions that beat the majority class."""
    bar = majority_bar(sweep)
    useful = [bar is None or ranking.scores[cell.label] > bar for cell in ranking.cells]
    return np.asarray(known[useful if any(useful) else slice(None)].max(axis=0))


def _none_keeps(asked: Sequence[Protected], nearest: Cell, lost: Array) -> str:
    """Return the sentence that no composition keeps all classes, and what the nearest one loses of each."""
    names = " and ".join(each.name for each in asked)
    needed = [max(100 * each.may_lose, math.ceil(1000 * lost[each.number] - EQUAL) / 10) for each in asked]
    options = " ".join(f"--protect {each.name}:{value:g}" for each, value in zip(asked, needed, strict=True))
    return (
        f"no composition keeps {names} within the points that each may lose; the nearest is "
        f"{mentioned(nearest.label)}, which `{options}` allows"
    )


def _told(
    sweep: Results,
    ranking: Ranking,
    recall: Mapping[str, Array],
    highest: Array,
    asked: Sequence[Protected],
    allowed: Sequence[Cell],
) -> list[str]:
    """Return sentences on what is protected, what the choice keeps of it, and what it costs."""
    best, free = allowed[0], ranking.cells[0]
    limits = ", ".join(
        f"{each.name} (at most {100 * each.may_lose:g} points below its highest, {100 * highest[each.number]:.1f} %)"
        for each in asked
    )
    kept = ", ".join(f"{100 * recall[best.label][each.number]:.1f} % of {each.name}" for each in asked)
    sentences = [
        f"Protected by validation recall: {limits}. {len(allowed)} of {counted(len(ranking.cells), 'composition')} "
        f"{'keeps' if len(allowed) == 1 else 'keep'} that; {mentioned(best.label)} has {kept}."
    ]
    if best is free:
        return [*sentences, f"The choice is the same without --protect: {mentioned(free.label)}."]
    lost = ", ".join(f"{100 * recall[free.label][each.number]:.1f} % of {each.name}" for each in asked)
    cost = points(ranking.difference(best, free), judge(sweep.grid))
    return [
        *sentences,
        f"Without --protect the choice would be {mentioned(free.label)}, with {lost}; {mentioned(best.label)} against "
        f"it: {cost}.",
    ]


def _coarse(each: Protected, images: Sequence[int]) -> str:
    """Return a sentence if one validation image of the class is worth more than the class may lose."""
    count = images[each.number] if images else 0
    if not count or 1 / count <= each.may_lose:
        return ""
    return (
        f"{each.name} has {counted(count, 'validation image')}, each worth {100 / count:.1f} points: "
        "single images decide which compositions keep it."
    )
