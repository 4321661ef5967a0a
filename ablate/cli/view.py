"""The commands that read what exists: ``status``, ``logs``, ``report``, ``recommend``, ... They import no torch."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from ablate.cli import completion, options
from ablate.cli.answers import Json, answer, refuse_both
from ablate.cli.command import command_line
from ablate.cli.help import Commands
from ablate.config.base import LARGEST_SEED
from ablate.console import counted, make_console, say, say_each, say_text
from ablate.errors import DiskError, ExitCode, UsageError
from ablate.sweep.layout import SweepDir

if TYPE_CHECKING:
    from ablate.report.recommendation.choice import Choice
    from ablate.report.recommendation.recommend import Recommendation
    from ablate.report.write import Report


def status(
    directory: options.Directory,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Keep updating it until the sweep has ended")] = False,
    every: options.Every = None,
    as_json: Json = False,
) -> None:
    """Show which trials are done, running, queued, failed or missing.

    The command reads the sweep's files and, where Slurm is available, the queue.
    """
    from ablate.launch.monitor import watch_status
    from ablate.launch.screen import print_status
    from ablate.launch.slurm.past import look_up
    from ablate.launch.status import sweep_status
    from ablate.launch.watch import EVERY

    refuse_both(watch, as_json)
    if watch:
        watch_status(directory, make_console(), every or EVERY)
    elif every:
        raise UsageError("--every is for --watch")
    else:
        now = sweep_status(directory, *look_up(directory))
        print_status(now, make_console())
        answer(now)


def cancel(
    directory: options.Directory,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Cancel without asking first")] = False,
) -> int:
    """Cancel the Slurm jobs of a sweep and of its calibration.

    Records and checkpoints are kept; the sweep's own command continues it.
    """
    from ablate.launch.slurm.cancel import cancel_sweep

    console = make_console()

    def announce(what: str) -> bool:
        say(console, f"cancelling {what}")
        return True

    def ask(what: str) -> bool:
        return typer.confirm(f"cancel {what}?")

    confirm = announce if yes else ask if sys.stdin.isatty() else None
    return cancel_sweep(directory, confirm, console)


def logs(
    directory: options.Directory,
    cell: Annotated[
        str,
        typer.Argument(
            help="A cell such as crop+color, a reference, or the id of a trial", autocompletion=completion.cells
        ),
    ],
    seed: Annotated[
        int | None,
        typer.Option(help="Seed of the trial", show_default="the first of the cell", min=0, max=LARGEST_SEED),
    ] = None,
    lines: Annotated[int | None, typer.Option(help="Print only the last N lines", min=1)] = None,
) -> int:
    """Print the log of a trial and, if it has no result yet, the log of its Slurm job."""
    from ablate.launch.logs import print_log

    return print_log(directory, cell, seed, lines, make_console())


def report(
    directories: Annotated[
        list[Path], typer.Argument(help="Directory of a sweep, and others to compare it with", metavar="DIR...")
    ],
    paper: Annotated[
        bool, typer.Option("--paper", help="Also draw the heatmap beside Figure 5 of the SimCLR paper")
    ] = False,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Write the report again whenever the sweep changes")
    ] = False,
    every: options.Every = None,
    metric: options.Metric = None,
    task: options.Task = None,
    interval: options.Holds = "both",
    as_json: Json = False,
) -> None:
    """Write index.html, heatmap.png/svg/pdf, table.csv and table.tex to DIR/report.

    This works at any time, also while trials run. Further directories are compared with the first one and with each
    other: another data set, another method, the other number of branches, a longer training. With --watch, the page in
    the browser refreshes itself until the sweep has ended.
    """
    from ablate.launch.screen import headline
    from ablate.launch.watch import EVERY, changes
    from ablate.report import write_report

    first, *others = directories
    console, pause = make_console(), every or EVERY
    if every and not watch:
        raise UsageError("--every is for --watch")
    refuse_both(watch, as_json)

    def write(refresh: float | None = None) -> Report:
        return write_report(
            first, others, paper=paper, refresh=refresh, metric=metric, task=task or "", interval=interval
        )

    try:
        for state in changes(first, pause) if watch else ():
            if not state.is_over:
                write(pause)
                say_text(console, headline(state))
    finally:  # also after Ctrl-C: a page that is no longer written must not say that it refreshes
        written = write()
    written.show(console)
    answer(written.sweep)


def recommend(
    directory: options.Directory,
    confirm: Annotated[
        bool,
        typer.Option("--confirm", help="First train the best compositions with both views augmented, on fresh seeds"),
    ] = False,
    seeds: Annotated[
        int | None,
        typer.Option(help="Fresh seeds per composition in the confirmation", show_default="3", min=1, max=1000),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(help="Worker processes for the confirmation", show_default="one per GPU or CPU core", min=1),
    ] = None,
    cache: options.Cache = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Run failed trials of the confirmation again")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan and cost of the confirmation; run nothing")
    ] = False,
    metric: options.Metric = None,
    task: options.Task = None,
    interval: options.Holds = "both",
    protect: options.Protect = None,
    print_code: Annotated[bool, typer.Option("--print", help="Print the code too, not only its path")] = False,
    as_json: Json = False,
) -> int:
    """Recommend a composition: the best one, its rivals, and code for it that runs without ablate.

    Nothing is recommended while missing trials could still change the choice.

    A one-branch sweep shows which augmentations matter, but training uses both branches. So --confirm first trains the
    best compositions that way, with fresh seeds. This confirmation is a sweep in DIR/confirmation, run as DIR was: on
    this machine or on Slurm.
    """
    from ablate.report.recommendation.recommend import recommend
    from ablate.report.write import publish

    recommendation = recommend(directory, metric, task or "", interval, protect=protect or ())
    if confirm:
        how = options.Running(None, workers, cache, retry_failed, dry_run)
        try:
            code = _confirm(recommendation.choice, seeds or 3, how)
        except KeyboardInterrupt:
            publish(
                recommend(directory, metric, task or "", interval, protect=protect or ())
            )  # what it has confirmed so far
            raise
        if dry_run:
            return code
        recommendation = recommend(directory, metric, task or "", interval, protect=protect or ())
        if code:
            publish(recommendation)
            return code
    elif seeds or workers or retry_failed or dry_run:
        raise UsageError("--seeds, --workers, --retry-failed and --dry-run are for a confirmation: add --confirm")
    _publish_and_print(recommendation, code=print_code)
    return ExitCode.DONE


def _publish_and_print(recommendation: Recommendation, *, code: bool) -> None:
    """Write a recommendation into the report and print it, also where the report may not be written."""
    from ablate.report.recommendation import terminal
    from ablate.report.write import publish

    trouble: DiskError | UsageError | None = None
    replaced = ""
    try:
        replaced = publish(recommendation)
    except (DiskError, UsageError) as error:  # a directory that belongs to somebody else can still be read
        trouble = error
    if replaced:
        say(make_console(), replaced, "yellow")
    terminal.show(recommendation, make_console(), code)
    answer(recommendation, replaced)
    if trouble:
        raise trouble


def _confirm(choice: Choice, seeds: int, how: options.Running) -> int:
    from ablate.cli.sweep import launch
    from ablate.data import cache_dir
    from ablate.planning.about import about_images
    from ablate.planning.images import images_of
    from ablate.report.recommendation.choice import to_confirm
    from ablate.report.stats.screening import screening_of
    from ablate.sweep.confirm import confirmation

    directory, experiment = choice.sweep.directory, choice.sweep.experiment
    if experiment.shared.branches == "two":
        raise UsageError(f"{directory} is a two-branch sweep already: there is nothing to confirm")
    if screening_of(choice.sweep):
        raise UsageError(f"{directory} is a screening, whose cells lack half of the ops: there is nothing to confirm")
    planned = confirmation(experiment, to_confirm(choice), seeds, command_line())
    images = about_images(planned, images_of(experiment, cache_dir(how.cache)))
    return launch(SweepDir(directory).confirmation, planned, images, how)


def merge(
    directories: Annotated[list[Path], typer.Argument(help="Directories of the shards", metavar="DIR...")],
    out: Annotated[Path, typer.Option(help="Directory of the merged sweep: a new one, or one that was merged before")],
) -> None:
    """Merge shards of one sweep that ran apart, on two clusters for example.

    The shards may differ in their seeds, their ops, or the trials that they have finished.
    """
    from ablate.report.correction import correct_pages
    from ablate.sweep.merge import merge as bring_together

    console, merged = make_console(), bring_together(directories, out)
    if merged.copied:
        correct_pages(out)
    say(console, f"{out}: {merged.copied} records copied, {merged.there} there already, {merged.missing} trials to run")
    for directory, count in merged.begun.items():
        say(console, f"not copied: {counted(count, 'trial')} of {directory} begun but without a record", "yellow")
    say_each(console, [f"damaged record, left out: {path}" for path in merged.damaged], "yellow")
    for sweep in merged.withdrawn:
        say(
            console,
            f"withdrawn: the recommendation in {SweepDir(sweep).report}, since the new records could change it",
            "yellow",
        )


def ops(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Ops to show, such as crop color", metavar="[OP]...", autocompletion=completion.ops),
    ] = None,
    recipes: Annotated[bool, typer.Option("--recipes", help="List the published recipes instead, by source")] = False,
    as_json: Json = False,
) -> None:
    """List every op with its parameters, defaults, ranges and units; or the published recipes, with their sources."""
    from rich.table import Table

    from ablate.config.recipes import PREFIX

    if recipes or (names and all(name.startswith(PREFIX) for name in names)):
        _show_recipes(names, as_json)
        return
    from ablate.ops import describe
    from ablate.ops.kornia_adapter import classes

    entries = describe(names)
    answer(entries)
    if as_json:
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


def _show_recipes(names: list[str] | None, as_json: bool) -> None:
    from ablate.config.recipes import PREFIX, RECIPES, named

    chosen = [named(name.removeprefix(PREFIX)) for name in names] if names else list(RECIPES.values())
    answer(chosen)
    if as_json:
        return
    console = make_console()
    for recipe in chosen:
        say(console, f"{PREFIX}{recipe.name}", "bold")
        for number, branch in enumerate(recipe.composition.split("|")):
            say(console, f"  {'| ' * bool(number)}{branch}")
        say(console, f"  from {recipe.source}{f'; the source {recipe.differs}' * bool(recipe.differs)}", "dim")


def show_help(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(help="Command to explain", metavar="[COMMAND]")] = None,
) -> None:
    """Print the help of a command, or the list of commands."""
    group = context.parent
    if group is None or name is None or not isinstance(group.command, Commands):
        typer.echo((group or context).get_help())
        return
    _, command, _ = group.command.resolve_command(group, [name])
    typer.echo(command.get_help(typer.Context(command, info_name=name, parent=group)))
