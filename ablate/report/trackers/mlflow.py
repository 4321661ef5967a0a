"""Runs in MLflow: an experiment for a sweep, a parent run for each cell, and the seeds as its children."""

from __future__ import annotations

import contextlib
import logging
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunStatus, ViewType

from ablate.console import command
from ablate.report.trackers.run import Run

FILE = "mlflow.db"
ID, DIGEST, CELL = "ablate.id", "ablate.digest", "cell"
"""The tags by which runs are found again. The digest is written last: without it a run is not whole."""
STATUS = {"done": RunStatus.FINISHED, "failed": RunStatus.FAILED, "pruned": RunStatus.FINISHED}
ALLOWED = re.compile(r"[^\w\-. /:]")
"""The characters that no name of a metric or a parameter may have."""
AT_ONCE = {"metrics": 1000, "params": 100}  # entries of a request
LONGEST = 6000  # characters of a parameter's value


class MLflow:
    """A database ``mlflow.db`` in a directory, with the pictures beside it."""

    def __init__(self, place: str) -> None:
        folder = Path(place).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        self.place = str(folder / FILE)
        self.look = command("mlflow", "ui", "--backend-store-uri", f"sqlite:///{self.place}")
        self._artifacts = folder / "artifacts"
        with _quietly():
            self._client = MlflowClient(f"sqlite:///{self.place}")

    def known(self, sweep: str) -> Mapping[str, str]:
        """Return the digest of every whole run of a sweep, from its tags."""
        tags = (found.data.tags for found in self._runs(self._experiment(sweep), f"tags.`{DIGEST}` != ''"))
        return {tag[ID]: tag[DIGEST] for tag in tags}

    def write(self, run: Run) -> None:
        """Add a run with its settings, values, curves and pictures, in place of those with its id."""
        experiment = self._experiment(run.sweep)
        for earlier in self._runs(experiment, f"tags.`{ID}` = '{run.id}'"):
            self._client.delete_run(earlier.info.run_id)
        tags = {ID: run.id, "status": run.status, CELL: run.group or run.name}
        tags |= {"mlflow.parentRunId": self._parent(experiment, run)} if run.group else {}
        tags |= {"mlflow.note.content": run.text} if run.text else {}
        began, ended = round(1000 * run.began), round(1000 * run.ended)
        made = self._client.create_run(experiment, began, tags, run.name)
        name = made.info.run_id
        for kind, entries in _entries(run, ended).items():
            for start in range(0, len(entries), AT_ONCE[kind]):
                self._client.log_batch(name, **{kind: entries[start : start + AT_ONCE[kind]]})
        self._pictures(name, run)
        self._client.set_terminated(name, RunStatus.to_string(STATUS[run.status]), ended)
        self._client.set_tag(name, DIGEST, run.digest)

    def _experiment(self, sweep: str) -> str:
        found = self._client.get_experiment_by_name(sweep)
        if found is None:
            return str(self._client.create_experiment(sweep, (self._artifacts / sweep).as_uri()))
        return str(found.experiment_id)

    def _parent(self, experiment: str, run: Run) -> str:
        """Return the run of a cell, of which the runs of its seeds are children."""
        cell = f"cell {run.group}"
        known = {found.data.tags[ID]: found for found in self._runs(experiment, f"tags.`{ID}` LIKE 'cell %'")}
        if cell in known:
            return str(known[cell].info.run_id)
        tags = {ID: cell, CELL: run.group}
        made = self._client.create_run(experiment, round(1000 * run.began), tags, run.group)
        self._client.log_batch(made.info.run_id, params=[Param(_plain(k), str(v)) for k, v in run.varied.items()])
        self._client.set_terminated(made.info.run_id, end_time=round(1000 * run.ended))
        return str(made.info.run_id)

    def _runs(self, experiment: str, which: str) -> Iterator[Any]:
        token = None
        while True:
            page = self._client.search_runs([experiment], which, ViewType.ACTIVE_ONLY, 1000, page_token=token)
            yield from page
            token = page.token
            if not token:
                return

    def _pictures(self, name: str, run: Run) -> None:
        with tempfile.TemporaryDirectory() as folder:
            for picture, png in run.images.items():
                path = Path(folder, f"{picture}.png")
                path.write_bytes(png)
                self._client.log_artifact(name, str(path))


def _entries(run: Run, ended: int) -> dict[str, list[Any]]:
    """Return the metrics and the parameters of a run.

    Final values stand at step 0, because MLflow draws bars only of metrics with no other step, and a dot otherwise.
    """
    metrics = [Metric(_plain(name), value, ended, 0) for name, value in run.final.items()]
    for name, points in run.curves.items():
        metrics += [Metric(_plain(f"training/{name}"), value, round(1000 * run.when(at)), at) for at, value in points]
    params = [Param(_plain(name), str(value)[:LONGEST]) for name, value in run.config.items() if value is not None]
    return {"metrics": metrics, "params": params}


def _plain(name: str) -> str:
    """Return a name in the characters that MLflow allows: ``linear:1%_top1`` becomes ``linear:1pct_top1``."""
    return ALLOWED.sub("_", name.replace("%", "pct"))


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Keep messages about new tables from the user."""
    logger = logging.getLogger("mlflow")
    before = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(before)
