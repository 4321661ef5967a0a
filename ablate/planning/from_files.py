"""Recipes in files as compositions in a description: the plan needs the file no more, and the user is told its ops."""

from __future__ import annotations

from ablate.config.experiment import Experiment
from ablate.ops import with_files


def spelled_out(wish: Experiment) -> tuple[Experiment, str]:
    """Return ``wish`` with the ops of every ``recipe:PATH`` in its place, and lines that say what the files hold.

    Raises:
        UsageError: a file that cannot be read, or a step of it that has no equal among the ops.
    """
    said: list[str] = []

    def text(composition: str) -> str:
        replaced, found = with_files(composition)
        for recipe in found:
            lone, _ = with_files(f"recipe:{recipe.name}")
            said.append(f"read from {recipe.name}: {lone}")
            if recipe.skipped:
                said.append(f"left out, since they augment nothing: {', '.join(recipe.skipped)}")
            said.extend(f"in {recipe.name}, {difference}" for difference in recipe.differs)
        return replaced

    items = wish.compositions
    beside = {name: text(item) for name, item in items.items()} if isinstance(items, dict) else list(map(text, items))
    first = None if wish.first is None else text(wish.first)
    baseline = None if wish.baseline is None else text(wish.baseline)
    replaced = wish.replace(compositions=beside, first=first, baseline=baseline)
    return replaced, "".join(f"{line}\n" for line in dict.fromkeys(said))
