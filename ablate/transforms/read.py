"""Recipes in files: ``recipe:PATH``, and ``recipe:PATH:NAME`` for one of several pipelines in a Python file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ablate.config.recipes import PREFIX
from ablate.errors import UsageError, expanded, nearest
from ablate.transforms.compose import Made, composed
from ablate.transforms.printed import read_printed
from ablate.transforms.python import read_python
from ablate.transforms.saved import read_saved
from ablate.transforms.steps import Step

ENDINGS = (".py", ".txt", ".json")
MOST_BYTES = 1_000_000


@dataclass(frozen=True)
class FromFile:
    """A recipe that a file holds.

    Args:
        name: what the user wrote after ``recipe:``.
        ops: its ops, first to last.
        skipped: the classes of steps that augment nothing.
        differs: what the ops do otherwise than the steps.
    """

    name: str
    ops: tuple[Made, ...]
    skipped: tuple[str, ...]
    differs: tuple[str, ...]


def is_file(op: str) -> bool:
    """Return True if an item of a composition is a recipe in a file: the name of no other has a dot or a slash."""
    name = op.strip().removeprefix(PREFIX)
    return op.strip().startswith(PREFIX) and ("." in name or "/" in name)


def read(op: str) -> FromFile:
    """Read the recipe in a file; nothing in it is executed.

    Args:
        op: ``recipe:PATH`` or ``recipe:PATH:NAME``.

    Raises:
        UsageError: no such file, one of another kind, or a step that has no equal among the ops.
    """
    name = op.strip().removeprefix(PREFIX)
    path, _, chosen = name.partition(":")
    ending = Path(path).suffix.lower()
    if ending not in ENDINGS:
        raise UsageError(
            f"{PREFIX}{name}: recipes are read from files that end in {', '.join(ENDINGS)}, not in {ending!r}"
        )
    if chosen and ending != ".py":
        raise UsageError(f"{PREFIX}{name}: {path} holds one pipeline, so leave out {chosen!r}")
    text = _text(path)
    readers: dict[str, Callable[[str, str], Step]] = {".txt": read_printed, ".json": read_saved}
    pipeline = read_python(path, text, chosen) if ending == ".py" else readers[ending](path, text)
    found = composed(pipeline)
    if not found.ops:
        raise UsageError(f"{name} holds no augmentation; the composition without any is written none")
    return FromFile(
        name, tuple(found.ops), tuple(dict.fromkeys(found.skipped)), tuple(dict.fromkeys(found.around.differs))
    )


def _text(path: str) -> str:
    file = expanded(path)
    try:
        if file.stat().st_size > MOST_BYTES:
            raise UsageError(f"{path} has more than {MOST_BYTES} bytes: this is no file of transforms")
        text = file.read_text(encoding="utf-8-sig")  # Windows writes a mark at the start
    except FileNotFoundError:
        others = [item for item in file.parent.glob("*") if item.suffix in ENDINGS]
        beside = [item.name for item in others if nearest(file.stem, [item.stem])]
        raise UsageError(f"{path}: there is no such file{nearest(file.name, beside)}") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not text in UTF-8") from None
    if not text.strip():
        raise UsageError(f"{path} is empty")
    return text
