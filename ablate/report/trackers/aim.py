"""Runs in Aim: an experiment for a sweep, in a repository on this machine; the cell is a parameter to group by."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import aim
from aim.sdk.index_manager import RepoIndexManager
from aimrocks.errors import RocksIOError
from PIL import Image

from ablate.console import command
from ablate.errors import UsageError
from ablate.report.trackers.run import Run

OURS = "ablate"
"""The parameter by which runs are found again. Its digest is written last: without it a run is not whole."""


class Aim:
    """A repository ``.aim`` in a directory."""

    def __init__(self, place: str) -> None:
        folder = Path(place).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        self.place = place
        self.look = command("aim", "up", "--repo", place)
        self._repo = aim.Repo.from_path(str(folder), init=not aim.Repo.exists(str(folder)))
        self._hashes: dict[tuple[str, str], list[str]] = {}  # Aim's names of runs at the last look, by sweep and id

    def known(self, sweep: str) -> Mapping[str, str]:
        """Return the digest of every whole run of a sweep, from its parameters."""
        self._hashes, digests = {}, {}
        for name, about in self._runs():
            self._hashes.setdefault((about["sweep"], about["id"]), []).append(name)
            if about["sweep"] == sweep:
                digests[about["id"]] = about.get("digest", "")
        return digests

    def write(self, run: Run) -> None:
        """Add a run with its parameters, curves, final values and pictures, in place of those with its id.

        Raises:
            UsageError: Aim cannot delete an earlier one.
        """
        for earlier in self._hashes.pop((run.sweep, run.id), []):
            if not self._repo.delete_run(earlier):
                raise UsageError(f"aim keeps earlier runs while `aim up` shows {self.place}: end it and export again")
        made = aim.Run(
            repo=self._repo,
            experiment=run.sweep,
            system_tracking_interval=None,  # neither the load nor the terminal of the exporting machine
            capture_terminal_logs=False,
        )
        self._hashes[run.sweep, run.id] = [made.hash]
        with contextlib.closing(made):
            made[OURS] = {"sweep": run.sweep, "id": run.id}
            made.name = f"{run.group}/{run.name}" if run.group else run.name
            made.description = run.text
            made["cell"], made["status"] = run.group or run.name, run.status
            made["settings"] = {**run.config, **run.varied}
            _track(made, run)
            made[OURS] = {"sweep": run.sweep, "id": run.id, "digest": run.digest}
        with contextlib.suppress(RocksIOError):  # `aim up` holds the index, and fills it itself
            RepoIndexManager.get_index_manager(self._repo).index(made.hash)

    def _runs(self) -> Iterator[tuple[str, dict[str, str]]]:
        """Yield Aim's name of each run of ours and what identifies it, also of those that are not in Aim's index."""
        for name in [path.name for path in Path(self._repo.path, "meta", "chunks").glob("*")]:
            tree = self._repo.request_tree("meta", name, read_only=True).subtree(("meta", "chunks", name, "attrs"))
            with contextlib.suppress(KeyError):
                yield name, tree.collect(OURS)


def _track(made: Any, run: Run) -> None:
    """Track the curves by epoch, then final values and pictures at the last one."""
    last = max((points[-1][0] for points in run.curves.values()), default=0)
    for name, points in run.curves.items():
        for epoch, value in points:
            made.track(value, name=f"training/{name}", step=epoch, epoch=epoch)
    for name, value in run.final.items():
        made.track(value, name=name, step=last, epoch=last)
    for name, png in run.images.items():
        made.track(aim.Image(Image.open(io.BytesIO(png)), format="png"), name=name, step=last, epoch=last)
