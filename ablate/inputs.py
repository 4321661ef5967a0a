"""From the words of the command line to a request and a data set, for the commands that train or draw."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import torch
from rich.progress import Progress

from ablate.config import Experiment, OpSpec
from ablate.console import make_console, say
from ablate.data import DataSet, Resident, native_size, prepare, read_entry, side_of_files
from ablate.data.findings import describe
from ablate.data.folder import named
from ablate.data.sides import stored_side
from ablate.errors import UsageError, expanded
from ablate.evaluation.features import unaugmented
from ablate.ops import from_spec, without_effect
from ablate.settings import Request, check_device, image_size, objective_name, parse_assignments
from ablate.sweep.plan import is_sweep, load_experiment

SAMPLE = 8  # images on which ops are tried


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


def about_size(request: Request) -> str | None:
    """What the training size does to the images: it enlarges them, or leaves much of large files away; else None."""
    size, side, is_folder = image_size(request), side_of_files(request.data), request.data.startswith("folder:")
    if side is None:
        return None
    stored = request.short_side or (stored_side(size) if is_folder else size)
    if stored > side:
        best = f"; --size {native_size(request.data)} would not enlarge them" if is_folder else ""
        return f"images of {side} px are enlarged to {stored} px{best}"
    if is_folder and request.short_side is None and side >= 2 * stored:
        return (
            f"images of {side} px are stored at {stored} px, from which crops are taken: small crops are blurred; "
            f"--short-side {min(side, 2 * stored)} keeps more of them"
        )
    return None


def _absolute(data: str) -> str:
    """A data set's name with its path written out, so that it holds from any directory."""
    name, _, path = data.partition(":")
    return f"{name}:{expanded(path).absolute()}" if path and name != "glyphs" else data


def prepare_images(request: Request, cache: Path, skip_corrupt: bool) -> DataSet:
    """The data set, decoded into the cache with a progress bar if that takes work.

    What was left out, and what was done to images beyond resizing, is said.
    """
    console = make_console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("decoding images", total=None, visible=False)

        def show(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total, visible=True)

        data = prepare(
            request.data,
            cache=cache,
            image_size=image_size(request),
            short_side=request.short_side,
            skip_corrupt=skip_corrupt,
            eval_data=request.eval_data,
            labels=request.labels,
            progress=show,
        )
    if about := about_size(request):
        say(console, about)
    if data.corrupt or data.refused:
        say(console, f"skipped {describe(data.corrupt, data.refused)}")
    for note in data.notes:
        say(console, note, "yellow" if "warning" in note else "dim")
    return data


def described(images: DataSet, image_size: int, ops: Iterable[OpSpec]) -> str:
    """What ``images`` are, and in a further line which of ``ops`` change nothing on them, tried on a few of them."""
    count = len(images.pretrain.labels)
    index = torch.arange(min(count, SAMPLE)) * count // min(count, SAMPLE)
    pixels, sizes = Resident(images.pretrain.images, torch.device("cpu")).batch(index)
    sample = unaugmented(pixels, sizes, image_size)
    return "\n".join([str(images), *without_effect([from_spec(op) for op in ops], sample)])


def images_of(experiment: Experiment, cache: Path) -> DataSet:
    """The images that a sweep was planned for, from the cache, or decoded again from where they lay.

    Raises:
        UsageError: they are not there any more, or are others by now.
    """
    identity = experiment.shared.data
    try:
        return read_entry(cache, identity.fingerprint)
    except FileNotFoundError:
        request = Request(experiment.data, experiment.shared.branches, {"image_size": experiment.shared.image_size})
        request = with_data(request, experiment.eval_data, experiment.labels, experiment.short_side)
        data = prepare_images(request, cache, skip_corrupt=True)
    if data.identity.fingerprint != identity.fingerprint:
        raise UsageError(f"the images of {experiment.data} have changed since the sweep: run the sweep again")
    return data


def default_out(data: str, labels: list[str]) -> Path:
    """``results/<data>-<ops>``."""
    kind, _, rest = data.partition(":")
    source = {"folder": named(Path(rest)), "glyphs": f"glyphs-{rest}" if rest else "glyphs"}.get(kind, kind)
    names = [source, *(label.partition("(")[0].rpartition(".")[2] for label in labels)]
    return Path("results") / "-".join(names)
