"""Further protocols for the encoders that a directory keeps, added to their trials' records."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from rich.console import Console

from ablate.console import counted, say
from ablate.data import DataSet, read_entry
from ablate.errors import DamagedRecord, UsageError
from ablate.evaluation.frozen import Frozen
from ablate.evaluation.invariance import of_an_op
from ablate.evaluation.protocols import check_protocols, evaluate, flags_of, outdated
from ablate.sweep.attempts import last_attempt
from ablate.sweep.images import to_bytes
from ablate.sweep.layout import SweepDir
from ablate.sweep.lease import inherit
from ablate.sweep.lock import sole_user
from ablate.sweep.record import TrialResult, read_record, write_record
from ablate.trial import encoders


def reevaluate(
    directory: Path, specs: Sequence[str], cache: Path, device: str | None, again: bool, console: Console
) -> None:
    """Run ``specs`` on every kept encoder in ``directory`` whose record is done, and print one line per trial.

    A protocol that the record holds already is skipped unless ``again`` is given or its definition has changed since;
    in the latter case its old values are removed. Metrics, flags and protocols are added to the record; nothing else in
    it changes. ``linear`` also writes its results for every image.

    Args:
        directory: the directory of a sweep or of ``ablate train``.
        specs: the protocols, as :func:`ablate.evaluation.protocols.parse_protocols` returns them.
        cache: where the images are found, by their fingerprint.
        device: ``cpu`` or ``cuda``; None: the trial's own.
        again: evaluate again what is on record.
        console: where the lines are printed.

    Raises:
        UsageError: no encoder is kept, the images are not in the cache, or a protocol cannot be run on them.
    """
    if not directory.is_dir():
        raise UsageError(f"there is no directory {directory}")
    names = encoders.kept(directory)
    if not names:
        raise UsageError(
            f"{directory} keeps no encoders: train with --keep-encoders all (or best), then evaluate further protocols"
        )
    if "online" in specs:
        raise UsageError(
            "protocol 'online' is trained along with the encoder and cannot be added afterwards; linear can be"
        )
    say(console, f"{directory} keeps {counted(len(names), 'encoder')}")
    images: dict[str, DataSet] = {}
    with sole_user(directory):
        for name in names:
            record = _finished(directory, name, console)
            if record is None:
                continue
            missing = [
                spec for spec in specs if again or spec not in record.protocols or outdated(spec, record.metrics)
            ]
            which = f"{record.called} seed {record.seed}"
            if not missing:
                say(console, f"{which}: already recorded")
                continue
            fingerprint = record.config.data.fingerprint
            if fingerprint not in images:
                images[fingerprint] = _images(record, cache)
            check_protocols(missing, images[fingerprint])
            added = _add(directory, record, images[fingerprint], missing, device, again)
            say(console, f"{which}: {added}")


def _finished(directory: Path, name: str, console: Console) -> TrialResult | None:
    try:
        record = read_record(SweepDir(directory).record(name))
    except (FileNotFoundError, DamagedRecord):
        say(console, f"{name}: left out, its trial has no readable record", "yellow")
        return None
    if record.status != "done":
        say(console, f"{record.called} seed {record.seed}: left out, its trial is {record.status}", "yellow")
        return None
    return record


def _images(record: TrialResult, cache: Path) -> DataSet:
    data = record.config.data
    try:
        return read_entry(cache, data.fingerprint)
    except FileNotFoundError:
        raise UsageError(
            f"the cache {cache} does not hold the images of {data.name} (fingerprint {data.fingerprint}): use the "
            "--cache of the training, or repeat the training command, which decodes them again"
        ) from None


def _add(
    directory: Path, record: TrialResult, data: DataSet, specs: Sequence[str], device: str | None, again: bool
) -> str:
    """Evaluate, rewrite the record, and return a line with the new results."""
    device = device or record.config.device
    if device == "cuda" and not torch.cuda.is_available():
        raise UsageError(
            "these encoders were trained on CUDA, but torch sees no GPU here; evaluate them with --device cpu"
        )
    torch.set_num_threads(record.config.threads)
    encoder, head = (module.to(device) for module in encoders.rebuild(directory, record.id, record.config))
    old = {spec: outdated(spec, record.metrics) for spec in specs}
    past = {spec: said for spec, said in record.protocols.items() if not old.get(spec)}
    known = {name: value for name, value in record.metrics.items() if name not in set().union(*old.values())}
    evaluation = evaluate(Frozen(encoder, head, record.config, record.seed, data, torch.device(device)), specs)
    stale = {flag for spec in specs for flag in flags_of(spec)}
    changes = {  # values on record stay, unless asked for again
        "metrics": known | evaluation.metrics if again else evaluation.metrics | known,
        "flags": tuple(dict.fromkeys((*(flag for flag in record.flags if flag not in stale), *evaluation.flags))),
        "protocols": past | evaluation.protocols if again else evaluation.protocols | past,
    }
    lease = inherit(directory, record.id, last_attempt(directory, record.id))
    if evaluation.images is not None:
        lease.write(SweepDir(directory).image_results(record.id), to_bytes(evaluation.images))
    write_record(lease, record.replace(**changes))
    new = {name: value for name, value in evaluation.metrics.items() if again or name not in known}
    said = [f"{name} {value:.6g}" for name, value in new.items() if not of_an_op(name)]
    counts = [f"{len(new) - len(said)} metrics of single ops, in its record"] if len(said) < len(new) else []
    return ", ".join([*said, *counts, *evaluation.flags])
