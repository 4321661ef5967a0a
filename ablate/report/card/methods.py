"""The paragraph on methods for a paper's appendix, from the plan and the records of a sweep."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from ablate.config.sweep import NamedComposition
from ablate.config.trial import TrialConfig
from ablate.console import clock, counted
from ablate.report.card.references import cite
from ablate.report.card.training import training
from ablate.report.data.grid import MAJORITY
from ablate.report.data.results import Results, read_sweep
from ablate.report.stats.baseline import effects_of
from ablate.report.stats.noise import contenders
from ablate.report.stats.order import order
from ablate.report.stats.summary import lead
from ablate.report.stats.words import judge, named
from ablate.sweep.layout import SweepDir
from ablate.sweep.plan import is_sweep
from ablate.sweep.record import TrialResult
from ablate.sweep.rounds import counted_points

L2 = re.compile(r"; l2 of \d+ from \S+ to \S+ chosen")
"""The range in which l2 was looked for, which grows in trials that choose one of its ends."""
PROGRAMS = {
    "ablate": "ablate",
    "python": "Python",
    "torch": "PyTorch",
    "torchvision": "torchvision",
    "kornia": "Kornia",
    "numba": "Numba",
}
"""The names of what a record's versions are of."""
REFERENCES = {
    "untrained": "an encoder that is not trained here",
    "no-op": "trained without the ops",
    "supervised": "trained with labels instead, on random resized crops",
    MAJORITY: "no encoder: the largest class is predicted always",
}
"""What each reference is."""
HELD = {"seeds": "seeds", "images": "images of the kind", "both": "seeds and other images of the kind"}
HSU = "Hsu's multiple comparisons with the best"
SOURCES = {"ablate": "ablate", "torch": "paszke2019pytorch", "kornia": "riba2020kornia"}


def methods(sweep: Results) -> list[str]:
    """Return the sentences of the paragraph, with citations such as ``[@hsu1996]``."""
    done = [record for record in sweep.records.values() if record.status in {"done", "pruned"}]
    compared = [record for record in done if record.reference is None]
    experiment = sweep.experiment
    configs = [variant.shared for variant in experiment.variants] or [experiment.shared]
    return [
        *images(sweep, experiment.shared),
        *_compared(sweep),
        *training(configs),
        *_seeds(sweep),
        *_stopped(sweep),
        *evaluation(compared),
        *statistics(sweep),
        *ran(sweep, done),
        *confirmation(sweep),
    ]


def images(sweep: Results, config: TrialConfig) -> list[str]:
    """Return the sentences on the images: how many, of how many classes, at which size."""
    experiment, counts = sweep.experiment, sweep.class_counts
    size = f"{config.image_size} x {config.image_size} pixels and {counted(config.data.channels, 'channel')}"
    task = sweep.task or next(iter(experiment.tasks), None)
    numbers = [sum(part) for part in (counts.train, counts.validation, counts.test)] if counts else []
    numbers = numbers or list(task.images if task else ())
    many = ""
    if numbers:
        train, validation, test = (f"{number:,}" for number in numbers)
        classes = f" (one of {len(counts.train)} classes)" if counts else ""
        there = "To evaluate, there" if experiment.eval_data else "There"
        labelled = f"{there} are {train} training images with a label{classes}"
        many = f"{labelled}, {validation} of them for validation, and {test} test images."
    name, what = config.data.name.partition(", evaluated on ")[0], "The images are"
    if experiment.eval_data is not None:
        what = "The images on which encoders were trained are"
    sentences = [f"{what} those of {name}, fingerprint {config.data.fingerprint}, at {size}."]
    if experiment.eval_data is not None:
        others = [experiment.eval_data] if isinstance(experiment.eval_data, str) else experiment.eval_data
        names = " and ".join(Path(spec.partition(":")[2] or spec).name for spec in others)
        sentences += [f"Encoders were evaluated on {'other images, ' * (len(others) == 1)}those of {names}."]
    return [*sentences, *([many] if many else [])]


def _compared(sweep: Results) -> list[str]:
    """Return the sentences on the compositions and the parameters of their ops, and on the references."""
    experiment, grid = sweep.experiment, sweep.grid
    number = counted(len(grid.compositions), "cell" if experiment.variants else "composition")
    named = ", ".join(op.label for op in experiment.ops)
    if experiment.search:
        ops = ", ".join(op.label for op in experiment.search.ops)
        by = f"which a search proposed (sampler {experiment.search.sampler})"
        what = f"{number} of at most {experiment.search.max_length} of the ops {ops}, {by}"
    elif experiment.ops:
        pairs = "pairs in this order" if experiment.unordered else "ordered pairs"
        some = f" with {' or '.join(experiment.pairs_with)}" if experiment.pairs_with else ""
        first = f", in the second view; the first goes through {experiment.first.label}" if experiment.first else ""
        of = " of the grid of" if experiment.budgeted else ":"
        what = f"{number}{of} the ops {named}, alone and in all {pairs}{some}{first}"
    else:
        what = f"{number}{': compositions' * bool(experiment.variants)} of augmentations"
    if baseline := next((cell for cell in experiment.compositions if cell.label == experiment.baseline), None):
        what += f"; all others are compared with {baseline.label}, which is {_in_ops(baseline)}"
    axes = "; ".join(f"{name} {', '.join(values)}" for name, values in experiment.axes.items())
    sentences = [f"We compared {what}{f', at the points of the axes {axes}' * bool(axes)}."]
    sentences += [f"The ops are {', '.join(map(str, experiment.every_op))}."]
    beside = [f"{grid.called(name)} ({REFERENCES[name]})" for name in grid.references]
    return [*sentences, *([f"References beside them: {', '.join(beside)}."] if beside else [])]


def _in_ops(composition: NamedComposition) -> str:
    second = [] if composition.second is None else [composition.second]
    return "|".join("+".join(op.name for op in ops) or "no op" for ops in (composition.ops, *second))


def _seeds(sweep: Results) -> list[str]:
    experiment = sweep.experiment
    seeds = experiment.seeds
    fewer = ", or with fewer if it was dropped" if experiment.rounds and experiment.rounds.dropped else ""
    were = "is to be" if sweep.pending else "was"
    sentences = [f"Every composition {were} trained with {_listed(seeds)}{fewer}."]
    if len(seeds) > 1:
        sentences += ["Compositions with the same seed share initial weights, order of images and crops."]
    if more := set(experiment.untrained_seeds) - set(seeds):
        sentences += [f"The untrained encoder was evaluated with {counted(len(more), 'further seed')}."]
    return sentences


def _listed(seeds: Sequence[int]) -> str:
    if len(seeds) == 1:
        return f"seed {seeds[0]}"
    if len(seeds) > 3 and list(seeds) == list(range(seeds[0], seeds[-1] + 1)):
        return f"the seeds {seeds[0]} to {seeds[-1]}"
    return f"the seeds {', '.join(map(str, seeds[:-1]))} and {seeds[-1]}"


def _stopped(sweep: Results) -> list[str]:
    """Return the sentences on what ended the training of compositions, or the adding of seeds, early."""
    experiment = sweep.experiment
    sentences = []
    if rounds := experiment.rounds:
        worse = counted(len(rounds.dropped), "composition")
        dropped = f"{worse} known to be worse than another got no more" if rounds.dropped else "none was dropped early"
        sentences += [
            f"Seeds were added in rounds, up to {rounds.largest}; {dropped}. "
            f"Differences below {counted_points(rounds.within)} did not count."
        ]
    if experiment.prune:
        rungs = ", ".join(f"the best {100 * rung.keep:g} % after {rung.eighth}/8" for rung in experiment.prune)
        sentences += [f"By validation kNN, only some compositions were trained to the end: {rungs} of the epochs."]
    if budget := experiment.budgeted:
        sentences += [
            f"They are the {len(budget.cells)} cells of the grid that a Gaussian process of the trained ones asked "
            f"for, within a budget of {budget.budget}."
        ]
    return sentences


def evaluation(records: Sequence[TrialResult]) -> list[str]:
    """Return what each protocol did to the frozen encoders, in the words of the records."""
    said: dict[str, list[str]] = {}
    for record in records:
        for name, text in record.protocols.items():
            said.setdefault(name, []).append(L2.sub("; l2 chosen", text))
    # Later versions measure more, and say so: the shortest text is what all records have.
    shortest = {name: min(texts, key=len) for name, texts in said.items()}
    # The text on a further task begins with its name.
    told = [
        f"{text[0].upper()}{text[1:]}." if text.startswith("task ") else f"{name}: {text}."
        for name, text in shortest.items()
    ]
    return ["Encoders were frozen and evaluated by their output h.", *told] if told else []


def statistics(sweep: Results) -> list[str]:
    """Return the sentences on how compositions were ranked, and on what their intervals hold."""
    ranking = order(sweep.grid)
    ranked = [] if sweep.measured else [f"Compositions are ranked by {judge(sweep.grid)}."]
    sentences = [*sweep.measured, *ranked, "Validation images chose; test images chose nothing."]
    sentences += lead(sweep, ranking)[:1] if ranking.best else []
    if ranking.model is None and len(ranking.cells) < 2:
        return sentences
    if ranking.model is None:
        return [*sentences, "Without two seeds that compositions share, there are no intervals."]
    sentences += [
        "Intervals follow from a two-way model of composition and seed, whose variance for each composition is "
        f"moderated by that of all{cite('smyth2004')}; they hold for other {HELD[sweep.held]}.",
    ]
    if effects_of(sweep):
        sentences += [
            "The intervals of differences from the baseline hold at once, by comparisons with one control"
            f"{cite('dunnett1955')}."
        ]
    if len(ranking.eligible) > 1 and not ranking.model.is_exact:
        sentences += [contenders(sweep, ranking).replace(HSU, f"{HSU}{cite('hsu1996')}")]
    return sentences


def confirmation(sweep: Results) -> list[str]:
    """Return the sentences on the training of the best compositions with both views augmented; none without one."""
    directory = SweepDir(sweep.directory).confirmation
    if not is_sweep(directory):
        return []
    fresh = read_sweep(directory, sweep.grid.measure, sweep.task_name, sweep.interval)
    ranking, cells = order(fresh.grid), fresh.grid.compositions
    one = len(cells) == 1
    were = ("is" if one else "are") + " to be" if fresh.pending else "was" if one else "were"
    sentences = [
        f"To confirm the choice, {counted(len(cells), 'composition')} {were} trained again with both views augmented, "
        f"with {_listed(fresh.experiment.seeds)}: {named([cell.label for cell in cells])}."
    ]
    if ranking.best:
        best = lead(fresh, ranking)[0]
        sentences += [f"In this confirmation: {best[0].lower()}{best[1:]}"]
    if ranking.model and len(ranking.eligible) > 1 and not ranking.model.is_exact:
        sentences += [contenders(fresh, ranking)]
    return sentences


def ran(sweep: Results, records: Sequence[TrialResult]) -> list[str]:
    """Return the sentences on the number of trials, their time, the versions and the hardware."""
    failed = len(sweep.failed)
    key = "cpu" if sweep.experiment.shared.device == "cpu" else "total"
    seconds = sum(record.timings.get(key, 0.0) for record in records)
    took = f" took {clock(seconds)} of {sweep.unit} together" if seconds else " were run"
    ended = f"{len(records)} of {counted(len(sweep.trials), 'trial')}"
    sentences = [f"{ended}{took}{f', and {failed} failed' * bool(failed)}."]
    versions = [
        f"{PROGRAMS[name]} {' and '.join(found)}{cite(SOURCES.get(name))}"
        for name in PROGRAMS
        if (found := sorted({record.versions[name] for record in records if name in record.versions}))
    ]
    machines = dict.fromkeys(_machine(record) for record in records if record.host)
    sentences += [f"Software: {', '.join(versions)}."] if versions else []
    return [*sentences, *([f"Hardware: {'; '.join(machines)}."] if machines else [])]


def _machine(record: TrialResult) -> str:
    host, config = record.host, record.config
    cpu = f"{host.get('processor', '')} ({host.get('cpu_capability', '')})"
    place = cpu if host.get("device") == "cpu" else f"{host.get('device', '')}, {cpu}"
    return f"{place}, {counted(config.threads, 'thread')} per process, {config.precision}"
