"""What the README tells a user to type: its Python runs, its commands and their options exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer

from ablate.data.sources import glyphs
from tests.support.cli import GROUP
from tests.support.in_process import without_workers

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
DOCS = "".join(path.read_text() for path in PAGES[1:])
OF_OTHER_TOOLS = {"--bind", "--parsable", "--logdir"}  # Apptainer's, sbatch's and TensorBoard's


def shell(text):
    return [line for block in re.findall(r"```bash\n(.*?)```", text, re.DOTALL) for line in block.splitlines() if line]


SHELL = shell(README)
COMMANDS = [
    re.split(r" (?:\||2?>)", line)[0].rpartition(" -m ")[2]  # without the rest of a pipe
    for line in SHELL + shell(DOCS)
    if re.match(r"ablate |torchrun .* -m ablate ", line)
]


def test_its_python_runs(monkeypatch, tmp_path, cache):
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    monkeypatch.setenv("ABLATE_CACHE", str(cache))
    monkeypatch.chdir(tmp_path)
    Path("results").mkdir()
    Path("results/fig5-glyphs-5-seeds").symlink_to(ROOT / "results" / "fig5-glyphs-5-seeds")
    exec(compile(code, "README.md", "exec"), {})


@pytest.mark.slow
def test_the_python_of_its_page_runs(monkeypatch, tmp_path):
    code = "\n".join(re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "python.md").read_text(), re.DOTALL))
    monkeypatch.setattr(glyphs, "TRAIN_IMAGES", 600)
    monkeypatch.setattr(glyphs, "TEST_IMAGES", 300)
    monkeypatch.setenv("ABLATE_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    with without_workers():
        exec(compile(code, "python.md", "exec"), {})


INLINE = sorted(set(re.findall(r"`(ablate [a-z][^`\n]*)`", README + DOCS)))


@pytest.mark.parametrize("line", [line for line in INLINE if " -" in line])
def test_the_options_that_its_sentences_name_exist(line):
    _, name, *arguments = shlex.split(line)
    known = {option for parameter in GROUP.get_command(typer.Context(GROUP), name).params for option in parameter.opts}
    assert {word for word in arguments if word.startswith("-")} <= known


@pytest.mark.parametrize("line", COMMANDS)
def test_its_commands_are_understood(line):
    _, name, *arguments = shlex.split(line, comments=True)
    context = typer.Context(GROUP)
    GROUP.get_command(context, name).make_context(name, arguments, resilient_parsing=False)


def unknown(code, commands):
    """Return what a command in running text names that does not exist; ``code`` may have placeholders."""
    options = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", code))
    if called := re.match(r"ablate ([a-z]+)", code):
        return options - commands[called[1]] if called[1] in commands else {called[1]}
    return options - set().union(*commands.values()) - OF_OTHER_TOOLS if code.startswith("--") else set()


@pytest.fixture(scope="module")
def commands():
    context = typer.Context(GROUP)
    known = {name: GROUP.get_command(context, name).params for name in GROUP.list_commands(context)}
    return {name: {"--help"} | {option for one in params for option in one.opts} for name, params in known.items()}


@pytest.mark.parametrize("path", [*PAGES, *sorted((ROOT / "ablate").rglob("*.py"))], ids=lambda path: path.name)
def test_commands_in_sentences_exist(path, commands):
    text = re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL)
    codes = [" ".join(code.split()) for code in re.findall(r"(?<!`)`([^`]+)`(?!`)", text)]
    assert [missing for code in codes if (missing := unknown(code, commands))] == []


def test_a_command_that_does_not_exist_would_be_found(commands):
    assert unknown("ablate report DIR --compare OTHER", commands) == {"--compare"}
    assert unknown("ablate compare A B", commands) == {"compare"}
    assert unknown("--paperr", commands) == {"--paperr"}


def test_its_make_targets_exist():
    targets = {shlex.split(line)[1] for line in SHELL if line.startswith("make ")}
    assert targets
    makefile = (ROOT / "Makefile").read_text()
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)


@pytest.mark.parametrize("page", ["README.md", *(str(p.relative_to(ROOT)) for p in (ROOT / "docs").glob("*.md"))])
def test_links_lead_somewhere(page):
    text = (ROOT / page).read_text()
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        if "://" not in target:
            assert ((ROOT / page).parent / target).exists(), target
