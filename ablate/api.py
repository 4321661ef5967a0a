"""Sweeps from Python: ``ablate grid`` as a function."""

from __future__ import annotations

import inspect
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablate.console import make_console, say
from ablate.errors import ExitCode, Interruption, UsageError, unknown
from ablate.report.data.load import load_results
from ablate.sweep.layout import SweepDir

if TYPE_CHECKING:
    import pandas as pd

    from ablate.config.experiment import Experiment


def grid(
    ops: str | Sequence[str],
    out: str | Path | None = None,
    *,
    workers: int | None = None,
    cache: str | Path | None = None,
    retry_failed: bool = False,
    **settings: Any,
) -> pd.DataFrame:
    """Train every single op and every ordered pair on this machine, write the report, and return the results.

    The same call again trains only what is missing, as ``ablate grid`` does. The directory is the same too, so a sweep
    that was begun here can be continued on the command line.

    Args:
        ops: ``"crop,color(strength=0.5)"``, or a sequence of such ops.
        out: the sweep's directory; default: ``results/<data>-<ops>``.
        workers: worker processes; default: one per GPU or CPU core.
        cache: where decoded images are kept; default: ``$ABLATE_CACHE`` or the user's cache directory.
        retry_failed: run failed trials again.
        settings: any field of an experiment file (``data``, ``branches``, ``seeds``, ``preset``, ``references``, ...)
            and any setting of its table ``set`` (``epochs``, ``batch_size``, ``image_size``, ...). Settings with a dot
            in their name are given as ``set={"encoder.width": 8}``.

    Returns:
        The table of :func:`ablate.load_results` with one row per trial and accuracies as fractions.

    Raises:
        UsageError: an unknown op, field or setting, or a value that is not allowed; nothing has run then.
        KeyboardInterrupt: it was interrupted (Ctrl-C, SIGINT); the same call resumes.
        SystemExit: the program was told to end (SIGTERM) and has no handler of its own for that; the code is 143.
    """
    from ablate.config.experiment_file import validated
    from ablate.data import cache_dir
    from ablate.launch.local import check_out
    from ablate.ops import split_list
    from ablate.planning.request import default_out
    from ablate.processes.signals import interruptible

    names = split_list(ops, ",") if isinstance(ops, str) else list(ops)
    asked = _asked(settings)
    if workers is not None and workers < 1:
        raise UsageError(f"workers of ablate.grid must be at least 1, not {workers}")
    wish = validated({**asked, "ops": names}, "ablate.grid")
    if wish.axes:
        raise UsageError("ablate.grid holds all settings fixed; axes are for an experiment file: ablate run FILE")
    directory = Path(out) if out else default_out(wish.data, names)
    check_out(directory)
    where = cache_dir(str(cache) if cache else None)
    again = shlex.join(["ablate", "run", str(SweepDir(directory).experiment), "--out", str(directory)])
    try:
        with interruptible():
            return _run(wish, directory, where, again, workers, retry_failed)
    except Interruption as error:
        say(make_console(stderr=True), str(error))
        if error.code == ExitCode.TERMINATED:
            raise SystemExit(error.code) from None
        raise KeyboardInterrupt(f"interrupted; make the same call again to resume, or run: {again}") from None


def _run(
    wish: Experiment, directory: Path, cache: Path, again: str, workers: int | None, retry_failed: bool
) -> pd.DataFrame:
    """Plan the sweep, train what is missing, write the report, and return the results."""
    from ablate.launch.start import run_here
    from ablate.planning.about import about_sweep
    from ablate.planning.from_files import spelled_out
    from ablate.planning.images import prepare_images
    from ablate.planning.request import with_preset
    from ablate.planning.settings import resolve_device
    from ablate.planning.understand import plan_sweep

    wish, recipes = spelled_out(wish)
    resolved = with_preset(wish, resolve_device(wish.device), directory)
    planned, images = plan_sweep(resolved, directory, lambda sized: prepare_images(sized, cache), again)
    about = recipes + about_sweep(wish, resolved, planned, images)
    run_here(directory, planned, about, cache, workers, retry_failed, dry_run=False)
    from ablate.report import write_report  # pandas, SciPy and Matplotlib: not before the first trial

    write_report(directory).show(make_console())
    return load_results(directory)


def _asked(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of :func:`grid` as fields of an experiment, with those of its table ``set`` in ``set``.

    Raises:
        UsageError: an unknown name, or a ``set`` that is no table.
    """
    from ablate.config.experiment import Experiment
    from ablate.config.settable import SETTABLE

    fields = Experiment.model_fields
    further = {name: value for name, value in settings.items() if name not in fields}
    own = [name for name in inspect.signature(grid).parameters if name not in {"settings", *fields}]
    for name in further:
        if name not in SETTABLE:
            raise unknown("argument of ablate.grid", name, [*own, *fields, *sorted(SETTABLE)])
    asked = {name: value for name, value in settings.items() if name in fields}
    if not isinstance(own_set := asked.get("set", {}), Mapping):
        raise UsageError(
            f"set of ablate.grid must be a table of settings, as in {{'encoder.width': 8}}, not {own_set!r}"
        )
    return {**asked, "set": {**own_set, **further}}
