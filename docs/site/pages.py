"""Write what the site is built from: `python docs/site/pages.py DIR`, which `make docs` calls.

A page of ``docs/`` keeps its name, README.md is the front page, and any other file that a page links to keeps its path
in the repository: a Markdown file becomes a page, everything else is copied. So one link works in the repository and on
the site. The page of commands is written from the command line itself, and the tables of fields on the API page from
the models. The site's generator sees only plain pages.
"""

from __future__ import annotations

import posixpath
import re
import shutil
import sys
from pathlib import Path

from field_tables import table
from typer.main import get_command
from typer.testing import CliRunner

import ablate
from ablate.cli.app import app
from ablate.config.experiment import Experiment
from ablate.config.trial import TrialConfig

ROOT = Path(__file__).parents[2]
FRONT = "README.md"
LINK = re.compile(r"(?<=\]\()(?!\w+:|#)([^)#\s]+)")
"""The path of a Markdown link, without its fragment; neither an address nor a fragment alone."""
FIELDS = re.compile(r"^<!-- fields: (\w+) -->$", re.MULTILINE)
"""The line of a page in whose place a table of that model's fields stands on the site."""
MODELS = {model.__name__: model for model in (Experiment, TrialConfig)}
COMMANDS = "# Commands\n\nWhat `ablate --help` and `ablate COMMAND --help` print.\n"


def write(out: Path, root: Path = ROOT) -> None:
    """Write every page and every file that pages lead to into ``out``, which is emptied first."""
    shutil.rmtree(out, ignore_errors=True)
    for path in needed(root):
        there = out / on_site(path)
        there.parent.mkdir(parents=True, exist_ok=True)
        if path.endswith(".md"):
            page = FIELDS.sub(lambda line: table(MODELS[line[1]]), (root / path).read_text(encoding="utf-8"))
            there.write_text(relinked(page, path), encoding="utf-8")
        else:
            shutil.copyfile(root / path, there)
    shutil.copy(Path(__file__).with_name("style.css"), out)
    (out / "commands.md").write_text(commands(), encoding="utf-8")


def unlisted() -> list[str]:
    """Return the public names that the page of the API leaves out."""
    listed = re.findall(r"^::: ablate\.(\w+)$", (ROOT / "docs" / "api.md").read_text(encoding="utf-8"), re.MULTILINE)
    return [name for name in ablate.__all__ if name not in listed]


def needed(root: Path) -> list[str]:
    """List the README, the pages of ``docs/``, and every file that a page leads to, by its path below ``root``.

    A link that leads to no file is left out here; the site's generator names it when it checks the links.
    """
    found = [FRONT, *(path.relative_to(root).as_posix() for path in sorted((root / "docs").glob("*.md")))]
    for page in found:  # grows while it is read
        if page.endswith(".md"):
            targets = [_target(page, link) for link in LINK.findall((root / page).read_text(encoding="utf-8"))]
            found += [path for path in dict.fromkeys(targets) if path not in found and (root / path).is_file()]
    return found


def relinked(markdown: str, page: str) -> str:
    """Rewrite the links of a page, given by its path in the repository, to where their files are on the site."""
    here = posixpath.dirname(on_site(page)) or "."
    return LINK.sub(lambda found: posixpath.relpath(on_site(_target(page, found[1])), here), markdown)


def on_site(path: str) -> str:
    """Return where a file of the repository is on the site: ``docs/ops.md`` is ``ops.md``."""
    return "index.md" if path == FRONT else path.removeprefix("docs/")


def commands() -> str:
    """Return the page of commands: a heading and the help for ``ablate`` and for each of its commands."""
    group = get_command(app)
    lines = ["ablate", *(f"ablate {name}" for name in getattr(group, "commands", {}))]
    return "\n".join([COMMANDS, *(f"## {line}\n\n```text\n{_help(line)}\n```\n" for line in lines)])


def _help(line: str) -> str:
    arguments = [*line.split()[1:], "--help"]
    shown = CliRunner().invoke(app, arguments, prog_name="ablate", env={"COLUMNS": "80"}, catch_exceptions=False)
    if shown.exit_code:
        raise RuntimeError(f"`{line} --help` ends with exit code {shown.exit_code}: {shown.output}")
    return shown.output.rstrip()


def _target(page: str, link: str) -> str:
    return posixpath.normpath(posixpath.join(posixpath.dirname(page), link))


if __name__ == "__main__":
    if missing := unlisted():
        sys.exit(f"docs/api.md lacks public names: {', '.join(missing)}")
    write(Path(sys.argv[1]))
