"""The options of commands: those that a model's fields declare, and those that several commands share."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from pydantic.fields import FieldInfo

from ablate.cli import completion
from ablate.config.experiment import Experiment
from ablate.config.interval import Interval
from ablate.config.measure import Measure, measure_named
from ablate.config.option import Option, bounds, option_of, options_of, plain_type
from ablate.config.settable import SETTABLE
from ablate.config.slurm import Slurm
from ablate.errors import UsageError


def _named_task(name: str | None) -> str | None:
    """Refuse a name without letters: an empty variable of a script must not choose the main task."""
    if name is not None and not name.strip():
        raise typer.BadParameter("the name of a task is needed; leave the option out for the main task")
    return name


Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="NAME=VALUE", help="Any other setting, such as optimiser.lr=0.1 or base.area=(0.3,1)"
    ),
]
Cache = Annotated[
    str | None,
    typer.Option(
        help="Directory for decoded images; Slurm nodes must be able to read it",
        show_default="$ABLATE_CACHE, else ablate in the user's cache directory",
    ),
]
Every = Annotated[
    float | None, typer.Option(help="With --watch: seconds between two updates", show_default="5", min=0.1)
]
Metric = Annotated[
    Measure | None,
    typer.Option(
        metavar="|".join(typing.get_args(Measure)),
        parser=measure_named,
        autocompletion=completion.measures,
        help="Measure to rank compositions by and to show: an accuracy, macro F1, AUROC, average precision or R²",
        show_default="balanced where the largest class has more than twice its share, else top1",
    ),
]
Task = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        callback=_named_task,
        help="Task to judge by: a column of labels or a data set that the sweep was given with --label or --eval-data",
        show_default="the main one",
    ),
]
Holds = Annotated[
    Interval, typer.Option("--interval", help="What the intervals hold: other seeds, other images of the kind, or both")
]
Protect = Annotated[
    list[str] | None,
    typer.Option(
        metavar="CLASS[:POINTS]",
        help="Choose only compositions that keep the validation recall of this class within 2 (or POINTS) points of "
        "the highest; repeatable",
    ),
]
Directory = Annotated[Path, typer.Argument(help="Directory of a sweep", metavar="DIR")]


@dataclass(frozen=True)
class Running:
    """The place and manner of running a sweep, which change none of its results; the options of commands that run.

    ``jobs`` holds the resources that jobs ask of the cluster, by field of :class:`~ablate.config.slurm.Slurm`.
    """

    out: Annotated[Path | None, typer.Option(help="Directory of the sweep", show_default="results/<data>-<ops>")] = None
    workers: Annotated[
        int | None,
        typer.Option(
            help="Worker processes; with slurm, trials that run side by side in a job on CPUs",
            show_default="one per GPU or CPU core; with slurm, 1",
            min=1,
        ),
    ] = None
    cache: Cache = None
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Run failed trials again")] = False
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Print the plan, its cost and, with slurm, the batch script; run nothing"),
    ] = False
    as_json: Annotated[
        bool,
        typer.Option("--json", help="With --dry-run: print the plan as one JSON document; all else goes to stderr"),
    ] = False
    track: Annotated[
        str | None,
        typer.Option(
            metavar="NAME[:DIR]",
            help="Also write finished trials to an experiment tracker: tensorboard, mlflow, wandb, trackio or aim "
            "(offline); see docs/trackers.md",
            autocompletion=completion.trackers,
        ),
    ] = None
    launcher: Annotated[
        Literal["local", "slurm"],
        typer.Option(help="Run on this machine, or submit jobs to a Slurm cluster and return"),
    ] = "local"
    jobs: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def far(self) -> bool:
        """True if trials run on a cluster."""
        return self.launcher == "slurm"


Run = Callable[..., int]


def described(command: str, *, required: Iterable[str] = (), **defaults: str) -> Callable[[Run], Run]:
    """Make a command take a description's fields and a trial's settings as options, in place of its ``flags``.

    ``flags`` becomes a dictionary of the options that were given, by field; ``flags["set"]`` has the settings.

    Args:
        command: the command; it gets the options that name it.
        required: the options that must be given.
        defaults: by field, the command's own default where it differs from the description's; one in brackets is only
            shown.
    """
    fields = {**options_of(Experiment), **{name: field for name, field in SETTABLE.items() if option_of(field)}}
    chosen = {name: fields[name] for name in (*required, *fields) if command in _option(fields[name]).commands}
    parameters = {
        name: _parameter(name, field, name in required, defaults.get(name, ""), checked=name not in SETTABLE)
        for name, field in chosen.items()
    }
    implied = {name: value for name, value in defaults.items() if not value.startswith("(")}

    def is_given(name: str, value: Any) -> bool:
        is_empty_list = value == "" and _option(chosen[name]).listed and name not in required
        return value is not None and value is not False and not is_empty_list

    def collect(values: dict[str, Any]) -> dict[str, Any]:
        given = {name: value for name in chosen if is_given(name, value := values[_word(name)])}
        flags = implied | {name: value for name, value in given.items() if name not in SETTABLE}
        return {**flags, "set": {name: value for name, value in given.items() if name in SETTABLE}}

    return _in_place_of("flags", parameters.values(), collect)


def running(only: Iterable[str] = (), without: Iterable[str] = (), **own: Any) -> Callable[[Run], Run]:
    """Make a command take the fields of :class:`Running` as options, in place of its parameter ``how``.

    Args:
        only: the fields that it takes; if empty, all of them and the resources that a job asks of the cluster.
        without: the fields that it does not take.
        own: by field, the option in this command where it has its own help.
    """
    hints = typing.get_type_hints(Running, include_extras=True) | own
    parameters = [
        inspect.Parameter(
            field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=hints[field.name]
        )
        for field in dataclasses.fields(Running)
        if field.name not in {"jobs", *without} and field.name in (only or hints)
    ]
    jobs = {} if only else {name: _parameter(name, field) for name, field in options_of(Slurm).items()}

    def collect(values: dict[str, Any]) -> Running:
        asked = {name: values.pop(name) for name in jobs}
        if values.get("as_json") and not values["dry_run"]:
            raise UsageError("--json prints the plan of a dry run: add --dry-run; results: `ablate report DIR --json`")
        return Running(**values, jobs=asked)

    return _in_place_of("how", [*parameters, *jobs.values()], collect)


def _in_place_of(
    name: str, parameters: Iterable[inspect.Parameter], collect: Callable[[dict[str, Any]], Any]
) -> Callable[[Run], Run]:
    """Make a command take ``parameters`` in place of the one called ``name``, which ``collect`` makes from them."""
    added = {parameter.name: parameter for parameter in parameters}

    def decorate(function: Run) -> Run:
        @functools.wraps(function)
        def run(**options: Any) -> int:
            values = {word: options.pop(word) for word in added}
            return function(**options, **{name: collect(values)})

        own = inspect.signature(function, eval_str=True)
        taken: list[inspect.Parameter] = []
        for word, parameter in own.parameters.items():
            taken += added.values() if word == name else [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)]
        run.__dict__["__signature__"] = own.replace(parameters=taken)
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in taken} | {"return": int}
        return run

    return decorate


def _option(field: FieldInfo) -> Option:
    option = option_of(field)
    assert option is not None
    return option


def _word(name: str) -> str:
    """Return a field's name as a parameter's: ``encoder_name`` for ``encoder.name``."""
    return name.replace(".", "_")


def _parameter(
    name: str, field: FieldInfo, required: bool = False, default: str = "", *, checked: bool = True
) -> inspect.Parameter:
    """Return the option that a field declares, as a parameter.

    Args:
        name: the name of the field or setting.
        field: the field.
        required: True if it must be given.
        default: shown instead of the field's own.
        checked: False if the range is only shown, because one sentence about all settings refuses values beyond it.
    """
    option = _option(field)
    low, high = bounds(field)
    kind = _kind(field)
    shown = default.strip("()") or option.default or _shown(field.default)
    if shown and not checked and low is not None:
        shown = f"{shown}; at least {low:g}"
    flags = option.flags or (f"--{name.replace('_', '-')}",)
    info = typer.Option(
        *flags,
        help=f"{field.description}{'; comma-separated' if option.listed else ''}",
        metavar=option.metavar,
        show_default=shown if shown and not required else False,
        rich_help_panel=option.group,
        autocompletion=completion.OF_FIELDS.get(name),
        min=low if checked and kind in {int, float} else None,
        max=high if checked and kind in {int, float} else None,
    )
    unset: Any = inspect.Parameter.empty if required else False if kind is bool else None
    annotation = kind if kind is bool or required else kind | None
    return inspect.Parameter(
        _word(name), inspect.Parameter.KEYWORD_ONLY, default=unset, annotation=Annotated[annotation, info]
    )


def _kind(field: FieldInfo) -> Any:
    """Return the type of an option's value: a word if it is read later, or stands for a list."""
    kind, option = plain_type(field), _option(field)
    if option.text or option.listed:
        return str
    origin = typing.get_origin(kind)
    if origin is Literal:
        return int if all(isinstance(value, int) for value in typing.get_args(kind)) else kind
    return list[str] if origin in {list, tuple, dict} else kind


def _shown(value: Any) -> str:
    if value is None or value is False or value in ((), [], {}):
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value)
