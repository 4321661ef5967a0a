"""The command that searches for a composition: ``search``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from ablate.cli import options
from ablate.cli.command import command_line
from ablate.cli.sweep import _file, _where
from ablate.config.base import LARGEST_SEED
from ablate.console import make_console, say


@options.with_jobs
def search(
    ops: options.Ops,
    budget: Annotated[str, typer.Option(help="40 (trials), 3h (hours in which trials run) or 3gpuh (GPU hours)")],
    jobs: dict[str, Any],
    max_length: Annotated[
        int | None,
        typer.Option(help="Ops of a composition at most", show_default="3, or as many as there are", min=1),
    ] = None,
    strength: Annotated[
        str | None, typer.Option(metavar="LOW:HIGH", help="Also search every op's strength", show_default="as given")
    ] = None,
    p: Annotated[
        str | None, typer.Option("--p", metavar="LOW:HIGH", help="Also search every op's p", show_default="as given")
    ] = None,
    sampler: Annotated[Literal["tpe", "random"], typer.Option(help="How compositions are proposed")] = "tpe",
    sampler_seed: Annotated[int, typer.Option(help="Seed of what is proposed", min=0, max=LARGEST_SEED)] = 0,
    batch: Annotated[
        int, typer.Option(help="Compositions proposed at a time, from the results of all before them", min=1)
    ] = 4,
    prune: options.Prune = False,
    data: options.Data = "glyphs",
    branches: options.Branches = "two",
    seeds: Annotated[int, typer.Option(help="Trials per composition, each with its own seed", min=1, max=1000)] = 1,
    epochs: options.Epochs = None,
    batch_size: options.BatchSize = None,
    size: options.Size = None,
    preset: options.Preset = None,
    encoder: options.Encoder = None,
    optimizer: options.Optimizer = None,
    settings: options.Settings = None,
    protocol: options.Protocols = None,
    storage: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Also keep the study in this database, for optuna-dashboard: sqlite:///s.db"),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="The search's directory", show_default="results/<data>-search-<ops>")
    ] = None,
    workers: options.Workers = None,
    device: options.Device = "auto",
    compile: options.Compile = "auto",
    cache: options.Cache = None,
    eval_data: options.EvalData = None,
    labels: options.Labels = None,
    short_side: options.ShortSide = None,
    skip_corrupt: options.SkipCorrupt = False,
    retry_failed: options.RetryFailed = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Print the space, the next batch and what the budget is worth; run nothing"),
    ] = False,
    launcher: options.Launcher = "local",
) -> int:
    """Search for the best composition: which ops, in which order, how strong. The same command again goes on.

    With --launcher slurm it submits every batch and waits for it; stopped, the same command goes on there too.
    """
    from ablate.data import cache_dir
    from ablate.launch.local import INTERRUPTED, check_out
    from ablate.launch.pool import default_devices
    from ablate.launch.start import training_here, training_there
    from ablate.ops import split_list
    from ablate.planning.images import described, prepare_images
    from ablate.planning.outline import outline
    from ablate.planning.request import default_out, make_request, with_data
    from ablate.planning.settings import op_defaults, validate
    from ablate.planning.understand import search_of, understand
    from ablate.report import write_report
    from ablate.report.data.study import add_to_storage, check_storage
    from ablate.search.budget import Budget
    from ablate.search.dry_run import show_search
    from ablate.search.run import run_search

    far, names = launcher == "slurm", split_list(ops, ",")
    flags: dict[str, Any] = {"epochs": epochs, "batch_size": batch_size, "image_size": size}
    flags |= {"optimiser.name": optimizer, "encoder.name": encoder}
    request = make_request(data, branches, device, settings, preset, elsewhere=far, compile=compile, **flags)
    request = with_data(request, eval_data, labels, short_side)
    validate(request)
    file = _file(
        "ablate search",
        request,
        protocol,
        labels=labels,
        short_side=short_side,
        skip_corrupt=skip_corrupt,
        preset=preset,
        device=device,
        compile=compile,
        branches=branches,
        ops=names,
        prune=prune,
        seeds=seeds,
    )
    directory = out or default_out(request.data, ["search", *names])
    request, slurm = _where(file, directory, {**jobs, "workers": workers}, far=far, submits=not dry_run)
    asked, config = understand(file, request), validate(request)
    space = search_of(asked, max_length or min(3, len(names)), strength, p, sampler, sampler_seed, batch)
    allowed = Budget.parse(budget, config.device)
    if storage:
        check_storage(storage)
    check_out(directory)
    where, console = cache_dir(cache), make_console()
    images = prepare_images(request, where, skip_corrupt)
    experiment = asked.experiment(images, command_line())
    experiment = experiment.model_copy(update={"ops": (), "search": space, "source": "", "slurm": slurm})
    say(console, described(images, config.image_size, experiment.every_op))
    say(console, outline(experiment))
    if dry_run:
        there = ["cpu"] if config.device == "cpu" else []
        devices = there if far else default_devices(config.device, workers, config.threads, config.world_size)
        show_search(directory, experiment, allowed, op_defaults(request), devices, where, console)
        return 0
    here = training_here(directory, experiment.shared, where, workers, retry_failed, console)
    keep = (lambda sweep: add_to_storage(sweep, storage)) if storage else (lambda sweep: None)
    with training_there(directory, where, retry_failed, console) if far else here as train:
        code = run_search(directory, experiment, allowed, op_defaults(request), train, keep, console)
    if code != INTERRUPTED:
        write_report(directory).show(console)
    return code
