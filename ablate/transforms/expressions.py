"""Python expressions as steps and values, without running them; the names in them are left to a subclass."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Iterator
from typing import Any

from ablate.console import shortened
from ablate.errors import Unreadable, UsageError
from ablate.transforms.steps import CONTAINERS, Step, Unread

ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
}
CONVERSIONS: dict[str, Callable[[Any], Any]] = {"int": int, "float": float, "tuple": tuple, "list": tuple}
DEEPEST = 50
"""The most names within names, or steps within steps; more are a circle."""
LONGEST = 80  # characters of an expression in a message


def spelled(node: ast.AST) -> str:
    """Return the text of ``node`` for a message, without its middle if it is long."""
    try:
        return shortened(ast.unparse(node), LONGEST)
    except RecursionError:
        return "an expression"


def _pairs(node: ast.Dict) -> list[tuple[ast.expr, ast.expr]]:
    return [(key, value) for key, value in zip(node.keys, node.values, strict=True) if key is not None]


class Expressions:
    """A reader of expressions.

    Args:
        where: the file, for messages.
        is_printed: as in :class:`~ablate.transforms.steps.Step`.
    """

    def __init__(self, where: str, *, is_printed: bool) -> None:
        self.where, self.is_printed = where, is_printed

    def called(self, function: ast.expr) -> tuple[str, str]:
        """Return the library and the name of the class that ``function`` is."""
        raise NotImplementedError

    def meaning(self, name: ast.Name) -> ast.expr | None:
        """Return the expression that a name stands for, None for a word; raise Unreadable if it is not known."""
        raise NotImplementedError

    def word(self, node: ast.expr) -> str | None:
        """Return the last part, in lower case, of a name that a library defines; None for any other."""
        raise NotImplementedError

    def place(self, node: ast.expr) -> str:
        """Return the file and the line of ``node``."""
        return f"{self.where}, line {node.lineno}"

    def step(self, node: ast.expr, depth: int = 0) -> Step:
        """Return the step that ``node`` is; a function or an object of unknown class is one of no library.

        Args:
            node: the expression.
            depth: the number of containers around it.
        """
        if depth > DEEPEST:
            raise UsageError(f"{self.place(node)}: {spelled(node)} contains itself")
        try:
            found = self._followed(node)
        except Unreadable as error:
            raise UsageError(f"{self.place(node)}: {spelled(node)} cannot be read: {error}") from None
        if not isinstance(found, ast.Call):
            return Step("", spelled(found), self.place(found))
        library, name = self.called(found.func)
        inside: list[ast.expr] = []
        positional: list[Any] = []
        named: dict[str, Any] = {}
        for argument in found.args:
            if name in CONTAINERS and (items := self._items(argument)) is not None:
                inside += items
            elif isinstance(argument, ast.Dict) and self.is_printed:  # a named argument before others
                named |= {str(self.value(key)): self.value(item) for key, item in _pairs(argument)}
            else:
                positional.append(self.value(argument))
        for keyword in found.keywords:
            if keyword.arg is None:
                text = spelled(keyword.value)
                raise UsageError(f"{self.place(found)}: the arguments **{text} of {name} are not read: write them out")
            items = self._items(keyword.value) if name in CONTAINERS and keyword.arg == "transforms" else None
            if items is None:
                named[keyword.arg] = self.value(keyword.value)
            else:
                inside += items
        steps = tuple(self.step(item, depth + 1) for item in inside)
        return Step(library, name, self.place(found), tuple(positional), named, steps, self.is_printed)

    def value(self, node: ast.expr) -> Any:
        """Return the value of ``node``: numbers, words, None, and tuples of them; Unread if it is not known."""
        try:
            return self._value(node)
        except Unreadable as error:
            return Unread(spelled(node), str(error))
        except (ArithmeticError, TypeError, ValueError) as error:
            return Unread(spelled(node), str(error))

    def _items(self, node: ast.expr) -> list[ast.expr] | None:
        """Return the steps of a list, or a step alone as a list; None for an argument that is no step."""
        try:
            return list(self._listed(node))
        except Unreadable as error:
            raise UsageError(
                f"{self.place(node)}: {spelled(node)} cannot be read without running the file: {error}"
            ) from None
        except TypeError:
            return None

    def _listed(self, node: ast.expr, depth: int = 0) -> Iterator[ast.expr]:
        """Yield the items of a list, which may be a sum of lists; raise TypeError for a number or a word."""
        found = self._followed(node)
        if depth > DEEPEST:
            raise Unreadable("it contains itself")
        if isinstance(found, ast.List | ast.Tuple):
            for item in found.elts:
                if isinstance(item, ast.Starred):
                    yield from self._listed(item.value, depth + 1)
                else:
                    yield item
        elif isinstance(found, ast.BinOp) and isinstance(found.op, ast.Add):
            yield from self._listed(found.left, depth + 1)
            yield from self._listed(found.right, depth + 1)
        elif isinstance(found, ast.Call) and self.called(found.func)[1] == "ModuleList" and len(found.args) == 1:
            yield from self._listed(found.args[0], depth + 1)
        elif isinstance(found, ast.Call):
            yield node
        elif isinstance(found, ast.Constant | ast.Dict | ast.UnaryOp):
            raise TypeError
        else:
            raise Unreadable("steps are read from a list that is written out")

    def _followed(self, node: ast.expr) -> ast.expr:
        """Return the expression that a name stands for, through other names; any other expression as it is."""
        for _ in range(DEEPEST):
            if not isinstance(node, ast.Name) or (meant := self.meaning(node)) is None:
                return node
            node = meant
        raise Unreadable("it contains itself")

    def _value(self, node: ast.expr, depth: int = 0) -> Any:
        if depth > DEEPEST:
            raise Unreadable("it contains itself, or it is too long")
        found: Any
        match node:
            case ast.Constant():
                found = node.value
            case ast.Tuple() | ast.List():
                found = tuple(self._value(item, depth + 1) for item in node.elts)
            case ast.UnaryOp(op=ast.USub()):
                found = -self._value(node.operand, depth + 1)
            case ast.BinOp():
                found = self._computed(node, depth)
            case ast.Call(func=ast.Name(id=function), args=[argument], keywords=[]):
                found = self._converted(function, argument, depth)
            case _:
                found = self._named(node, depth)
        return found

    def _computed(self, node: ast.BinOp, depth: int) -> float:
        """Return a sum, difference, product or quotient of numbers."""
        compute = ARITHMETIC.get(type(node.op))
        sides = self._value(node.left, depth + 1), self._value(node.right, depth + 1)
        if compute is None or not all(isinstance(side, int | float) for side in sides):
            raise Unreadable("only + - * / and // of numbers are computed")
        result: float = compute(*sides)
        return result

    def _converted(self, function: str, argument: ast.expr, depth: int) -> Any:
        """Return the value of ``int(x)`` and its like; ``tensor(x)``, which kornia prints, is ``x``."""
        if function == "tensor" and self.is_printed:
            return self._value(argument, depth + 1)
        if function not in CONVERSIONS:
            raise Unreadable(f"{function}() is not called")
        return CONVERSIONS[function](self._value(argument, depth + 1))

    def _named(self, node: ast.expr, depth: int) -> Any:
        """Return what a name stands for, or the word that it is in its library."""
        if (word := self.word(node)) is not None:
            return word
        if isinstance(node, ast.Name) and (meant := self.meaning(node)) is not None:
            return self._value(meant, depth + 1)
        raise Unreadable(f"{spelled(node)} is no literal")
