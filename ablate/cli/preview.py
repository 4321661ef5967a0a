"""The command that draws what an encoder will see: ``preview``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from ablate.cli import options
from ablate.config.base import LARGEST_SEED
from ablate.console import make_console, say
from ablate.errors import UsageError


def preview(
    compositions: Annotated[
        list[str] | None,
        typer.Argument(
            help="crop+color(strength=0.5), ...: a contact sheet, many draws of each", metavar="[COMPOSITION]..."
        ),
    ] = None,
    ops: Annotated[
        str | None, typer.Option(help="Ops of a grid, comma-separated: the original and both views of every cell")
    ] = None,
    out: Annotated[Path, typer.Option(help="The picture to write (.png, .webp, .svg or .pdf)")] = Path("views.png"),
    data: options.Data = "glyphs",
    branches: Annotated[
        Literal["one", "two"] | None,
        typer.Option(help="one: from a random base crop, as in Figure 5", show_default="one for --ops, else two"),
    ] = None,
    size: options.Size = None,
    preset: options.Preset = None,
    settings: options.Settings = None,
    images: Annotated[int, typer.Option(help="Example images per cell or composition", min=1, max=16)] = 2,
    draws: Annotated[
        int | None, typer.Option(help="Draws per image of a contact sheet", show_default="8", min=1, max=32)
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the images and draws", min=0, max=LARGEST_SEED)] = 0,
    cache: options.Cache = None,
    skip_corrupt: options.SkipCorrupt = False,
) -> None:
    """Draw what an encoder will see: a contact sheet of compositions, or the transform pairs of a whole grid."""
    from ablate.cli.contact_sheet import check_target, draw_grid, draw_sheet, save
    from ablate.data import cache_dir
    from ablate.planning.images import prepare_images
    from ablate.planning.request import make_request
    from ablate.planning.settings import named_ops, parse_one, validate

    if bool(compositions) == bool(ops):
        raise UsageError("name either compositions (ablate preview crop+color) or a grid's ops (--ops crop,color)")
    if ops and draws:
        raise UsageError("--draws is for compositions: a grid shows each pair once")
    request = make_request(data, branches or ("one" if ops else "two"), "cpu", settings, preset, image_size=size)
    named = named_ops(request, ops) if ops else ()
    parsed = [parse_one(request, text) for text in compositions or ()]
    validate(request)
    check_target(out)
    found = prepare_images(request, cache_dir(cache), skip_corrupt)
    if ops:
        figure = draw_grid(request, named, found, images, seed)
    else:
        figure = draw_sheet(request, parsed, found, images, draws or 8, seed)
    save(figure, out)
    say(make_console(), f"wrote {out}")
