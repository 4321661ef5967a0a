"""The options that commands share: names, types and help, each written once."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

Ops = Annotated[str, typer.Option(help="Ops to compose, comma-separated: crop,color(strength=0.5),blur")]
Data = Annotated[str, typer.Option(help="glyphs, cifar10:PATH, cifar100:PATH, stl10:PATH or folder:PATH")]
Branches = Annotated[Literal["one", "two"], typer.Option(help="one: only one view is augmented, as in Figure 5")]
Epochs = Annotated[int | None, typer.Option(help="Training epochs", show_default="the preset's")]
BatchSize = Annotated[
    int | None, typer.Option(help="Images per batch, over all processes", show_default="the preset's")
]
Size = Annotated[
    int | None, typer.Option(help="Training image size in pixels", show_default="the images' own, at most 224")
]
EvalData = Annotated[
    str | None, typer.Option(help="A labelled set to evaluate on instead", show_default="the same as --data")
]
Labels = Annotated[
    float | None, typer.Option(help="Fraction of the training images that keep their label", show_default="1")
]
ShortSide = Annotated[
    int | None,
    typer.Option(
        help="Pixels of the short side at which a folder's images are stored",
        show_default="the training size, above 64 px divided by 0.875",
    ),
]
Preset = Annotated[
    str | None,
    typer.Option(
        help="laptop (for CPUs), cifar10-fast, cifar10-readme@2 or -paper@2, imagenet-readme@2 or -paper@2, glyphs",
        show_default="by data set and image size",
    ),
]
Encoder = Annotated[
    str | None,
    typer.Option(
        help="resnet8, 18, 34, 50 or 101, wider as in resnet50x2; timm:NAME; module:function for your own",
        show_default="the preset's",
    ),
]
MicroBatch = Annotated[
    int | None,
    typer.Option(help="Encode at most so many images at once: batches beyond memory", show_default="the batch size"),
]
Protocols = Annotated[
    str | None,
    typer.Option(
        "--protocol",
        help="linear, sgd, knn, online, rotation, rankme, alignment, comma-separated; of z as in linear@z",
        show_default="linear,knn; without labels rotation,rankme,alignment",
    ),
]
Prune = Annotated[
    bool,
    typer.Option(
        "--prune", help="Stop what falls behind early, by validation kNN: 38 % of the training or more; docs/pruning.md"
    ),
]
RankTimeout = Annotated[float, typer.Option(help="Seconds until a silent process of a trial counts as dead", min=1)]
Optimizer = Annotated[
    str | None,
    typer.Option(help="sgd, adamw or lars; a change to sgd or adamw needs --set lr_base", show_default="the preset's"),
]
Objective = Annotated[
    str | None,
    typer.Option(help="simclr, or supervised: cross-entropy, same everything else", show_default="simclr"),
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Any other setting, e.g. optimiser.lr=0.1, base.area=(0.3,1)"),
]
Compile = Annotated[
    Literal["auto", "on", "off"],
    typer.Option(help="torch.compile; auto: for trials of 2000 steps and more on a GPU"),
]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda")]
Cache = Annotated[
    str | None,
    typer.Option(
        help="Where decoded images are kept; Slurm's nodes must see it", show_default="$ABLATE_CACHE, XDG cache"
    ),
]
SkipCorrupt = Annotated[
    bool, typer.Option("--skip-corrupt", help="Leave out files that are unreadable or would be damaged")
]
Out = Annotated[Path | None, typer.Option(help="The sweep's directory", show_default="results/<data>-<ops>")]
Every = Annotated[
    float | None, typer.Option(help="With --watch: seconds between looks at the disk", show_default="5", min=0.1)
]
Workers = Annotated[
    int | None,
    typer.Option(
        help="Worker processes; with slurm: trials side by side in a job on CPUs",
        show_default="one per GPU or CPU core; with slurm 1",
        min=1,
    ),
]
RetryFailed = Annotated[bool, typer.Option("--retry-failed", help="Run failed trials again")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Print the plan and its cost, with slurm also the batch script; run nothing")
]
Launcher = Annotated[
    Literal["local", "slurm"], typer.Option(help="Run here, or submit jobs to a Slurm cluster and return")
]
Metric = Annotated[
    Literal["top1", "balanced"] | None,
    typer.Option(
        help="The accuracy that chooses and is shown: top-1, or balanced over classes",
        show_default="balanced where the largest class has more than twice its share, else top1",
    ),
]
Directory = Annotated[Path, typer.Argument(help="A sweep's directory", metavar="DIR")]

SLURM = "With --launcher slurm (your own defaults: ~/.config/ablate/slurm.toml)"
Partition = Annotated[
    str | None, typer.Option(help="Where jobs run", show_default="the cluster's", rich_help_panel=SLURM)
]
Account = Annotated[str | None, typer.Option(help="Who is charged", show_default="yours", rich_help_panel=SLURM)]
Qos = Annotated[str | None, typer.Option(help="Quality of service", show_default="yours", rich_help_panel=SLURM)]
TimeLimit = Annotated[
    str | None,
    typer.Option(
        help="Of a job: 90 (minutes), 2:30:00, 1-12:00:00; a job that reaches it goes on in the queue",
        show_default="4:00:00",
        rich_help_panel=SLURM,
    ),
]
Gpus = Annotated[
    int | None,
    typer.Option(
        help="GPUs of a job, on each node; its trials run on them",
        show_default="those of a trial",
        min=0,
        rich_help_panel=SLURM,
    ),
]
Cpus = Annotated[
    int | None,
    typer.Option(help="Cores of a job, on each node", show_default="one per thread", min=1, rich_help_panel=SLURM),
]
Memory = Annotated[
    str | None,
    typer.Option(
        "--mem", help="Memory of a job, on each node: 32G", show_default="the cluster's", rich_help_panel=SLURM
    ),
]
Nodes = Annotated[
    int | None, typer.Option(help="Nodes that one trial spans", show_default="1", min=1, rich_help_panel=SLURM)
]
Constraint = Annotated[str | None, typer.Option(help="Features of nodes, as sbatch takes them", rich_help_panel=SLURM)]
TrialsPerJob = Annotated[
    int | None,
    typer.Option(
        help="Trials that a job runs, one after the other or side by side",
        show_default="as few as the cluster's limits allow",
        min=1,
        rich_help_panel=SLURM,
    ),
]
PerGpu = Annotated[
    int | None, typer.Option(help="Trials side by side on one GPU", show_default="1", min=1, rich_help_panel=SLURM)
]
MaxParallel = Annotated[
    int | None, typer.Option(help="Jobs at a time", show_default="no limit", min=1, rich_help_panel=SLURM)
]
Grace = Annotated[
    int | None,
    typer.Option(
        help="Seconds before the time limit at which a job saves and goes back into the queue",
        show_default="90",
        min=10,
        rich_help_panel=SLURM,
    ),
]
Setup = Annotated[
    list[str] | None,
    typer.Option(
        metavar="LINE",
        help="Shell line before Python starts: module load cuda; may be repeated",
        rich_help_panel=SLURM,
    ),
]
Container = Annotated[
    str | None,
    typer.Option(help="Command that runs Python: apptainer exec --nv image.sif [python3]", rich_help_panel=SLURM),
]
Sbatch = Annotated[
    list[str] | None,
    typer.Option(
        "--sbatch",
        metavar="NAME=VALUE",
        help="Any other option of sbatch: reservation=lab; may be repeated",
        rich_help_panel=SLURM,
    ),
]

JOBS: dict[str, Any] = {
    "partition": Partition,
    "account": Account,
    "qos": Qos,
    "time": TimeLimit,
    "gpus": Gpus,
    "cpus": Cpus,
    "memory": Memory,
    "nodes": Nodes,
    "constraint": Constraint,
    "trials_per_job": TrialsPerJob,
    "per_gpu": PerGpu,
    "max_parallel": MaxParallel,
    "grace": Grace,
    "setup": Setup,
    "container": Container,
    "extra": Sbatch,
}
"""What a job asks of the cluster, by field of :class:`~ablate.config.slurm.Slurm`."""


def with_jobs(function: Callable[..., int]) -> Callable[..., int]:
    """A command that takes all of :data:`JOBS` as options, in place of its parameter ``jobs``, a dictionary of them."""

    @functools.wraps(function)
    def run(**options: Any) -> int:
        jobs = {name: options.pop(name) for name in JOBS}
        return function(**options, jobs=jobs)

    own = inspect.signature(function, eval_str=True)
    kept = [parameter for name, parameter in own.parameters.items() if name != "jobs"]
    keyword = inspect.Parameter.KEYWORD_ONLY
    added = [inspect.Parameter(name, keyword, default=None, annotation=option) for name, option in JOBS.items()]
    run.__dict__["__signature__"] = own.replace(parameters=[*kept, *added])
    run.__annotations__ = {**{p.name: p.annotation for p in [*kept, *added]}, "return": int}
    return run
