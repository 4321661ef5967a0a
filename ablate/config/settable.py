"""The settings of a trial: the names allowed in ``--set``, in the ``[set]`` table of experiment files and as axes."""

from __future__ import annotations

import types
from collections.abc import Iterator
from typing import Annotated, Any, get_args

from pydantic import Field, TypeAdapter
from pydantic.fields import FieldInfo

from ablate.config.base import GIVEN, Model
from ablate.config.option import option_of
from ablate.config.presets import Scaling
from ablate.config.trial import TrialConfig


class LearningRate(Model):
    """The rule by which ``optimiser.lr`` follows from the batch size where it is not set itself."""

    lr_base: Annotated[
        float | None, Field(gt=0, description="Base learning rate, which lr_scaling scales to the batch size")
    ] = None
    lr_scaling: Annotated[
        Scaling | None, Field(description="linear: lr_base * batch / 256; sqrt: lr_base * sqrt(batch)")
    ] = None


def _settings(model: type[Model], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    for name, field in model.model_fields.items():
        if GIVEN in field.metadata:
            continue
        if inner := _model_in(field.annotation):
            yield from _settings(inner, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field


def _model_in(annotation: Any) -> type[Model] | None:
    """Return the model that a field holds, or may hold beside None; None if there is none."""
    kinds = [kind for kind in (annotation, *get_args(annotation)) if kind is not types.NoneType]
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Model)), None)


SETTABLE: dict[str, FieldInfo] = dict([*_settings(TrialConfig), *_settings(LearningRate)])
"""The fields of a trial that can be set by name, such as ``epochs`` or ``encoder.width``."""


def schema_of(field: FieldInfo) -> dict[str, Any]:
    """Return the JSON schema of a setting's value, with its description and the smallest number that is allowed."""
    schema = TypeAdapter(field.rebuild_annotation()).json_schema()
    option = option_of(field)
    if option and option.least is not None:
        schema["minimum"] = option.least
    return {**schema, "description": field.description} if field.description else schema
