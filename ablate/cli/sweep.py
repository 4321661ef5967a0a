"""The commands that plan and run a sweep: ``grid``, ``run``, and the ``schema`` of experiment files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypedDict

import typer

from ablate.cli import options
from ablate.cli.command import command_line
from ablate.config.base import LARGEST_SEED
from ablate.config.experiment import MOST_SEEDS
from ablate.console import make_console
from ablate.errors import UsageError
from ablate.launch.slurm import cluster
from ablate.sweep.layout import SweepDir

if TYPE_CHECKING:
    from ablate.config.experiment import Experiment
    from ablate.config.slurm import Slurm
    from ablate.config.sweep import SweepPlan
    from ablate.config.trial import TrialConfig
    from ablate.data import DataSet
    from ablate.planning.settings import Device


Seeds = Annotated[
    str,
    typer.Option(
        help="Trials per cell, each with its own seed; auto: rounds of seeds until the best cell is known",
        metavar="N|auto",
        show_default=f"1; 1 to {MOST_SEEDS}",
    ),
]
FirstSeed = Annotated[
    int, typer.Option(help="The first seed; the others count up from it", min=0, max=LARGEST_SEED - 999)
]
ActOn = Annotated[
    float | None,
    typer.Option(metavar="SHARE", help="Apply every op to this share of the images; with 1, ops compare directly"),
]
References = Annotated[bool, typer.Option("--references", help="Also train the references no-op and supervised")]
File = Annotated[Path, typer.Argument(help="Experiment file (TOML); see docs/experiments.md", metavar="FILE")]
FileOut = Annotated[Path | None, typer.Option(help="Directory of the sweep", show_default="results/<the file's name>")]
Changes = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Replace a value of the file, as in epochs=5, seeds=3 or axes.temperature=[0.1, 0.5]",
    ),
]


@options.described("grid", required=("ops",))
@options.running()
def grid(
    flags: dict[str, Any],
    how: options.Running,
    seeds: Seeds = "1",
    first_seed: FirstSeed = 0,
    act_on: ActOn = None,
    references: References = False,
    settings: options.Settings = None,
) -> int:
    """Train every single op and every ordered pair of ops, and draw the heatmap.

    Run the same command again to resume. For any other experiment, edit DIR/experiment.toml, which this command
    writes, and use `ablate run`.
    """
    from ablate.planning.compositions import acting_on
    from ablate.planning.from_files import spelled_out
    from ablate.planning.request import default_out, wish_of

    further = {"references": ["untrained", "no-op", "supervised"]} if references else {}
    wish, about = spelled_out(wish_of(flags, settings, **further, seeds=_seeds_of_grid(seeds, first_seed)))
    directory = how.out or default_out(wish.data, wish.ops)
    if act_on is not None:
        wish = acting_on(wish, act_on)
        directory = how.out or directory.with_name(f"{directory.name}-acting-on-{act_on:g}")
    return run_sweep(wish, directory, how, about)


@options.running(out=FileOut)
def run(file: File, how: options.Running, settings: Changes = None) -> int:
    """Run the experiment that a file describes.

    An experiment can have ops, compositions, and any settings as axes. Run the same command again to resume.
    """
    from ablate.config.experiment_file import read
    from ablate.planning.from_files import spelled_out

    wish = read(file, settings or [])
    try:
        wish, about = spelled_out(wish)
        return run_sweep(wish, how.out or Path("results") / file.stem, how, about)
    except UsageError as error:
        raise UsageError(f"{file}: {error}") from None


Described = Annotated[
    Literal["experiment", "output"],
    typer.Argument(help="Experiment files, which editors complete and check by it, or the output of --json"),
]


def schema(of: Described = "experiment") -> None:
    """Print the JSON schema of experiment files, or of the documents that commands print with --json."""
    from ablate.cli import documents
    from ablate.config import experiment_file

    typer.echo(documents.json_schema() if of == "output" else experiment_file.json_schema(), nl=False)


def _seeds_of_grid(text: str, first_seed: int) -> Literal["auto"] | int | list[int]:
    """Return the seeds that ``--seeds`` of a grid asks for.

    Raises:
        UsageError: neither a number nor auto, a number out of range, or auto with another first seed.
    """
    if text == "auto":
        if first_seed:
            raise UsageError("--first-seed is for a number of seeds: with --seeds auto they count from 0")
        return "auto"
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= MOST_SEEDS):
        raise UsageError(f"--seeds must be a whole number from 1 to {MOST_SEEDS}, or auto, not {text!r}")
    return seeds_of(int(text), first_seed)


def seeds_of(seeds: int, first_seed: int) -> int | list[int]:
    """Return the number of seeds, which count from 0, or their list if the first is another."""
    return seeds if first_seed == 0 else list(range(first_seed, first_seed + seeds))


def run_sweep(
    wish: Experiment, directory: Path, how: options.Running, recipes: str = "", *, report: bool = True
) -> int:
    """Run the sweep that ``wish`` describes, here or on the cluster, and report; check everything before any work.

    Args:
        wish: the description.
        directory: the sweep's directory.
        how: the options for running.
        recipes: lines on the recipes that were read from files.
        report: report at the end.

    Returns:
        the exit code.
    """
    from ablate.planning.about import about_sweep
    from ablate.planning.request import with_preset
    from ablate.planning.settings import resolve_device
    from ablate.planning.understand import plan_sweep

    if how.track and how.far and not (wish.prune or wish.budget is not None or wish.seeds == "auto"):
        later = f"`ablate export DIR --to {how.track.partition(':')[0]}` writes finished trials at any time"
        raise UsageError(
            f"--track needs a command that waits for its trials; this one submits jobs and returns: {later}"
        )
    where = where_to_run(wish, directory, how)
    resolved = with_preset(wish, where["elsewhere"] or resolve_device(wish.device), directory)
    planned, images = plan_sweep(resolved, directory, images_for(how), command_line(), **where)
    about = recipes + about_sweep(wish, resolved, planned, images)
    # there are many triples, so their cost is printed before they begin
    return launch(directory, planned, about, how, cost_first=wish.order == 3, report=report)


class Where(TypedDict):
    """The place where trials run, as arguments of :func:`~ablate.planning.understand.plan_sweep`."""

    elsewhere: Device | None
    slurm: Callable[[TrialConfig], Slurm] | None


def where_to_run(wish: Experiment, directory: Path, how: options.Running) -> Where:
    """Return where the trials of ``wish`` run, as ``how`` says.

    Args:
        wish: the description.
        directory: the sweep's directory.
        how: the options for running.

    Raises:
        UsageError: a directory that can hold no sweep, options that do not go together, no cluster.
    """
    from ablate.distributed import asked_for
    from ablate.launch.local import check_out
    from ablate.launch.slurm.resources import device_there, gather, refuse_without_slurm, resources

    if (size := asked_for()) > 1:
        raise UsageError(
            "a sweep starts the processes of its trials itself: use --world-size, not torchrun "
            f"(WORLD_SIZE is {size} here; unset it if you do not use torchrun)"
        )
    check_out(directory)
    if how.track:
        from ablate.launch.tracking import tracked  # pandas, in every call of a command otherwise

        tracked(how.track, directory)
    asked = {**how.jobs, "workers": how.workers}
    if not how.far:
        refuse_without_slurm(asked)
        return {"elsewhere": None, "slurm": None}
    if not how.dry_run:
        cluster.check_here()
    jobs = gather(asked, directory)
    return {"elsewhere": device_there(wish, jobs), "slurm": lambda config: resources(jobs, config)}


def images_for(how: options.Running) -> Callable[[Experiment], DataSet]:
    """Return a function that prepares the images of a description, in the cache that ``how`` names."""
    from ablate.data import cache_dir
    from ablate.planning.images import prepare_images

    cache = cache_dir(how.cache)
    return lambda wish: prepare_images(wish, cache)


def launch(
    directory: Path,
    planned: SweepPlan,
    images: str,
    how: options.Running,
    *,
    cost_first: bool = False,
    report: bool = True,
) -> int:
    """Run the trials that ``planned`` lacks, here or on the cluster that it asks for, and report.

    Args:
        directory: the sweep's directory.
        planned: the plan.
        images: a description of the images.
        how: the options for running.
        cost_first: print the cost before the trials begin.
        report: report at the end.

    Returns:
        the exit code.
    """
    from ablate.data import cache_dir
    from ablate.launch.start import run_here, submit
    from ablate.launch.tracking import tracking

    cache = cache_dir(how.cache)
    with tracking(directory, None if how.dry_run else how.track, make_console()):
        if planned.slurm:
            code = submit(directory, planned, images, cache, how.retry_failed, how.dry_run)
        else:
            code = run_here(
                directory, planned, images, cache, how.workers, how.retry_failed, how.dry_run, cost_first=cost_first
            )
        if report and not how.dry_run and (not planned.slurm or has_records(directory)):
            show_report(directory)
    return code


def show_report(directory: Path) -> None:
    """Write the report of a sweep and print it."""
    from ablate.report import write_report  # pandas, SciPy and Matplotlib: not before the first trial

    write_report(directory).show(make_console())


def has_records(directory: Path) -> bool:
    """Return True if a trial of a sweep has ended."""
    return any(SweepDir(directory).trials.glob("[!.]*.json"))
