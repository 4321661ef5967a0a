"""The way from a description of one composition to its trial."""

from __future__ import annotations

from collections.abc import Callable

from ablate.config.experiment import Experiment
from ablate.config.sweep import Trial
from ablate.data import DataSet
from ablate.distributed import asked_for
from ablate.errors import UsageError
from ablate.evaluation.protocols import check_protocols, default_protocols, parse_protocols
from ablate.planning.compositions import check_channels, check_views, named_composition, parse_one
from ablate.planning.metric import check_metric
from ablate.planning.settings import forget_encoders, trial_config, validate


def plan_trial(wish: Experiment, seed: int, images: Callable[[], DataSet]) -> tuple[Trial, DataSet, tuple[str, ...]]:
    """Plan the one composition of ``wish`` on the processes that torchrun started.

    The checks that need no images come before those that do.

    Args:
        wish: the description, with one composition.
        seed: the trial's seed.
        images: returns the images; it is called once everything else is known to be right.

    Returns:
        the trial, its images, and the protocols by which it is evaluated.

    Raises:
        UsageError: a value that is not allowed, another number of processes than torchrun started, or images that
            :func:`~ablate.planning.settings.trial_config`, the ops or the protocols refuse.
    """
    if wish.set.get("world_size", 1) not in {1, asked_for()}:
        raise UsageError("torchrun sets the number of processes: torchrun --nproc-per-node N -m ablate train")
    forget_encoders()
    here = wish.at({"world_size": asked_for()})
    (text,) = wish.compositions
    composition = parse_one(here, text)
    validate(here)
    asked = parse_protocols(",".join(wish.protocol)) if wish.protocol else ()
    check_metric(wish, asked)
    named = named_composition(text, composition)
    check_views(named, here)
    data = images()
    config = trial_config(here, data).replace(composition=named.ops, second=named.second)
    check_channels(config.every_op, data, config.image_size)
    specs = asked or default_protocols(data)
    check_protocols(specs, data)
    return Trial(config=config, seed=seed, label=str(composition)), data, specs
