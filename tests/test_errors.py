"""What a validation error is to a user: one sentence with the place, the range, the value and the nearest match."""

from __future__ import annotations

import ast
import builtins
import io
import pickle
import re
import tokenize

import pytest
from pydantic import ValidationError

from ablate import errors
from ablate.config.experiment import Experiment
from ablate.config.slurm import Slurm
from ablate.config.trial import TrialConfig
from ablate.errors import AblateError, ExitCode, sentence
from ablate.sweep.attempts import Attempt
from tests.support.modules import ROOT, modules

DATA = {"name": "x", "fingerprint": "beef", "classes": 3}
KEYS = ("ops", "seeds", "branches")


def said(model, content, **how):
    with pytest.raises(ValidationError) as caught:
        model.model_validate(content)
    return sentence(caught.value, **how)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"epochs": 0}, "epochs must be at least 1"),
        ({"epochs": -1}, "epochs must be at least 0, not -1"),
        ({"epochs": "many"}, "epochs must be a whole number, not 'many'"),
        ({"temperature": float("nan")}, "temperature must be a finite number, not nan"),
        (
            {"objective": "simcrl"},
            "'mocov3', 'supcon' or 'dino', not 'simcrl'; did you mean 'simclr'?",
        ),
        ({"head": {"kind": "mpl"}}, "head.kind must be 'none', 'linear' or 'mlp', not 'mpl'; did you mean 'mlp'?"),
        ({"head": {"kind": "linear", "layers": 3}}, "head: layers is for heads of kind mlp, not linear"),
        ({"branches": "two"}, "two-branch pairs have no base crop: base must be None"),
        ({"base": {"area": [0.5, 2]}}, "base.area.1 must be at most 1, not 2"),
        ({"temprature": 1}, "unknown setting 'temprature'"),
        ({"head": {"kid": 1}}, "unknown setting 'head.kid'"),
    ],
)
def test_settings(content, expected):
    found = said(TrialConfig, {"composition": (), "data": DATA} | content)
    assert expected in found
    assert "Input should" not in found
    assert "\n" not in found


def test_the_unknown_names_what_there_is():
    found = said(Experiment, {"opps": 1, "ops": ["crop"]}, kind="key", allowed=KEYS)
    assert found == "unknown key 'opps'; allowed: ops, seeds, branches; did you mean 'ops'?"


def test_members_of_a_union_are_no_places():
    found = said(Experiment, {"ops": ["crop"], "seeds": 0}, kind="key", allowed=KEYS)
    assert found == "seeds must be at least 1, not 0"


@pytest.mark.parametrize(
    ("content", "place", "expected"),
    [
        ({"gpus": -1}, {"gpus": "--gpus"}, "--gpus must be at least 0, not -1"),
        ({"memory": "lots"}, {"memory": "--mem"}, "--mem: memory must be a number of megabytes, or a number with"),
        ({"extra": {"reservation": ""}}, {"extra": "--sbatch"}, "--sbatch reservation: it must be one line of text"),
        ({"gpus": -1}, {"cpus": "--cpus"}, "gpus must be"),
    ],
)
def test_a_field_goes_by_where_it_was_written(content, place, expected):
    assert said(Slurm, content, places=place).startswith(expected)


def is_exception(name):
    found = getattr(errors, name, None) or getattr(builtins, name, None)
    return isinstance(found, type) and issubclass(found, BaseException)


def test_every_exception_that_leaves_its_module_is_in_the_tree():
    texts = {module: path.read_text(encoding="utf-8") for module, path in modules().items()}
    defined = {
        (module, node.name)
        for module, text in texts.items()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ClassDef) and any(is_exception(ast.unparse(base)) for base in node.bases)
    }
    assert ("ablate.errors", "UsageError") in defined
    for module, name in defined:
        users = {other for other, text in texts.items() if re.search(rf"\b{name}\b", text)}
        assert module == "ablate.errors" or users == {module}


def test_the_tree_is_what_the_module_says_of_itself():
    drawn = re.findall(r"^    ([│ ]*)[├└]── (\w+)", errors.__doc__, flags=re.MULTILINE)
    ours = (AblateError, KeyboardInterrupt)
    tree = {cls.__name__ for cls in vars(errors).values() if isinstance(cls, type) and issubclass(cls, ours)}
    assert {name for _, name in drawn} == tree - {"AblateError"}
    outer = {name for depth, name in drawn if not depth} - {errors.Interruption.__name__}
    assert outer == {cls.__name__ for cls in AblateError.__subclasses__() if cls.__module__ == "ablate.errors"}


def test_the_numbers_of_exit_codes_are_written_once():
    numbers = {str(code.value) for code in ExitCode if code > ExitCode.USAGE}
    found = [
        (module, token.string)
        for module, path in modules().items()
        for token in tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline)
        if token.type == tokenize.NUMBER and token.string in numbers
    ]
    assert sorted(found) == sorted(("ablate.errors", number) for number in numbers)


def test_the_page_has_every_exit_code():
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \|", page, flags=re.MULTILINE)
    assert rows == [(str(code.value), code.name) for code in ExitCode]


def test_names_of_earlier_versions_are_kept_for_one_release():
    from ablate import files
    from ablate.sweep import lease
    from ablate.trial import context

    assert (files.DiskTrouble, lease.Held) == (errors.DiskError, errors.TrialHeld)
    assert context.Interrupted is errors.Interrupted


def test_an_error_survives_its_way_to_another_process():
    held = pickle.loads(pickle.dumps(errors.TrialHeld(Attempt(number=3, host="node4", pid=4711, user="ann"))))
    assert str(held) == "another process is at work on this trial: node4 (process 4711 of ann)"
    assert held.holder.number == 3
