"""Annotations: rows of labels, splits and groups, as a table has them, turned into a listing or refused by row."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ablate.config.tasks import LabelColumn, column_and_kind
from ablate.data.dataset import ONE_CLASS
from ablate.data.decoding.contents import Held
from ablate.data.digest import digest_of, listing_of
from ablate.data.sources.listing import SHOWN, File, Listing, split_by_seed
from ablate.data.sources.rows import Row, check_numbers, classes_of
from ablate.data.sources.task_columns import Labels, values_of
from ablate.errors import UsageError, nearest, printable

SPLITS = {"train": "train", "val": "val", "validation": "val", "test": "test"}
NAMED = ("path", "split", "group")  # columns that hold no labels
LABEL, NONE = "label", "none"
LACKING = {
    "label": "give it one, or leave the image out",
    "split": f"give every image one; allowed: {', '.join(SPLITS)}",
    "group": "give every image one, a name of its own if it belongs to no other image",
}


def canonical(column: str) -> str:
    """Return the name of a column; ``path``, ``label``, ``split`` and ``group`` may be written in capitals."""
    plain = column.strip().lower()
    return plain if plain in {*NAMED, LABEL} else column


def canonical_columns(columns: Sequence[str], where: str) -> list[str]:
    """Return the names of the columns as :func:`canonical` has them.

    Raises:
        UsageError: two columns have one name; the message begins with ``where``.
    """
    names = [canonical(column) for column in columns]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise UsageError(printable(f"{where} has two columns {twice!r}; rename one of them"))
    return names


def label_column(columns: Sequence[str], chosen: str | None, where: str) -> str | None:
    """Return the column of the labels: the ``chosen`` one, else ``label``; None if there are no labels.

    That is the case if all columns have other meanings, or the user chose ``none``.

    Args:
        columns: the names of the columns.
        chosen: the name that the user gave, if any.
        where: the table, for messages: ``table: leaves.csv``.

    Raises:
        UsageError: there is no such column, or there are columns of which one must be chosen.
    """
    others = [name for name in columns if name not in NAMED]
    if chosen is not None:
        chosen = canonical(chosen)
        if chosen not in others and chosen == NONE:
            return None
        if chosen not in others:
            allowed = f"; allowed: {', '.join(others)}" if others else ""
            raise UsageError(f"{where} has no label column {chosen!r}{allowed}{nearest(chosen, others)}")
        return chosen
    if LABEL in others or not others:
        return LABEL if others else None
    raise UsageError(
        f"{where} has no column {LABEL!r}: choose one of {', '.join(others)} with --label NAME, "
        f"or --label {NONE} if the images have no labels"
    )


def label_columns(columns: Sequence[str], chosen: str | None, where: str) -> Labels:
    """Return the columns of the labels: that of the main task, as :func:`label_column`, and those of further tasks.

    Args:
        columns: the names of the columns.
        chosen: what the user gave, if anything: a name, or several with commas between them, each with its kind.
        where: the table, for messages.

    Raises:
        UsageError: there is no such column or kind, a column is named twice, or the main task has no classes.
    """
    if chosen is None or canonical(chosen) in columns:
        return Labels(label_column(columns, chosen, where))
    if not all(item.strip() for item in chosen.split(",")):
        allowed = ", ".join(name for name in columns if name not in NAMED)
        raise UsageError(f"--label {chosen}: a column is missing beside a comma; allowed: {allowed}")
    first, *others = (_column(item.strip(), columns) for item in chosen.split(","))
    main = label_column(columns, first.name, where)
    if first.kind != "classes":
        raise UsageError(
            f"--label {chosen}: the first column is the main task, which needs classes, not {first.kind}: put a column "
            f"of classes before it, or {NONE}"
        )
    names = [first.name, *(other.name for other in others)]
    for number, other in enumerate(others, start=1):
        if other.name in names[:number]:
            raise UsageError(f"--label {chosen} names {other.name!r} twice")
        if label_column(columns, other.name, where) is None:
            raise UsageError(f"--label {chosen}: only the first column can be {NONE!r}")
    return Labels(main, tuple(others))


def _column(item: str, columns: Sequence[str]) -> LabelColumn:
    if canonical(item) in columns:
        return LabelColumn(canonical(item))
    column = column_and_kind(item)
    return column._replace(name=canonical(column.name))


def without_use(columns: Sequence[str], labels: Labels) -> tuple[str, ...]:
    """Return a note on columns that may name groups and are not used, such as ``patient``; none if there are groups.

    Args:
        columns: the names of the columns.
        labels: the columns of the labels.
    """
    others = [name for name in columns if name not in {*NAMED, labels.main, *labels.names}]
    if "group" in columns or not others:
        return ()
    listed = ", ".join(others[:SHOWN]) + ", ..." * (len(others) > SHOWN)
    return (
        printable(
            f"not used: {listed}; a column that says which images belong together (patient, slide, speaker) must be "
            "called group, so that no split separates them"
        ),
    )


def listing_from(
    rows: Sequence[Row],
    root: Path,
    name: str,
    where: str,
    held: Held = "files",
    notes: Sequence[str] = (),
    further: Sequence[LabelColumn] = (),
) -> Listing:
    """Return the listing of annotated images; images of one group stay on one side of every split.

    Splits are those of the rows, or drawn by seed if rows have none. Without test images, those for validation are the
    test images, as in a folder. Classes that are all whole numbers are in their order, others in that of their text.
    A label, a split or a group that one image has is required of every image; a value for a further task is not.

    Args:
        rows: the images, at least one.
        root: the directory to which the paths are relative.
        name: the name of the data set.
        where: the place of the rows, for messages: ``table: leaves.csv``.
        held: what holds the images.
        notes: sentences on the rows, for the user.
        further: the columns of further tasks, whose cells the rows have.

    Raises:
        UsageError: a row lacks its label, split or group, has an unknown split, repeats an image or writes the number
            of a class in two ways; a group lies on two sides of the given splits; there are no training or test
            images; a class cannot be split; or a column of a further task cannot be learnt from.
    """
    _check_once(rows, where)
    _check_complete(rows, where)
    check_numbers(rows, where)
    classes = classes_of(rows)
    number = {label: i for i, label in enumerate(classes)}
    splits = [_split_of(row, where) for row in rows]
    tasks = [values_of(column, place, rows, where) for place, column in enumerate(further)]
    values = [sum(each, ()) for each in zip(*(own for _, own in tasks), strict=True)] or [()] * len(rows)
    files = [
        File(row.relpath, number.get(row.label or "", 0), row.group or row.relpath, split == "val", own)
        for row, split, own in zip(rows, splits, values, strict=True)
    ]
    labels = classes if len(classes) > 1 else []
    alike = (
        (f"{ONE_CLASS}: all images have the label {classes[0]!r}, which counts as no labels",)
        if len(classes) == 1
        else ()
    )
    columns = ([str(file.label) for file in files], [file.group for file in files], map(str, splits))
    of_tasks = [] if not tasks else [repr([task for task, _ in tasks]), repr(values)]
    digest = digest_of(*classes, listing_of((file.relpath for file in files), *columns), *of_tasks)
    if any(splits):
        train, test = _given(files, splits, classes, where)
    else:
        train, test = _drawn(files, classes, where)
    notes = (*alike, *notes)
    told = tuple(task for task, _ in tasks)
    return Listing(root, name, labels, train, test, not any(splits), notes, annotations=digest, held=held, tasks=told)


def _check_once(rows: Sequence[Row], where: str) -> None:
    seen: dict[str, str] = {}
    for row in rows:
        if before := seen.get(row.relpath):
            raise UsageError(printable(f"{where}: {row.at} repeats {row.relpath} of {before}; remove one of them"))
        seen[row.relpath] = row.at


def _check_complete(rows: Sequence[Row], where: str) -> None:
    """Refuse a label, a split or a group that some images have and others lack: none is lost silently."""
    for name, remedy in LACKING.items():
        values = [getattr(row, name) for row in rows]
        lacking = next((row for row, value in zip(rows, values, strict=True) if not value), None)
        if lacking and any(value is not None for value in values):
            raise UsageError(printable(f"{where}: {lacking.at} ({lacking.relpath}) has no {name}: {remedy}"))


def _split_of(row: Row, where: str) -> str | None:
    if row.split is None:
        return None
    if row.split not in SPLITS:
        allowed = ", ".join(SPLITS)
        raise UsageError(
            f"{where}: {row.at} has the split {row.split!r}; allowed: {allowed}{nearest(row.split, SPLITS)}"
        )
    return SPLITS[row.split]


def _given(
    files: list[File], splits: Sequence[str | None], classes: list[str], where: str
) -> tuple[list[File], list[File]]:
    """Return the training images (those for validation among them) and the test images of given splits."""
    sides: dict[str, str | None] = {}
    for file, split in zip(files, splits, strict=True):
        if sides.setdefault(file.group, split) != split:
            raise UsageError(
                printable(
                    f"{where}: the group {file.group!r} has images in {sides[file.group]} and in {split}, so that "
                    "encoders are judged on images that they were trained on: give each group one split"
                )
            )
    tested = "test" if "test" in splits else "val"
    train = [file for file, split in zip(files, splits, strict=True) if split != tested]
    test = [file._replace(val=False) for file, split in zip(files, splits, strict=True) if split == tested]
    if all(file.val for file in train) or not test:
        lacking = "train" if test else "test"
        raise UsageError(
            f"{where}: no row has the split {lacking!r}, so there are no {lacking}{'ing' * bool(test)} images"
        )
    known = {file.label for file in train if not file.val}
    for file, split in zip(files, splits, strict=True):
        if file.label not in known:
            raise UsageError(f"{where}: the class {classes[file.label]!r} has {split} images, but no training images")
    return train, test


def _drawn(files: list[File], classes: list[str], where: str) -> tuple[list[File], list[File]]:
    """Return training and test images drawn by seed, if every class has both."""
    train, test = split_by_seed(files)
    tested, trained = {file.label for file in test}, {file.label for file in train}
    for label in range(max(1, len(classes))):
        if label not in tested or label not in trained:
            kind = f"the class {classes[label]!r}" if len(classes) > 1 else "the images"
            raise UsageError(
                f"{where}: {kind} cannot be split into training and test images, since the images of a group stay "
                "together: add images of other groups, or a column split with train and test"
            )
    return train, test
