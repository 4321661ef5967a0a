from __future__ import annotations

from tests.support import cycles  # first: no cycles are looked for from here on

# isort: split
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ablate.config.base import OpSpec
from ablate.config.sweep import NamedOp, SweepPlan
from ablate.config.trial import DataIdentity, TrialConfig
from tests.support import fonts  # noqa: F401  # reports take less time
from tests.support.figures import without_figures
from tests.support.trials import config, data  # noqa: F401  # fixtures

torch.set_num_threads(1)


def pytest_collection_finish() -> None:
    cycles.look_again()


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of noisy stripes, 16 px, 24 training and 6 test PNGs each: a trial on them takes a second."""
    root = tmp_path_factory.mktemp("tiny")
    rng = np.random.default_rng(0)
    for split, count in (("train", 24), ("test", 6)):
        for number, name in enumerate(("across", "down", "plain")):
            folder = root / split / name
            folder.mkdir(parents=True)
            for i in range(count):
                image = rng.integers(0, 120, (16, 16, 3))
                if number < 2:
                    lines = [slice(None), slice(None)]
                    lines[number] = slice(i % 4, None, 4)
                    image[tuple(lines)] += 130
                Image.fromarray(image.astype(np.uint8)).save(folder / f"{i}.png")
    return root


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def own_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make registrations of a test end with it."""
    from ablate.ops import registry

    registry.names()
    monkeypatch.setattr(registry, "_OPS", dict(registry._OPS))


@pytest.fixture
def unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let dry runs take no steps, which would take seconds."""
    from ablate.launch.timing import TrialTime

    monkeypatch.setattr("ablate.launch.dry_run.measure_trial", lambda *_: TrialTime(None, "not measured"))


@pytest.fixture
def undrawn() -> Iterator[None]:
    """Let reports write empty files for their figures, which take most of a report's time."""
    with without_figures():
        yield


def op_spec(name: str, **params: object) -> OpSpec:
    return OpSpec(name=name, version=1, params={**params, "p": 1.0})


@pytest.fixture
def experiment() -> SweepPlan:
    """A plan over made-up data, for what needs no images and no torch."""
    shared = TrialConfig(composition=(), data=DataIdentity(name="made-up", fingerprint="f00d", classes=3))
    named = tuple(NamedOp(label=name, op=op_spec(name)) for name in ("crop", "color"))
    return SweepPlan(data="folder:/images", seeds=(0, 1), ops=named, reference_crop=op_spec("crop"), shared=shared)
