"""Runs for Weights & Biases, written offline: a project for a sweep, grouped by cell. `wandb sync` sends them."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # read by the import: it would report wandb's own errors

import wandb

from ablate.files import write_atomically
from ablate.report.trackers.run import Run

WHOLE = "ablate.json"
"""The file in a run's directory with its id and digest. It is written last: without it the run is not whole."""
REFUSED = re.compile(r"[/\\#?%:]")
"""The characters that a project's name may not have."""
LONGEST = 128  # characters of a project's name
EXIT = {"done": 0, "failed": 1, "pruned": 0}


class WandB:
    """Directories of runs, as ``wandb`` writes them without a network: ``<out>/<project>/wandb/offline-run-*``."""

    def __init__(self, place: str) -> None:
        self.place = place
        self.look = f"`wandb sync {shlex.quote(place)}/*/wandb/offline-run-*`, which sends them to your account"

    def known(self, sweep: str) -> Mapping[str, str]:
        """Return the digest of every whole run of a sweep, from the files beside them."""
        found = (json.loads(path.read_text(encoding="utf-8")) for path in self._runs(sweep, "*", WHOLE))
        return {run["id"]: run["digest"] for run in found}

    def write(self, run: Run) -> None:
        """Write the directory of a run, in place of those with its id."""
        for earlier in self._runs(run.sweep, run.id):
            shutil.rmtree(earlier)
        folder = Path(self.place, _project(run.sweep)).absolute()
        folder.mkdir(parents=True, exist_ok=True)  # wandb writes to a temporary directory otherwise
        made = wandb.init(
            project=_project(run.sweep),
            group=run.group or None,
            job_type="trial" if run.group else "sweep",
            name=run.name,
            id=run.id,
            notes=run.text or None,
            config={**run.config, **run.varied, "status": run.status},
            dir=folder,
            reinit="create_new",
            settings=_settings(run),
        )
        _log(made, run)
        made.finish(exit_code=EXIT[run.status])
        write_atomically(Path(made.settings.sync_dir, WHOLE), json.dumps({"id": run.id, "digest": run.digest}))

    def _runs(self, sweep: str, which: str, file: str = "") -> list[Path]:
        return list(Path(self.place, _project(sweep), "wandb").glob(f"offline-run-*-{which}/{file}".rstrip("/")))


def _settings(run: Run) -> wandb.Settings:
    """Return settings with which nothing is sent, and no code, packages or load of this machine are written."""
    return wandb.Settings(
        mode="offline",
        silent=True,
        console="off",
        host=str(run.config.get("host.name") or ""),  # that of the trial
        disable_code=True,
        disable_git=True,
        x_disable_meta=True,
        x_disable_stats=True,
        x_disable_machine_info=True,
        x_save_requirements=False,
    )


def _log(made: Any, run: Run) -> None:
    """Log the curves epoch by epoch, then pictures; final values become the summary."""
    rows: dict[int, dict[str, Any]] = {}
    for name, points in run.curves.items():
        for epoch, value in points:
            rows.setdefault(epoch, {})[f"training/{name}"] = value
    for epoch in sorted(rows):
        made.log(rows[epoch], step=epoch)
    with tempfile.TemporaryDirectory() as folder:
        for name, png in run.images.items():
            path = Path(folder, f"{name}.png")
            path.write_bytes(png)
            made.log({name: wandb.Image(str(path))}, step=max(rows, default=0))
        made.summary.update(run.final)


def _project(sweep: str) -> str:
    return REFUSED.sub("_", sweep)[:LONGEST]
