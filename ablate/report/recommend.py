"""What to use: the best composition by validation accuracy, what cannot be told from it, and how sure that is."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ablate.config import NamedComposition, OpSpec
from ablate.console import counted, say, say_as_it_is
from ablate.errors import UsageError
from ablate.report.grid import Cell, Grid
from ablate.report.noise import contenders, more_seeds, separation
from ablate.report.pipelines import NotExportable, kornia_code, torchvision_code
from ablate.report.statistics import best_by_validation, choosing, percent
from ablate.report.sweep import Sweep, read_sweep
from ablate.results import write_atomically
from ablate.sweep.confirm import CONFIRMATION
from ablate.sweep.eta import clock
from ablate.sweep.plan import SWEEP_FILE

KORNIA_FILE, TORCHVISION_FILE = "pipeline_kornia.py", "pipeline_torchvision.py"
MOST = 5  # compositions that a confirmation runs, and candidates where nobody knows the noise


@dataclass(frozen=True)
class Candidate:
    """A composition that may be the best one; ``seconds`` is what a trial of it took (CPU time on a CPU)."""

    cell: Cell
    specs: tuple[OpSpec, ...]
    seconds: float


@dataclass(frozen=True)
class Choice:
    """What one sweep says: the best cell, and every candidate, the cheapest first."""

    sweep: Sweep
    best: Candidate
    candidates: list[Candidate]
    evidence: tuple[str, str]


@dataclass(frozen=True)
class Recommendation:
    """A sweep's choice and, of a one-branch sweep that was confirmed, what both branches with fresh seeds said.

    ``confirming``: how far a confirmation is that has begun and not ended. ``final``: what to use, if that is known.
    ``pipelines``: by file name, code without ablate, of the composition to use; ``unexported``: why one is missing.
    """

    choice: Choice
    confirmed: Choice | None
    confirming: str
    final: Candidate | None
    pipelines: dict[str, str]
    unexported: list[str]


def recommend(directory: str | Path) -> Recommendation:
    """What the sweep in ``directory``, and its confirmation if there is a finished one, say.

    Raises:
        UsageError: it is not a sweep's directory, or has no results yet.
    """
    sweep = read_sweep(directory)
    if sweep.experiment.variants:
        raise UsageError(
            f"{directory} varies {', '.join(sweep.experiment.axes)} too: a composition is recommended from a sweep "
            f"that holds all else fixed; ablate report {directory} shows every point"
        )
    choice = choose(sweep)
    confirmed, confirming = _confirmation(choice.sweep)
    final = _final(choice, confirmed)
    pipelines, unexported = dict[str, str](), list[str]()
    if final:
        experiment = (confirmed or choice).sweep.experiment
        shared = experiment.shared
        for name, code in ((TORCHVISION_FILE, torchvision_code), (KORNIA_FILE, kornia_code)):
            try:
                pipelines[name] = code(final.specs, shared.image_size, shared.branches, shared.base, experiment.levels)
            except NotExportable as error:
                unexported.append(str(error))
    return Recommendation(choice, confirmed, confirming, final, pipelines, unexported)


def choose(sweep: Sweep) -> Choice:
    """The best composition by validation accuracy, and those that cannot be told from it."""
    grid = sweep.grid
    best = best_by_validation(grid.with_results)
    if best is None:
        raise UsageError(f"{sweep.directory} has no results yet; to run it: {sweep.experiment.command}")
    model = choosing(grid)
    ranked = sorted(grid.with_results, key=lambda cell: -(cell.validation or 0.0))
    labels = {best.label, *(model.contenders if model else (cell.label for cell in ranked[:MOST]))}
    specs = {trial.label: trial.config.composition for trial in sweep.trials if trial.reference is None}
    candidates = [
        Candidate(cell, specs[cell.label], sweep.seconds(cell.label))
        for cell in grid.with_results
        if cell.label in labels
    ]
    candidates.sort(key=lambda candidate: candidate.seconds)
    chosen = next(candidate for candidate in candidates if candidate.cell is best)
    return Choice(sweep, chosen, candidates, (_lead(grid, best), _doubt(sweep, best)))


def to_confirm(choice: Choice) -> list[NamedComposition]:
    """The candidates with the highest validation accuracy, at most five."""
    ranked = sorted(choice.candidates, key=lambda candidate: -(candidate.cell.validation or 0.0))
    return [NamedComposition(label=candidate.cell.label, ops=candidate.specs) for candidate in ranked[:MOST]]


def write(found: Recommendation) -> list[Path]:
    """``DIR/report/recommendation.json`` and the pipelines; the paths."""
    out = found.choice.sweep.directory / "report"
    files = {"recommendation.json": json.dumps(as_json(found), indent=1) + "\n", **found.pipelines}
    for name, content in files.items():
        write_atomically(out / name, content)
    return [out / name for name in files]


def as_json(found: Recommendation) -> dict[str, Any]:
    """The recommendation as plain data: fractions and seconds, ops with every parameter."""
    final = found.final
    return {
        "recommended": final and {"composition": final.cell.label, "ops": _ops(final.specs)},
        "sweep": _choice_as_json(found.choice),
        "confirmation": found.confirmed and _choice_as_json(found.confirmed),
    }


def show(found: Recommendation, console: Console) -> None:
    """The evidence, the candidates, and either the code or how to confirm the choice first."""
    _show_choice(found.choice, console)
    if found.confirmed:
        say(console, "")
        say(console, f"Confirmation, both branches, fresh seeds ({found.confirmed.sweep.directory}):")
        _show_choice(found.confirmed, console)
    say(console, "")
    if found.final:
        say(console, f"Recommended: {found.final.cell.label}", "bold")
        for sentence in found.unexported:
            say(console, sentence, "yellow")
        out = found.choice.sweep.directory / "report"
        for name, code in found.pipelines.items():
            say(console, f"{out / name}: code that runs without ablate; it makes both views")
            if name == KORNIA_FILE:
                say_as_it_is(console, f"\n{code}")
    elif found.confirmed or found.choice.sweep.experiment.shared.branches == "two":
        say(
            console,
            "Nothing is better than the untrained encoder: train longer, or look for a fault. No recommendation.",
            "red",
        )
    else:
        say(console, found.confirming or offer(found.choice), "yellow")


def offer(choice: Choice, seeds: int = 3) -> str:
    """How a one-branch choice is confirmed, and what that costs."""
    count = min(MOST, len(choice.candidates))
    each = statistics.fmean(candidate.seconds for candidate in choice.candidates)
    return (
        "One-branch accuracy says which augmentations matter, not how well both branches do with them: "
        f"`ablate recommend {choice.sweep.directory} --confirm` runs {counted(count, 'composition')} on both branches "
        f"with {counted(seeds, 'fresh seed')}, about {clock(each * count * seeds)} of {choice.sweep.unit}, and then "
        "prints a pipeline."
    )


def _confirmation(sweep: Sweep) -> tuple[Choice | None, str]:
    """What the confirmation says, once every trial of it has ended, or how far it is."""
    directory = sweep.directory / CONFIRMATION
    if not (directory / SWEEP_FILE).is_file():
        return None, ""
    fresh = read_sweep(directory)
    ended = sum(trial.id in fresh.records for trial in fresh.trials)
    if ended < len(fresh.trials):
        told = f"The confirmation has {ended} of {len(fresh.trials)} trials: see `ablate status {directory}`"
        return None, f"{told}; to complete it: {fresh.experiment.command}"
    if not fresh.grid.with_results:
        return None, f"Every trial of the confirmation failed: see `ablate status {directory}`"
    return choose(fresh), ""


def _final(choice: Choice, confirmed: Choice | None) -> Candidate | None:
    """What to use: a two-branch sweep's own best, or the confirmation's; nothing that training did not improve."""
    decided = confirmed or (choice if choice.sweep.experiment.shared.branches == "two" else None)
    if decided is None:
        return None
    untrained = decided.sweep.grid.references.get("untrained")
    floor = (untrained.validation if untrained else None) or 0.0
    return decided.best if (decided.best.cell.validation or 0.0) > floor else None


def _lead(grid: Grid, best: Cell) -> str:
    """How good the best composition is, and against what."""
    others = {"the best single op": best_by_validation(grid.singles), "the untrained encoder": None}
    others["the untrained encoder"] = grid.references.get("untrained")
    model = choosing(grid)
    told = []
    for name, cell in others.items():
        if cell is None or cell is best or cell.validation is None:
            continue
        single = f"{name} ({cell.label})" if cell.label != "untrained" else name
        if model and {best.label, cell.label} <= model.place.keys():
            told.append(f"{model.difference(best.label, cell.label)} over {single}")
        else:
            told.append(f"{100 * ((best.validation or 0.0) - cell.validation):+.1f} points over {single}")
    against = f", {' and '.join(told)}" if told else ""
    return (
        f"{best.label} has the highest validation accuracy, {percent(best, grid.validation_metric)} "
        f"(test {percent(best)}, n = {best.n}){against}."
    )


def _doubt(sweep: Sweep, best: Cell) -> str:
    """Which cells may be as good, or why that cannot be said."""
    grid = sweep.grid
    if len(grid.with_results) == 1:
        return "No other composition has results."
    model = choosing(grid)
    if model is None:
        return more_seeds(sweep)
    told = contenders(best, model)
    return f"{told[:-1]}; {separation(best, model)}" if len(model.contenders) > 1 else told


def _show_choice(choice: Choice, console: Console) -> None:
    for sentence in choice.evidence:
        say(console, sentence)
    grid = choice.sweep.grid
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("candidate, cheapest first", "validation", "test", "n", "time of a trial"):
        table.add_column(heading, overflow="fold", justify="left" if "candidate" in heading else "right")
    for candidate in choice.candidates:
        cell = candidate.cell
        numbers = (percent(cell, grid.validation_metric), percent(cell), str(cell.n), clock(candidate.seconds))
        table.add_row(Text(cell.label, style="bold" if candidate is choice.best else ""), *numbers)
    console.print(table)


def _choice_as_json(choice: Choice) -> dict[str, Any]:
    grid = choice.sweep.grid
    return {
        "best": choice.best.cell.label,
        "evidence": list(choice.evidence),
        "branches": choice.sweep.experiment.shared.branches,
        "seeds": list(choice.sweep.experiment.seeds),
        "metric": grid.metric,
        "candidates": [
            {
                "composition": candidate.cell.label,
                "ops": _ops(candidate.specs),
                "validation": candidate.cell.validation,
                "test": candidate.cell.mean(),
                "std": candidate.cell.std(),
                "n": candidate.cell.n,
                "seconds": candidate.seconds,
            }
            for candidate in choice.candidates
        ],
    }


def _ops(specs: Sequence[OpSpec]) -> list[dict[str, Any]]:
    return [spec.model_dump(mode="json") for spec in specs]
