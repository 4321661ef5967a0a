"""Verdicts on what is expected of single classes (docs/classes.md), from sweeps with results for every image.

``python -m benchmarks.classes glyphs=DIR 'blood cells=DIR' 'spoken digits=DIR'`` writes
``benchmarks/results/classes.json``, prints the page's table, wrong ones first, and fills in what was looked at
afterwards and the example of a protected class. A set that is left out keeps its numbers. The directories' plans hold
the names of the classes.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ablate.report.data.classes import Outcome, Share, names_of
from ablate.report.data.results import Results, read_sweep
from ablate.report.recommendation.protect import protect
from ablate.report.stats.classes import ClassEffect, contrasts_of, effects_of, profile_of
from ablate.report.stats.order import order
from ablate.report.stats.words import in_points
from ablate.sweep.layout import SweepDir
from ablate.sweep.plan import load_plan, plan, save_plan
from benchmarks.harness import save, saved
from benchmarks.marked import fill

Verdict = Literal["wrong", "undecided", "confirmed", "not measured yet"]
ORDER: tuple[Verdict, ...] = ("wrong", "undecided", "confirmed", "not measured yet")
WIDEST = 2.0


@dataclass(frozen=True)
class Claim:
    """A row of the table: ``lowers``, ``raises`` or ``spares`` (does not lower) each of ``what``, by one op.

    ``what`` are classes, ``A as B``, or ``A beyond the others``: the recall of A minus the mean of the classes that
    the row does not name. ``*`` stands for every class.
    """

    number: int
    set: str
    op: str
    lowers: tuple[str, ...] = ()
    raises: tuple[str, ...] = ()
    spares: tuple[str, ...] = ()

    @property
    def what(self) -> tuple[str, ...]:
        """Everything that the row is about."""
        return (*self.lowers, *self.raises, *self.spares)


BEGIN = "<!-- results: python -m benchmarks.classes -->\n"
EXAMPLE = "<!-- example: python -m benchmarks.classes -->\n"
PROTECTED = "basophil"
RECALLS = ("eosinophil", "monocyte", "basophil", "platelet")
CONFUSIONS = ("eosinophil as neutrophil", "basophil as ig", "basophil as neutrophil")
BEYOND = " beyond the others"
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
"""The words of the spoken digits, whose classes are called 0 to 9."""
CLAIMS = (
    Claim(1, "glyphs", "rotate", lowers=("6", "9")),
    Claim(2, "glyphs", "rotate", raises=("6 as 9", "9 as 6")),
    Claim(3, "glyphs", "rotate", lowers=(f"6{BEYOND}", f"9{BEYOND}")),
    Claim(4, "glyphs", "rotate", spares=("0", "1", "8")),
    Claim(5, "glyphs", "color", spares=("*",)),
    Claim(6, "blood cells", "color", lowers=("eosinophil", "basophil")),
    Claim(7, "blood cells", "color", raises=("eosinophil as neutrophil", "basophil as neutrophil")),
    Claim(8, "blood cells", "color", raises=("ig as neutrophil", "ig as monocyte")),
    Claim(9, "blood cells", "color", raises=(f"platelet{BEYOND}",)),
    Claim(10, "blood cells", "rotate", spares=("*",)),
    Claim(11, "blood cells", "cutout", lowers=(f"platelet{BEYOND}",)),
    Claim(12, "spoken digits", "flip", lowers=("one",), raises=("one as nine",)),
    Claim(13, "spoken digits", "flip", raises=(f"six{BEYOND}", f"nine{BEYOND}")),
)


def outcome(name: str, names: Sequence[str], named: Iterable[str]) -> Outcome:
    """Return what a row calls ``name``; ``named`` are the classes that the row names."""
    if name.endswith(BEYOND):
        own = names.index(name.removesuffix(BEYOND))
        others = [number for number, other in enumerate(names) if other not in set(named)]
        return Outcome(name, (Share(own), *(Share(number, -1 / len(others)) for number in others)))
    of, _, taken_for = name.partition(" as ")
    return Outcome(name, (Share(names.index(of), taken_for=names.index(taken_for) if taken_for else None),))


def found(claim: Claim, sweep: Results) -> list[ClassEffect]:
    """Return the effects that a row is about: of the joint ones of all classes and ops, or its own."""
    names = DIGITS if claim.set == "spoken digits" else names_of(sweep.experiment)
    if set(claim.what) <= {*names, "*"}:
        effects = [effect for effect in effects_of(sweep) if effect.op == claim.op]
        return [effect for effect in effects if "*" in claim.what or effect.of in claim.what]
    named = [what.removesuffix(BEYOND) for what in claim.what]
    return effects_of(sweep, [outcome(what, names, named) for what in claim.what], [claim.op])


def verdict(claim: Claim, effects: Sequence[ClassEffect]) -> Verdict:
    """Return the verdict by the rule of the page."""
    if not effects:
        return "not measured yet"
    sides = []
    for effect in effects:
        low, high = effect.difference.bounds(WIDEST) or (-1.0, 1.0)
        side = 1 if low > 0 else -1 if high < 0 else 0
        if effect.of in claim.lowers:
            sides.append(-side)
        elif effect.of in claim.raises:
            sides.append(side)
        else:
            sides.append(-1 if side < 0 else 1)
    return "wrong" if min(sides) < 0 else "confirmed" if min(sides) > 0 else "undecided"


def in_words(effect: ClassEffect) -> str:
    """Return a number of a row with its interval, cut where it cannot reach."""
    return f"{effect.of} {in_points(effect.difference, WIDEST if BEYOND in effect.of else 1.0)}"


def measured(claim: Claim, effects: Sequence[ClassEffect]) -> str:
    """Return the numbers of a row in points; of all classes the lowest one."""
    if "*" in claim.what and effects:
        lowest = min(effects, key=lambda effect: effect.difference.high or 0.0)
        return f"{in_words(lowest)}; the lowest of {len(effects)}"
    return "; ".join(map(in_words, effects))


def judged(claim: Claim, sweep: Results) -> dict[str, str]:
    """Return the verdict on a row, and the numbers that it rests on, in words."""
    effects = found(claim, sweep)
    over = f" ({effects[0].difference.how.partition(',')[0]})" if effects else ""
    return {"verdict": verdict(claim, effects), "measured": f"{measured(claim, effects)}{over}"}


def afterwards(sweep: Results) -> dict[str, list[str]]:
    """Return what was looked at after the verdicts: color (both orders) where crop works, against crop alone.

    The intervals of recalls hold for all classes at once, those of confusions for the three of them.
    """
    names, crop = names_of(sweep.experiment), next(op for op in sweep.grid.ops if op.startswith("crop"))
    cells = {place: cell.label for place, cell in sweep.grid.cells.items()}
    weights = {"color": {cells[crop, "color"]: 0.5, cells["color", crop]: 0.5, cells[crop, crop]: -1.0}}
    looked: dict[str, list[str]] = {}
    for what, shown, outcomes in (
        ("recall", RECALLS, ()),
        ("confused", CONFUSIONS, [outcome(name, names, ()) for name in CONFUSIONS]),
    ):
        found = {effect.of: effect for effect in contrasts_of(sweep, weights, outcomes)}
        looked[what] = [in_words(found[name]) for name in shown]
    cutout = sorted(effect.difference.mean for effect in effects_of(sweep) if effect.op == "cutout")
    return looked | {"cutout": [f"{100 * value:+.0f}" for value in (cutout[0], cutout[-1])]}


@contextlib.contextmanager
def with_images(directory: Path) -> Iterator[Results]:
    """Read a sweep as if it had only the seeds for which every trial has results for every image."""
    whole, there = load_plan(directory), set(SweepDir(directory).images.iterdir())
    lacking = {trial.seed for trial in plan(whole) if SweepDir(directory).image_results(trial.id) not in there}
    with tempfile.TemporaryDirectory() as place:
        save_plan(Path(place), whole.replace(seeds=tuple(seed for seed in whole.seeds if seed not in lacking)))
        for name in ("trials", "images"):
            (Path(place) / name).symlink_to((directory / name).resolve())
        yield read_sweep(place, interval="both")


def example(directory: Path) -> list[str]:
    """Return what protecting a class says, and the recall of that class on the test images beside it."""
    with with_images(directory) as sweep:
        kept, profile = protect(sweep, [PROTECTED]), profile_of(sweep)
        assert profile
        number, labels = profile.names.index(PROTECTED), [cell.label for cell in profile.cells]
        chosen, free = (order(each.grid).best for each in (kept, sweep))
        assert chosen and free
        recall = [100 * profile.test[labels.index(cell.label), number] for cell in (chosen, free)]
        return [
            f"An example, on the {len(sweep.experiment.seeds)} seeds of blood cells that have results for every image: "
            f"`--protect {PROTECTED}` says",
            *kept.protected,
            f"On the {profile.images[number][1]} test images of that class, {chosen.label} has {recall[0]:.1f} % and "
            f"{free.label} {recall[1]:.1f} %.",
        ]


def paragraph(looked: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the lines of the page on what was looked at afterwards."""
    text = (
        "Looked at afterwards, and so no prediction: where crop already works, color (both orders, against crop alone) "
        f"changes the recall by so many points: {', '.join(looked['recall'])}. It changes how many images of a class "
        f"are taken for another one: {', '.join(looked['confused'])}. Over the grid, cutout changes the recalls of the "
        f"classes by {' to '.join(looked['cutout'])} points."
    )
    return textwrap.wrap(text, 120, break_on_hyphens=False)


def quoted(sentences: Sequence[str]) -> list[str]:
    """Return the lines of the page's example: what it is of, what the command says, and the test images."""
    first, *said, last = sentences
    quote = textwrap.wrap(" ".join(said), 118, break_on_hyphens=False)
    wrapped = [textwrap.wrap(text, 120, break_on_hyphens=False) for text in (f"{first}:", last)]
    return [*wrapped[0], "", *(f"> {line}" for line in quote), "", *wrapped[1]]


def table(rows: Mapping[str, Mapping[str, str]]) -> Iterable[str]:
    """Return the lines of the table, the wrong ones first."""
    yield from ("| # | set | op | verdict | measured, in points |", "| --: | --- | --- | --- | --- |")
    known = [(claim, rows.get(str(claim.number), {"verdict": ORDER[-1], "measured": ""})) for claim in CLAIMS]
    for claim, row in sorted(known, key=lambda item: (ORDER.index(item[1]["verdict"]), item[0].number)):  # type: ignore[arg-type]
        yield f"| {claim.number} | {claim.set} | {claim.op} | **{row['verdict']}** | {row['measured']} |"


def main() -> None:
    """Judge the rows of the sets that were given, and print all of them."""
    rows = saved("classes")
    for name, _, directory in (word.partition("=") for word in sys.argv[1:]):
        sweep = read_sweep(directory)
        if name == "blood cells":
            rows |= {"afterwards": afterwards(sweep), "example": example(Path(directory))}
        rows |= {str(claim.number): judged(claim, sweep) for claim in CLAIMS if claim.set == name}
    save("classes", rows)
    print("\n".join(table({number: row for number, row in rows.items() if number.isdecimal()})))
    if "afterwards" in rows:
        fill("classes.md", BEGIN, paragraph(rows["afterwards"]))
        fill("classes.md", EXAMPLE, quoted(rows["example"]))


if __name__ == "__main__":
    main()
