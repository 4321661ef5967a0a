"""Nearest neighbours on the page: of the best and the worst cell, test images with the training images nearest in h."""

from __future__ import annotations

from dataclasses import dataclass

from ablate.console import command
from ablate.data.single import Side, StoredImages
from ablate.errors import UsageError
from ablate.report.data.grid import LINEAR, Cell
from ablate.report.data.results import Results
from ablate.report.page.thumbnails import Sheet, images_in_cache, sheet
from ablate.report.stats.order import Ranking
from ablate.report.stats.words import judge
from ablate.sweep.images import PROTOCOL, ImageResults, read_image_results
from ablate.sweep.layout import SweepDir

MOST = 15_000  # bytes of one cell's thumbnails


@dataclass(frozen=True)
class Row:
    """The class of a test image, and those of its neighbours, each with whether it is another one."""

    query: str
    nearest: tuple[tuple[str, bool], ...]


@dataclass(frozen=True)
class Looked:
    """What one cell puts beside each other: a sentence, the rows, and their thumbnails in one picture."""

    title: str
    about: str
    rows: tuple[Row, ...]
    sheet: Sheet


@dataclass(frozen=True)
class Neighbourhoods:
    """The section: sentences, and the best and the worst cell; no cells if the images are gone."""

    text: tuple[str, ...]
    cells: tuple[Looked, ...] = ()


def neighbourhoods(sweep: Results, ranking: Ranking) -> Neighbourhoods | None:
    """Return the nearest neighbours of the best and the worst cell; None if no trial of theirs has kept any.

    Without linear evaluation, which keeps them, only a sentence says so.
    """
    ends = {"the best": ranking.cells[:1], "the worst": ranking.cells[1:][-1:]}
    found = {
        place: (cell, seed, results)
        for place, cells in ends.items()
        for cell in cells
        for seed, results in _kept(sweep, cell)[:1]
    }
    if not found:
        return _not_kept(sweep)
    data = sweep.experiment.shared.data
    images = images_in_cache(data.fingerprint)
    gone = (
        "Which images are nearest neighbours is known, but this machine's cache does not hold the images of "
        f"{data.name}: set ABLATE_CACHE to the --cache of the training, and run "
        f"{command('ablate', 'report', sweep.directory)}."
    )
    if images is None:
        return Neighbourhoods((gone,))
    try:
        cells = tuple(
            _looked(cell.label, f"{place} by {judge(sweep.grid)}, seed {seed}", images, results)
            for place, (cell, seed, results) in found.items()
        )
    except (OSError, ValueError, IndexError):
        return Neighbourhoods((gone,))
    text = (
        "Test images, the same for all cells, and the training images that lie nearest to each in h by cosine "
        "similarity. The sign ≠ and a dashed frame mark neighbours of another class."
    )
    return Neighbourhoods((text,), cells)


def _not_kept(sweep: Results) -> Neighbourhoods | None:
    """Say how a sweep of labelled images gets neighbours if it has no linear evaluation; None if it has."""
    done = [record for record in sweep.records.values() if record.status == "done" and record.reference is None]
    if not done or not sweep.experiment.shared.data.classes or any(LINEAR in record.metrics for record in done):
        return None
    evaluate = command("ablate", "evaluate", sweep.directory, "--protocol", PROTOCOL)
    text = f"Linear evaluation keeps them, which this sweep lacks; {evaluate} adds it where encoders were kept."
    return Neighbourhoods((text,))


def _kept(sweep: Results, cell: Cell) -> list[tuple[int, ImageResults]]:
    """Return the seeds of a cell whose trials have kept neighbours, with the image results that hold them."""
    kept = []
    for trial in sweep.trials:
        record = sweep.records.get(trial.id)
        if trial.label != cell.label or trial.reference is not None or record is None or record.status != "done":
            continue
        try:
            results = read_image_results(SweepDir(sweep.directory).image_results(trial.id))
        except (FileNotFoundError, UsageError):
            continue
        if results.neighbours and (results.trial, results.data) == (trial.id, trial.config.data.fingerprint):
            kept.append((trial.seed, results))
    return kept


def _looked(label: str, place: str, images: StoredImages, results: ImageResults) -> Looked:
    rows = []
    for query, *nearest in results.neighbours:
        own = images.label("test", query)
        labels = [images.label("train", number) for number in nearest]
        rows.append(Row(own, tuple((other, other != own) for other in labels)))
    wanted: list[tuple[Side, int]] = []
    for query, *nearest in results.neighbours:
        wanted += [("test", query), *(("train", number) for number in nearest)]
    every = [wrong for row in rows for _, wrong in row.nearest]
    about = f"{place}: {every.count(False)} of {len(every)} neighbours have the class of their test image."
    return Looked(label, about, tuple(rows), sheet(images, wanted, len(results.neighbours[0]), MOST))
