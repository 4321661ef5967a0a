"""Pipelines as ``print`` shows them: a ``Compose`` of torchvision, an ``AugmentationSequential`` of kornia."""

from __future__ import annotations

import ast
import re

from ablate.errors import UsageError
from ablate.transforms.expressions import Expressions, spelled
from ablate.transforms.steps import Step

ROOTS = {"Compose": "torchvision", "AugmentationSequential": "kornia", "ImageSequential": "kornia"}
REPAIRS = (
    (r"<[^<>\n]*>", '"an object"'),  # <function noise at 0x7f...>
    (r"(?m)^(\s*)\(\w+\): ", r"\1"),  # kornia numbers its steps: (RandomGrayscale_1): RandomGrayscale(...)
    (r"(?m)^(\s*)(\w+)=([^,()\n]+)$", r'\1{"\2": \3}'),  # torchvision v1 puts p=0.8 before the steps
    (r"\(\s*,\s*", "("),  # kornia separates parameters that are not there
    (r"\bRandomJPEG (?=quality=)", ""),
    (r"(?m)(?<![(\[{,\s])[ \t]*$(?=\n\s*[^\s,)])", ","),  # lines, not commas, separate steps
)


def read_printed(where: str, text: str) -> Step:
    """Return the pipeline that ``text`` shows.

    Args:
        where: the file, for messages.
        text: its content, which is not empty.

    Raises:
        UsageError: text that ``print`` does not show for such a pipeline.
    """
    lines = text.rstrip().splitlines()
    skipped = next(number for number, line in enumerate(lines) if line.strip())
    for pattern, replacement in REPAIRS:
        text = re.sub(pattern, replacement, text)
    try:
        node = ast.parse("\n" * skipped + text.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        number = min(getattr(error, "lineno", None) or 1, len(lines))
        raise UsageError(
            f"{where}, line {number}: {lines[number - 1].strip()!r} cannot be read; a .txt file holds what "
            "print(transform) shows"
        ) from None
    root = node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""
    if root not in ROOTS:
        raise UsageError(
            f"{where} must begin with {', '.join(f'{name}(' for name in ROOTS)} as print(transform) shows it, not with "
            f"{lines[skipped].strip()!r}"
        )
    return _Printed(where, ROOTS[root]).step(node)


class _Printed(Expressions):
    """A printed pipeline: every class is of one library, and a name is a word, such as ``bilinear``."""

    def __init__(self, where: str, library: str) -> None:
        super().__init__(where, is_printed=True)
        self.library = library

    def called(self, function: ast.expr) -> tuple[str, str]:
        while isinstance(function, ast.Call):  # torchvision v1 shows RandomChoice(...)(p=None)
            function = function.func
        return (self.library, function.id) if isinstance(function, ast.Name) else ("", spelled(function))

    def meaning(self, name: ast.Name) -> ast.expr | None:
        return None

    def word(self, node: ast.expr) -> str | None:
        if isinstance(node, ast.Attribute):  # InterpolationMode.BILINEAR
            return node.attr.lower()
        return node.id.lower() if isinstance(node, ast.Name) else None
