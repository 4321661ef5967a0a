"""Pipelines in Python files: parsed, never executed. Names that the file assigns once are followed."""

from __future__ import annotations

import ast
from collections import defaultdict
from dataclasses import dataclass

from ablate.errors import Unreadable, UsageError, nearest
from ablate.transforms.expressions import Expressions, spelled
from ablate.transforms.steps import CONTAINERS, LIBRARIES, Step

ROOTS = {("torchvision", "Compose"), ("kornia", "AugmentationSequential"), ("kornia", "ImageSequential")}
IN_WORDS = "Compose of torchvision or AugmentationSequential of kornia"
SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
LISTED = 8  # pipelines that a message names
CHANGES = ("append", "extend", "insert", "pop", "remove", "clear", "reverse")


@dataclass(frozen=True)
class _Root:
    """A pipeline in a file: the name that it is assigned to, if any, and the class that wraps it, if any."""

    name: str
    node: ast.Call
    wrapper: str = ""

    @property
    def line(self) -> int:
        return self.node.lineno

    def __str__(self) -> str:
        return f"{self.name} (line {self.line})" if self.name else f"{self.line}"


def read_python(where: str, text: str, name: str = "") -> Step:
    """Return the pipeline of that name, or the only one of the file.

    Args:
        where: the file, for messages.
        text: its content.
        name: the name that the pipeline is assigned to, or the line where it stands; empty for the only one.

    Raises:
        UsageError: no Python, no pipeline of that name, several of which none is named, or one that another class
            wraps or the file changes later.
    """
    try:
        file = _File(where, ast.parse(text))
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise UsageError(
            f"{where}, line {getattr(error, 'lineno', None) or 1}: this is not Python: {error.args[0]}"
        ) from None
    root = _chosen(where, file.roots(), name)
    if root.wrapper and not name:
        raise UsageError(
            f"{where}, line {root.line}: the pipeline is an argument of {root.wrapper}(...), which may do more with "
            f"it; to read it alone, give recipe:{where}:{root.line}"
        )
    if root.name in file.changed:
        raise UsageError(
            f"{where}, line {file.changed[root.name]}: {root.name} is changed after it is made, which is not followed; "
            "write its steps in one list"
        )
    return file.step(root.node)


def _chosen(where: str, roots: list[_Root], name: str) -> _Root:
    """Return the pipeline of that name or line; the only one if there is no name."""
    found = [root for root in roots if not name or name in (root.name, str(root.line))]
    if len(found) == 1:
        return found[0]
    if not roots:
        raise UsageError(f"{where} holds no {IN_WORDS}; albumentations is read from what albumentations.save writes")
    several = found or roots
    listed = ", ".join(map(str, several[:LISTED])) + f" and {len(several) - LISTED} more" * (len(several) > LISTED)
    if name and not found:
        near = nearest(name, [root.name for root in roots if root.name])
        raise UsageError(f"{where} holds no pipeline {name!r}; allowed: {listed}{near}")
    if name == str(found[0].line):
        raise UsageError(f"{where} holds {len(found)} pipelines in line {name}; assign each to a name")
    first = found[0]
    is_alone = first.name and sum(root.name == first.name for root in found) == 1
    raise UsageError(
        f"{where} holds {len(found)} pipelines: {listed}; choose one by its name or its line, as in "
        f"recipe:{where}:{first.name if is_alone else first.line}"
    )


class _File(Expressions):
    """A parsed file: what its names are bound to, by the function where they are bound, and what it imports."""

    def __init__(self, where: str, tree: ast.Module) -> None:
        super().__init__(where, is_printed=False)
        self.tree = tree
        self.parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
        self.imports: dict[str, str] = {}
        self.stars: list[str] = []
        self.bound: dict[tuple[ast.AST, str], list[tuple[int, ast.expr | str]]] = defaultdict(list)
        self.changed: dict[str, int] = {}
        for node in ast.walk(tree):
            self._note_import(node)
            self._note_binding(node)
            self._note_change(node)

    def called(self, function: ast.expr) -> tuple[str, str]:
        full = self._dotted(function)
        if full is None:
            return "", spelled(function)
        if full == "torch.nn.Sequential":  # as in a Compose, where torchvision's own classes stand in it
            return "torchvision", "Sequential"
        top, _, _ = full.partition(".")
        return (top if top in LIBRARIES else ""), full.rpartition(".")[2]

    def meaning(self, name: ast.Name) -> ast.expr | None:
        if name.id in self.imports:
            return None
        if name.id in self.changed:
            raise Unreadable(f"{name.id} is changed in line {self.changed[name.id]}")
        scope: ast.AST | None = name
        while scope is not None:
            scope = self._scope(scope)
            if found := self.bound.get((scope, name.id)):
                ((line, value), *others) = found
                if others:
                    raise Unreadable(f"{name.id} is assigned in line {line} and in line {others[0][0]}")
                if isinstance(value, str):
                    raise Unreadable(f"{name.id} is {value} (line {line})")
                return value
            scope = None if scope is self.tree else scope
        if self.stars:
            return None
        raise Unreadable(f"{name.id} is not assigned in this file")

    def word(self, node: ast.expr) -> str | None:
        full = self._dotted(node)
        return None if full is None else full.rpartition(".")[2].lower()

    def roots(self) -> list[_Root]:
        """Return the pipelines that are not part of another one, in their order."""
        calls = [node for node in ast.walk(self.tree) if isinstance(node, ast.Call) and self.called(node.func) in ROOTS]
        return sorted((self._root(node) for node in calls if not self._is_inside(node)), key=lambda root: root.line)

    def _is_inside(self, node: ast.AST) -> bool:
        while not isinstance(node := self.parents[node], ast.stmt):
            if isinstance(node, ast.Call) and self.called(node.func)[1] in CONTAINERS:
                return True
        return False

    def _root(self, node: ast.Call) -> _Root:
        """Return the pipeline with the name of what it is assigned to, passed as or returned by."""
        parent = self.parents[node]
        name = ""
        if isinstance(parent, ast.Assign):
            name = _name(parent.targets[0])
        elif isinstance(parent, ast.AnnAssign | ast.NamedExpr):
            name = _name(parent.target)
        elif isinstance(parent, ast.keyword):
            name = parent.arg or ""
        elif isinstance(parent, ast.Dict):
            keys = [key for key, value in zip(parent.keys, parent.values, strict=True) if value is node]
            name = str(keys[0].value) if isinstance(keys[0], ast.Constant) else ""
        elif isinstance(parent, ast.Return) and isinstance(scope := self._scope(node), ast.FunctionDef):
            name = scope.name
        elif isinstance(parent, ast.Call):
            return _Root("", node, spelled(parent.func))
        return _Root(name, node)

    def _scope(self, node: ast.AST) -> ast.AST:
        """Return the function around ``node``, or the file."""
        while not isinstance(node := self.parents.get(node, self.tree), (*SCOPES, ast.Module)):
            pass
        return node

    def _dotted(self, node: ast.expr) -> str | None:
        """Return the full name of something imported: ``torchvision.transforms.v2.ColorJitter``; None for others."""
        if isinstance(node, ast.Name):
            if node.id in self.imports:
                return self.imports[node.id]
            if not self.stars or any(name == node.id for _, name in self.bound):
                return None
            return f"{self.stars[-1]}.{node.id}"
        if isinstance(node, ast.Attribute):
            base = self._dotted(node.value)
            return None if base is None else f"{base}.{node.attr}"
        return None

    def _note_import(self, node: ast.AST) -> None:
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.partition(".")[0]
                self.imports[alias.asname or top] = alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            for alias in node.names:
                if alias.name == "*":
                    self.stars.append(module)
                else:
                    self.imports[alias.asname or alias.name] = f"{module}.{alias.name}"

    def _note_binding(self, node: ast.AST) -> None:
        if isinstance(node, ast.arg):
            self.bound[self._scope(node), node.arg].append((node.lineno, "a parameter"))
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            self.bound[self._scope(node), node.name].append((node.lineno, "a function or class of its own"))
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            parent = self.parents[node]
            is_whole = (isinstance(parent, ast.Assign) and node in parent.targets) or (
                isinstance(parent, ast.AnnAssign | ast.NamedExpr) and parent.target is node
            )
            value = parent.value if is_whole else "no single value"  # type: ignore[attr-defined]
            self.bound[self._scope(node), node.id].append((node.lineno, value))

    def _note_change(self, node: ast.AST) -> None:
        """Note the names in ``name.transforms.append(...)``, ``name += ...`` and ``name[0] = ...``."""
        changed: ast.AST | None = None
        if isinstance(node, ast.AugAssign):
            changed = node.target
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CHANGES:
            changed = node.func.value
        elif isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load):
            changed = node.value
        for part in ast.walk(changed) if changed is not None else ():
            if isinstance(part, ast.Name | ast.Attribute):
                self.changed.setdefault(part.id if isinstance(part, ast.Name) else part.attr, part.lineno)


def _name(target: ast.expr) -> str:
    if isinstance(target, ast.Subscript) and isinstance(target.slice, ast.Constant):
        return str(target.slice.value)
    return target.id if isinstance(target, ast.Name) else target.attr if isinstance(target, ast.Attribute) else ""
