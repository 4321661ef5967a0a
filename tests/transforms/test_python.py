"""Pipelines in Python files: found by name, read without running anything."""

from __future__ import annotations

import pytest

from ablate import Composition
from ablate.errors import UsageError
from ablate.transforms.read import read
from tests.support.transforms import IMPORTS, SIMCLR, composition


def test_simclr_as_users_write_it_is_the_published_recipe(tmp_path):
    assert composition(tmp_path, SIMCLR) == Composition.parse("recipe:simclr")
    found = read(f"recipe:{tmp_path / 'transforms.py'}:train_transform")
    assert (found.skipped, found.differs) == (("ToTensor", "Normalize"), ())


def test_a_file_is_not_executed(tmp_path):
    harm = tmp_path / "harm"
    code = "import os\nfrom torchvision.transforms.v2 import *\n"
    code += f"open('{harm}', 'w').write('x')\nos.mkdir('{harm}.d')\n"
    made = composition(tmp_path, f"{code}t: object = Compose([RandomInvert(p=0.3)])\nraise SystemExit(3)\n")
    assert str(made) == "invert(p=0.3)"
    with pytest.raises(UsageError, match=r"line 6: p=open\(.*\) of RandomInvert cannot be read without running"):
        composition(tmp_path, f"{code}\nt = Compose([RandomInvert(p=open('{harm}', 'w').write('x'))])\n")
    assert [path.name for path in tmp_path.iterdir()] == ["transforms.py"]


STEP = "v2.Compose([v2.RandomInvert()])"


@pytest.mark.parametrize(
    ("code", "name", "expected"),
    [
        (
            f"a = {STEP}\nd = {{'b': {STEP}}}",
            "",
            r"holds 2 pipelines: a \(line 3\), b \(line 4\); choose one by its name",
        ),
        (f"a = {STEP}\nd = {{'train': {STEP}}}", ":tran", "no pipeline 'tran'; allowed: .* did you mean 'train'"),
        (f"a = {STEP}\na = {STEP}", "", r"as in recipe:.*transforms.py:3$"),
        ("\n".join(f"a{i} = {STEP}" for i in range(30)), "", r"a7 \(line 10\) and 22 more; choose one"),
        (f"a = {'v2.Compose([' * 60}{STEP}{'])' * 60}", "", "^.{,300}$"),
        ("x = 1 +", "", "this is not Python: invalid syntax$"),
        (f"a = {STEP}\na = {STEP}", ":a", r"holds 2 pipelines: a \(line 3\), a \(line 4\); choose .*:3$"),
        (f"f({STEP}, {STEP})", ":3", "holds 2 pipelines in line 3; assign each to a name"),
        ("for p in (1, 2):\n    a = v2.Compose([v2.RandomInvert(p)])", "", "p is no single value .line 3."),
        (
            "def noise(x):\n    return x\na = v2.Compose([noise])",
            "",
            "noise is a function or class of its own .line 3.",
        ),
        (f"views = TwoCrops({STEP})", "", r"line 3: the pipeline is an argument of TwoCrops\(...\), which may do more"),
        (f"a = {STEP}\na.transforms.insert(0, noise)", "", "line 4: a is changed after it is made"),
        ("steps = []\nsteps.append(v2.RandomInvert())\na = v2.Compose(steps)", "", "steps is changed in line 4"),
        ("def f(steps):\n    return v2.Compose(steps)", "", "steps is a parameter .line 3."),
        ("p = 1\np = 2\na = v2.Compose([v2.RandomInvert(p)])", "", "p is assigned in line 3 and in line 4"),
        ("p = q\nq = p\na = v2.Compose([v2.RandomInvert(p)])", "", "it contains itself"),
        (
            "x = 1",
            "",
            "holds no Compose of torchvision or AugmentationSequential of kornia; albumentations is read from",
        ),
        ("a = v2.Compose([a])", "", "line 3: a contains itself"),
        ("x = (", "", "line 3: this is not Python"),
    ],
)
def test_a_pipeline_that_is_not_clear_is_refused(code, name, expected, tmp_path):
    with pytest.raises(UsageError, match=expected):
        composition(tmp_path, f"{IMPORTS}{code}\n", name)


def test_a_pipeline_is_chosen_by_name_line_argument_or_function(tmp_path):
    wrapped = f"{IMPORTS}views = TwoCrops({STEP})\n"
    assert str(composition(tmp_path, wrapped, ":3")) == "invert(p=0.5)"
    code = (
        f"{IMPORTS}self.a, b = {STEP}, 1\nclass A:\n    def __init__(self):\n        self.train = {STEP}\n"
        "def build():\n    return v2.Compose([v2.RandomEqualize(p=1)])\n"
        "load(transform=v2.Compose([v2.RandomVerticalFlip()]))\n"
    )
    for name, expected in (
        ("train", "invert(p=0.5)"),
        ("build", "equalize"),
        ("transform", "vflip"),
        ("8", "equalize"),
    ):
        assert str(composition(tmp_path, code, f":{name}")) == expected
