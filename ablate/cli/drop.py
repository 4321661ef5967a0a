"""The command that ablates a recipe: ``drop``."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ablate.cli import completion, options
from ablate.cli.sweep import FirstSeed, run_sweep, seeds_of
from ablate.console import make_console, say

Recipe = Annotated[
    str,
    typer.Argument(
        help="The recipe, such as crop+color+blur, 'A|B' or recipe:byol", autocompletion=completion.compositions
    ),
]
Add = Annotated[
    str, typer.Option(help="Ops to try at the end of the recipe; comma-separated", autocompletion=completion.ops)
]
InOrder = Annotated[
    str,
    typer.Option(
        help="Ops to leave out one after the other, each with those before it; comma-separated", metavar="OPS"
    ),
]
Strengths = Annotated[
    bool, typer.Option("--strengths", help="Also try each op at half and at double strength, where it has one")
]
Seeds = Annotated[int, typer.Option(help="Trials per cell, each with its own seed", min=1, max=1000)]


@options.described("drop", branches="two")
@options.running()
def drop(
    recipe: Recipe,
    flags: dict[str, Any],
    how: options.Running,
    add: Add = "",
    in_order: InOrder = "",
    strengths: Strengths = False,
    seeds: Seeds = 3,
    first_seed: FirstSeed = 0,
    settings: options.Settings = None,
) -> int:
    """Train a recipe, and the recipe without each of its ops, and show what each op does to accuracy.

    The page has a forest plot: each op with its interval, all of which hold at once. Run the same command again to
    resume.
    """
    from ablate.ops import split_list
    from ablate.planning.drop import called, done_twice, dropping
    from ablate.planning.request import default_out, wish_of

    references = ["untrained", "no-op"]
    wish = wish_of(flags, settings, compositions=[recipe], references=references, seeds=seeds_of(seeds, first_seed))
    added, gone = (split_list(text, ",") if text else () for text in (add, in_order))
    asked = dropping(wish, recipe, added, gone, strengths=strengths)
    directory = how.out or default_out(wish.data, ["drop", *called(wish, recipe)])
    for sentence in done_twice(wish, recipe):
        say(make_console(), sentence, "yellow")
    return run_sweep(asked, directory, how)
