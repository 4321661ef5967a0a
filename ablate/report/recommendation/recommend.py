"""The recommendation: the best composition by validation accuracy, its rivals, and how sure the choice is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ablate.config.interval import Interval
from ablate.config.measure import Measure
from ablate.console import command, counted
from ablate.errors import NotExportable, UsageError
from ablate.pipelines.about import Files, Pair
from ablate.pipelines.code import kornia_code, torchvision_code
from ablate.pipelines.targets import exported
from ablate.report.data.over_images import check_held
from ablate.report.data.results import Results, read_sweep
from ablate.report.recommendation.choice import Candidate, Choice, choose
from ablate.report.recommendation.protect import protect as protected
from ablate.report.stats.screening import screening_of
from ablate.report.stats.verdict import is_useful
from ablate.report.stats.words import mentioned
from ablate.sweep.again import completing
from ablate.sweep.layout import KORNIA_CODE, TORCHVISION_CODE, SweepDir


@dataclass(frozen=True, repr=False)
class Recommendation:
    """A sweep's choice and, if a one-branch sweep was confirmed, the result with both branches and fresh seeds.

    ``confirming`` describes the progress of a confirmation that has not ended, or the reason why it decides nothing.
    ``final`` is the composition to use, if it is known; a screening has none, since its cells lack half of the ops.
    ``pipelines`` holds, by file name, code for this composition that runs without ablate; ``unexported`` gives the
    reasons for missing code, and ``differs`` what a file does otherwise than the ops, by its name.
    """

    choice: Choice
    confirmed: Choice | None
    confirming: str
    final: Candidate | None
    pipelines: dict[str, str]
    unexported: list[str]
    differs: dict[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        final = self.final.cell.label if self.final else "nothing is recommended yet"
        return f"<Recommendation: {final}; {self.choice!r}>"

    @property
    def decided(self) -> Choice:
        """The choice that decides: the confirmation's, if there is one."""
        return self.confirmed or self.choice


def recommend(
    directory: str | Path,
    metric: Measure | None = None,
    task: str = "",
    interval: Interval = "both",
    *,
    protect: Sequence[str] = (),
) -> Recommendation:
    """Return the recommendation of the sweep in ``directory``, and of its confirmation if that has finished.

    Nothing is final while trials are missing that could change the choice.

    Args:
        directory: the sweep's directory.
        metric: the measure by which to choose, ``top1``, ``balanced``, ``f1``, ``auroc`` or ``ap``; default: the one
            that the sweep was planned with.
        task: the name of the task to choose for, of a sweep with several; default: the main one.
        interval: what the intervals hold: ``seeds``, ``images`` or, by default, ``both``; seeds only if a trial that
            is compared has no results for every image.
        protect: classes whose validation recall may be at most 2 points below the highest of any composition, or as
            many as ``CLASS:POINTS`` says.

    Raises:
        UsageError: it is not a sweep's directory, or has no results yet; a class cannot be protected; intervals cannot
            hold images alone.
    """
    sweep = read_sweep(directory, metric, task, interval)
    check_held(sweep.grid, interval, sweep.seeds_only)
    return advise(protected(sweep, protect))


def advise(sweep: Results) -> Recommendation:
    """Return the recommendation of a sweep that has been read, like :func:`recommend`."""
    if sweep.experiment.variants:
        raise UsageError(
            f"{sweep.directory} also varies {', '.join(sweep.experiment.axes)}, but a recommendation needs a sweep "
            f"that varies only compositions; {command('ablate', 'report', sweep.directory)} shows every point"
        )
    choice = choose(sweep)
    confirmed, confirming = _confirmation(choice)
    final = None if screening_of(sweep) else _final(choice, confirmed, confirming)
    pipelines, unexported, differs = _code(final, confirmed or choice) if final else ({}, [], {})
    return Recommendation(choice, confirmed, confirming, final, pipelines, unexported, differs)


def _code(final: Candidate, choice: Choice) -> tuple[dict[str, str], list[str], dict[str, str]]:
    """Return the files by name, sentences on those that are missing, and what files do otherwise than the ops."""
    pipelines, unexported = dict[str, str](), list[str]()
    experiment = choice.sweep.experiment
    shared, (ops, second) = experiment.shared, (final.composition.ops, final.composition.second)
    files = Files(shared.data.channels, experiment.ranges, experiment.background, shared.encoder.normalize)
    for name, code in ((TORCHVISION_CODE, torchvision_code), (KORNIA_CODE, kornia_code)):
        try:
            pipelines[name] = code(ops, shared.image_size, shared.branches, shared.base, files, second)
        except NotExportable as error:
            unexported.append(str(error))
    pair = Pair((ops,) if second is None else (ops, second), shared.image_size, shared.branches, shared.base)
    others = exported(pair, files)
    return {**pipelines, **others.files}, [*unexported, *others.refused], others.differs


def _confirmation(choice: Choice) -> tuple[Choice | None, str]:
    """Return the choice of the confirmation, if all its trials have ended, and a sentence if it cannot decide yet."""
    directory = SweepDir(choice.sweep.directory).confirmation
    if not (SweepDir(directory).plan).is_file():
        return None, ""
    fresh = read_sweep(directory, choice.sweep.grid.measure, choice.sweep.task_name, choice.sweep.interval)
    if fresh.pending:
        progress = f"The confirmation has {fresh.ended} of {counted(len(fresh.trials), 'trial')}"
        see = command("ablate", "status", directory)
        return None, f"{progress}: see {see}; to complete it: `{completing(directory, fresh.experiment)}`"
    if not fresh.grid.with_results:
        return None, f"Every trial of the confirmation failed: see {command('ablate', 'status', directory)}"
    fresh = protected(fresh, choice.sweep.protect)
    best = choice.best.cell.label
    if best not in {trial.label for trial in fresh.trials}:
        confirm = command("ablate", "recommend", choice.sweep.directory, *choice.sweep.choice_options, "--confirm")
        again = f"{confirm} adds it"
        return choose(
            fresh
        ), f"The confirmation is of an earlier choice and lacks {mentioned(best)}, which is the best now: {again}."
    return choose(fresh), ""


def _final(choice: Choice, confirmed: Choice | None, confirming: str) -> Candidate | None:
    """Return the composition to use: the best of a two-branch sweep or of the confirmation.

    Return None if nothing is decided, or if training did not improve the best.
    """
    decided = confirmed or (choice if choice.sweep.experiment.shared.branches == "two" else None)
    if decided is None or confirming or choice.sweep.pending:
        return None
    return decided.best if is_useful(decided.sweep, decided.order) else None
