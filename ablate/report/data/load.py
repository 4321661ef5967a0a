"""The records of a directory as a table, for your own analysis."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ablate.sweep.layout import PLAN, SweepDir
from ablate.sweep.plan import load_plan, plan
from ablate.sweep.record import read_records

if TYPE_CHECKING:
    import pandas as pd


def load_results(directory: str | Path) -> pd.DataFrame:
    """Return one row per trial record of a sweep directory, in the order of its plan.

    Columns: ``key, seed, label, row, column, reference, status, flags``, every metric, ``seconds`` and ``error``.
    Accuracies are fractions; a failed trial's are NaN. Unreadable records are left out. The table of a sweep without
    records has no rows. ``attrs["measure"]`` is the accuracy by which compositions are chosen, ``top1`` or
    ``balanced``.

    Raises:
        FileNotFoundError: ``directory`` holds neither a sweep nor records.
    """
    import pandas as pd

    directory = Path(directory)
    if not (SweepDir(directory).plan.exists() or SweepDir(directory).trials.exists()):
        raise FileNotFoundError(f"{directory} holds neither {PLAN} nor trials/")
    records, _ = read_records(directory)
    experiment = load_plan(directory) if (SweepDir(directory).plan).exists() else None
    planned = [trial.id for trial in plan(experiment)] if experiment else []
    rank = {name: number for number, name in enumerate(dict.fromkeys(planned))}
    ordered = sorted(records.values(), key=lambda record: (rank.get(record.id, len(rank)), record.id))
    rows = [
        {
            "key": r.key,
            "seed": r.seed,
            "label": r.label,
            "row": r.row,
            "column": r.column,
            "reference": r.reference,
            "status": r.status,
            "flags": ",".join(r.flags),
            **r.metrics,
            "seconds": r.timings.get("total"),
            "error": r.error.message if r.error else None,
        }
        for r in ordered
    ]
    fixed = ["key", "seed", "label", "row", "column", "reference", "status", "flags"]
    known = {name for r in ordered for name in r.metrics}
    metrics = ["linear_top1", "linear_val_top1", "knn_top1"]
    if "linear_top1" not in known and "rotation_top1" in known:  # the images have no labels
        metrics = ["rotation_top1", "rotation_val_top1"]
    columns = fixed + metrics + sorted({k for r in rows for k in r} - set(fixed + metrics) - {"seconds", "error"})
    table = pd.DataFrame(rows, columns=[*columns, "seconds", "error"])
    table.attrs["measure"] = experiment.measure if experiment else "top1"
    return table
