"""From an experiment file to a resolved experiment: first all that can be refused without images, then with them."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from pydantic import ValidationError

from ablate.config.base import Branches
from ablate.config.experiment import ExperimentFile, Point, points, to_toml
from ablate.config.space import check, tuned
from ablate.config.sweep import Experiment, NamedComposition, NamedOp, Rung, Search, Variant
from ablate.config.trial import TrialConfig
from ablate.console import counted
from ablate.data import DataSet
from ablate.errors import UsageError, nearest
from ablate.evaluation.protocols import check_protocols, default_protocols, parse_protocols
from ablate.ops import from_spec, parse_op, spec, to_string
from ablate.planning.request import make_request, with_data
from ablate.planning.settings import (
    SETTABLE,
    Request,
    check_settable,
    explain,
    named_ops,
    op_defaults,
    parse_one,
    trial_config,
    validate,
)
from ablate.sweep.plan import cell_label, pairs
from ablate.sweep.prune import RUNGS
from ablate.trial.encoders import check_keep


def request_of(file: ExperimentFile, *, elsewhere: bool = False) -> Request:
    """What ``file`` asks of every trial, whatever its axes; ``elsewhere``: trials run on other machines.

    Raises:
        UsageError: an unknown setting or device.
    """
    check_settable(file.set)
    request = make_request(
        file.data, file.branches, file.device, None, file.preset, elsewhere=elsewhere, compile=file.compile, **file.set
    )
    return with_data(request, file.eval_data, file.labels, file.short_side)


@dataclass(frozen=True)
class Asked:
    """A file whose every word has been understood; :meth:`experiment` needs the images too."""

    file: ExperimentFile
    request: Request
    ops: tuple[NamedOp, ...]
    partners: tuple[str, ...]
    compositions: tuple[NamedComposition, ...]
    points: tuple[tuple[Point, Request], ...]
    protocols: tuple[str, ...]

    def experiment(self, data: DataSet, command: str) -> Experiment:
        """The experiment on ``data``.

        Raises:
            UsageError: a batch larger than the data set; a reference or protocol that ``data`` does not allow; no way
                to compare cells or to tell the best encoder; two points that are one configuration.
        """
        file, shared = self.file, trial_config(self.request, data)
        if "supervised" in file.references and not data.classes:
            raise UsageError(f"{data.name} has no labels: the supervised reference cannot be trained")
        place = {"data": self.request.data, "eval_data": self.request.eval_data}
        return Experiment(
            command=command,
            data=self.request.data,
            eval_data=file.eval_data and self.request.eval_data,
            labels=file.labels,
            short_side=file.short_side,
            levels=data.levels,
            seeds=tuple(file.seed_list),
            references=tuple(name for name in file.references if name != shared.objective),  # cells are their own
            reference_crop=spec(parse_op("crop", op_defaults(self.request))),
            ops=self.ops,
            unordered=file.unordered,
            pairs_with=self.partners,
            compositions=self.compositions,
            prune=_rungs(file, shared, data),
            shared=shared,
            variants=_variants(self.points, data),
            protocols=self._protocols(data),
            keep_encoders=file.keep_encoders,
            rank_timeout=file.rank_timeout,
            measure=data.measure,
            class_counts=data.all_class_counts,
            source=to_toml(file.model_copy(update=place), command),
        )

    def _protocols(self, data: DataSet) -> tuple[str, ...]:
        specs = self.protocols or default_protocols(data)
        check_protocols(specs, data)
        if not {"linear", "rotation"} & set(specs):
            raise UsageError(
                "a grid's cells are compared by the validation accuracy of linear evaluation or rotation prediction: "
                f"add linear or rotation to --protocol {','.join(specs)}"
            )
        check_keep(self.file.keep_encoders, specs)
        return specs


def understand(file: ExperimentFile, request: Request) -> Asked:
    """Check everything that can be checked without images: ops, compositions, settings at every point, protocols.

    Raises:
        UsageError: what is wrong, at which point.
    """
    specs = parse_protocols(",".join(file.protocol)) if file.protocol else ()
    ops = named_ops(request, ",".join(file.ops)) if file.ops else ()
    partners = _partners(file, request, ops)
    grid = [cell_label(a.label, b.label) for a, b in pairs(ops, file.unordered, partners)]
    beside = [*_triples(file, ops, partners), *_named(file, request)]
    compositions = {item.label: item for item in beside if item.label not in grid}
    labels = [*grid, *compositions]
    validate(request)
    found = []
    for point in points(file, sorted(SETTABLE)):
        excluded = tuple(_excluded(text, request, labels) for text in point.excluded)
        asked = _at(point, request)
        try:
            validate(asked)
        except UsageError as error:
            raise UsageError(f"at {point}: {error}") from None
        found.append((dataclasses.replace(point, excluded=excluded), asked))
    return Asked(file, request, ops, partners, tuple(compositions.values()), tuple(found), specs)


def search_of(
    asked: Asked,
    max_length: int,
    strength: str | None,
    p: str | None,
    sampler: Literal["tpe", "random"],
    seed: int,
    batch: int,
) -> Search:
    """The space of compositions of the ops of ``asked``; ``strength`` and ``p`` are ``LOW:HIGH``.

    Raises:
        UsageError: a malformed range, one that an op cannot take, or a space that there is not.
    """
    ranges = {"strength": _range("--strength", strength), "p": _range("--p", p)}
    try:
        found = Search(ops=asked.ops, max_length=max_length, sampler=sampler, seed=seed, batch=batch, **ranges)
    except ValidationError as error:
        raise UsageError(f"--{explain(error)}") from None
    check(found)
    for op in found.ops:
        for name, bounds in tuned(found, op).items():
            for value in bounds:
                dataclasses.replace(from_spec(op.op), **{name: value})  # refuses what is out of the op's range
    return found


def _range(flag: str, text: str | None) -> Any:
    if text is None:
        return None
    low, colon, high = text.partition(":")
    try:
        return float(low), float(high if colon else low)
    except ValueError:
        raise UsageError(f"{flag} is LOW:HIGH, as in 0.25:1, not {text!r}") from None


def _at(point: Point, request: Request) -> Request:
    settings = dict(point.settings)
    branches = settings.pop("branches", request.branches)
    if branches not in get_args(Branches):
        raise UsageError(f"axes.branches: branches must be one or two, not {branches!r}")
    return dataclasses.replace(
        request, values={**request.values, **settings}, branches="two" if branches == "two" else "one"
    )


def _partners(file: ExperimentFile, request: Request, ops: Sequence[NamedOp]) -> tuple[str, ...]:
    """The labels of ``pairs_with``, each of them one of ``ops``."""
    labels = [op.label for op in ops]
    found = [to_string(parse_op(text, op_defaults(request)), op_defaults(request)) for text in file.pairs_with]
    for label in found:
        if label not in labels:
            raise UsageError(
                f"pairs are asked for with {label!r}, which is none of the ops: {', '.join(labels)}"
                f"{nearest(label, labels)}"
            )
    return tuple(found)


def _triples(file: ExperimentFile, ops: Sequence[NamedOp], partners: Sequence[str]) -> list[NamedComposition]:
    """Every ordered triple of different ops where ``order`` is 3: k(k-1)(k-2), a sixth of them where unordered."""
    if file.order != 3:
        return []
    if len(ops) < 3:
        raise UsageError(f"order 3 needs at least three ops, not {len(ops)}")
    arranged = itertools.combinations if file.unordered else itertools.permutations
    return [
        NamedComposition(label="+".join(op.label for op in triple), ops=tuple(op.op for op in triple))
        for triple in arranged(ops, 3)
        if not partners or any(op.label in partners for op in triple)
    ]


def _named(file: ExperimentFile, request: Request) -> list[NamedComposition]:
    """The compositions that the file lists, under the names that it gives them or their own."""
    if isinstance(file.compositions, dict):
        named = [(name, parse_one(request, text)) for name, text in file.compositions.items()]
    else:
        named = [(_label(request, text), parse_one(request, text)) for text in file.compositions]
    if len(dict(named)) < len(named):
        raise UsageError("compositions: one is listed twice")
    return [NamedComposition(label=name, ops=parsed.specs()) for name, parsed in named]


def _label(request: Request, text: str) -> str:
    """The canonical name of a composition, without the parameters that have their defaults."""
    defaults = op_defaults(request)
    return "+".join(to_string(op, defaults) for op in parse_one(request, text).ops) or "none"


def _excluded(text: str, request: Request, labels: Sequence[str]) -> str:
    label = text if text in labels else _label(request, text)
    if label not in labels:
        raise UsageError(f"exclude: {label!r} is no cell of this sweep{nearest(label, labels)}")
    return label


def _rungs(file: ExperimentFile, shared: TrialConfig, data: DataSet) -> tuple[Rung, ...]:
    """Where cells are pruned.

    Raises:
        UsageError: the sweep is not one that can be.
    """
    if not file.prune:
        return ()
    reasons = {
        "is for one setting: this experiment has axes": bool(file.axes),
        f"goes by validation kNN: {data.name} has no labels": not data.classes,
        "is for trials of one process": shared.world_size > 1,
        f"needs more than {counted(shared.epochs, 'epoch')}, to have something to go by": RUNGS[0].epoch(shared.epochs)
        < 1,
    }
    for reason, holds in reasons.items():
        if holds:
            raise UsageError(f"--prune {reason}")
    return RUNGS


def _variants(asked: Sequence[tuple[Point, Request]], data: DataSet) -> tuple[Variant, ...]:
    found: dict[str, Variant] = {}
    for point, request in asked:
        try:
            shared = trial_config(request, data)
        except UsageError as error:
            raise UsageError(f"at {point}: {error}") from None
        if shared.key in found:
            raise UsageError(f"{found[shared.key]} and {point} are the same configuration: exclude one of them")
        found[shared.key] = Variant(values=point.values, shared=shared, excluded=point.excluded)
    return tuple(found.values())
