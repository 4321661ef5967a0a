"""The documents that commands print with ``--json``: their fields, with types and meanings."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

from ablate.config.base import Model, OpSpec

VERSION = 1
"""The version of the documents. It grows when a field goes or changes its meaning, not when one is added."""


def _about(text: str) -> Any:
    return Field(description=text)


class Document(Model):
    """The fields that every document has."""

    schema_version: Annotated[Literal[1], _about("Grows when a field goes or changes its meaning")] = 1
    command: Annotated[str, _about("The command that printed it, such as `status`")] = ""


class CellEntry(Model):
    """A cell or reference with its results so far."""

    cell: Annotated[str, _about("Its name, such as `crop+color`")]
    row: Annotated[str | None, _about("First op, in a grid")] = None
    column: Annotated[str | None, _about("Second op, in a grid")] = None
    is_reference: Annotated[bool, _about("True for `untrained`, `no-op` and the like")] = False
    status: Annotated[str, _about("`done`, `partial`, `failed`, `missing`, `pruned`, `not judged`")]
    planned: Annotated[int, _about("Its trials")]
    n: Annotated[int, _about("Seeds with a result")]
    test: Annotated[float | None, _about("Mean over seeds on the test images, a fraction")] = None
    std: Annotated[float | None, _about("Standard deviation over seeds (n - 1)")] = None
    validation: Annotated[float | None, _about("Mean over seeds on the validation split, which chooses")] = None


class FailureEntry(Model):
    """A failed trial."""

    trial: Annotated[str, _about("Its id, `<key>-s<seed>`")]
    cell: Annotated[str, _about("Its cell")]
    seed: Annotated[int, _about("Its seed")]
    type: Annotated[str, _about("The error's type, such as `Diverged`")]
    message: Annotated[str, _about("The error in words")]
    log: Annotated[str, _about("Path of its log")]


class TrialCounts(Model):
    """Trials by state."""

    planned: Annotated[int, _about("All trials of the plan")]
    done: Annotated[int, _about("With a result; pruned ones count, too")] = 0
    pruned: Annotated[int, _about("Those of the done ones that were stopped at a rung")] = 0
    failed: Annotated[int, _about("With a record that says why")] = 0
    running: Annotated[int, _about("At work now")] = 0
    queued: Annotated[int, _about("Waiting in Slurm's queue")] = 0
    parked: Annotated[int, _about("Waiting at a rung for the others")] = 0
    interrupted: Annotated[int, _about("Begun and left in order; resumed by the same command")] = 0
    lost: Annotated[int, _about("Begun by a process that is gone; resumed by the same command")] = 0
    missing: Annotated[int, _about("Not begun")] = 0


class BegunEntry(Model):
    """A trial that has begun and has no record yet."""

    trial: Annotated[str, _about("Its id")]
    cell: Annotated[str, _about("Its cell")]
    seed: Annotated[int, _about("Its seed")]
    state: Annotated[str, _about("`running`, `interrupted` or `lost`")]
    attempt: Annotated[int, _about("The number of the attempt")]
    epoch: Annotated[int, _about("Epochs done")]
    epochs: Annotated[int, _about("Epochs in all")]
    loss: Annotated[float | None, _about("Of the last epoch")] = None
    images_per_second: Annotated[float | None, _about("Of the last epoch")] = None
    host: Annotated[str, _about("Name of the machine")]
    job: Annotated[str, _about("Slurm job; empty without one")]


class StatusDocument(Document):
    """What `ablate status` says."""

    document: Literal["status"] = "status"
    directory: Annotated[str, _about("The sweep's directory")]
    trials: Annotated[TrialCounts, _about("Trials by state")]
    is_complete: Annotated[bool, _about("True if every trial has a record")]
    is_over: Annotated[bool, _about("True if nothing runs, is queued or will be started")]
    workers: Annotated[int | None, _about("Worker processes of the command at work here")] = None
    trials_per_hour: Annotated[float | None, _about("Recent speed, if known")] = None
    seconds_left: Annotated[float | None, _about("Estimated time left, if known")] = None
    metric: Annotated[str, _about("The metric of `cells`, such as `linear_top1`")]
    cells: Annotated[list[CellEntry], _about("Every cell and reference")]
    begun: Annotated[list[BegunEntry], _about("Trials that have begun and have no record")]
    failures: Annotated[list[FailureEntry], _about("Failed trials")]
    damaged: Annotated[list[str], _about("Paths of records that cannot be read; their trials run again")]
    jobs: Annotated[dict[str, int], _about("Slurm jobs by state")] = {}
    note: Annotated[str, _about("Why jobs are unknown; empty otherwise")] = ""
    complete_with: Annotated[str | None, _about("The command that completes the sweep, if it is not complete")] = None


class ReportDocument(Document):
    """What `ablate report` says; the files themselves lie in `DIR/report`."""

    document: Literal["report"] = "report"
    directory: Annotated[str, _about("The sweep's directory")]
    page: Annotated[str, _about("Path of the page")]
    files: Annotated[list[str], _about("Names of the files in the page's directory")]
    metric: Annotated[str, _about("The metric of `cells`")]
    task: Annotated[str, _about("The further task that judges; empty for the main one")]
    interval: Annotated[str, _about("What intervals hold: `seeds`, `images` or `both`")]
    trials: Annotated[TrialCounts, _about("Trials by state; those without a record count as missing")]
    best: Annotated[str | None, _about("The best cell by validation; none without results")] = None
    contenders: Annotated[list[str], _about("Cells that cannot be told from the best at 95 %, the best among them")]
    cells: Annotated[list[CellEntry], _about("Every cell and reference")]
    conclusions: Annotated[list[str], _about("What the report says of the best composition, in sentences")]
    failures: Annotated[list[FailureEntry], _about("Failed trials")]
    damaged: Annotated[list[str], _about("Paths of records that cannot be read")]


class Recommended(Model):
    """The composition to use."""

    composition: Annotated[str, _about("Its name")]
    ops: Annotated[list[OpSpec], _about("Its ops with every parameter")]
    second: Annotated[list[OpSpec] | None, _about("Those of the second view, if it has its own")] = None
    provisional: Annotated[bool, _about("True if missing trials could still change the choice")]
    indistinguishable: Annotated[list[str], _about("Compositions that cannot be told from it")]


class CandidateEntry(Model):
    """One of the best compositions."""

    composition: Annotated[str, _about("Its name")]
    ops: Annotated[list[OpSpec], _about("Its ops with every parameter")]
    second: Annotated[list[OpSpec] | None, _about("Those of the second view, if it has its own")] = None
    validation: Annotated[float | None, _about("Score on validation, a fraction")]
    test: Annotated[float | None, _about("Mean on the test images, a fraction")]
    std: Annotated[float | None, _about("Standard deviation over seeds")]
    n: Annotated[int, _about("Seeds")]
    seconds: Annotated[float, _about("Time of a trial: of processors on a CPU, else of the GPU; 0 if unknown")]
    above_untrained: Annotated[float | None, _about("Above the untrained encoder, a fraction")]
    p_best: Annotated[float | None, _about("Probability that it is the best")]


class ChoiceEntry(Model):
    """The evidence of one sweep."""

    best: Annotated[str, _about("The best composition by validation")]
    evidence: Annotated[list[str], _about("Sentences")]
    branches: Annotated[str, _about("`one` or `two`")]
    seeds: Annotated[list[int], _about("Its seeds")]
    metric: Annotated[str, _about("The metric that chooses, such as `linear_top1`")]
    interval: Annotated[str, _about("What intervals hold")]
    seeds_only: Annotated[str | None, _about("Why they hold seeds only")]
    protect: Annotated[list[str], _about("Protected classes, as they were asked for")]
    candidates: Annotated[list[CandidateEntry], _about("The best compositions, the best first")]


class EndedTrials(Model):
    """Trials behind a recommendation."""

    planned: Annotated[int, _about("All trials of the plan")]
    ended: Annotated[int, _about("With a record")]
    failed: Annotated[list[str], _about("Ids of failed trials")]


class RecommendationDocument(Document):
    """What `ablate recommend` says; without the first fields it is `DIR/report/recommendation.json`."""

    document: Literal["recommendation"] = "recommendation"
    task: Annotated[str, _about("The further task that judges; empty for the main one")] = ""
    recommended: Annotated[Recommended | None, _about("The composition to use; none if nothing is recommended yet")]
    conclusion: Annotated[str, _about("What to use and how sure that is, in sentences")]
    trials: Annotated[EndedTrials, _about("How many trials stand behind it")]
    sweep: Annotated[ChoiceEntry, _about("The sweep's evidence")]
    confirmation: Annotated[ChoiceEntry | None, _about("The confirmation's evidence, if there is one")]
    replaces: Annotated[str | None, _about("A sentence on the earlier recommendation that it replaces")] = None


class ParameterDocument(Model):
    """A parameter of an op."""

    name: Annotated[str, _about("Its name")]
    default: Annotated[Any, _about("Its default")]
    low: Annotated[float | None, _about("The lowest value")]
    high: Annotated[float | None, _about("The highest value")]
    unit: Annotated[str, _about("Its unit; empty without one")]
    doc: Annotated[str, _about("Its meaning")]
    choices: Annotated[list[str], _about("The allowed words, if it is a word")]


class OpDocument(Model):
    """An op."""

    name: Annotated[str, _about("Its name")]
    summary: Annotated[str, _about("What it does")]
    acts: Annotated[float, _about("Share of images that it changes by default, a fraction")]
    parameters: Annotated[list[ParameterDocument], _about("Its parameters")]


class OpsDocument(Document):
    """What `ablate ops` says."""

    document: Literal["ops"] = "ops"
    ops: Annotated[list[OpDocument], _about("The ops, by name")]


class RecipeEntry(Model):
    """A published recipe."""

    name: Annotated[str, _about("Its name, after `recipe:`")]
    composition: Annotated[str, _about("The composition")]
    source: Annotated[str, _about("The publication or code")]
    differs: Annotated[str, _about("In what the source differs; empty if in nothing")] = ""


class RecipesDocument(Document):
    """What `ablate ops --recipes` says."""

    document: Literal["recipes"] = "recipes"
    recipes: Annotated[list[RecipeEntry], _about("The recipes")]


class PlannedTrials(Model):
    """Trials of a plan, as a dry run counts them."""

    planned: Annotated[int, _about("All trials of the plan")]
    done: Annotated[int, _about("With a result, those that were pruned not counted")]
    pruned: Annotated[int, _about("Stopped at a rung")]
    failed: Annotated[int, _about("Failed; they run again with `--retry-failed` only")]
    begun: Annotated[int, _about("Begun and without a record")]
    to_run: Annotated[int, _about("That the command would run")]


class Estimate(Model):
    """The time that the trials take."""

    seconds_per_trial: Annotated[float | None, _about("One trial; none if nothing could be measured in time")]
    how: Annotated[str, _about("What was measured, or why there is no estimate")]
    workers: Annotated[int, _about("Trials side by side")] = 1
    seconds: Annotated[float | None, _about("All trials to run; in stages, those of this one")] = None
    seconds_at_most: Annotated[float | None, _about("With all further rounds or batches, where there are any")] = None


class Memory(Model):
    """Peak memory, calculated."""

    bytes_per_worker: Annotated[int, _about("Of one worker")]
    workers: Annotated[int, _about("Workers side by side")]
    bytes_free: Annotated[int, _about("Free now, of the machine or the GPU")]
    fits: Annotated[bool, _about("True if it does")]


class Jobs(Model):
    """The jobs that `--launcher slurm` would submit."""

    jobs: Annotated[int, _about("Jobs")]
    arrays: Annotated[int, _about("Job arrays")]
    trials_per_job: Annotated[int, _about("At most")]
    unit: Annotated[str, _about("Of the hours: `GPU` or `core`")]
    hours_requested: Annotated[float, _about("At most, by the time limit")]
    hours: Annotated[float | None, _about("Estimated, if a trial's time is known")] = None
    script: Annotated[str, _about("The batch script of the first array")]


class SearchSpace(Model):
    """The space of a search and its next batch."""

    compositions: Annotated[int, _about("In the space")]
    proposed: Annotated[int, _about("So far")]
    budget: Annotated[str, _about("As given, in words")]
    spent: Annotated[float, _about("Of the budget, in its unit")]
    next: Annotated[list[str], _about("The next batch")] = []


class Training(Model):
    """A cheaper training of a calibration."""

    training: Annotated[str, _about("What is cheaper, such as `6 epochs`")]
    to_run: Annotated[int, _about("Trials")]
    seconds: Annotated[float, _about("Estimated time of these trials, of processors or GPUs")]


class PlanDocument(Document):
    """What `--dry-run` says of `grid`, `run`, `drop`, `search`, `train`, `calibrate` and `recommend --confirm`."""

    document: Literal["plan"] = "plan"
    directory: Annotated[str, _about("Where the records would lie")]
    cells: Annotated[list[str], _about("The cells' names, without references")] = []
    references: Annotated[list[str], _about("The references")] = []
    seeds: Annotated[list[int], _about("The seeds")] = []
    trials: Annotated[PlannedTrials | None, _about("Trials by state; none for a search or a calibration")] = None
    estimate: Annotated[Estimate | None, _about("Time; none if nothing would run")] = None
    memory: Annotated[Memory | None, _about("Memory on this machine, if it is known")] = None
    jobs: Annotated[Jobs | None, _about("With `--launcher slurm`")] = None
    search: Annotated[SearchSpace | None, _about("Of a search")] = None
    trainings: Annotated[list[Training], _about("Of a calibration")] = []


class Error(Model):
    """Why a command has no answer."""

    exit_code: Annotated[int, _about("The exit code of the command")]
    message: Annotated[str, _about("The sentence that standard error has, too")]


class ErrorDocument(Document):
    """What any command says that ends with an error."""

    document: Literal["error"] = "error"
    error: Annotated[Error, _about("Its exit code and sentence")]


AnyDocument = (
    StatusDocument
    | ReportDocument
    | RecommendationDocument
    | PlanDocument
    | OpsDocument
    | RecipesDocument
    | ErrorDocument
)
"""The documents; the field ``document`` tells which one it is."""


def json_schema() -> str:
    """Return the JSON schema of all documents; the field ``document`` tells which one it is."""
    schema = TypeAdapter(Annotated[AnyDocument, Field(discriminator="document")]).json_schema(mode="serialization")
    return json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}, indent=1) + "\n"
