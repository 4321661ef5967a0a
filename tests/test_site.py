"""What the site is built from: pages with links that hold there, every command, every public name, a true glossary."""

from __future__ import annotations

import importlib
import re
import tomllib
from pathlib import Path
from typing import get_args

import pytest

import ablate
from ablate.cli.app import COMMANDS
from ablate.config.experiment import Experiment
from ablate.config.measure import Measure
from ablate.config.settable import SETTABLE
from ablate.config.trial import Reference, TrialConfig
from ablate.evaluation.protocols import PROTOCOLS

ROOT = Path(__file__).parents[1]
SITE = (ROOT / "mkdocs.yml").read_text()
GLOSSARY = (ROOT / "docs" / "glossary.md").read_text()


@pytest.fixture(scope="module")
def pages():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "docs" / "site")  # where Python looks when it runs the file as a script
        return importlib.import_module("pages")


@pytest.fixture(scope="module")
def written(pages, tmp_path_factory):
    out = tmp_path_factory.mktemp("site") / "pages"
    pages.write(out)
    return out


def test_every_link_leads_to_a_file_of_the_site(pages, written):
    links = [(page, link) for page in written.rglob("*.md") for link in pages.LINK.findall(page.read_text())]
    assert len(links) > 50
    assert not [(str(page), link) for page, link in links if not (page.parent / link).is_file()]


def test_links_out_of_docs_are_carried_along(pages, tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "results").mkdir()
    (tmp_path / "README.md").write_text(
        "[ops](docs/ops.md#blur), [runs](results/README.md), [web](https://example.org)"
    )
    (tmp_path / "docs" / "ops.md").write_text("[up](../README.md), [below](#here), [lost](../lost.md)")
    (tmp_path / "results" / "README.md").write_text("![figure](heatmap.png), [ops](../docs/ops.md)")
    (tmp_path / "results" / "heatmap.png").write_bytes(b"png")
    (tmp_path / "results" / "other.png").write_bytes(b"nobody links here")
    out = tmp_path / "out"
    pages.write(out, tmp_path)
    assert (out / "index.md").read_text() == "[ops](ops.md#blur), [runs](results/README.md), [web](https://example.org)"
    assert (out / "ops.md").read_text() == "[up](index.md), [below](#here), [lost](lost.md)"
    assert (out / "results" / "README.md").read_text() == "![figure](heatmap.png), [ops](../ops.md)"
    assert (out / "results" / "heatmap.png").read_bytes() == b"png"
    assert not (out / "results" / "other.png").exists()


def test_the_page_of_commands_has_the_help_of_each(written):
    text = (written / "commands.md").read_text()
    names = [function.__name__.replace("_", "-") for function in COMMANDS]
    assert re.findall(r"^## ablate ?(.*)$", text, re.MULTILINE) == ["", *names, "help"]
    assert all(f"Usage: ablate {name} " in text for name in names)
    assert "--world-size" in text


def test_every_public_name_is_on_the_page_of_the_api(pages, monkeypatch):
    assert pages.unlisted() == []
    monkeypatch.setattr(ablate, "__all__", [*ablate.__all__, "further"])
    assert pages.unlisted() == ["further"]


@pytest.mark.parametrize("model", [Experiment, TrialConfig])
def test_the_page_of_the_api_describes_every_field(pages, written, model):
    rows = re.findall(r"^\| `([\w.]+)` \| (.+) \| (.*) \| (.+) \|$", (written / "api.md").read_text(), re.MULTILINE)
    described = {name: (values, meaning) for name, values, _, meaning in rows}
    assert set(model.model_fields) <= set(described)
    assert not [name for name, row in described.items() if row[1] == "None" or "any" in row[0].split()]
    assert set(SETTABLE) - {"lr_base", "lr_scaling"} <= set(described)
    assert described["temperature"] == (
        "float from 0.001 to 1000",
        "Temperature of the softmax, for objectives that have one",
    )


def test_every_page_is_in_the_navigation_the_tutorial_first_and_the_architecture_last(written):
    listed = re.findall(r"^ +- .*: (\S+\.md)$", SITE, re.MULTILINE)
    assert sorted([*listed, "index.md"]) == sorted(str(page.relative_to(written)) for page in written.rglob("*.md"))
    assert listed[0] == "tutorial.md"
    assert listed[-1] == "architecture.md"


@pytest.mark.parametrize(
    ("word", "names"),
    [("protocol", list(PROTOCOLS)), ("reference", get_args(Reference)), ("measure", get_args(Measure))],
)
def test_the_glossary_lists_what_the_code_has(word, names):
    (entry,) = re.findall(rf"^- \*\*{word}\*\*: (.*?)(?=\n-|\n\n|\Z)", GLOSSARY, re.MULTILINE | re.DOTALL)
    assert set(re.findall(r"`([\w:%-]+)`", entry)) == set(names)


def test_what_builds_the_site_is_pinned():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pinned = (ROOT / "constraints.txt").read_text().lower()
    names = [re.match(r"[\w-]+", item)[0] for item in project["optional-dependencies"]["docs"]]
    assert all(f"\n{name}==" in pinned for name in names)


def test_the_citation_names_this_version():
    assert f"\nversion: {ablate.__version__}\n" in (ROOT / "CITATION.cff").read_text()
