"""The registry of the kinds of data sets: help, completion, documentation and code know the same ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from ablate.config.experiment import Experiment
from ablate.config.sources import FROM_FILES, KINDS, absolute, kind_of
from ablate.data import prepare
from ablate.data.preparation import LISTINGS, OFFICIAL
from ablate.errors import UsageError

ROOT = Path(__file__).parents[2]


def test_the_documentation_lists_every_kind():
    page = (ROOT / "docs" / "images.md").read_text()
    rows = "\n".join(f"| `{kind.written}` | {kind.about} |" for kind in KINDS.values())
    assert rows in page


def test_the_help_names_every_kind():
    description = Experiment.model_fields["data"].description or ""
    assert all(kind.written in description for kind in KINDS.values())


def test_every_kind_has_its_code():
    assert list(LISTINGS) == [kind.name for kind in FROM_FILES]
    assert {"glyphs", *LISTINGS, *OFFICIAL} == set(KINDS)


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_refuses_what_is_not_there_in_one_sentence(name, tmp_path, cache):
    with pytest.raises(UsageError, match=name) as caught:
        prepare(f"{name}:{tmp_path / 'nowhere'}", cache=cache)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", [name for name in KINDS if name != "glyphs"])
def test_every_kind_says_what_it_takes(name, cache):
    with pytest.raises(UsageError, match=f"--data {KINDS[name].written}"):
        prepare(name, cache=cache)


def test_a_path_holds_from_any_directory():
    assert absolute("folder:x") == f"folder:{Path.cwd() / 'x'}"
    assert absolute("glyphs:7") == "glyphs:7"
    with pytest.raises(UsageError, match="did you mean 'folder'"):
        kind_of("foldr:x")
