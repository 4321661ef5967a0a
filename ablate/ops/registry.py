"""The registry of ops: those of this package, those of users, and those that installed packages announce."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import pkgutil
import re
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import TypeVar, dataclass_transform

from ablate.errors import UsageError, unknown
from ablate.ops.op import Op
from ablate.ops.parameters import param

GROUP = "ablate.ops"
_OPS: dict[str, type[Op]] = {}
OpClass = TypeVar("OpClass", bound=Op)


@dataclass_transform(frozen_default=True, field_specifiers=(param,))
def register(name: str) -> Callable[[type[OpClass]], type[OpClass]]:
    """Make an Op subclass a frozen dataclass and register it as ``name``; this is a class decorator.

    Raises:
        UsageError: a name that is not lower-case letters, digits and ``_``, or is taken; a class that is not an Op or
            has no ``transform``; a parameter that is not declared with ``param``.
    """

    def decorate(cls: type[OpClass]) -> type[OpClass]:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
            raise UsageError(f"an op's name must consist of lower-case letters, digits and '_', not {name!r}")
        if not (isinstance(cls, type) and issubclass(cls, Op)):
            raise UsageError(f"@register({name!r}) must decorate a subclass of ablate.Op, not {cls!r}")
        taken = _OPS.get(name)
        if taken is not None and (taken.__module__, taken.__qualname__) != (cls.__module__, cls.__qualname__):
            raise UsageError(f"the op name {name!r} is taken by {taken.__module__}.{taken.__qualname__}")
        made = cls if "__dataclass_params__" in vars(cls) else dataclasses.dataclass(frozen=True)(cls)
        for field in dataclasses.fields(made):
            if "doc" not in field.metadata:
                raise UsageError(
                    f"parameter {field.name!r} of op {name!r} must be declared with ablate.param(default, doc)"
                )
        if cls.transform is Op.transform:
            raise UsageError(f"the op {name!r} needs a method transform(self, images, params) that returns the images")
        made.name = name
        _OPS[name] = made
        return made

    return decorate


def get(name: str) -> type[Op]:
    """Return the op class called ``name``; raise UsageError with the legal names and the nearest if it is unknown."""
    _discover()
    if name not in _OPS:
        raise unknown("op", name, [*names(), "kornia.CLASS"])
    return _OPS[name]


def names() -> list[str]:
    """Return the name of every registered op, in alphabetical order."""
    _discover()
    return sorted(_OPS)


@functools.cache
def _discover() -> None:
    """Import this package's modules, and the modules or classes that entry points of the group ``ablate.ops`` name."""
    package = importlib.import_module("ablate.ops")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"ablate.ops.{module.name}")
    for entry in entry_points(group=GROUP):
        try:
            loaded = entry.load()
            if isinstance(loaded, type) and not getattr(loaded, "name", ""):
                register(entry.name)(loaded)
        except Exception as error:
            raise UsageError(
                f"the entry point {entry.name!r} = {entry.value!r} of the group {GROUP!r} cannot be loaded ({error}); "
                "repair or uninstall the package that declares it"
            ) from error
