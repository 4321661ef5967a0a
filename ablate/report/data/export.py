"""The trials of a sweep for other tools: a CSV or Parquet table, or an Optuna study. Needs no torch."""

from __future__ import annotations

import importlib.util
import io
import json
import os
from pathlib import Path
from typing import Any, Literal

from ablate.config.sweep import Trial
from ablate.errors import UsageError
from ablate.files import check_directory, check_file, draft_beside, write_atomically
from ablate.report.data.results import Results
from ablate.report.data.study import write_study
from ablate.sweep.layout import SweepDir
from ablate.sweep.record import TrialResult

Format = Literal["csv", "parquet", "optuna"]
SUFFIX: dict[Format, str] = {"csv": "trials.csv", "parquet": "trials.parquet", "optuna": "study.db"}


def export(sweep: Results, to: Format, out: Path | None = None) -> Path:
    """Write every planned trial to ``out``, replacing the whole file.

    Args:
        sweep: the sweep to export.
        to: the format.
        out: the file; default: ``DIR/report/trials.csv``, ``trials.parquet`` or ``study.db``.

    Returns:
        The path that was written.

    Raises:
        UsageError: the Parquet library is not installed; ``out`` is a directory, or lies in none that can be written.
        DiskError: the disk refused.
    """
    path = out or SweepDir(sweep.directory).report / SUFFIX[to]
    if out:
        check_file(out)
    if to == "parquet" and importlib.util.find_spec("pyarrow") is None:
        raise UsageError("Parquet files need pyarrow: pip install 'ablate[parquet]'")
    check_directory(path.parent)
    path.parent.mkdir(parents=True, exist_ok=True)
    if to == "optuna":
        _replace(path, sweep)
    else:
        _write_table(path, to, rows(sweep))
    return path


def rows(sweep: Results) -> list[dict[str, Any]]:
    """Return one row per planned trial, in the order of the plan.

    A row has the trial's place and status (``missing`` without a record), every metric (fractions), ``seconds.*``, the
    whole configuration as ``config.*`` (the composition as JSON, and every op's parameters as ``op1.*``, ``op2.*``,
    of a second view with ops of its own as ``second`` and ``second.op1.*``),
    ``version.*`` and ``host.*``.
    """
    return [row(trial, sweep.records.get(trial.id)) for trial in sweep.trials]


def row(trial: Trial, record: TrialResult | None) -> dict[str, Any]:
    """Return the row of one trial, see :func:`rows`."""
    flat: dict[str, Any] = {"id": trial.id, "key": trial.config.key, "seed": trial.seed, "label": trial.label}
    flat |= {"row": trial.row, "column": trial.column, "reference": trial.reference}
    flat |= {"status": record.status if record else "missing", "flags": " ".join(record.flags) if record else ""}
    if record:
        flat |= {"attempts": record.attempts, "when": record.when}
        flat |= {"error": f"{record.error.type}: {record.error.message}" if record.error else None}
        flat |= record.metrics | {f"seconds.{name}": value for name, value in record.timings.items()}
    config = trial.config.model_dump(mode="json")
    for field, prefix in (("composition", ""), ("second", "second.")):
        specs = config.pop(field)
        flat |= {field: json.dumps(specs)} if specs is not None else {}
        for number, spec in enumerate(specs or (), start=1):
            flat |= {f"{prefix}op{number}": spec["name"], f"{prefix}op{number}.version": spec["version"]}
            flat |= {f"{prefix}op{number}.{name}": _plain(value) for name, value in spec["params"].items()}
    flat |= _flat(config, "config")
    if record:
        flat |= _flat(record.versions, "version") | _flat(record.host, "host")
    return flat


def _flat(value: dict[str, Any], prefix: str) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, item in value.items():
        nested = _flat(item, f"{prefix}.{name}") if isinstance(item, dict) else {f"{prefix}.{name}": _plain(item)}
        flat |= nested
    return flat


def _plain(value: Any) -> Any:
    """Turn a list into JSON, so that a column has one type."""
    return json.dumps(value) if isinstance(value, list | tuple) else value


def _write_table(path: Path, to: Format, content: list[dict[str, Any]]) -> None:
    import pandas as pd

    table, buffer = pd.DataFrame(content), io.BytesIO()
    if to == "csv":
        table.to_csv(buffer, index=False)
    else:
        mixed = [name for name in table.columns if table[name].dropna().map(type).nunique() > 1]
        table = table.astype(
            dict.fromkeys(mixed, "string")
        )  # for example a parameter that is a number for one op and a text for another
        table.to_parquet(buffer, index=False, engine="pyarrow")
    write_atomically(path, buffer.getvalue())


def _replace(path: Path, sweep: Results) -> None:
    """Build the study beside ``path`` and rename it, since SQLite writes a file in many steps."""
    handle, draft = draft_beside(path)
    os.close(handle)
    try:
        write_study(sweep, draft)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
