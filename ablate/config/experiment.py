"""Experiment files: the TOML description of a sweep, for which ``ablate grid`` is a shorthand. Needs no torch."""

from __future__ import annotations

import itertools
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

import tomli_w
from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, field_validator, model_validator

from ablate.config.base import LARGEST_SEED, Branches, Model
from ablate.config.option import GRID, PREVIEW, SEARCH, TRAIN, Option
from ablate.config.settable import SETTABLE, schema_of
from ablate.config.trial import Reference
from ablate.errors import UsageError, expanded, nearest, sentence, unknown

Scalar = bool | int | float | str | list[float]
Values = list[Scalar] | dict[str, Scalar | dict[str, Scalar]]
Seed = Annotated[int, Field(ge=0, le=LARGEST_SEED, strict=True)]
MOST_SEEDS = 1000
DEVICES = ("auto", "cpu", "cuda")
WHOLE = {"image_size", "threads", "world_size"}
"""Settings that all trials of a sweep share, since they decide how images are stored and how a worker is made."""


def _absolute(data: str) -> str:
    """Return a data set's name with its path made absolute, so that it holds from any directory."""
    name, _, path = data.partition(":")
    return f"{name}:{expanded(path).absolute()}" if path and name != "glyphs" else data


def _device(name: object) -> object:
    if name not in DEVICES:
        raise unknown("device", str(name), DEVICES)
    return name


class Experiment(Model):
    """A description of a sweep: what is trained and on which images, but not where it is run.

    The sweep trains every op of ``ops``, every ordered pair of them, every triple if ``order`` is 3, and every
    composition of ``compositions``. It does so at every point of the axes and with every seed. It trains the
    ``references`` once per seed.
    """

    data: Annotated[
        str,
        Option("Images", commands=(GRID, SEARCH, TRAIN, PREVIEW)),
        Field(description="Images: glyphs, cifar10:PATH, cifar100:PATH, stl10:PATH or folder:PATH"),
        AfterValidator(_absolute),
    ] = "glyphs"
    eval_data: Annotated[
        str | None,
        Option("Images", default="the same as --data"),
        Field(description="Evaluate on this labelled data set instead"),
        AfterValidator(lambda data: _absolute(data) if data else None),
    ] = None
    labels: Annotated[
        float | None,
        Option("Images", default="1"),
        Field(description="Fraction of the training images that keep their labels"),
    ] = None
    short_side: Annotated[
        int | None,
        Option("Images", default="the training size; if it exceeds 64 px, that divided by 0.875"),
        Field(description="Short side, in pixels, at which the images of a folder are stored"),
    ] = None
    skip_corrupt: Annotated[
        bool,
        Option("Images", commands=(GRID, SEARCH, TRAIN, PREVIEW)),
        Field(description="Skip image files that are unreadable or that conversion would damage"),
    ] = False
    preset: Annotated[
        str | None,
        Option("Training", default="chosen by data set and image size", commands=(GRID, SEARCH, TRAIN, PREVIEW)),
        Field(
            description="Set of default values: laptop (for CPUs), cifar10-fast, cifar10-readme@2 or -paper@2, "
            "imagenet-readme@2 or -paper@2, glyphs"
        ),
    ] = None
    device: Annotated[
        Literal["auto", "cpu", "cuda"],
        BeforeValidator(_device),
        Option("Running", text=True),
        Field(description="Device on which trials run: auto, cpu or cuda"),
    ] = "auto"
    compile: Annotated[
        Literal["auto", "on", "off"],
        Option("Training"),
        Field(description="Use torch.compile; auto: for trials of 2000 steps or more on a GPU"),
    ] = "auto"
    branches: Annotated[
        Branches,
        Option("What is compared", commands=(GRID, SEARCH, TRAIN, PREVIEW)),
        Field(description="one: augment only one of the two views, as in Figure 5 of the paper; two: augment both"),
    ] = "one"
    ops: Annotated[
        list[str],
        Option("What is compared", listed=True, commands=(GRID, SEARCH, PREVIEW)),
        Field(description="Ops to compose, such as crop or color(strength=0.5)"),
    ] = []
    order: Annotated[
        Literal[2, 3],
        Option("What is compared", commands=(GRID,)),
        Field(description="3: also train every ordered triple of different ops, which are k(k-1)(k-2) for k ops"),
    ] = 2
    unordered: Annotated[
        bool,
        Option("What is compared", commands=(GRID,)),
        Field(description="Train every pair and triple in one order only, which halves the number of pairs"),
    ] = False
    pairs_with: Annotated[
        list[str],
        Option("What is compared", metavar="OPS", listed=True, commands=(GRID,)),
        Field(description="Train only pairs and triples that contain one of these ops"),
    ] = []
    compositions: Annotated[
        list[str] | dict[str, str],
        Option("What is compared", ("--include",), metavar="COMPOSITIONS", listed=True, commands=(GRID,)),
        Field(description="Further compositions to train, such as crop+color+blur"),
    ] = []
    prune: Annotated[
        bool,
        Option("What is compared", commands=(GRID, SEARCH)),
        Field(
            description="Stop cells early that fall behind by validation kNN, which leaves at least 38 % of the "
            "training; see docs/pruning.md"
        ),
    ] = False
    references: Annotated[
        list[Reference], Field(description="References to train and evaluate along with the cells")
    ] = ["untrained"]
    seeds: Annotated[
        Annotated[int, Field(ge=1, le=MOST_SEEDS, strict=True)] | Annotated[list[Seed], Field(min_length=1)],
        Field(description="Number of seeds, which count from 0, or a list of seeds"),
    ] = 1
    protocol: Annotated[
        list[str],
        Option("Evaluation", default="linear,knn; without labels rotation,rankme,alignment", listed=True),
        Field(
            description="Ways to evaluate: linear, sgd, knn, online, rotation, rankme, alignment; on z as in linear@z"
        ),
    ] = []
    keep_encoders: Annotated[
        Literal["all", "best", "none"],
        Option("Evaluation", commands=(GRID,)),
        Field(description="Trained encoders to keep in DIR/encoders, as safetensors files"),
    ] = "none"
    rank_timeout: Annotated[
        float,
        Option("Running", least=1, commands=(GRID, TRAIN)),
        Field(gt=0, description="Seconds without a message after which a process of a trial counts as dead"),
    ] = 600.0
    note: Annotated[
        str,
        Option("Running", commands=(GRID,)),
        Field(description="Note for later readers, kept in DIR/experiment.toml"),
    ] = ""
    set: Annotated[dict[str, Scalar], Field(description="Settings of all trials, with the names that --set takes")] = {}
    axes: Annotated[
        dict[str, Values],
        Field(
            description="Values to try for each setting: a list, or a table that names them. A table under any other "
            "name gives several settings per value"
        ),
    ] = {}
    zip: Annotated[
        list[list[str]], Field(description="Groups of axes that advance together instead of multiplying")
    ] = []
    exclude: Annotated[
        list[dict[str, Scalar]], Field(description="Points to leave out: tables with values of axes, or a composition")
    ] = []

    @field_validator("set")
    @classmethod
    def _known(cls, settings: dict[str, Scalar]) -> dict[str, Scalar]:
        for name in settings:
            if name not in SETTABLE:
                raise unknown("setting", name, sorted(SETTABLE))
        return settings

    @field_validator("axes")
    @classmethod
    def _not_empty(cls, axes: dict[str, Values]) -> dict[str, Values]:
        for name, values in axes.items():
            if not values:
                raise ValueError(f"axis {name!r} has no values")
        return axes

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.ops and not self.compositions:
            raise ValueError("nothing to train: give ops or compositions")
        if len(set(self.seed_list)) < len(self.seed_list):
            raise ValueError("seeds: a seed is listed twice")
        for name in itertools.chain.from_iterable(self.zip):
            if name not in self.axes:
                raise ValueError(f"zip: there is no axis {name!r}{nearest(name, self.axes)}")
        for group in self.zip:
            lengths = {name: len(self.axes[name]) for name in group}
            if len(set(lengths.values())) > 1:
                told = " and ".join(f"{name} {length}" for name, length in lengths.items())
                raise ValueError(f"zip: axes that advance together must have equally many values, not {told}")
        flat = list(itertools.chain.from_iterable(self.zip))
        if len(set(flat)) < len(flat):
            raise ValueError("zip: an axis is named twice")
        return self

    def at(self, settings: Mapping[str, Any]) -> Experiment:
        """Return this description with ``settings`` (``branches`` may be one) replacing those of the same names.

        Raises:
            UsageError: ``branches`` is neither one nor two.
        """
        further = {name: value for name, value in settings.items() if name != "branches"}
        branches = settings.get("branches", self.branches)
        if branches not in get_args(Branches):
            raise UsageError(f"axes.branches: branches must be one or two, not {branches!r}")
        return self.replace(set={**self.set, **further}, branches=branches)

    @property
    def seed_list(self) -> list[int]:
        """The list of seeds, also where only their number was given."""
        return list(range(self.seeds)) if isinstance(self.seeds, int) else self.seeds


@dataclass(frozen=True)
class Point:
    """A point on the axes.

    Args:
        values: the name of its value on each axis, by axis.
        settings: the settings, or ``branches``, that these values stand for.
        excluded: the compositions that are not trained here, as they are written in the file.
    """

    values: dict[str, str]
    settings: dict[str, Scalar]
    excluded: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return ``temperature=0.1, batch_size=64``."""
        return ", ".join(f"{name}={value}" for name, value in self.values.items())


def points(file: Experiment) -> list[Point]:
    """Return every combination of the axes' values, the first axis outermost; an empty list without axes.

    Raises:
        UsageError: an unknown setting, one that is set twice, one that a whole sweep shares, an exclusion that names an
            unknown axis or value, or no point left.
    """
    if not file.axes:
        _check_exclusions(file, {})
        return []
    choices = {name: _choices(name, values) for name, values in file.axes.items()}
    _check_set_once(file, choices)
    _check_exclusions(file, choices)
    zipped = {name: group for group in file.zip for name in group}
    groups = [zipped.get(name, [name]) for name in choices if zipped.get(name, [name])[0] == name]
    rows = [
        list(zip(*([(name, *choice) for choice in choices[name].items()] for name in group), strict=True))
        for group in groups
    ]
    found = [_point(file, list(itertools.chain.from_iterable(row))) for row in itertools.product(*rows)]
    kept = [point for point in found if point is not None]
    if not kept:
        raise UsageError("exclude leaves no point of the axes")
    return kept


def _choices(name: str, values: Values) -> dict[str, dict[str, Scalar]]:
    """Return the settings that each value of an axis stands for, by the value's name."""
    if name in WHOLE or name in {"data", "eval_data", "labels", "preset", "device", "seeds", "seed"}:
        raise UsageError(
            f"axes.{name}: all trials of a sweep share it; run one sweep per value and compare them with ablate report"
        )
    if name in {"composition", "compositions", "ops"}:
        raise UsageError(
            f"axes.{name}: compositions are not an axis: each is trained at every point; list them under compositions"
        )
    is_setting = name in SETTABLE or name == "branches"
    if isinstance(values, list):
        if not is_setting:
            raise unknown("axis", name, [*sorted({*SETTABLE} - WHOLE), "branches"])
        named = {shown(value): {name: value} for value in values}
        if len(named) < len(values):
            raise UsageError(f"axes.{name}: a value is listed twice")
        return named
    found: dict[str, dict[str, Scalar]] = {}
    for called, value in values.items():
        if not isinstance(value, dict):
            if not is_setting:
                raise unknown("axis", name, [*sorted({*SETTABLE} - WHOLE), "branches"])
            found[called] = {name: value}
            continue
        for setting in value:
            if setting in WHOLE:
                raise UsageError(f"axes.{name}.{called}: all trials of a sweep share {setting}; set it under [set]")
            if setting not in SETTABLE and setting != "branches":
                raise UsageError(
                    f"axes.{name}.{called}: unknown setting {setting!r}{nearest(setting, [*SETTABLE, 'branches'])}"
                )
        found[called] = value
    return found


def shown(value: Scalar) -> str:
    """Return a value as labels show it: ``0.1``, ``lars``, ``(0.08, 1)``."""
    if isinstance(value, list):
        return f"({', '.join(map(shown, value))})"
    return f"{value:g}" if isinstance(value, float) else str(value).lower() if isinstance(value, bool) else str(value)


def _check_set_once(file: Experiment, choices: Mapping[str, dict[str, dict[str, Scalar]]]) -> None:
    """Raise UsageError where a setting is given twice: by two axes, or by an axis and ``[set]``."""
    owner: dict[str, str] = dict.fromkeys(file.set, "[set]")
    for axis, values in choices.items():
        for setting in {name for settings in values.values() for name in settings}:
            if setting in owner:
                raise UsageError(f"{setting} is set by axes.{axis} and by {owner[setting]}; remove one of the two")
            owner[setting] = f"axes.{axis}"


def _check_exclusions(file: Experiment, choices: Mapping[str, Mapping[str, Any]]) -> None:
    for exclusion in file.exclude:
        for name, value in exclusion.items():
            if name == "composition":
                continue  # compared later with the resolved compositions
            if name not in choices:
                raise UsageError(f"exclude: there is no axis {name!r}{nearest(name, [*choices, 'composition'])}")
            if shown(value) not in choices[name]:
                raise UsageError(
                    f"exclude: axis {name} has no value {shown(value)!r}; it has {', '.join(choices[name])}"
                )


def _point(file: Experiment, row: Sequence[tuple[str, str, dict[str, Scalar]]]) -> Point | None:
    values = {name: called for name, called, _ in row}
    settings = {name: value for _, _, chosen in row for name, value in chosen.items()}
    matching = [
        exclusion
        for exclusion in file.exclude
        if all(name == "composition" or values[name] == shown(value) for name, value in exclusion.items())
    ]
    if any("composition" not in exclusion for exclusion in matching):
        return None
    return Point(values, settings, tuple(str(exclusion["composition"]) for exclusion in matching))


def read(path: Path, changes: Sequence[str] = ()) -> Experiment:
    """Read the experiment in a TOML file, and apply ``changes`` to it.

    Args:
        path: the file.
        changes: ``epochs=5`` (a setting), ``seeds=3`` or ``axes.temperature=[1]``.

    Raises:
        UsageError: no such file, not TOML, an unknown key or a value that is not allowed; the sentence names the file
            and the key.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except IsADirectoryError:
        raise UsageError(f"{path} is a directory; ablate run takes an experiment file (.toml)") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise UsageError(f"{path} is not TOML: {error}") from None
    for change in changes:
        _change(content, change)
    return validated(content, str(path))


def _change(content: dict[str, Any], change: str) -> None:
    name, equals, text = change.partition("=")
    name, text = name.strip(), text.strip()
    if not equals:
        raise UsageError(f"--set takes NAME=VALUE, not {change!r}")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except ValueError:
        value = text  # a bare word
    group, _, axis = name.partition(".")
    if name in SETTABLE:
        if name in content.get("axes", {}):
            raise UsageError(
                f"--set {name}: {name} is an axis of the experiment; set its values with --set axes.{name}=[...]"
            )
        content.setdefault("set", {})[name] = value
    elif group == "axes" and axis:
        content.setdefault("axes", {})[axis] = value
    elif name in Experiment.model_fields:
        content[name] = value
    else:
        raise unknown("setting", name, sorted({*SETTABLE, *Experiment.model_fields}))


def validated(content: Mapping[str, Any], source: str = "") -> Experiment:
    """Return ``content`` as an experiment.

    Args:
        content: the keys and values of an experiment file.
        source: where they came from, for messages.

    Raises:
        UsageError: an unknown key or a value that is not allowed; the sentence names ``source``, if given, and the key.
    """
    try:
        return Experiment.model_validate(content)
    except ValidationError as error:
        problem = error.errors()[0]
        if problem["loc"][:1] == ("set",) and len(problem["loc"]) > 1:  # a union: pydantic would name one member
            scalar = "a number, a word, true or false, or a list of numbers"
            told = f"{problem['loc'][1]}: a setting is {scalar}, not {problem['input']!r}"
        else:
            told = sentence(error, kind="key", allowed=list(Experiment.model_fields))
        raise UsageError(f"{source}: {told}" if source else told) from None


HEADER = "# {command}\n# The last command in this directory, as an experiment file; to run it: ablate run FILE\n\n"


def to_toml(file: Experiment, command: str) -> str:
    """Return ``file`` as TOML without default values, below a comment with the command that it came from."""
    content = file.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    return HEADER.format(command=command.replace("\n", " ")) + tomli_w.dumps(content)


def json_schema() -> str:
    """Return the JSON schema of experiment files, for editors: all keys, and the settings for ``[set]`` and axes."""
    schema = Experiment.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "ablate experiment"
    known = schema["properties"]
    known["set"]["properties"] = {name: schema_of(field) for name, field in sorted(SETTABLE.items())}
    known["set"]["propertyNames"] = {"enum": sorted(SETTABLE)}
    return json.dumps(schema, indent=1) + "\n"
