"""Determine the resources that jobs request: from flags, the sweep, the user's file and defaults, in this order.

Needs no torch and no scheduler; every mistake is reported in one sentence that says where it was made.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from ablate.config.at_hand import as_option
from ablate.config.experiment import Experiment
from ablate.config.option import flag
from ablate.config.slurm import Slurm
from ablate.config.sweep import SweepPlan
from ablate.config.trial import TrialConfig
from ablate.errors import UsageError, expanded, sentence, unknown
from ablate.sweep.layout import SweepDir
from ablate.sweep.plan import load_plan

OWN = {
    **{name: flag for name in ("partition", "account", "qos", "time", "constraint", "nodes") for flag in [f"--{name}"]},
    **dict.fromkeys(("mem", "mem-per-cpu", "mem-per-gpu"), "--mem"),
    **dict.fromkeys(("gpus", "gpus-per-node", "gpus-per-task", "gres"), "--gpus"),
    **dict.fromkeys(("cpus-per-task", "cpus-per-gpu"), "--cpus"),
    **dict.fromkeys(("signal", "time-min"), "--grace and --time"),
}
"""sbatch options for which ablate has its own flag."""
TAKEN = {"array", "chdir", "error", "input", "job-name", "no-requeue", "ntasks", "ntasks-per-node", "open-mode"} | {
    *("output", "parsable", "requeue", "wait", "wrap", "test-only")
}
"""sbatch options that only ablate may set."""


@dataclass(frozen=True)
class JobSettings:
    """The requested settings by field of :class:`~ablate.config.slurm.Slurm`, and the place of each in words.

    ``device`` is the device on which the sweep in the directory trains; None if there is no sweep yet.
    """

    values: dict[str, Any]
    places: dict[str, str]
    device: Literal["cpu", "cuda"] | None = None


def parse_extra(items: Sequence[str]) -> dict[str, str | int | bool]:
    """Parse ``["reservation=lab", "exclusive"]`` to ``{"reservation": "lab", "exclusive": True}``."""
    values: dict[str, str | int | bool] = {}
    for item in items:
        name, equals, value = item.partition("=")
        values[name.strip().removeprefix("--")] = value.strip() if equals else True
    return values


def gather(flags: Mapping[str, Any], directory: Path) -> JobSettings:
    """Gather the settings that ``flags``, ``DIR/sweep.toml`` and the user's file request.

    Args:
        flags: the values of the flags, by field; None or empty: the flag was not given.
        directory: the sweep's directory.

    Raises:
        UsageError: a file is not TOML, or has an unknown key.
    """
    sources = [_user_file()]
    device = None
    if (SweepDir(directory).plan).is_file():
        experiment = load_plan(directory)
        device = experiment.shared.device
        if experiment.slurm:
            sources.append((f"in {SweepDir(directory).plan}", _chosen(experiment.slurm, experiment)))
    given = {name: value for name, value in flags.items() if value not in (None, [])}
    if "extra" in given:
        given["extra"] = parse_extra(given["extra"])
    values: dict[str, Any] = {}
    places: dict[str, str] = {}
    for place, source in sources:
        values |= source
        places |= {name: f"{name} {place}" for name in source}
    extra = {**values.get("extra", {}), **given.get("extra", {})}
    values |= given | ({"extra": extra} if extra else {})
    places |= {name: flag(name, Slurm.model_fields[name]) for name in given}
    return JobSettings(values, places, device)


def _user_file() -> tuple[str, dict[str, Any]]:
    """Read ``$XDG_CONFIG_HOME/ablate/slurm.toml``, with keys at the top or in a table ``[slurm]``."""
    base = os.environ.get("XDG_CONFIG_HOME")
    path = (expanded(base) if base else Path.home() / ".config") / "ablate" / "slurm.toml"
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return str(path), {}
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from None
    table = content.pop("slurm", {})
    content |= table if isinstance(table, dict) else {"slurm": table}
    for name in content:
        if name not in Slurm.model_fields:
            raise unknown(f"key in {path}:", name, Slurm.model_fields)
    return f"in {path}", content


def _chosen(slurm: Slurm, experiment: SweepPlan) -> dict[str, Any]:
    """Return ``slurm`` without defaults, so that the user's file counts, and without derived numbers."""
    followed = {name: getattr(_completed(slurm, {}, experiment.shared), name) for name in DERIVED}
    unchosen = Slurm().model_dump() | followed
    return {name: value for name, value in slurm.model_dump().items() if value != unchosen[name]}


def device_there(wish: Experiment, jobs: JobSettings) -> Literal["cpu", "cuda"]:
    """Return the device on which jobs train if ``wish`` leaves it open; the login node's hardware does not count.

    GPUs are used if some are requested, else the device on which the sweep trains already. Else, if nothing is said
    about GPUs, a trial of several processes is taken to mean several GPUs; otherwise the CPU is used.
    """
    if wish.device != "auto":
        return wish.device
    gpus = jobs.values.get("gpus")
    if gpus is not None:
        return "cpu" if gpus == 0 else "cuda"
    return jobs.device or ("cpu" if wish.set.get("world_size", 1) == 1 else "cuda")


def resources(asked: JobSettings, config: TrialConfig) -> Slurm:
    """Return the complete and consistent resources of jobs for trials like ``config``.

    Raises:
        UsageError: a value is out of range, or contradicts another.
    """
    try:
        slurm = Slurm.model_validate(asked.values)
    except ValidationError as error:
        raise UsageError(sentence(error, places=asked.places)) from None
    slurm = slurm.replace(extra=_checked_extra(slurm.extra))
    if config.world_size % slurm.nodes:
        processes = "process" if config.world_size == 1 else "processes"
        raise UsageError(
            f"--nodes {slurm.nodes} must divide the {config.world_size} {processes} of a trial (--gpus-per-trial)"
        )
    slurm = _completed(slurm, asked.values, config)
    _check_gpus(slurm, config)
    _check_side_by_side(slurm, config)
    return slurm


DERIVED = ("gpus", "cpus")


def _completed(slurm: Slurm, given: Mapping[str, Any], config: TrialConfig) -> Slurm:
    """Add the GPUs that one trial needs, and a core for every thread, unless they were given."""
    if "gpus" not in given:
        gpus = config.world_size // slurm.nodes if config.device == "cuda" else 0
        slurm = slurm.replace(gpus=gpus)
    if "cpus" not in given:
        processes = config.world_size // slurm.nodes
        cpus = max(1, config.threads * processes * side_by_side(slurm, config))
        slurm = slurm.replace(cpus=cpus)
    return slurm


def side_by_side(slurm: Slurm, config: TrialConfig) -> int:
    """Return how many trials like ``config`` run at the same time in one job."""
    if slurm.nodes > 1:
        return 1
    if config.device == "cpu":
        return slurm.workers if config.world_size == 1 else 1
    return slurm.gpus * slurm.per_gpu if config.world_size == 1 else slurm.gpus // config.world_size


def _check_gpus(slurm: Slurm, config: TrialConfig) -> None:
    needed = config.world_size // slurm.nodes
    if config.device == "cpu":
        if slurm.gpus:
            cuda = as_option("device", "cuda")
            raise UsageError(f"--gpus {slurm.gpus}: the trials run on CPUs, so GPUs would idle; add {cuda}")
    elif slurm.nodes > 1 and slurm.gpus != needed:
        raise UsageError(f"--gpus {slurm.gpus}: a trial on {slurm.nodes} nodes uses {needed} on each")
    elif not slurm.gpus or slurm.gpus % needed:
        raise UsageError(
            f"--gpus {slurm.gpus}: a trial uses {needed}, so a job needs {needed} or a multiple of it; to train on "
            f"CPUs, add {as_option('device', 'cpu')}"
        )


def _check_side_by_side(slurm: Slurm, config: TrialConfig) -> None:
    if slurm.per_gpu > 1 and (config.device == "cpu" or config.world_size > 1):
        raise UsageError("--per-gpu is for trials of one process on a GPU")
    if slurm.workers > 1 and config.device == "cuda":
        raise UsageError(
            "--workers is for trials on CPUs; to run trials side by side on GPUs, use --gpus and --per-gpu"
        )
    if slurm.workers > 1 and config.world_size > 1:
        raise UsageError(f"--workers is for trials of one process; these have {config.world_size}")


def _checked_extra(extra: Mapping[str, str | int | bool]) -> dict[str, str | int | bool]:
    for name in extra:
        if name in OWN:
            raise UsageError(f"--sbatch {name}: use {OWN[name]}")
        if name in TAKEN:
            raise UsageError(f"--sbatch {name}: ablate sets it itself")
        if not re.fullmatch(r"[a-z][a-z0-9-]+", name):
            raise UsageError(f"--sbatch takes NAME=VALUE with sbatch's long option names, not {name!r}")
    return dict(extra)


def refuse_without_slurm(flags: Mapping[str, Any]) -> None:
    """Raise UsageError if a flag was given that only ``--launcher slurm`` knows."""
    for name, value in flags.items():
        if name != "workers" and value not in (None, []):
            raise UsageError(f"{flag(name, Slurm.model_fields[name])} needs --launcher slurm")
