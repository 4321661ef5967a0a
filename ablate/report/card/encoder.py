"""A folder for the Hugging Face Hub from a kept encoder: its weights, its configuration and a model card."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from ablate.config.base import RECORDED
from ablate.config.measure import ACCURACIES, Measure, heading, in_full, measure_of, measured_by, on_validation
from ablate.config.objectives import kind_of
from ablate.config.sweep import called, is_named
from ablate.config.trial import SMALL_IMAGE, TrialConfig
from ablate.errors import DiskError, UsageError, unknown
from ablate.files import check_writable, write_atomically
from ablate.report.card.loading import code
from ablate.report.card.markup import in_markdown
from ablate.report.card.references import CITED, bibtex
from ablate.report.card.training import network, training
from ablate.report.data.grid import LINEAR, ROTATION, Cell
from ablate.report.data.results import Results, read_sweep
from ablate.report.stats.order import ordered
from ablate.report.stats.words import percent
from ablate.sweep.layout import SweepDir
from ablate.sweep.plan import is_sweep

DESCRIBED = {"config", "input", "label", "metrics", "reference", "seed"}
"""What a description of an encoder has at least."""
SIGNED = "\n<!-- Written by ablate card: "
"""The beginning of a card's last line. The digest in it tells a card that was edited since."""
TYPES: dict[Measure, str] = {
    "top1": "accuracy",
    "balanced": "balanced_accuracy",
    "f1": "f1",
    "auroc": "roc_auc",
    "ap": "average_precision",
}
"""The Hub's names of the measures."""


@dataclass(frozen=True)
class Kept:
    """An encoder that ``directory`` keeps, as its ``<id>.json`` describes it; ``sweep`` is None outside of sweeps."""

    directory: Path
    id: str
    description: dict[str, Any]
    config: TrialConfig
    sweep: Results | None

    @property
    def name(self) -> str:
        """The name under which its trial is shown."""
        label, reference = self.description["label"], self.description["reference"]
        return called(label, reference, is_given=self.config.encoder.starts_given)

    @property
    def data(self) -> str:
        """The name of its training images, without the number that ``--limit`` left of them."""
        return self.config.data.name.partition(", evaluated on ")[0].partition(" (")[0]

    @property
    def place(self) -> Path:
        """The directory of its card, unless another one is asked for."""
        return SweepDir(self.directory).card(self.id)

    @property
    def judged_on(self) -> str:
        """The name of the images of its accuracies: of several data sets, the first."""
        others = self.config.data.name.partition(", evaluated on ")[2].partition(" (")[0]
        tasks = self.sweep.experiment.tasks if self.sweep else ()
        return tasks[0].name if others and tasks else others or self.data

    @property
    def measures(self) -> list[Measure]:
        """The measures of linear evaluation to show: the one that chooses in its sweep, and the other accuracies."""
        first: Measure = self.sweep.grid.measure if self.sweep else self.config.measure or "top1"
        asked = dict.fromkeys((first, *ACCURACIES))
        return [measure for measure in asked if measured_by(LINEAR, measure) in self.description["metrics"]]


def find(directory: Path, cell: str, seed: int | None) -> Kept:
    """Return a kept encoder.

    Args:
        directory: the directory of a sweep or of ``ablate train``.
        cell: the label of its composition, the name of its reference, or its trial's id.
        seed: its seed; None: the first of that name.

    Raises:
        UsageError: the directory keeps no such encoder; the message names the nearest match.
    """
    paths = sorted(SweepDir(directory).encoders.glob("[!.]*.json"))
    if not directory.is_dir():
        raise UsageError(f"there is no directory {directory}")
    if not paths:
        raise UsageError(f"{directory} keeps no encoders: train with --keep-encoders all (or best)")
    read = {path: _read(path) for path in paths}
    damaged = [path for path, one in read.items() if one is None]
    described = {path.stem: one for path, one in read.items() if one is not None}
    of = {name: one for name, one in described.items() if is_named(cell, name, one["label"])}
    if not of and damaged:
        raise _damaged(damaged[0])
    if not of:
        raise unknown("kept encoder", cell, list(dict.fromkeys(one["label"] for one in described.values())))
    chosen = [name for name, one in of.items() if seed is None or one["seed"] == seed]
    if not chosen:
        seeds = ", ".join(str(one["seed"]) for one in of.values())
        raise UsageError(f"no encoder of {cell} with seed {seed} is kept; kept seeds: {seeds}")
    name = min(chosen, key=lambda one: of[one]["seed"])
    try:
        config = TrialConfig.model_validate(of[name]["config"], context=RECORDED)
    except ValueError:
        raise _damaged(SweepDir(directory).encoders / f"{name}.json") from None
    return Kept(directory, name, of[name], config, read_sweep(directory) if is_sweep(directory) else None)


def _read(path: Path) -> dict[str, Any] | None:
    """Return the description of an encoder; None if it is damaged, which must not hide the others."""
    try:
        content = json.loads(path.read_bytes())
    except ValueError:
        return None
    return content if isinstance(content, dict) and content.keys() >= DESCRIBED else None


def _damaged(path: Path) -> UsageError:
    return UsageError(f"{path} is damaged; its trial has to be run again")


def write_encoder(kept: Kept, out: Path) -> list[Path]:
    """Write ``README.md``, ``config.json`` and ``model.safetensors`` into ``out``, and return their paths.

    Raises:
        UsageError: it is a sweep's directory, a file is in place of it, somebody wrote or edited ``README.md``, or the
            weights are damaged or gone.
        DiskError: the disk refused a write.
    """
    if out.resolve() == kept.directory.resolve() or is_sweep(out):
        raise UsageError(f"{out} is the directory of a sweep; name another one with --out, such as {kept.place}")
    check_writable(out)
    weights, place = SweepDir(kept.directory).encoder(kept.id), out / "model.safetensors"
    if not weights.is_file():
        raise UsageError(f"{weights} is missing; its trial has to be run again")
    try:
        with safe_open(weights, framework="numpy"):
            pass
    except SafetensorError:
        raise _damaged(weights) from None
    readme = out / "README.md"
    if readme.exists() and not _is_untouched(readme.read_bytes()):  # it may have a licence, or be another project's
        raise UsageError(f"{readme} is not as ablate wrote it; move it away, or name another directory with --out")
    write_atomically(out / "config.json", json.dumps({"key": kept.config.key, **kept.description}, indent=1) + "\n")
    try:
        shutil.copyfile(weights, place)
    except OSError as error:
        raise DiskError(error.errno, error.strerror, str(place)) from error
    write_atomically(readme, _signed(model_card(kept)))  # last: a folder with a card is whole
    return [out / name for name in ("README.md", "config.json", "model.safetensors")]


def _signed(text: str) -> str:
    return f"{text}{SIGNED}{hashlib.sha256(text.encode()).hexdigest()[:16]} -->\n"


def _is_untouched(content: bytes) -> bool:
    """Return True if a ``README.md`` is a card as it was written."""
    text = content.decode(errors="replace")
    return text == _signed(text.rpartition(SIGNED)[0])


def model_card(kept: Kept) -> str:
    """Return the model card in Markdown, with the metadata that the Hub reads in front."""
    config, ops = kept.config, kept.config.every_op
    name, data, size = in_markdown(kept.name), in_markdown(kept.data), config.image_size
    is_trained = config.objective != "untrained"
    told = training([config]) if is_trained else ["The encoder was not trained."]
    part = "" if size <= SMALL_IMAGE else " (87.5 % of its side)"
    lines = [
        _metadata(kept),
        f"# {name} on {data}, {_plain(network(config)).removeprefix('a ').partition(' (')[0].partition(',')[0]}",
        "<!-- Before you publish it: add `license:` to the metadata, and say whether the terms of the images allow it. "
        "-->",
        f"An image encoder, {'trained' if is_trained else 'not trained but evaluated'} by ablate to compare "
        f"augmentations{', not to be the best possible' * is_trained}: {name}, seed {kept.description['seed']}.",
        "## Load it",
        f"```python\n{code(config)}```",
        f"Input: {kept.description['input']}.{_mapped(kept)} For the numbers below, the images were the centre "
        f"squares{part} of whole images, scaled to {size} x {size} pixels.",
        "## How it was trained",
        _plain(" ".join(told)),
        *([f"Ops, first to last: {', '.join(f'`{op}`' for op in ops)}."] if ops and is_trained else []),
        f"Training images: {in_markdown(config.data.name)}, fingerprint `{config.data.fingerprint}`. "
        f"Configuration key: `{config.key}`; `config.json` has all settings.",
        *_accuracy(kept),
        *(["## Sources", f"```bibtex\n{bibtex(told)}```"] if bibtex(told) else []),
    ]
    return "\n\n".join(lines) + "\n"


def _mapped(kept: Kept) -> str:
    """Return a sentence, after a space, on the values of the files that became 0 and 1; an empty text for 8 bits."""
    ranges = kept.description.get("ranges")
    if not ranges:
        return ""
    *others, last = [f"{low:.7g}..{high:.7g}" for low, high in ranges]
    values = f"{', '.join(others)} and {last} of the channels, in their order," if others else last
    return f" The files' values {values} became 0 and 1, and others were clipped."


def _plain(text: str) -> str:
    return CITED.sub("", text).replace(" ,", ",").replace(" .", ".").replace("  ", " ")


def _metadata(kept: Kept) -> str:
    """Return the card's YAML. Results are those of linear evaluation on the test images; without labels, none."""
    config = kept.config
    kind = config.objective
    learned = ["self-supervised-learning"] * (kind != "untrained" and not kind_of(kind).needs_labels)
    lines = ["---", "library_name: pytorch", "pipeline_tag: image-feature-extraction", "tags:"]
    lines += [f"- {tag}" for tag in ("ablate", "pytorch", *learned, kind)]
    metrics, measures = kept.description["metrics"], kept.measures
    if measures:
        data = kept.judged_on
        slug = "".join(character if character.isalnum() else "-" for character in data.lower())
        lines += ["model-index:", f"- name: {json.dumps(f'{kept.name} on {kept.data}')}", "  results:"]
        lines += ["  - task:", "      type: image-classification", "      name: Linear evaluation of frozen features"]
        lines += ["    dataset:", f"      type: {json.dumps(slug)}", f"      name: {json.dumps(data)}"]
        lines += ["      split: test", "    metrics:"]
        for measure in measures:
            value = round(metrics[measured_by(LINEAR, measure)], 4)
            lines += [f"    - type: {TYPES[measure]}", f"      value: {value}", f"      name: {in_full(measure)}"]
    return "\n".join([*lines, "---"])


def _accuracy(kept: Kept) -> list[str]:
    """Return the section on its accuracy, beside that of its cell and of the untrained encoder."""
    metrics, sweep = kept.description["metrics"], kept.sweep
    metric = measured_by(LINEAR, kept.measures[0]) if kept.measures else ROTATION
    if metric not in metrics:
        return []
    named = "linear evaluation" if kept.measures else "rotation prediction"
    measure = in_full(kept.measures[0]) if kept.measures else "top-1 accuracy"
    rows = [("this encoder", *(_shown(metrics.get(name)) for name in (on_validation(metric), metric)), "1")]
    said = [f"{measure[0].upper()}{measure[1:]} of {named} in percent. Validation images choose, test images do not."]
    if sweep:
        cells = {cell.label: cell for cell in (*sweep.grid.compositions, *sweep.grid.references.values())}
        own = cells.get(kept.description["label"])
        rows += [_row("all seeds of it, mean ± standard deviation", own, metric)] if own and own.n > 1 else []
        if (start := cells.get("untrained")) and start.n and start is not own:
            rows += [_row(sweep.grid.called("untrained"), start, metric)]
        model = ordered(sweep.grid.with_results, metric).model
        if model and kept.description["label"] in model.position:
            half = 100 * model.half_width(kept.description["label"])
            said += [f"The mean over seeds has a 95 % interval of ± {half:.1f} points on these test images."]
        if counts := sweep.class_counts:
            said += [f"There are {sum(counts.test):,} test images of {len(counts.test)} classes."]
    table = ["| | validation | test | n |", "| --- | --: | --: | --: |", *(f"| {' | '.join(row)} |" for row in rows)]
    return [f"## {heading(measure_of(metric))}", "\n".join(table), " ".join(said)]


def _row(text: str, cell: Cell, metric: str) -> tuple[str, ...]:
    shown = (percent(cell, name).removesuffix(" %") for name in (on_validation(metric), metric))
    return text, *shown, str(cell.n)


def _shown(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f}"
