"""The choice of one sweep: the best composition by validation accuracy, and those that cannot be told from it."""

from __future__ import annotations

from dataclasses import dataclass

from ablate.config.sweep import NamedComposition
from ablate.console import counted
from ablate.errors import UsageError
from ablate.report.data.grid import Cell
from ablate.report.data.results import Results
from ablate.report.stats.baseline import findings
from ablate.report.stats.failures import without_results
from ablate.report.stats.noise import chances, noise
from ablate.report.stats.order import Ranking, order
from ablate.report.stats.summary import summary
from ablate.report.stats.untrained import beats_untrained, is_unclear
from ablate.sweep.again import completing

MOST = 5  # compositions at most in a confirmation, and candidates at most if the noise is unknown


@dataclass(frozen=True)
class Candidate:
    """A composition that may be the best one.

    ``seconds`` is the time of one of its trials (CPU time on a CPU). ``above`` is True if its validation accuracy is
    above the untrained encoder's, and None if that is unknown. ``p_best`` is the probability that it is the best, if
    known.
    """

    cell: Cell
    composition: NamedComposition
    seconds: float
    above: bool | None
    p_best: float | None


@dataclass(frozen=True, repr=False)
class Choice:
    """The result of one sweep: every candidate, the best first, with the sentences of the report."""

    sweep: Results
    order: Ranking
    candidates: list[Candidate]
    evidence: tuple[str, ...]

    def __repr__(self) -> str:
        return f"<Choice of {self.sweep.directory}: {', '.join(candidate.cell.label for candidate in self.candidates)}>"

    @property
    def best(self) -> Candidate:
        """The candidate with the highest validation accuracy."""
        return self.candidates[0]

    @property
    def provisional(self) -> bool:
        """True if the noise of seeds is unknown, or as large as the gain from training."""
        model = self.order.model
        unknown = model is None or model.is_exact or (model.images is not None and model.images.alone)
        return unknown or is_unclear(self.sweep.grid, self.order)

    @property
    def is_shortened(self) -> bool:
        """True if more compositions may be the best than are listed."""
        return self.order.model is None and len(self.order.eligible) > len(self.candidates)


def choose(sweep: Results) -> Choice:
    """Choose the best composition by validation accuracy, and those that cannot be told from it."""
    ranking = order(sweep.grid)
    if ranking.best is None:
        raise UsageError(f"{sweep.directory} has no results yet{without_results(sweep)}")
    labels = ranking.contenders or [cell.label for cell in ranking.eligible[:MOST]]
    compositions = {
        trial.label: NamedComposition(label=trial.label, ops=trial.config.composition, second=trial.config.second)
        for trial in sweep.trials
        if trial.reference is None
    }
    likely = chances(sweep, ranking)
    candidates = [
        Candidate(
            cell,
            compositions[cell.label],
            sweep.seconds(cell.label),
            beats_untrained(sweep.grid, ranking, cell),
            likely.get(cell.label),
        )
        for cell in ranking.cells
        if cell.label in labels
    ]
    return Choice(sweep, ranking, candidates, (*summary(sweep), *noise(sweep), *findings(sweep)))


def to_confirm(choice: Choice) -> list[NamedComposition]:
    """Return the candidates with the highest validation accuracy, at most five.

    Raises:
        UsageError: trials are missing that could change this selection.
    """
    if choice.sweep.pending:
        raise UsageError(
            f"{missing_trials(choice.sweep)} and could change which compositions are confirmed; to complete it: "
            f"`{completing(choice.sweep.directory, choice.sweep.experiment)}`"
        )
    return [item.composition for item in choice.candidates[:MOST]]


def missing_trials(sweep: Results) -> str:
    """Return the words ``33 of 83 trials of DIR are missing``."""
    missing, planned = len(sweep.pending), counted(len(sweep.trials), "trial")
    return f"{missing} of {planned} of {sweep.directory} {'are' if missing > 1 else 'is'} missing"
