"""From the words of the command line to a request and a data set, for the commands that train or draw."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, Literal

from ablate.data.folder import named
from ablate.errors import expanded
from ablate.planning.settings import Request, check_device, image_size, objective_name, parse_assignments
from ablate.sweep.plan import is_sweep, load_experiment


def make_request(
    data: str,
    branches: Literal["one", "two"],
    device: str,
    settings: list[str] | None,
    preset: str | None = None,
    *,
    elsewhere: bool = False,
    compile: Literal["auto", "on", "off"] = "auto",
    **flags: Any,
) -> Request:
    """A request, with ``flags`` over ``settings``.

    Raises:
        UsageError: an unknown setting, device or objective.
    """
    check_device(device, elsewhere)
    if flags.get("objective"):
        objective_name(flags["objective"])
    values = {**parse_assignments(settings or []), **{k: v for k, v in flags.items() if v is not None}}
    place = _absolute(data)
    return Request(place, branches, values, device, preset, elsewhere=elsewhere, compile=compile)


def with_data(request: Request, eval_data: str | None, labels: float | None, short_side: int | None) -> Request:
    """``request`` with what is evaluated on, how many labels are kept and how large images are stored."""
    where = _absolute(eval_data) if eval_data else None
    return dataclasses.replace(request, eval_data=where, labels=labels, short_side=short_side)


def sized_as_before(request: Request, directory: Path) -> Request:
    """``request`` at the image size of the sweep in ``directory``, if there is one and no size is asked for.

    The default follows the images, and was 224 for every folder once: the same command again means the same size.
    """
    if "image_size" in request.values or not is_sweep(directory):
        return request
    size = load_experiment(directory).shared.image_size
    return request if size == image_size(request) else _with_size(request, size)


def _with_size(request: Request, size: int) -> Request:
    return dataclasses.replace(request, values={**request.values, "image_size": size})


def _absolute(data: str) -> str:
    """A data set's name with its path written out, so that it holds from any directory."""
    name, _, path = data.partition(":")
    return f"{name}:{expanded(path).absolute()}" if path and name != "glyphs" else data


def default_out(data: str, labels: list[str]) -> Path:
    """``results/<data>-<ops>``."""
    kind, _, rest = data.partition(":")
    source = {"folder": named(Path(rest)), "glyphs": f"glyphs-{rest}" if rest else "glyphs"}.get(kind, kind)
    names = [source, *(label.partition("(")[0].rpartition(".")[2] for label in labels)]
    return Path("results") / "-".join(names)
