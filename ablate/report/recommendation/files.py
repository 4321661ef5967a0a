"""The files of a recommendation, ``recommendation.json`` and the pipelines, and what they replace."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

from ablate.config.measure import in_full, measure_of
from ablate.config.sweep import NamedComposition
from ablate.console import command
from ablate.errors import UsageError
from ablate.files import check_directory, write_atomically
from ablate.report.data.results import Results, protecting
from ablate.report.recommendation.choice import Choice
from ablate.report.recommendation.conclusion import conclusion
from ablate.report.recommendation.recommend import Recommendation, advise
from ablate.sweep.layout import RECOMMENDATION, SweepDir
from ablate.sweep.withdrawal import withdraw


def replaced(recommendation: Recommendation) -> str:
    """Return sentences on the earlier recommendation in ``DIR/report``, or nothing if it is the same."""
    sweep = recommendation.choice.sweep
    try:
        before = json.loads((SweepDir(sweep.directory).recommendation).read_bytes())
        label, metric = (before["recommended"] or {}).get("composition", ""), before["sweep"]["metric"]
        task, kept = before.get("task", ""), tuple(before["sweep"].get("protect", ()))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):  # there is none, or it is unreadable
        return ""
    final = recommendation.final.cell.label if recommendation.final else ""
    now, out = sweep.grid.metric, SweepDir(sweep.directory).report
    if (label, metric, task, kept) == (final, now, sweep.task_name, sweep.protect):
        return ""
    if not label and kept in ((), sweep.protect):  # nothing was recommended, and the choice was free as now
        return ""
    by = "" if metric == now else f", chosen by {in_full(measure_of(metric))}"
    by += f", chosen with {shlex.join(protecting(kept))}" * (kept not in ((), sweep.protect))
    if task != sweep.task_name:
        by += f", for the task {task or sweep.experiment.tasks[0].name}"
    what = f"This {'replaces' if final else 'withdraws'} the earlier recommendation in {out}: {label}{by}."
    if not label:
        what = f"This replaces the earlier choice in {out}, made with {shlex.join(protecting(kept))}."
    again = f" {command('ablate', 'recommend', sweep.directory, *protecting(kept))} makes it again."
    return what + again * bool(kept and not sweep.protect)


def write(recommendation: Recommendation) -> list[Path]:
    """Write ``DIR/report/recommendation.json`` and the pipelines, and return their paths.

    The previous recommendation is removed.
    """
    out = SweepDir(recommendation.choice.sweep.directory).report
    check_directory(out)
    withdraw(recommendation.choice.sweep.directory)
    files = {RECOMMENDATION: json.dumps(as_json(recommendation), indent=1) + "\n", **recommendation.pipelines}
    for name, content in files.items():
        write_atomically(out / name, content)
    return [out / name for name in files]


def refresh(sweep: Results) -> str:
    """Write the recommendation of ``sweep`` anew, if there was one.

    Returns:
        A sentence on the recommendation that it replaces, or nothing.
    """
    if not (SweepDir(sweep.directory).recommendation).exists():
        return ""
    try:
        recommendation = advise(sweep)
    except UsageError:
        withdraw(sweep.directory)
        return ""
    sentence = replaced(recommendation)
    write(recommendation)
    return sentence


def as_json(recommendation: Recommendation) -> dict[str, Any]:
    """Return the recommendation as plain data: fractions and seconds, and ops with every parameter."""
    final, sweep = recommendation.final, recommendation.choice.sweep
    return {
        **({"task": sweep.task_name} if sweep.task else {}),
        "recommended": final
        and {
            "composition": final.cell.label,
            **_ops(final.composition),
            "provisional": recommendation.decided.provisional,
            "indistinguishable": [item.cell.label for item in recommendation.decided.candidates if item is not final],
        },
        "conclusion": conclusion(recommendation),
        "trials": {
            "planned": len(sweep.trials),
            "ended": sweep.ended,
            "failed": [record.id for record in sweep.failed],
        },
        "sweep": _choice_as_json(recommendation.choice),
        "confirmation": recommendation.confirmed and _choice_as_json(recommendation.confirmed),
    }


def _choice_as_json(choice: Choice) -> dict[str, Any]:
    return {
        "best": choice.best.cell.label,
        "evidence": list(choice.evidence),
        "branches": choice.sweep.experiment.shared.branches,
        "seeds": list(choice.sweep.experiment.seeds),
        "metric": choice.sweep.grid.metric,
        "interval": choice.sweep.held,
        "seeds_only": choice.sweep.seeds_only or None,
        "protect": list(choice.sweep.protect),
        "candidates": [
            {
                "composition": candidate.cell.label,
                **_ops(candidate.composition),
                "validation": choice.order.score(candidate.cell),
                "test": candidate.cell.mean(),
                "std": candidate.cell.std(),
                "n": candidate.cell.n,
                "seconds": candidate.seconds,
                "above_untrained": candidate.above,
                "p_best": candidate.p_best,
            }
            for candidate in choice.candidates
        ],
    }


def _ops(composition: NamedComposition) -> dict[str, Any]:
    """Return the ops as plain data, and those of the second view if it has its own."""
    return composition.model_dump(mode="json", exclude={"label"}, exclude_none=True)
