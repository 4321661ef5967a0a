"""The commands for single trials: ``train``, and ``evaluate`` for trained encoders."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ablate.cli import completion, options
from ablate.compiled import keep_code
from ablate.config.base import LARGEST_SEED
from ablate.console import is_main, make_console, say
from ablate.errors import ExitCode
from ablate.files import check_writable
from ablate.sweep.layout import SweepDir

if TYPE_CHECKING:
    from rich.console import Console

    from ablate.config.sweep import Trial
    from ablate.data import DataSet
    from ablate.sweep.record import TrialResult


Composition = Annotated[
    str,
    typer.Argument(
        help="The composition, such as crop+color(strength=0.5), 'A|B' for two branches, or none",
        autocompletion=completion.compositions,
    ),
]
Seed = Annotated[int, typer.Option(help="Seed of the trial", min=0, max=LARGEST_SEED)]
KeepEncoder = Annotated[bool, typer.Option(help="Keep the trained encoder in OUT/encoders, as safetensors")]
Out = Annotated[Path | None, typer.Option(help="Directory for the record", show_default="results/train")]
RetryFailed = Annotated[bool, typer.Option("--retry-failed", help="Run the trial again if it failed")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Print what would be trained and its cost; run nothing")]


@options.described("train", branches="two")
@options.running(
    ("out", "cache", "retry_failed", "dry_run", "as_json"), out=Out, retry_failed=RetryFailed, dry_run=DryRun
)
def train(
    composition: Composition,
    flags: dict[str, Any],
    how: options.Running,
    seed: Seed = 0,
    settings: options.Settings = None,
    keep_encoder: KeepEncoder = True,
) -> int:
    """Train and evaluate one composition on this machine.

    Run the same command again to resume. Ctrl-C saves a checkpoint and stops after the current step; a second Ctrl-C
    stops at once.

    To train in several processes, use torchrun: torchrun --nproc-per-node 2 -m ablate train crop+color
    """
    from ablate.data import cache_dir
    from ablate.launch.dry_run import show_trial
    from ablate.ops import parse_op, spec
    from ablate.planning.about import about_trial
    from ablate.planning.compositions import op_defaults
    from ablate.planning.from_files import spelled_out
    from ablate.planning.images import prepare_images
    from ablate.planning.init import keep_given
    from ablate.planning.request import wish_of, with_preset
    from ablate.planning.settings import resolve_device
    from ablate.planning.trial import plan_trial

    wish, recipes = spelled_out(wish_of(flags, settings, compositions=[composition]))
    out, cache, console = how.out or Path("results/train"), cache_dir(how.cache), make_console()
    check_writable(out)
    resolved = with_preset(wish, resolve_device(wish.device))
    trial, images, specs = plan_trial(resolved, seed, lambda: prepare_images(resolved, cache))
    say(console, recipes + about_trial(wish, resolved, trial, images))
    if how.dry_run:
        show_trial(trial, specs, wish.data, spec(parse_op("crop", op_defaults(resolved))), cache, out, console)
        return ExitCode.DONE
    keep_given(out, resolved, [trial.config])
    if trial.config.compile:
        keep_code(cache, trial.config.threads)
    return _train(trial, images, specs, out, console, how.retry_failed, wish.rank_timeout, keep_encoder=keep_encoder)


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
    """Train and evaluate ``trial`` in this process, or in those that torchrun started; return the exit code."""
    from ablate.launch.room import refuse_without_room, room_for
    from ablate.processes.signals import resumable
    from ablate.sweep.progress import logging_to
    from ablate.trial.context import Context, taking_part
    from ablate.trial.run import run_trial

    config = trial.config
    if config.world_size == 1 and (warning := refuse_without_room(room_for([config], 1, images.evaluated))):
        say(console, warning, "yellow")

    log = SweepDir(out).log(trial.id)
    if config.world_size > 1:
        address = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
        say(console, f"WORLD_SIZE is {config.world_size}: waiting for that many processes at {address}")
    log_to = logging_to(log, logging.INFO if is_main() else logging.ERROR)
    with resumable(out), log_to, taking_part(config, rank_timeout) as part:
        result = run_trial(
            config,
            out,
            Context(report=_reporter(console, config.epochs), stop_requested=part.stop_requested),
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
            os._exit(ExitCode.FAILED)  # an orderly exit would wait for processes that may be gone
    if result.error:
        say(console, _failed(result, log), "red")
        return ExitCode.FAILED
    for name, value in result.metrics.items():
        say(console, f"{name}: {value:.6g}")
    say(console, f"record: {out}/trials/{result.id}.json")
    if keep_encoder:
        say(console, f"encoder: {out}/encoders/{result.id}.safetensors")
    return ExitCode.DONE


def _reporter(console: Console, epochs: int) -> Callable[[int, dict[str, Any]], None]:
    """Return a function that prints the metrics of an epoch in one line."""

    def report(epoch: int, metrics: dict[str, Any]) -> None:
        values = {name: value for name, value in metrics.items() if name != "epoch"}
        shown = [
            f"{name} {value}" if isinstance(value, str) else f"{name} {value:.4g}" for name, value in values.items()
        ]
        say(console, f"epoch {epoch}/{epochs}: {', '.join(shown)}")

    return report


def _failed(result: TrialResult, log: Path) -> str:
    reason = result.error.message if result.error else "no reason recorded"
    return f"failed: {reason} (log: {log}); --retry-failed runs it again"


def evaluate(
    directory: Annotated[Path, typer.Argument(help="Directory of a sweep or of `ablate train`", metavar="DIR")],
    protocol: Annotated[
        str,
        typer.Option(
            help="linear, sgd, knn, finetune, rotation, rankme, lidar, alignment, invariance; few labels: "
            "linear:10%, linear:1%, finetune:10%, finetune:1%; on z as in linear@z; comma-separated",
            autocompletion=completion.protocols,
        ),
    ],
    device: Annotated[
        str | None, typer.Option(help="Device: auto, cpu or cuda", show_default="the one each encoder was trained on")
    ] = None,
    cache: options.Cache = None,
    again: Annotated[bool, typer.Option("--again", help="Repeat evaluations that are already recorded")] = False,
) -> None:
    """Run further evaluation protocols on the encoders kept in DIR, and add the results to the records."""
    from ablate.data import cache_dir
    from ablate.evaluation.protocols import parse_protocols
    from ablate.planning.settings import resolve_device
    from ablate.trial.reevaluate import reevaluate

    specs = parse_protocols(protocol)
    where = resolve_device(device) if device else None
    reevaluate(directory, specs, cache_dir(cache), where, again, make_console())
