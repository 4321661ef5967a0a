"""Read docstrings for the site: their roles as code, and a warning for every public name that has none."""

from __future__ import annotations

import logging
import re
from typing import Any

import griffe

log = logging.getLogger("mkdocs.plugins.docstrings")
ROLE = re.compile(r":(?:func|class|meth|attr|mod|data):`~?([^`]+)`")
"""Sphinx's way to name another object, which Markdown does not know."""


class Docstrings(griffe.Extension):
    """What mkdocstrings asks for every module and object that it reads."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Write ``:func:`ablate.grid` `` as code."""
        if obj.docstring:
            obj.docstring.value = ROLE.sub(r"`\1`", obj.docstring.value)

    def on_package(self, *, pkg: griffe.Module, **_: Any) -> None:
        """Warn of public names and methods that have no docstring; ``make docs`` fails then."""
        for name in undocumented(pkg):
            log.warning("%s is public and has no docstring", name)


def undocumented(package: griffe.Module) -> list[str]:
    """Return what a package exports without a docstring, by its dotted name."""
    found = []
    for name in sorted(str(name) for name in package.exports or ()):
        public = package[name]
        members = [f"{name}.{member.name}" for member in _methods(public) if not member.has_docstring]
        found += [f"{package.name}.{name}" for name in [*([] if public.has_docstring else [name]), *members]]
    return found


def _methods(public: griffe.Object | griffe.Alias) -> list[griffe.Object | griffe.Alias]:
    if not public.is_class:
        return []
    return [member for member in public.members.values() if member.is_function and not member.name.startswith("_")]
