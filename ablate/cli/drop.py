"""The command that ablates a recipe: ``drop``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ablate.cli import completion, options
from ablate.cli.sweep import FirstSeed, has_records, run_sweep, seeds_of, show_report
from ablate.console import make_console, say
from ablate.errors import UsageError

Recipe = Annotated[
    str,
    typer.Argument(
        help="The recipe, such as crop+color+blur, 'A|B', recipe:byol, or recipe:transforms.py from a file",
        autocompletion=completion.compositions,
    ),
]
Add = Annotated[
    str | None,
    typer.Option(
        help="Ops to try at the end of the recipe, each alone; comma-separated",
        metavar="OPS",
        autocompletion=completion.ops,
    ),
]
InOrder = Annotated[
    str | None,
    typer.Option(
        help="Ops to leave out one after the other, each with those before it; comma-separated. "
        "found: all of them, in the order that leaving out each alone suggests",
        metavar="OPS|found",
    ),
]
Screen = Annotated[
    bool,
    typer.Option(
        "--screen", help="Train cells of half the ops each, by a screening design, for a recipe of 8 to 23 ops"
    ),
]
Strengths = Annotated[
    bool, typer.Option("--strengths", help="Also try each op at half and at double strength, where it has one")
]
Out = Annotated[
    Path | None, typer.Option(help="Directory of the sweep", show_default="results/<data>-drop-<recipe>, or -screen-")
]
Seeds = Annotated[int, typer.Option(help="Trials per cell, each with its own seed", min=1, max=1000)]


FOUND = "found"


@options.described("drop", branches="two")
@options.running(out=Out)
def drop(
    recipe: Recipe,
    flags: dict[str, Any],
    how: options.Running,
    add: Add = None,
    in_order: InOrder = None,
    strengths: Strengths = False,
    screen: Screen = False,
    seeds: Seeds = 3,
    first_seed: FirstSeed = 0,
    settings: options.Settings = None,
) -> int:
    """Train a recipe, and the recipe without each of its ops, and show what each op does to accuracy.

    The page has a forest plot: each op with its interval, which hold at once. The same command again resumes.
    """
    from ablate.ops import split_list
    from ablate.planning.drop import called, done_twice, dropping, ops_of, screening
    from ablate.planning.from_files import spelled_out
    from ablate.planning.request import default_out, wish_of

    trained = {"references": ["untrained", "no-op"], "seeds": seeds_of(seeds, first_seed)}
    wish = wish_of(flags, settings, compositions=[recipe], **trained)
    if screen and (add is not None or in_order is not None or strengths):
        raise UsageError("--screen takes no --add, --in-order or --strengths: write further ops into the recipe")
    wish, about = spelled_out(wish)
    (recipe,) = wish.compositions
    added, gone = [] if add is None else split_list(add, ","), _gone(in_order, ops_of(wish, recipe))
    asked = screening(wish, recipe) if screen else dropping(wish, recipe, added, gone, strengths=strengths)
    directory = how.out or default_out(wish.data, ["screen" if screen else "drop", *called(wish, recipe)])
    _advise(done_twice(wish, recipe, added), screen, ops_of(wish, recipe))
    code = run_sweep(asked, directory, how, about, report=in_order != FOUND)
    found = _found(directory, how) if in_order == FOUND else []
    if not found:
        return code
    return run_sweep(dropping(wish, recipe, added, found[:-1], strengths=strengths), directory, how)


def _advise(doubtful: list[str], screen: bool, ops: list[str]) -> None:
    """Print sentences on ops whose effect says little, and what a screening is, or that one is possible."""
    from ablate.planning.screening import FEWEST

    console = make_console()
    for sentence in doubtful:
        say(console, sentence, "yellow")
    if screen:
        say(console, "screening: each cell but the first has half of the ops; the report compares ops, not cells")
    elif len(ops) >= FEWEST:
        say(console, "with --screen, about as many cells give each op's effect more precisely")


def _gone(in_order: str | None, ops: list[str]) -> list[str]:
    """Return the ops to leave out in order, none while the order is to be found; raise UsageError if there is none."""
    from ablate.ops import split_list

    if in_order is None:
        return []
    if in_order != FOUND:
        names = split_list(in_order, ",")
        if FOUND in names:
            raise UsageError(f"--in-order takes ops or the word {FOUND}, not both: got {in_order!r}")
        return names
    if len(ops) < 3:
        raise UsageError(f"--in-order {FOUND} leaves out two ops or more, and one stays: there are only {len(ops)}")
    return []


def _found(directory: Path, how: options.Running) -> list[str]:
    """Return and print the order in which ops are left out together; nothing, but a report, while cells are missing."""
    from ablate.report.data.results import read_sweep
    from ablate.report.stats.baseline import order_found
    from ablate.sweep.plan import is_sweep

    found = order_found(read_sweep(directory)) if is_sweep(directory) else []
    if not found and not how.dry_run and has_records(directory):
        show_report(directory)
    later = "when all of these cells are trained, the same command finds the order and leaves ops out together"
    say(make_console(), f"found order: {','.join(found)}" if found else later)
    return found
