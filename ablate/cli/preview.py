"""The command that draws the input of an encoder: ``preview``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ablate.cli import completion, options
from ablate.config.base import LARGEST_SEED
from ablate.console import make_console, say
from ablate.errors import ExitCode, UsageError

VIEWS = Path("views.png")
IMAGES, DRAWS = 2, 8
Compositions = Annotated[
    list[str] | None,
    typer.Argument(
        help="Compositions for a contact sheet with many draws of each, such as crop+color(strength=0.5)",
        metavar="[COMPOSITION]...",
        autocompletion=completion.compositions,
    ),
]
Shortcut = Annotated[
    bool,
    typer.Option("--shortcut", help="Draw nothing; print how well histograms alone match two views, and with each op"),
]
Out = Annotated[
    Path | None,
    typer.Option(
        help="Picture to write (.png, .webp, .svg or .pdf); with --shortcut a table (.csv)", show_default="views.png"
    ),
]
Images = Annotated[
    int | None, typer.Option(help="Example images per cell or composition", show_default="2", min=1, max=16)
]
Draws = Annotated[
    int | None,
    typer.Option(help="Draws per image on a contact sheet, or of 256 images", show_default="8", min=1, max=32),
]
Show = Annotated[
    str | None,
    typer.Option(
        help="Channels to show as red, green and blue, such as 4,3,2", show_default="each in a colour of its own"
    ),
]
Seed = Annotated[int, typer.Option(help="Seed for the choice of images and for the draws", min=0, max=LARGEST_SEED)]


@options.described("preview", branches="(one for --ops, else two)")
def preview(
    flags: dict[str, Any],
    compositions: Compositions = None,
    shortcut: Shortcut = False,
    settings: options.Settings = None,
    out: Out = None,
    images: Images = None,
    draws: Draws = None,
    show: Show = None,
    seed: Seed = 0,
    cache: options.Cache = None,
) -> int:
    """Draw the images that an encoder will see: a contact sheet of compositions, or the pairs of a whole grid."""
    from ablate.cli.contact_sheet import check_target, draw_grid, draw_sheet, save
    from ablate.cli.shortcut import check_table, show_shortcut
    from ablate.data import cache_dir
    from ablate.planning.compositions import check_channels, check_views, named_composition, named_ops, parse_one
    from ablate.planning.from_files import spelled_out
    from ablate.planning.images import about_idle, prepare_images
    from ablate.planning.request import about_preset, wish_of, with_preset
    from ablate.planning.settings import image_size, resolve_device, validate

    is_grid = "ops" in flags
    if shortcut:
        _check_no_picture(images, show)
    else:
        _check_picture(is_grid, compositions, draws)
    branches = {"branches": "one" if is_grid and not shortcut else "two"}
    listed = compositions or ([] if is_grid else ["none"])
    wish, recipes = spelled_out(wish_of({**branches, "device": "cpu", **flags}, settings, compositions=listed))
    texts = list(wish.compositions) if compositions else []
    asked, wish = wish, with_preset(wish, resolve_device("auto"))
    named = named_ops(wish)
    parsed = [parse_one(wish, text) for text in texts]
    for text, one in zip(texts, parsed, strict=True):
        check_views(named_composition(text, one), wish)
    validate(wish)
    check_table(out) if shortcut else check_target(out or VIEWS)
    dataset = prepare_images(wish, cache_dir(cache))
    specs = [spec for one in parsed for spec in (*one.specs(), *(one.second_specs() or ()))]
    every = [*(op.op for op in named), *specs]
    different = [op for number, op in enumerate(every) if op not in every[:number]]
    check_channels(every, dataset, image_size(wish))
    if shortcut:
        show_shortcut(wish, dict(zip(texts, parsed, strict=True)), dataset, draws or DRAWS, seed, out, recipes)
        return ExitCode.DONE
    if is_grid:
        figure = draw_grid(wish, named, dataset, images or IMAGES, seed, show)
    else:
        figure = draw_sheet(wish, parsed, dataset, images or IMAGES, draws or DRAWS, seed, show)
    save(figure, out or VIEWS)
    idle = "".join(f"{line}\n" for line in about_idle(different, dataset, image_size(wish)))
    say(make_console(), f"{recipes}{about_preset(asked, wish)}{idle}wrote {out or VIEWS}")
    return ExitCode.DONE


def _check_picture(is_grid: bool, compositions: list[str] | None, draws: int | None) -> None:
    if bool(compositions) == is_grid:
        raise UsageError("name either compositions (ablate preview crop+color) or a grid's ops (--ops crop,color)")
    if is_grid and draws:
        raise UsageError("--draws is for compositions: a grid shows each pair once")


def _check_no_picture(images: int | None, show: str | None) -> None:
    for option, value in (("--images", images), ("--show", show)):
        if value is not None:
            raise UsageError(f"{option} is for pictures, and --shortcut draws none: leave one of the two out")
