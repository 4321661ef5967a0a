"""Files of weights: what is read, and what is refused in a sentence, without code ever being run."""

from __future__ import annotations

import argparse
import pickle

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from ablate.config.encoder import Normalization
from ablate.errors import UsageError
from ablate.training.weight_file import read_weights

TENSORS = {"conv1.weight": torch.ones(2, 3, 1, 1), "bn.num_batches_tracked": torch.tensor(3)}


class Code:
    """What runs when it is unpickled."""

    def __reduce__(self):
        return (exec, ("raise SystemExit('this ran')",))


def test_safetensors_and_torchs_files_hold_the_same(tmp_path):
    save_file(TENSORS, tmp_path / "a.safetensors")
    torch.save(TENSORS, tmp_path / "a.pth")
    torch.save(TENSORS, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    for name in ("a.safetensors", "a.pth", "old.pt"):
        read = read_weights(tmp_path / name)
        assert read.groups.keys() == {""}
        assert all(torch.equal(read.groups[""][key], value) for key, value in TENSORS.items())
        assert read.normalize is None


def test_the_kind_of_a_file_is_seen_in_its_content(tmp_path):
    save_file(TENSORS, tmp_path / "safetensors.pth")
    assert read_weights(tmp_path / "safetensors.pth").groups[""].keys() == TENSORS.keys()


def test_state_dicts_are_found_inside_a_checkpoint(tmp_path):
    checkpoint = {
        "epoch": 3,
        "model": {"teacher": TENSORS, "best": 0.5},
        "student": TENSORS,
        "optimizer": {"state": {}},
    }
    torch.save({**checkpoint, "args": argparse.Namespace(arch="x")}, tmp_path / "c.pth")
    assert read_weights(tmp_path / "c.pth").groups.keys() == {"model.teacher", "student"}


def test_numbers_of_numpy_beside_the_tensors_are_read(tmp_path):
    """A best accuracy is often one; earlier versions of NumPy called what makes it by another name."""
    numbers = {"best": np.float64(0.5), "epoch": np.int64(3), "last": np.float32(0.4), "resumed": np.bool_(True)}
    torch.save({"state_dict": {"a": torch.ones(2)}, **numbers}, tmp_path / "new.pth")
    old = {"state_dict": {"a": torch.ones(2)}, **numbers}
    torch.save(old, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    content = (tmp_path / "old.pth").read_bytes()
    (tmp_path / "old.pth").write_bytes(content.replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    for name in ("new", "old"):
        assert read_weights(tmp_path / f"{name}.pth").groups["state_dict"]["a"].tolist() == [1, 1]


def test_the_normalisation_of_a_kept_encoder_is_read(tmp_path):
    wanted = Normalization(mean=(0.1, 0.2), std=(0.3, 0.4))
    save_file(TENSORS, tmp_path / "a.safetensors", metadata={"format": "pt", "normalize": wanted.model_dump_json()})
    assert read_weights(tmp_path / "a.safetensors").normalize == wanted
    save_file(TENSORS, tmp_path / "b.safetensors", metadata={"normalize": "nonsense"})
    assert read_weights(tmp_path / "b.safetensors").normalize is None


def written(name):
    def save(path):
        {
            "code": lambda: path.write_bytes(pickle.dumps({"a": Code()}, protocol=2)),
            "code in a newer pickle": lambda: path.write_bytes(pickle.dumps({"a": Code()})),
            "code in torch's format": lambda: torch.save({"a": Code()}, path),
            "module": lambda: torch.save(torch.nn.Linear(2, 2), path),
            "empty": path.touch,
            "text": lambda: path.write_text("no weights at all"),
            "cut short": lambda: (torch.save(TENSORS, path), path.write_bytes(path.read_bytes()[:300])),
            "safetensors cut short": lambda: (save_file(TENSORS, path), path.write_bytes(path.read_bytes()[:100])),
            "no tensors": lambda: torch.save({"epoch": 3}, path),
            "a tensor": lambda: torch.save(torch.ones(2), path),
            "TorchScript": lambda: torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), path),
            "directory": path.mkdir,
            "nothing": lambda: None,
        }[name]()

    return save


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("code", r"holds Python objects, whose code would have to be run \(exec\); .* save the state dict alone"),
        ("code in a newer pickle", "is no file of weights; allowed"),
        ("code in torch's format", r"holds Python objects, whose code would have to be run \(exec\)"),
        ("module", r"whose code would have to be run \(torch.nn.modules.linear.Linear\)"),
        ("empty", "is empty; allowed are safetensors files and state dicts that torch.save wrote"),
        ("text", "no file of weights; allowed"),
        ("cut short", "is damaged or no file of weights"),
        ("safetensors cut short", "is damaged: "),
        ("no tensors", "holds no state dict, only epoch; allowed"),
        ("a tensor", "holds no state dict, only Tensor; allowed"),
        ("TorchScript", "is a TorchScript program; .* save its state dict alone"),
        ("directory", "is a directory; give a file in it$"),
        ("nothing", "cannot be read: no such file or directory"),
    ],
)
def test_every_other_file_is_refused_in_one_sentence(name, words, tmp_path):
    path = tmp_path / "file.pth"
    written(name)(path)
    with pytest.raises(UsageError, match=words) as refused:
        read_weights(path)
    assert "\n" not in str(refused.value)
    assert str(path) in str(refused.value)


def test_a_directory_of_kept_encoders_names_one(tmp_path):
    (tmp_path / "encoders").mkdir()
    for kind in ("head.safetensors", "safetensors"):
        save_file(TENSORS, tmp_path / "encoders" / f"abc-s0.{kind}")
    with pytest.raises(UsageError, match=r"such as .*encoders/abc-s0\.safetensors$"):
        read_weights(tmp_path)
