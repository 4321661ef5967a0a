"""The command line: one thin function per command. ``--help``, ``status`` and ``report`` import no torch."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.markup import escape

from ablate import options
from ablate._version import __version__
from ablate.config.base import LARGEST_SEED
from ablate.console import counted, is_main, make_console, replace_unknown_characters, say, say_each, say_text
from ablate.errors import UsageError
from ablate.exits import P, refused_writes, with_exit_code
from ablate.files import DiskTrouble
from ablate.help import WIDTH, Command, Commands
from ablate.launch.slurm import cluster

if TYPE_CHECKING:
    from rich.console import Console

    from ablate.config.experiment import ExperimentFile
    from ablate.config.slurm import Slurm
    from ablate.config.sweep import Trial
    from ablate.data import DataSet
    from ablate.planning.settings import Request
    from ablate.report.recommend import Choice
    from ablate.sweep.record import TrialResult

app = typer.Typer(
    cls=Commands,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": WIDTH},
    help="Which data augmentations, alone and composed, make contrastive learning work on your images?",
)


def main() -> None:
    """The console script's entry point."""
    replace_unknown_characters()
    with refused_writes():
        app(prog_name="ablate")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """What comes before a command."""


def command(function: Callable[P, int | None]) -> Callable[P, None]:
    """Register a command, whose errors become one sentence and an exit code."""
    run = with_exit_code(function)
    app.command(cls=Command)(run)
    return run


@command
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


@command
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


@command
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
    from ablate.report.study import add_to_storage, check_storage
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
    experiment = asked.experiment(images, _command())
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


@command
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
    experiment = asked.experiment(images, _command()).model_copy(update={"slurm": slurm})
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


@command
def train(
    composition: Annotated[str, typer.Argument(help="crop+color(strength=0.5), or none")],
    data: options.Data = "glyphs",
    branches: options.Branches = "two",
    seed: Annotated[int, typer.Option(help="The trial's seed", min=0, max=LARGEST_SEED)] = 0,
    epochs: options.Epochs = None,
    batch_size: options.BatchSize = None,
    size: options.Size = None,
    preset: options.Preset = None,
    encoder: options.Encoder = None,
    optimizer: options.Optimizer = None,
    objective: options.Objective = None,
    micro_batch: options.MicroBatch = None,
    settings: options.Settings = None,
    protocol: options.Protocols = None,
    keep_encoder: Annotated[bool, typer.Option(help="Keep the trained encoder in OUT/encoders, as safetensors")] = True,
    out: Annotated[Path, typer.Option(help="Directory for the record")] = Path("results/train"),
    device: options.Device = "auto",
    compile: options.Compile = "auto",
    cache: options.Cache = None,
    eval_data: options.EvalData = None,
    labels: options.Labels = None,
    short_side: options.ShortSide = None,
    skip_corrupt: options.SkipCorrupt = False,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Run it again if it failed")] = False,
    rank_timeout: options.RankTimeout = 600.0,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be trained and its cost; run nothing")
    ] = False,
) -> int:
    """Train and evaluate one composition here and now. The same command again resumes.

    Ctrl-C saves and stops after the current step, a second one at once.

    Under torchrun, all its processes train together: torchrun --nproc-per-node 2 -m ablate train crop+color
    """
    from ablate.config.sweep import Trial
    from ablate.data import cache_dir
    from ablate.distributed import asked_for
    from ablate.evaluation.protocols import check_protocols, default_protocols, parse_protocols
    from ablate.files import check_writable
    from ablate.launch.dry_run import show_trial
    from ablate.ops import parse_op, spec
    from ablate.planning.images import described, prepare_images
    from ablate.planning.outline import outline_of
    from ablate.planning.request import make_request, with_data
    from ablate.planning.settings import op_defaults, parse_assignments, parse_one, trial_config, validate

    flags: dict[str, Any] = {"epochs": epochs, "batch_size": batch_size, "image_size": size, "objective": objective}
    flags |= {"optimiser.name": optimizer, "encoder.name": encoder, "micro_batch": micro_batch}
    request = make_request(data, branches, device, settings, preset, compile=compile, **flags, world_size=asked_for())
    if parse_assignments(settings or []).get("world_size", 1) not in {1, asked_for()}:
        raise UsageError("a trial has the processes that torchrun starts: torchrun --nproc-per-node N -m ablate train")
    request = with_data(request, eval_data, labels, short_side)
    parsed = parse_one(request, composition)
    validate(request)
    specs = parse_protocols(protocol) if protocol else ()
    check_writable(out)
    images = prepare_images(request, cache_dir(cache), skip_corrupt)
    config = trial_config(request, images).model_copy(update={"composition": parsed.specs()})
    specs = specs or default_protocols(images)
    check_protocols(specs, images)
    console = make_console()
    say(console, described(images, config.image_size, config.composition))
    say(console, outline_of([config]))
    trial = Trial(config=config, seed=seed, label=str(parsed))
    if dry_run:
        crop = spec(parse_op("crop", op_defaults(request)))
        show_trial(trial, request.data, crop, cache_dir(cache), out, console)
        return 0
    return _train(trial, images, specs, out, console, retry_failed, rank_timeout, keep_encoder=keep_encoder)


def _train(
    trial: Trial,
    images: DataSet,
    protocols: Sequence[str],
    out: Path,
    console: Console,
    retry_failed: bool,
    rank_timeout: float,
    *,
    keep_encoder: bool,
) -> int:
    """Train and evaluate ``trial`` in this process, or in those that torchrun started; returns the exit code."""
    from ablate.launch.room import refuse_without_room, room_for
    from ablate.sweep.progress import log_path, logging_to
    from ablate.trial.context import Context, Interrupted, taking_part
    from ablate.trial.run import run_trial

    config = trial.config
    count = len(images.train.labels) + len(images.test.labels)
    if config.world_size == 1 and (warning := refuse_without_room(room_for([config], 1, count))):
        say(console, warning, "yellow")

    def report(epoch: int, metrics: dict[str, Any]) -> None:
        values = {name: value for name, value in metrics.items() if name != "epoch"}
        shown = [
            f"{name} {value}" if isinstance(value, str) else f"{name} {value:.4g}" for name, value in values.items()
        ]
        say(console, f"epoch {epoch}/{config.epochs}: {', '.join(shown)}")

    log = log_path(out, trial.id)
    if config.world_size > 1:
        place = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
        say(console, f"WORLD_SIZE is {config.world_size}: waiting for that many processes at {place}")
    try:
        with logging_to(log, logging.INFO if is_main() else logging.ERROR), taking_part(config, rank_timeout) as part:
            result = run_trial(
                config,
                out,
                Context(report=report, stop_requested=part.stop_requested),
                data=images,
                seed=trial.seed,
                label=trial.label,
                device=part.device,
                retry_failed=retry_failed,
                protocols=protocols,
                keep_encoders="all" if keep_encoder else "none",
                world=part.world,
            )
            if result.error and part.world.size > 1:
                say(console, _failed(result, log), "red")
                sys.stdout.flush()
                os._exit(1)  # leaving in order would wait for processes that may be gone
    except Interrupted:
        say(console, f"stopped; a checkpoint of what is trained is in {out}: the same command resumes")
        return 130
    except KeyboardInterrupt:
        say(console, f"interrupted; the same command resumes from the last checkpoint in {out}")
        return 130
    if result.error:
        say(console, _failed(result, log), "red")
        return 1
    for name, value in result.metrics.items():
        say(console, f"{name}: {value:.6g}")
    say(console, f"record: {out}/trials/{result.id}.json")
    if keep_encoder:
        say(console, f"encoder: {out}/encoders/{result.id}.safetensors")
    return 0


def _failed(result: TrialResult, log: Path) -> str:
    reason = result.error.message if result.error else "no reason recorded"
    return f"failed: {reason} (log: {log}); --retry-failed runs it again"


@command
def status(
    directory: options.Directory,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Show it again and again, until it has ended")] = False,
    every: options.Every = None,
) -> None:
    """Say what is done, running, queued, failed and missing: from the disk, and from Slurm where there is one."""
    from ablate.launch.slurm.past import look_up
    from ablate.launch.status import sweep_status
    from ablate.launch.watch import EVERY
    from ablate.report.live import print_status, watch_status

    if watch:
        watch_status(directory, make_console(), every or EVERY)
    elif every:
        raise UsageError("--every is for --watch")
    else:
        print_status(sweep_status(directory, *look_up(directory)), make_console())


@command
def cancel(
    directory: options.Directory,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask first")] = False,
) -> int:
    """Cancel the sweep's Slurm jobs. Records and checkpoints stay; the sweep's command goes on from there."""
    from ablate.launch.slurm.cancel import cancel_sweep

    console = make_console()

    def announce(what: str) -> bool:
        say(console, f"cancelling {what}")
        return True

    def ask(what: str) -> bool:
        return typer.confirm(f"cancel {what}?")

    confirm = announce if yes else ask if sys.stdin.isatty() else None
    return cancel_sweep(directory, confirm, console)


@command
def logs(
    directory: options.Directory,
    cell: Annotated[str, typer.Argument(help="crop+color, crop, a reference, or a trial's id")],
    seed: Annotated[
        int | None, typer.Option(help="Which of the cell's trials", show_default="the first", min=0, max=LARGEST_SEED)
    ] = None,
    lines: Annotated[int | None, typer.Option(help="Only the last so many lines", min=1)] = None,
) -> int:
    """Print what a trial said; of one without a result, also what its Slurm job said."""
    from ablate.launch.logs import print_log

    return print_log(directory, cell, seed, lines, make_console())


@command
def report(
    directories: Annotated[
        list[Path], typer.Argument(help="A sweep's directory, and others to compare it with", metavar="DIR...")
    ],
    paper: Annotated[
        bool, typer.Option("--paper", help="Also draw it side by side with Figure 5 of the SimCLR paper")
    ] = False,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Write it again whenever the sweep has changed")] = False,
    every: options.Every = None,
    metric: options.Metric = None,
) -> None:
    """Write index.html, heatmap.png/svg/pdf, table.csv and table.tex to DIR/report; works at any time.

    Further directories are compared with the first: another data set, other branches, another budget. With --watch the
    page refreshes itself in the browser until the sweep has ended.
    """
    from ablate.launch.watch import EVERY, changes
    from ablate.report import write_report
    from ablate.report.live import headline

    first, *others = directories
    console, pause = make_console(), every or EVERY
    if every and not watch:
        raise UsageError("--every is for --watch")
    try:
        for state in changes(first, pause) if watch else ():
            if not state.is_over:
                write_report(first, others, paper=paper, refresh=pause, metric=metric)
                say_text(console, headline(state))
    finally:  # also after Ctrl-C: a page that nobody writes any more must not say that it refreshes
        written = write_report(first, others, paper=paper, metric=metric)
    written.show(console)


@command
def recommend(
    directory: options.Directory,
    confirm: Annotated[
        bool, typer.Option("--confirm", help="First run the best compositions on both branches with fresh seeds")
    ] = False,
    seeds: Annotated[
        int | None, typer.Option(help="Fresh seeds of a confirmation", show_default="3", min=1, max=1000)
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(help="Worker processes of a confirmation", show_default="one per GPU or CPU core", min=1),
    ] = None,
    cache: options.Cache = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Run its failed trials again")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print a confirmation's plan and cost")] = False,
    metric: options.Metric = None,
    print_code: Annotated[bool, typer.Option("--print", help="Print the code too, not only where it is")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the recommendation as JSON, and nothing else")] = False,
) -> int:
    """Say what to use: the best composition, what cannot be told from it, and code that runs without ablate.

    Nothing is recommended while trials are missing that could change the choice.

    A one-branch sweep says which augmentations matter; what it chose is confirmed on both branches first.

    The confirmation is a sweep in DIR/confirmation, run as DIR was: here, or on Slurm.
    """
    from ablate.report import recommend as advice
    from ablate.report.write import publish

    found = advice.recommend(directory, metric)
    if confirm:
        code = _confirm(found.choice, seeds or 3, workers, cache, retry_failed, dry_run)
        if dry_run:
            return code
        found = advice.recommend(directory, metric)
        if code:
            publish(found)
            return code
    elif seeds or workers or retry_failed or dry_run:
        raise UsageError("--seeds, --workers, --retry-failed and --dry-run are a confirmation's: add --confirm")
    trouble, replaced = None, ""
    try:
        replaced = publish(found)
    except DiskTrouble as error:  # somebody else's directory can be read all the same
        trouble = error
    if as_json:
        typer.echo(json.dumps(advice.as_json(found), indent=1))
    else:
        if replaced:
            say(make_console(), replaced, "yellow")
        advice.show(found, make_console(), print_code)
    if trouble:
        raise trouble
    return 0


def _confirm(
    choice: Choice, seeds: int, workers: int | None, cache: str | None, retry_failed: bool, dry_run: bool
) -> int:
    from ablate.data import cache_dir
    from ablate.launch.start import run_here, submit
    from ablate.planning.images import images_of
    from ablate.report.recommend import to_confirm
    from ablate.sweep.confirm import CONFIRMATION, confirmation

    directory, experiment = choice.sweep.directory, choice.sweep.experiment
    if experiment.shared.branches == "two":
        raise UsageError(f"{directory} is a two-branch sweep already: there is nothing to confirm")
    experiment = experiment.model_copy(update={"measure": choice.sweep.grid.measure})
    planned = confirmation(experiment, to_confirm(choice), seeds, _command())
    where = cache_dir(cache)
    images = str(images_of(experiment, where))
    if experiment.slurm:
        return submit(directory / CONFIRMATION, planned, images, where, retry_failed, dry_run)
    return run_here(directory / CONFIRMATION, planned, images, where, workers, retry_failed, dry_run)


@command
def export(
    directory: options.Directory,
    to: Annotated[
        Literal["csv", "parquet", "optuna"],
        typer.Option("--to", help="A table of all trials, or an Optuna study that optuna-dashboard opens"),
    ],
    out: Annotated[
        Path | None, typer.Option(help="The file to write", show_default="DIR/report/trials.csv, .parquet or study.db")
    ] = None,
) -> None:
    """Write every trial, with its whole configuration and all that was measured, for other tools."""
    from ablate.export import export as write
    from ablate.report.sweep import read_sweep

    say(make_console(), f"wrote {write(read_sweep(directory), to, out)}")


@command
def merge(
    directories: Annotated[list[Path], typer.Argument(help="The shards' directories", metavar="DIR...")],
    out: Annotated[Path, typer.Option(help="The merged directory: a new one, or one that was merged before")],
) -> None:
    """Bring shards of one sweep together, run on two clusters, say: other seeds, other ops, other trials."""
    from ablate.sweep.merge import merge as bring_together

    console, merged = make_console(), bring_together(directories, out)
    say(console, f"{out}: {merged.copied} records copied, {merged.there} there, {merged.missing} trials to run")
    for directory, count in merged.begun.items():
        say(console, f"{counted(count, 'trial')} of {directory} begun and without a record: not copied", "yellow")
    say_each(console, [f"damaged record, left out: {path}" for path in merged.damaged], "yellow")
    for place in merged.withdrawn:
        say(
            console,
            f"withdrawn: what was recommended in {place / 'report'}, which the new records could change",
            "yellow",
        )


@command
def evaluate(
    directory: Annotated[Path, typer.Argument(help="The directory of a sweep or of `ablate train`", metavar="DIR")],
    protocol: Annotated[
        str,
        typer.Option(
            help="Comma-separated: linear, sgd, knn, rotation, rankme, alignment; of the projection as in linear@z"
        ),
    ],
    device: Annotated[
        str | None, typer.Option(help="auto, cpu or cuda", show_default="what each encoder was trained on")
    ] = None,
    cache: options.Cache = None,
    again: Annotated[bool, typer.Option("--again", help="Also evaluate anew what is on record")] = False,
) -> None:
    """Run further evaluation protocols on the encoders that DIR keeps, and add them to the records."""
    from ablate.data import cache_dir
    from ablate.evaluation.protocols import parse_protocols
    from ablate.planning.settings import resolve_device
    from ablate.trial.reevaluate import reevaluate

    specs = parse_protocols(protocol)
    where = resolve_device(device) if device else None
    reevaluate(directory, specs, cache_dir(cache), where, again, make_console())


@command
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
    from ablate.data import cache_dir
    from ablate.planning.images import prepare_images
    from ablate.planning.request import make_request
    from ablate.planning.settings import named_ops, parse_one, validate
    from ablate.preview import check_target, draw_grid, draw_sheet, save

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


@command
def ops(
    names: Annotated[
        list[str] | None, typer.Argument(help="Show these ops only: crop color", metavar="[OP]...")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the ops as JSON, and nothing else")] = False,
) -> None:
    """List every op with its parameters, defaults, ranges and units."""
    from rich.table import Table

    from ablate.ops import describe
    from ablate.ops.kornia_adapter import classes

    entries = describe(names)
    if as_json:
        typer.echo(json.dumps([dataclasses.asdict(entry) for entry in entries], indent=1))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("op", "what it does", "acts on", r"parameter=default unit \[range]: meaning"):
        table.add_column(heading, overflow="fold")
    for entry in entries:
        parameters = "\n".join(escape(parameter.text) for parameter in entry.parameters)
        table.add_row(entry.name, escape(entry.summary), f"{100 * entry.acts:.0f} %", parameters)
    console = make_console()
    console.print(table)
    if names:
        return
    known = f"any of kornia's {len(classes())} 2-D augmentation classes; they wait for the GPU and draw per batch"
    say(console, f"\nkornia.CLASS(argument=value): {known}: {', '.join(classes())}")


@app.command(name="help", cls=Command)
def show_help(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(help="A command", metavar="[COMMAND]")] = None,
) -> None:
    """Print the help of a command, or the list of commands."""
    group = context.parent
    if group is None or name is None or not isinstance(group.command, Commands):
        typer.echo((group or context).get_help())
        return
    _, command, _ = group.command.resolve_command(group, [name])
    typer.echo(command.get_help(typer.Context(command, info_name=name, parent=group)))


def _command() -> str:
    return shlex.join(["ablate", *sys.argv[1:]])
