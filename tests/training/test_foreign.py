"""Encoders of timm's and of one's own."""

from __future__ import annotations

import contextlib
import sys

import pytest
import torch

from ablate.config.encoder import Encoder
from ablate.config.sweep import Trial
from ablate.config.trial import TrialConfig
from ablate.errors import UsageError
from ablate.planning import settings
from ablate.planning.settings import shared_config
from ablate.planning.trial import plan_trial
from ablate.planning.understand import plan_sweep
from ablate.sweep.lease import inherit
from ablate.sweep.record import read_records
from ablate.training.encoder import build_encoder
from ablate.training.foreign import code_version
from ablate.training.head import ProjectionHead
from ablate.trial import encoders
from tests.support.cli import ablate
from tests.support.grids import command
from tests.support.processes import data
from tests.support.settings import DATA
from tests.support.wishes import wish

OWN = """
import torch
from torch import nn

def small():
    return nn.Sequential(nn.Conv2d(3, 6, 3, 2), nn.BatchNorm2d(6), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())

def unpooled():
    return nn.Conv2d(3, 6, 3)

def broken():
    raise OSError("no weights here\\nsecond line")

def tied():
    net = small()
    net.append(nn.Linear(6, 6))
    net.append(nn.Linear(6, 6))
    net[-1].weight = net[-2].weight
    return net

def not_a_module():
    return 3

def pretrained(file="weights.pt"):
    net = small()
    net.append(nn.Linear(6, 5))
    net[0].load_state_dict(torch.load(file))
    net[0].requires_grad_(False)
    return net

def normalised():
    net = small()
    net.register_buffer("mean", torch.tensor([0.4, 0.5, 0.6]))
    net.scale = nn.Parameter(torch.full((3,), 2.0))
    return net

ONE = small()

def the_same():
    return ONE
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A module in the working directory that no path leads to."""
    (tmp_path / "myencoders.py").write_text(OWN)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "myencoders", raising=False)
    with contextlib.chdir(tmp_path):
        yield tmp_path
    sys.modules.pop("myencoders", None)


def test_ones_own_function(own):
    encoder = build_encoder(Encoder(name="myencoders:small"), 20)
    assert encoder.dim == 6
    assert encoder.net[1].training  # finding out the dimension has left no trace
    assert torch.equal(encoder.net[1].running_mean, torch.zeros(6))
    assert encoder(torch.rand(4, 3, 20, 20)).shape == (4, 6)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("unpooled", r"returned \[2, 6, 18, 18\] for two images, not \[2, dim\]"),
        ("broken", "no weights here$"),
        ("not_a_module", "returned int, not a torch.nn.Module"),
        ("smal", "no function 'smal'; did you mean 'small'"),
    ],
)
def test_what_is_no_encoder_is_refused_in_one_sentence(own, name, words):
    with pytest.raises(UsageError, match=words):
        build_encoder(Encoder(name=f"myencoders:{name}"), 20)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("def build(:", "cannot import faulty .SyntaxError: "),
        ("1 / 0", "cannot import faulty .ZeroDivisionError: division by zero"),
        ("import no_such_package", "cannot import faulty .ModuleNotFoundError: No module named 'no_such_package'"),
    ],
)
def test_a_module_that_does_not_import_is_refused_in_one_sentence(own, content, words):
    (own / "faulty.py").write_text(content)
    with pytest.raises(UsageError, match=words):
        build_encoder(Encoder(name="faulty:build"), 20)
    sys.modules.pop("faulty", None)


def test_what_is_callable_but_no_function_has_a_code_too(own):
    (own / "myencoders.py").write_text(OWN + "import functools\nwide = functools.partial(small)\n")
    assert build_encoder(Encoder(name="myencoders:wide"), 20).dim == 6
    assert code_version("myencoders:wide").startswith("sha256 ")


def test_tied_weights_are_kept(own, tmp_path):
    encoder = build_encoder(Encoder(name="myencoders:tied"), 20)
    trial = Trial(config=TrialConfig(composition=(), data=DATA), seed=0, label="none")
    assert encoders.save(inherit(tmp_path, trial.id, None), trial, encoder, torch.nn.Identity(), {}, "all")
    state, _ = encoders.load(tmp_path, trial.id)
    assert torch.equal(state["5.weight"], state["6.weight"])


def test_the_key_names_the_code_and_a_trial_refuses_other_code(own):
    config = shared_config(wish(set={"encoder.name": "myencoders:small"}), DATA)
    assert config.encoder.code == code_version("myencoders:small") != ""
    (own / "myencoders.py").write_text(OWN + "# another\n")
    assert code_version("myencoders:small") != config.encoder.code
    with pytest.raises(UsageError, match="was planned with sha256"):
        build_encoder(config.encoder, 32)


def save_weights(directory, seed):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.save(torch.nn.Conv2d(3, 6, 3, 2).state_dict(), directory / "weights.pt")


def planned(name):
    settings._built.cache_clear()
    return shared_config(wish(set={"encoder.name": f"myencoders:{name}"}), DATA)


def test_weights_that_a_function_loads_are_in_the_key(own):
    save_weights(own, 1)
    first = planned("pretrained")
    torch.manual_seed(5)  # whatever was drawn before
    assert planned("pretrained").key == first.key
    build_encoder(first.encoder, 32)
    save_weights(own, 2)
    second = planned("pretrained")
    assert second.encoder.code == first.encoder.code
    assert second.encoder.weights != first.encoder.weights
    assert second.key != first.key
    with pytest.raises(UsageError, match=r"was planned with the weights sha256 .*, but here it loads sha256"):
        build_encoder(first.encoder, 32)
    save_weights(own, 1)
    assert planned("pretrained").key == first.key


def test_every_plan_of_one_process_sees_the_weights_of_its_time(own):
    """Otherwise trials of a later plan in a notebook would be refused until Python starts again."""
    described = wish(set={"encoder.name": "myencoders:pretrained", "image_size": 16, "batch_size": 32})
    weights = []
    for seed in (1, 2):
        save_weights(own, seed)
        sweep, _ = plan_sweep(described, own / "out", lambda _: data(), "")
        trial, *_ = plan_trial(described, 0, data)
        assert sweep.shared.encoder.weights == trial.config.encoder.weights
        build_encoder(trial.config.encoder, 16)  # as a worker does, which checks them
        weights.append(trial.config.encoder.weights)
    assert len(set(weights)) == 2


@pytest.mark.parametrize("name", ["small", "tied", "normalised"])
def test_an_encoder_that_loads_nothing_keeps_its_key(own, name):
    config = planned(name)
    assert config.encoder.weights == ""
    code = code_version(f"myencoders:{name}")
    assert config.key == config.model_copy(update={"encoder": Encoder(name=f"myencoders:{name}", code=code)}).key


def test_an_encoder_whose_weight_file_has_changed_is_loaded_all_the_same(own, tmp_path):
    """A kept encoder is loaded over what the function starts from, whichever weights that has by now."""
    save_weights(own, 1)
    trial = Trial(config=planned("pretrained"), seed=0, label="none")
    encoder = build_encoder(trial.config.encoder, 32)
    assert encoders.save(
        inherit(tmp_path, trial.id, None), trial, encoder, ProjectionHead(encoder.dim, trial.config.head), {}, "all"
    )
    save_weights(own, 2)
    rebuilt, _ = encoders.rebuild(tmp_path, trial.id, trial.config)
    assert torch.equal(rebuilt.net[0].weight, encoder.net[0].weight)
    assert "trained from the weights sha256" in encoders.describe(tmp_path, trial.id)["encoder"]


def test_a_function_that_gives_one_module_again_and_again_is_refused(own):
    """The second trial of a worker would go on from the weights of the first."""
    with pytest.raises(UsageError, match="the same module at every call; it must return a new one"):
        planned("the_same")


@pytest.mark.usefixtures("undrawn")
def test_a_grid_trains_it_in_workers(own, tiny_folder, cache):
    line = command(tiny_folder, cache, own / "out", "--encoder", "myencoders:small", "--workers", "1", ops="crop")
    at = line.index("encoder.width=4")
    line[at - 3 : at + 1] = []  # the settings' own encoder
    done = ablate(*line[3:])
    assert done.returncode == 0, done.stdout + done.stderr
    records = read_records(own / "out")[0].values()
    assert {record.config.encoder.name for record in records} == {"myencoders:small"}
    assert {record.status for record in records} == {"done"}


@pytest.mark.parametrize(("name", "size", "dim"), [("timm:resnet10t", 32, 512), ("timm:vit_tiny_patch16_224", 48, 192)])
def test_timm(name, size, dim):
    """A convolutional network takes any size, a transformer is made for it."""
    encoder = build_encoder(Encoder(name=name), size)
    assert encoder.dim == dim
    assert encoder(torch.rand(2, 3, size, size)).shape == (2, dim)
    assert code_version(name).startswith("timm 1.")


def test_timm_where_it_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(UsageError, match="pip install timm"):
        build_encoder(Encoder(name="timm:resnet18"), 32)
