"""Image results: the class given to each validation and test image and its margin, beside a record. Needs no torch."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from ablate.console import command
from ablate.errors import UsageError, first_line
from ablate.sweep.layout import PLAN, SweepDir
from ablate.sweep.record import TrialResult, read_record, read_records

PROTOCOL = "linear"
"""The protocol whose results for every image are kept."""
ABOUT = "ablate"  # one key of metadata only: safetensors writes several keys in any order, and files would differ
SPLITS, ARRAYS = ("validation", "test"), ("label", "predicted", "margin")
GROUP, NEIGHBOURS = "group", "neighbours"
"""The array that only splits with groups of several images have, and the one that earlier versions did not write."""
ACCURACY = {"validation": "linear_val_top1", "test": "linear_top1"}


@dataclass(frozen=True, eq=False)
class SplitResults:
    """The results for the images of one split, in the fixed order of the data; every array has shape ``[n]``.

    Args:
        label: the true class of each image; uint8, uint16 from 257 classes on, or uint32.
        predicted: the class with the highest score, of the same type.
        margin: the score of the true class minus the highest of the other classes, float16. Scores are logits, so the
            margin is the logarithm of the odds of the true class against the likeliest other one. It is positive where
            the image is classified correctly and negative elsewhere; where it rounds to 0, ``predicted`` decides.
        group: the group of each image, such as its patient, counted from 0 in the order of the images, unsigned; None
            where every image is a group of its own, and in files of earlier versions.
    """

    label: npt.NDArray[np.unsignedinteger]
    predicted: npt.NDArray[np.unsignedinteger]
    margin: npt.NDArray[np.float16]
    group: npt.NDArray[np.unsignedinteger] | None = None

    @property
    def correct(self) -> npt.NDArray[np.bool_]:
        """True for each image that is classified correctly, bool ``[n]``."""
        return np.asarray(self.predicted == self.label)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SplitResults):
            return NotImplemented
        if (self.group is None) != (other.group is None):
            return False
        return all(np.array_equal(getattr(self, name), getattr(other, name), equal_nan=True) for name in self.arrays)

    @property
    def arrays(self) -> tuple[str, ...]:
        """The names of the arrays that it has."""
        return ARRAYS if self.group is None else (*ARRAYS, GROUP)

    __hash__ = None  # type: ignore[assignment]  # arrays have no hash

    def __repr__(self) -> str:
        return f"<{len(self.label)} images, {np.count_nonzero(self.correct)} correct>"


@dataclass(frozen=True)
class ImageResults:
    """The results of linear evaluation on ``h`` for each validation and each test image.

    Args:
        trial: the trial's id.
        data: the fingerprint of the data set. Trials with the same one have the same images in the same order.
        validation: the labelled training images of the validation split, by the classifier that chose l2.
        test: the test images, by the classifier that was refitted on all labelled training images.
        neighbours: a row for each of a few test images: its number, and those of the training images nearest to it in
            ``h``, the nearest first; none in files of earlier versions. See :mod:`ablate.evaluation.neighbours`.
    """

    trial: str
    data: str
    validation: SplitResults
    test: SplitResults
    neighbours: tuple[tuple[int, ...], ...] = ()


def to_bytes(results: ImageResults) -> bytes:
    """Return the content of a file of image results, the same bytes for the same results."""
    splits = {split: getattr(results, split) for split in SPLITS}
    arrays = {f"{split}_{name}": getattr(of, name) for split, of in splits.items() for name in of.arrays}
    if results.neighbours:
        arrays[NEIGHBOURS] = np.array(results.neighbours, np.uint32)
    return save(arrays, {ABOUT: json.dumps({"trial": results.trial, "data": results.data})})


def read_image_results(path: Path) -> ImageResults:
    """Read a file of image results.

    Raises:
        FileNotFoundError: there is no such file.
        UsageError: it is damaged.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            about = json.loads(file.metadata()[ABOUT])
            there = set(file.keys())
            names = {split: (*ARRAYS, *[GROUP] * (f"{split}_{GROUP}" in there)) for split in SPLITS}
            arrays = {split: [file.get_tensor(f"{split}_{name}") for name in names[split]] for split in SPLITS}
            near = file.get_tensor(NEIGHBOURS).tolist() if NEIGHBOURS in there else []
        if any(array.shape != of_split[0].shape for of_split in arrays.values() for array in of_split):
            raise ValueError("its arrays differ in length")
        if empty := [split for split, of_split in arrays.items() if not len(of_split[0])]:
            raise ValueError(f"it holds no {empty[0]} images")  # linear evaluation refuses a split without images
        splits = {split: SplitResults(*of_split) for split, of_split in arrays.items()}
        return ImageResults(about["trial"], about["data"], **splits, neighbours=tuple(map(tuple, near)))
    except FileNotFoundError:
        raise
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} is damaged ({first_line(error)}); {_remedy(path.parent.parent)}") from None


def load_image_results(directory: str | Path, trials: Iterable[str] | None = None) -> dict[str, ImageResults]:
    """Return what linear evaluation gave each validation and test image, by trial id.

    All trials have the same images in the same order, so that two of them can be compared image by image. The files
    are in ``DIR/images``. They may be removed; then everything but this function works as before.

    Args:
        directory: the directory of a sweep or of ``ablate train``.
        trials: trial ids, ``<key>-s<seed>``; by default every done trial that has a file.

    Raises:
        FileNotFoundError: ``directory`` holds neither a sweep nor records.
        UsageError: a trial that is named has no result of linear evaluation or no file; a file is damaged or belongs to
            another result than the record; or the trials were evaluated on different data sets.
    """
    directory = Path(directory)
    if not (SweepDir(directory).plan.exists() or SweepDir(directory).trials.exists()):
        raise FileNotFoundError(f"{directory} holds neither {PLAN} nor trials/")
    results = {record.id: image_results_of(directory, record) for record in _records(directory, trials)}
    first = next(iter(results.values()), None)
    for name, found in results.items():
        if first is not None and found.data != first.data:
            raise UsageError(
                f"trials {first.trial} and {name} were evaluated on different data sets (fingerprints {first.data} and "
                f"{found.data}), so their images cannot be compared; name trials of one data set"
            )
    return results


def _records(directory: Path, trials: Iterable[str] | None) -> list[TrialResult]:
    """Return the records of the named trials, or of all that have image results."""
    place = SweepDir(directory)
    if trials is None:
        records, _ = read_records(directory)
        return [r for r in records.values() if _is_evaluated(r) and place.image_results(r.id).is_file()]
    named = []
    for name in trials:
        if not place.record(name).is_file():
            raise UsageError(f"{directory} holds no record of a trial {name!r}; ids have the form <key>-s<seed>")
        named.append(read_record(place.record(name), points=0))
        if not _is_evaluated(named[-1]):
            raise UsageError(f"trial {name} has no result of linear evaluation, so none for each image")
    return named


def _is_evaluated(record: TrialResult) -> bool:
    return record.status == "done" and PROTOCOL in record.protocols


def image_results_of(directory: Path, record: TrialResult) -> ImageResults:
    """Read the image results of a record, and check that they are those that it counts.

    Raises:
        UsageError: there is no file; it is damaged, or belongs to another result than the record.
    """
    path = SweepDir(directory).image_results(record.id)
    try:
        results = read_image_results(path)
    except FileNotFoundError:
        raise UsageError(f"trial {record.id} has no file {path}; {_remedy(directory)}") from None
    if results.trial != record.id or results.data != record.config.data.fingerprint:
        raise UsageError(
            f"{path} holds the images of trial {results.trial} on data {results.data}, not of {record.id} on "
            f"{record.config.data.fingerprint}; {_remedy(directory)}"
        )
    for split, metric in ACCURACY.items():
        correct = getattr(results, split).correct
        # Counts, since CUDA's mean may differ from the quotient in the last bit.
        counted, recorded = np.count_nonzero(correct), record.metrics.get(metric, np.nan) * len(correct)
        if not abs(counted - recorded) < 0.5:
            raise UsageError(
                f"{path} has {counted} of {len(correct)} {split} images classified correctly, and the record's "
                f"{metric} says {recorded:.0f}: they are of different evaluations; {_remedy(directory)}"
            )
    return results


def _remedy(directory: Path) -> str:
    again = command("ablate", "evaluate", directory, "--protocol", PROTOCOL, "--again")
    return f"{again} writes it again where encoders were kept, and nothing but this analysis needs the file"
