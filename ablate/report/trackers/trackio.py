"""Runs in Trackio: a project for a sweep, grouped by cell. A process of its own writes them, since it prints."""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import os
import shlex
import shutil
import signal
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from ablate.errors import UsageError
from ablate.report.trackers.run import Run

SWEEP, DIGEST = "ablate.sweep", "ablate.digest"
"""Whose runs a project has, in its metadata; and a run's digest, among its settings, written as one with its values."""
LONGEST = 100  # characters of a project's name, of which files are made


class Trackio:
    """A directory as ``TRACKIO_DIR`` names it: a database for each project, with the pictures beside it.

    Trackio takes its directory once, when it is imported, and prints on standard output. So a child process imports
    it, in which the directory is set and standard output is closed. It ends with this one.
    """

    def __init__(self, place: str) -> None:
        self.place = place
        self.look = f"`TRACKIO_DIR={shlex.quote(place)} trackio show`"
        self._child, there = multiprocessing.Pipe()
        arguments = (there, str(Path(place).absolute()))
        multiprocessing.get_context("spawn").Process(target=_serve, args=arguments, daemon=True).start()
        there.close()

    def known(self, sweep: str) -> Mapping[str, str]:
        """Return the digest of every whole run of a sweep, from its settings.

        Raises:
            UsageError: the project of that name has other runs.
        """
        owner, project, digests = self._ask(_known, sweep)
        if owner != sweep:
            whose = f"with the runs of {owner}" if owner else "which is not of a sweep"
            raise UsageError(
                f"{self.place} has a project {project}, as trackio calls {sweep}, {whose}; choose another directory"
            )
        found: dict[str, str] = digests
        return found

    def write(self, run: Run) -> None:
        """Add a run with its settings, curves, final values and pictures, in place of that with its id."""
        self._ask(_write, run)

    def _ask(self, function: Any, argument: Any) -> Any:
        try:
            self._child.send((function, argument))
            answer = self._child.recv()
        except (EOFError, ConnectionError):
            raise ChildProcessError("the process that writes for trackio has ended") from None
        if isinstance(answer, Exception):
            raise answer
        return answer


def _serve(asked: Connection, place: str) -> None:
    """Answer what the parent asks for until it closes the pipe or ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C: the parent waits for the run that is being written
    for name in [name for name in os.environ if name.startswith("TRACKIO_")]:
        del os.environ[name]  # a space, a server, a bucket: where trackio would send runs
    os.environ.update(TRACKIO_DIR=place, HF_HUB_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    with contextlib.suppress(EOFError, ConnectionError):
        while True:
            function, argument = asked.recv()
            try:
                asked.send(function(argument))
            except Exception as error:
                error.add_note(traceback.format_exc())
                asked.send(error)


def _known(sweep: str) -> tuple[str | None, str, dict[str, str]]:
    """Return whose a project is, how it is called, and its digests by run; make the project if there is none."""
    from trackio.sqlite_storage import SQLiteStorage as Storage

    project = _project(sweep)
    if not Storage.get_project_db_path(project).exists():
        Storage.set_project_metadata(project, SWEEP, sweep)
    settings = Storage.get_all_run_configs(project)
    digests = {name: config[DIGEST] for name, config in settings.items() if DIGEST in config}
    return Storage.get_project_metadata(project, SWEEP), project, digests


def _write(run: Run) -> None:
    """Write a run by the function that trackio's own imports use: its `init` asks the Hub who the user is."""
    from trackio.sqlite_storage import SQLiteStorage as Storage
    from trackio.utils import project_media_dir

    project = _project(run.sweep)
    name = f"{run.group}/{run.name}" if run.group else run.name
    if not Storage.delete_run(project, name, run_id=run.id):
        raise OSError(f"trackio did not delete the earlier run {name}")
    shutil.rmtree(project_media_dir(project) / run.id, ignore_errors=True)
    rows: dict[int, dict[str, Any]] = {}
    for curve, points in run.curves.items():
        for epoch, value in points:
            rows.setdefault(epoch, {})[f"training/{curve}"] = value
    epochs = sorted(rows)
    steps = [*epochs, max(epochs, default=0)]
    times = [*(run.when(epoch) for epoch in epochs), run.ended]
    about = {"_Group": run.group or None, "_Created": _iso(run.began), DIGEST: run.digest, "status": run.status}
    Storage.bulk_log(
        project,
        name,
        [*(rows[epoch] for epoch in epochs), _final(run, project, steps[-1])],
        steps=steps,
        timestamps=[_iso(at) for at in times],
        config={**run.config, **run.varied, **about},
        run_id=run.id,
    )


def _final(run: Run, project: str, step: int) -> dict[str, Any]:
    """Return the last entry of a run: final values, pictures, notes."""
    import trackio
    from PIL import Image

    entry: dict[str, Any] = dict(run.final)
    for name, png in run.images.items():
        picture = trackio.Image(Image.open(io.BytesIO(png)))
        picture._save(project, run.id, step)
        entry[name] = picture._to_dict()
    if run.text:
        entry["notes"] = trackio.Markdown(run.text)._to_dict()
    return entry


def _project(sweep: str) -> str:
    """Return a sweep's name as a project's: in characters that trackio keeps, and none of its reserved names."""
    from trackio.sqlite_storage import SQLiteStorage as Storage

    name = "".join(character if character.isalnum() or character in "-_" else "_" for character in sweep)[:LONGEST]
    try:
        Storage.validate_project_name(name)
    except ValueError:
        return f"sweep_{name}_"
    return name


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()
