"""The command that searches for a composition: ``search``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ablate.cli import options
from ablate.cli.command import command_line
from ablate.cli.sweep import images_for, where_to_run
from ablate.config.base import LARGEST_SEED
from ablate.console import make_console, say
from ablate.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from ablate.config.experiment import Experiment
    from ablate.config.sweep import SweepPlan
    from ablate.sweep.budget import Budget

Amount = Annotated[
    str, typer.Option(metavar="AMOUNT", help="40 (trials), 3h (hours of running trials) or 3gpuh (GPU hours)")
]
MaxLength = Annotated[
    int | None,
    typer.Option(
        help="Maximum number of ops in a composition", show_default="3, or the number of ops if that is smaller", min=1
    ),
]
Strength = Annotated[
    str | None,
    typer.Option(metavar="LOW:HIGH", help="Also search the strength of every op", show_default="as given in --ops"),
]
P = Annotated[
    str | None,
    typer.Option("--p", metavar="LOW:HIGH", help="Also search the p of every op", show_default="as given in --ops"),
]
Chosen = Annotated[
    Literal["gp", "tpe", "random"] | None,
    typer.Option(
        help="Sampler that proposes compositions: a Gaussian process over them, Optuna's TPE, or chance",
        show_default="that of the search in --out, else gp; tpe with --prune",
    ),
]
Within = Annotated[
    float | None,
    typer.Option(
        metavar="POINTS",
        help="Stop when a composition that is better than the best one by more points is unlikely (gp)",
        show_default="1",
        min=0,
        max=100,
    ),
]
SamplerSeed = Annotated[int, typer.Option(help="Seed of the sampler", min=0, max=LARGEST_SEED)]
Batch = Annotated[
    int, typer.Option(help="Compositions to propose at a time, from the results of all earlier ones", min=1)
]
Seeds = Annotated[int, typer.Option(help="Trials per composition, each with its own seed", min=1, max=1000)]
Storage = Annotated[
    str | None,
    typer.Option(metavar="URL", help="Also write the study to this database, for optuna-dashboard: sqlite:///s.db"),
]
Out = Annotated[Path | None, typer.Option(help="Directory of the search", show_default="results/<data>-search-<ops>")]
DryRun = Annotated[
    bool,
    typer.Option("--dry-run", help="Print the search space, the next batch and what the budget allows; run nothing"),
]


@options.described("search", required=("ops",), branches="two")
@options.running(out=Out, dry_run=DryRun)
def search(
    flags: dict[str, Any],
    how: options.Running,
    budget: Amount,
    max_length: MaxLength = None,
    strength: Strength = None,
    p: P = None,
    sampler: Chosen = None,
    sampler_seed: SamplerSeed = 0,
    batch: Batch = 4,
    within: Within = None,
    seeds: Seeds = 1,
    settings: options.Settings = None,
    storage: Storage = None,
) -> int:
    """Search for the best composition: which ops, in which order, how strong.

    Run the same command again to continue. With --launcher slurm, it submits each batch of trials and waits for it.
    """
    from ablate.planning.about import about_sweep
    from ablate.planning.request import default_out, sampler_in, wish_of, with_preset
    from ablate.planning.search_space import search_of
    from ablate.planning.settings import resolve_device
    from ablate.planning.understand import plan_sweep
    from ablate.sweep.budget import WITHIN, Budget
    from ablate.sweep.extend import merge_with_existing

    wish = wish_of(flags, settings, seeds=seeds)
    directory = how.out or default_out(wish.data, ["search", *wish.ops])
    where = where_to_run(wish, directory, how)
    device = where["elsewhere"] or resolve_device(wish.device)
    resolved = with_preset(wish, device, directory)
    chosen = sampler or sampler_in(directory, prunes=wish.prune)
    _check(chosen, {"--within": within is not None, "--prior": bool(wish.prior)}, storage, how)
    space = search_of(resolved, max_length, strength, p, chosen, sampler_seed, batch)
    allowed = Budget.parse(budget, device, WITHIN if within is None else within / 100)
    planned, images = plan_sweep(resolved, directory, images_for(how), command_line(), search=space, **where)
    merge_with_existing(directory, planned)  # refuses another sweep's directory before anything is printed
    say(make_console(), about_sweep(wish, resolved, planned, images))
    return _search(directory, planned, allowed, resolved, how, storage)


def _check(sampler: str, given: dict[str, bool], storage: str | None, how: options.Running) -> None:
    """Raise UsageError for an option that was given and needs a model, which the sampler has not, and for a bad URL."""
    from ablate.report.data.study import check_storage

    for name, is_given in given.items():
        if is_given and sampler != "gp":
            raise UsageError(f"{name} needs a model of compositions: allowed with --sampler gp, not with {sampler}")
    if storage:
        check_storage(storage, create=not how.dry_run)


def _search(
    directory: Path, planned: SweepPlan, budget: Budget, wish: Experiment, how: options.Running, storage: str | None
) -> int:
    """Search as ``planned``, here or on the cluster, and report; with a dry run only print the plan."""
    from ablate.data import cache_dir
    from ablate.launch.pool import default_devices
    from ablate.launch.start import training_here, training_there
    from ablate.launch.tracking import tracking
    from ablate.planning.compositions import op_defaults
    from ablate.planning.outline import outline
    from ablate.report import write_report
    from ablate.report.data.study import add_to_storage
    from ablate.search.dry_run import show_search
    from ablate.search.run import run_search

    shared, console, cache, defaults = planned.shared, make_console(), cache_dir(how.cache), op_defaults(wish)
    say(console, outline(planned))
    if how.dry_run:
        cpus = ["cpu"] if shared.device == "cpu" else []
        devices = cpus if how.far else default_devices(shared.device, how.workers, shared.threads, shared.world_size)
        show_search(directory, planned, budget, defaults, devices, cache, console)
        return ExitCode.DONE
    here = training_here(directory, shared, cache, how.workers, how.retry_failed, console)
    keep = (lambda sweep: add_to_storage(sweep, storage)) if storage else (lambda sweep: None)
    there = training_there(directory, planned.stage, cache, how.retry_failed, console)
    with tracking(directory, how.track, console):
        with there if how.far else here as train:
            code = run_search(directory, planned, budget, defaults, train, keep, console)
        write_report(directory).show(console)
    return code
