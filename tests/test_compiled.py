"""--compile: when it is on, that its numbers are those of plain torch, and that a worker compiles once."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest
import torch
from torch._dynamo.utils import counters
from torch.testing import assert_close

from ablate import compiled as compiling
from ablate.compiled import PLACE, keep_code
from ablate.config.encoder import Encoder
from ablate.config.sweep import Trial
from ablate.config.trial import Base, DataIdentity, Head, Optimiser, TrialConfig
from ablate.data import prepare
from ablate.errors import UsageError
from ablate.launch.measuring import _Bench
from ablate.ops.composition import Composition
from ablate.ops.pair import Streams, TransformPair
from ablate.planning.settings import shared_config, trial_config
from ablate.training.trainer import Trainer
from tests.support.wishes import wish


@pytest.fixture(scope="module")
def data(tiny_folder, cache):
    return prepare(f"folder:{tiny_folder}", cache=cache, image_size=16)


def asked(mode, device, **values):
    small = {"image_size": 16, "encoder.name": "resnet8", "encoder.width": 4, "batch_size": 24, "warmup_epochs": 0}
    return wish(data="folder:/x", set={**small, **values}, device=device, compile=mode)


@pytest.fixture
def gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: True)


def test_auto_is_a_fixed_rule(data, gpu):
    long, short = 700, 600  # epochs of three steps
    assert trial_config(asked("auto", "cuda", epochs=long), data).compile
    assert not trial_config(asked("auto", "cuda", epochs=short), data).compile
    assert not trial_config(asked("auto", "cpu", epochs=long), data).compile
    assert not trial_config(asked("auto", "cuda", epochs=long, world_size=2), data).compile
    assert trial_config(asked("on", "cpu", epochs=short), data).compile
    assert not trial_config(asked("off", "cuda", epochs=long), data).compile


def test_it_is_part_of_the_key(data):
    off, on = (trial_config(asked(mode, "cpu", epochs=1), data) for mode in ("off", "on"))
    assert off.key != on.key
    assert "compile" not in off.model_dump(exclude_defaults=True)


def test_without_a_compiler(data, gpu, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(UsageError, match="needs a C\\+\\+ compiler, no-such-compiler"):
        shared_config(asked("on", "cpu"), data.identity)
    auto = asked("auto", "cuda", epochs=700)
    assert not trial_config(auto, data).compile
    assert trial_config(auto, data, elsewhere="cuda").compile


def test_several_processes_are_refused(data):
    with pytest.raises(UsageError, match="one process"):
        shared_config(asked("on", "cpu", world_size=2), data.identity)


def config(data, **changes):
    content = {
        "composition": (),
        "base": Base(area=(0.5, 1.0)),
        "data": DataIdentity(name=data.name, fingerprint=data.fingerprint, classes=3),
        "image_size": 16,
        "encoder": Encoder(name="resnet8", width=8),
        "head": Head(hidden=8, output=4),
        "epochs": 2,
        "warmup_epochs": 1,
        "batch_size": 16,
        "optimiser": Optimiser(name="sgd", lr=0.03),
        **changes,
    }
    return TrialConfig(**content)


@pytest.mark.slow
def test_training_is_that_of_plain_torch_and_the_next_cell_compiles_nothing(data):
    cpu = torch.device("cpu")
    plain, compiled, again = (Trainer(config(data, compile=c), 3, data, cpu) for c in (False, True, True))
    losses = [trainer.train_epoch()["loss"] for trainer in (plain, compiled, again)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
    assert losses[2] == losses[1]
    assert plain.model.state_dict().keys() == compiled.model.state_dict().keys()
    graphs = counters["stats"]["unique_graphs"]
    assert graphs > 0
    for composition, seed in (("crop+color", 3), ("blur", 4)):
        Trainer(
            config(data, compile=True, composition=Composition.parse(composition).specs()), seed, data, cpu
        ).train_epoch()
    assert counters["stats"]["unique_graphs"] == graphs


@pytest.mark.slow
def test_compiled_ops_give_the_pixels_of_plain_ones_whatever_their_order():
    """As on CUDA: the ops in torch, not the kernels that a CPU has."""
    images = torch.randint(0, 256, (6, 3, 16, 16), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    with mock.patch("ablate.ops.cpu.serves", return_value=False):
        for seed, text in enumerate(("crop+color+blur(p=1)", "blur(p=1)+color+crop", "color+blur(p=1)")):
            plain = TransformPair.one_branch(text, 16)
            compiled = dataclasses.replace(plain, compile=True)
            drawn = plain.sample(6, (16, 16), Streams(seed, 0, "cpu"))
            for expected, actual in zip(plain.apply(images, drawn), compiled.apply(images, drawn), strict=True):
                assert_close(actual, expected, atol=1e-5, rtol=0)
            if seed == 0:
                graphs = counters["stats"]["unique_graphs"]
    assert counters["stats"]["unique_graphs"] == graphs


def test_a_dry_run_compiles_nothing(data):
    """It has six seconds, and compiling takes longer."""
    cell = Trial(config=config(data, compile=True), seed=3, label="none")
    bench = _Bench(torch.device("cpu"))
    with mock.patch("ablate.training.step.compiled", side_effect=AssertionError):
        bench.build(cell, data)
        assert bench.step(cell, 4) > 0


def test_code_is_kept_in_the_cache_unless_the_user_names_a_place(tmp_path, monkeypatch):
    monkeypatch.setenv(PLACE, "mine")
    keep_code(tmp_path, 1)
    assert os.environ[PLACE] == "mine" and not list(tmp_path.iterdir())
    monkeypatch.setenv(PLACE, "")
    keep_code(tmp_path, 1)
    assert Path(os.environ[PLACE]).parent == tmp_path / "compiled" and Path(os.environ[PLACE]).is_dir()


def test_code_for_other_processors_and_numbers_of_threads_is_kept_apart(tmp_path, monkeypatch):
    places = set()
    for threads, machine in ((1, "x86_64"), (2, "x86_64"), (1, "aarch64")):
        monkeypatch.setenv(PLACE, "")
        with mock.patch("platform.machine", return_value=machine):
            keep_code(tmp_path, threads)
        places.add(os.environ[PLACE])
    assert len(places) == 3


def test_where_nothing_can_be_written_torch_keeps_its_own_place(tmp_path, monkeypatch):
    monkeypatch.setenv(PLACE, "")
    (tmp_path / "compiled").write_text("")
    keep_code(tmp_path, 1)
    assert not os.environ[PLACE]
    (tmp_path / "compiled").unlink()
    with mock.patch("fcntl.flock", side_effect=OSError("no locks")):
        keep_code(tmp_path, 1)
    assert not os.environ[PLACE]


LATER = """
import sys
from pathlib import Path
from ablate.compiled import compiled, keep_code
keep_code(Path(sys.argv[1]), 1)
import torch
from torch._dynamo.utils import counters
compiled(lambda x: x @ x)(torch.ones(8, 8))
print(counters["inductor"]["fxgraph_cache_hit"])
"""


@pytest.mark.slow
def test_a_later_process_finds_the_code(tmp_path, monkeypatch):
    """Of a product, which torch has: for a kernel of its own, the C++ compiler would take ten seconds."""
    monkeypatch.setenv(PLACE, "")
    keep_code(tmp_path, 1)
    compiling.compiled(lambda x: x @ x)(torch.ones(8, 8))
    monkeypatch.setenv(PLACE, "")
    later = subprocess.run([sys.executable, "-c", LATER, str(tmp_path)], check=True, capture_output=True, text=True)
    assert later.stdout.strip() == "1"
