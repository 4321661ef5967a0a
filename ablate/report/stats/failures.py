"""Sentences on failed trials: their effect on the comparison, and the command to run next."""

from __future__ import annotations

from ablate.console import counted
from ablate.report.data.results import Results
from ablate.report.stats.order import order
from ablate.report.stats.words import NAMED, named
from ablate.sweep.again import completing
from ablate.sweep.failures import reason


def without_results(sweep: Results) -> str:
    """Return the words that follow "has no results yet": the reason, if trials failed, and the command to run next."""
    failed = sweep.failed
    why = f": {counted(len(failed), 'trial')} failed (the first: {reason(failed[0])})" if failed else ""
    what = "the others" if failed else "it"
    if failed and not sweep.pending:
        what = "it" if len(failed) == 1 else "them"
        return f"{why}; to run {what} again: `{completing(sweep.directory, sweep.experiment, retry_failed=True)}`"
    return f"{why}; to run {what}: `{completing(sweep.directory, sweep.experiment)}`"


def failures(sweep: Results) -> list[str]:
    """Return a sentence on the failed trials that leave a gap in the comparison, and its effect."""
    known = {cell.label: cell for cell in sweep.grid.compositions}
    apart = {cell.label for cell in order(sweep.grid).apart}
    untrained = sweep.grid.references.get("untrained")
    seeds: dict[tuple[bool, str], list[int]] = {}
    for record in sweep.failed:
        if record.reference in (None, "untrained"):
            seeds.setdefault((record.reference is not None, record.label), []).append(record.seed)
    sentences = []
    for (reference, label), failed in seeds.items():
        cell = untrained if reference else known.get(label)
        which = f"{label} failed with seed{'s' if len(failed) > 1 else ''} {named(list(map(str, failed)))}"
        if not reference and label in apart:
            sentences.append(f"{which} and is not compared")
        elif cell is not None and cell.n:
            sentences.append(f"{which} and is compared by its other {'seed' if cell.n == 1 else f'{cell.n} seeds'}")
        else:
            sentences.append(f"{which} and {'cannot be compared' if reference else 'cannot be chosen'}")
    more = [f"and {len(sentences) - NAMED} more compositions lack trials that failed"] if len(sentences) > NAMED else []
    return [f"{'; '.join([*sentences[:NAMED], *more])}."] if sentences else []
