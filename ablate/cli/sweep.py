"""The commands that plan and run a sweep: ``grid``, ``run``, and the ``schema`` of experiment files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ablate.cli import options
from ablate.cli.command import command_line
from ablate.config.base import LARGEST_SEED
from ablate.errors import UsageError
from ablate.launch.slurm import cluster

if TYPE_CHECKING:
    from ablate.config.experiment import ExperimentFile
    from ablate.config.slurm import Slurm
    from ablate.planning.settings import Request


@options.with_jobs
def grid(
    ops: options.Ops,
    jobs: dict[str, Any],
    data: options.Data = "glyphs",
    branches: options.Branches = "one",
    seeds: Annotated[int, typer.Option(help="Trials per cell, each with its own seed", min=1, max=1000)] = 1,
    first_seed: Annotated[
        int, typer.Option(help="Seeds are this and the following", min=0, max=LARGEST_SEED - 999)
    ] = 0,
    order: Annotated[
        int, typer.Option(help="3: also every ordered triple of different ops, k(k-1)(k-2) of them", min=2, max=3)
    ] = 2,
    unordered: Annotated[
        bool, typer.Option("--unordered", help="Only one order of every pair and triple: half the pairs")
    ] = False,
    pairs_with: Annotated[
        str | None, typer.Option(metavar="OPS", help="Only pairs and triples with one of these ops, comma-separated")
    ] = None,
    include: Annotated[
        str | None,
        typer.Option(metavar="COMPOSITIONS", help="Compositions beside the grid, comma-separated: crop+color+blur"),
    ] = None,
    act_on: Annotated[
        float | None,
        typer.Option(metavar="SHARE", help="Let every op act on this share of images; with 1, ops are comparable"),
    ] = None,
    prune: options.Prune = False,
    epochs: options.Epochs = None,
    batch_size: options.BatchSize = None,
    size: options.Size = None,
    preset: options.Preset = None,
    encoder: options.Encoder = None,
    optimizer: options.Optimizer = None,
    objective: options.Objective = None,
    micro_batch: options.MicroBatch = None,
    world_size: Annotated[
        int | None,
        typer.Option("--world-size", "--gpus-per-trial", help="Processes, or GPUs, per trial", show_default="1", min=1),
    ] = None,
    settings: options.Settings = None,
    protocol: options.Protocols = None,
    keep_encoders: Annotated[
        Literal["all", "best", "none"], typer.Option(help="Keep trained encoders in DIR/encoders, as safetensors")
    ] = "none",
    references: Annotated[
        bool, typer.Option("--references", help="Also train the no-op pair and the supervised encoder")
    ] = False,
    out: options.Out = None,
    workers: options.Workers = None,
    device: options.Device = "auto",
    compile: options.Compile = "auto",
    cache: options.Cache = None,
    eval_data: options.EvalData = None,
    labels: options.Labels = None,
    short_side: options.ShortSide = None,
    skip_corrupt: options.SkipCorrupt = False,
    retry_failed: options.RetryFailed = False,
    rank_timeout: options.RankTimeout = 600.0,
    dry_run: options.DryRun = False,
    launcher: options.Launcher = "local",
) -> int:
    """Train every single op and every ordered pair, and draw the heatmap. The same command again resumes.

    It is `ablate run` for the commonest experiment, and leaves that as a file in DIR/experiment.toml.
    """
    from ablate.ops import split_list
    from ablate.planning.request import default_out, make_request, with_data
    from ablate.planning.settings import acting, validate

    flags: dict[str, Any] = {"epochs": epochs, "batch_size": batch_size, "image_size": size, "objective": objective}
    flags |= {"optimiser.name": optimizer, "encoder.name": encoder, "micro_batch": micro_batch}
    far, names = launcher == "slurm", split_list(ops, ",")
    lists = {"ops": names, "pairs_with": split_list(pairs_with or "", ",") if pairs_with else []}
    lists |= {"compositions": split_list(include, ",") if include else []}
    request = make_request(
        data, branches, device, settings, preset, elsewhere=far, compile=compile, **flags, world_size=world_size
    )
    request = with_data(request, eval_data, labels, short_side)
    validate(request)
    directory = out or default_out(request.data, names)
    if act_on is not None:
        lists = {key: [acting(request, item, act_on) for item in items] for key, items in lists.items()}
        directory = out or directory.with_name(f"{directory.name}-acting-on-{act_on:g}")
    file = _file(
        "ablate grid",
        request,
        protocol,
        labels=labels,
        short_side=short_side,
        skip_corrupt=skip_corrupt,
        preset=preset,
        device=device,
        compile=compile,
        branches=branches,
        prune=prune,
        order=order,
        unordered=unordered,
        references=["untrained", "no-op", "supervised"] if references else ["untrained"],
        seeds=seeds if first_seed == 0 else list(range(first_seed, first_seed + seeds)),
        keep_encoders=keep_encoders,
        rank_timeout=rank_timeout,
        **lists,
    )
    return _sweep(file, directory, jobs, workers, cache, retry_failed, dry_run, far=far)


@options.with_jobs
def run(
    file: Annotated[Path, typer.Argument(help="An experiment file (TOML); see docs/experiments.md", metavar="FILE")],
    jobs: dict[str, Any],
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="In place of the file's: epochs=5, seeds=3, axes.temperature=[0.1, 0.5]"
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The sweep's directory", show_default="results/<the file's name>")
    ] = None,
    workers: options.Workers = None,
    cache: options.Cache = None,
    retry_failed: options.RetryFailed = False,
    dry_run: options.DryRun = False,
    launcher: options.Launcher = "local",
) -> int:
    """Run the experiment of a file: ops, compositions and any settings as axes. The same command again resumes."""
    from ablate.config.experiment import read
    from ablate.planning.settings import SETTABLE

    asked = read(file, settings or [], sorted(SETTABLE))
    directory = out or Path("results") / file.stem
    try:
        return _sweep(asked, directory, jobs, workers, cache, retry_failed, dry_run, far=launcher == "slurm")
    except UsageError as error:
        raise UsageError(f"{file}: {error}") from None


def schema() -> None:
    """Print the JSON schema of experiment files, with which editors complete and check them."""
    from ablate.config.experiment import json_schema
    from ablate.planning.settings import SETTABLE

    typer.echo(json_schema(sorted(SETTABLE)), nl=False)


def _file(command: str, request: Request, protocol: str | None, **asked: Any) -> ExperimentFile:
    """The experiment file that the flags of ``command`` amount to: what ``request`` has understood, and ``asked``."""
    from ablate.config.experiment import validated
    from ablate.evaluation.protocols import parse_protocols

    understood = {"data": request.data, "eval_data": request.eval_data, "set": dict(request.values)}
    protocols = list(parse_protocols(protocol)) if protocol else []
    return validated({**understood, "protocol": protocols, **asked}, command)


def _sweep(
    file: ExperimentFile,
    directory: Path,
    jobs: dict[str, Any],
    workers: int | None,
    cache: str | None,
    retry_failed: bool,
    dry_run: bool,
    *,
    far: bool,
) -> int:
    """Run ``file`` in ``directory``, here or, if ``far``, on the cluster; everything is checked before any work."""
    from ablate.data import cache_dir
    from ablate.launch.local import check_out
    from ablate.launch.start import run_here, submit
    from ablate.planning.images import described, prepare_images
    from ablate.planning.understand import understand

    request, slurm = _where(file, directory, {**jobs, "workers": workers}, far=far, submits=not dry_run)
    asked = understand(file, request)
    check_out(directory)
    where = cache_dir(cache)
    images = prepare_images(request, where, file.skip_corrupt)
    experiment = asked.experiment(images, command_line()).model_copy(update={"slurm": slurm})
    told = described(images, experiment.shared.image_size, experiment.every_op)
    if far:
        return submit(directory, experiment, told, where, retry_failed, dry_run)
    triples = file.order == 3  # of which there are many: what they cost is said before they are begun
    return run_here(directory, experiment, told, where, workers, retry_failed, dry_run, cost_first=triples)


def _where(
    file: ExperimentFile, directory: Path, jobs: dict[str, Any], *, far: bool, submits: bool
) -> tuple[Request, Slurm | None]:
    """What ``file`` asks of every trial, on the device that it will have, and what its jobs ask of the cluster."""
    from ablate.distributed import asked_for
    from ablate.launch.slurm.resources import gather, refuse_without_slurm, resources, with_device
    from ablate.planning.request import sized_as_before
    from ablate.planning.settings import validate
    from ablate.planning.understand import request_of

    if (size := asked_for()) > 1:
        raise UsageError(
            "a sweep starts the processes of its trials itself: use --world-size, not torchrun "
            f"(WORLD_SIZE is {size} here; unset it where no torchrun is meant)"
        )
    request = sized_as_before(request_of(file, elsewhere=far), directory)
    if not far:
        refuse_without_slurm(jobs)
        return request, None
    if submits:
        cluster.check_here()
    gathered = gather(jobs, directory)
    request = with_device(request, gathered)
    return request, resources(gathered, validate(request))
