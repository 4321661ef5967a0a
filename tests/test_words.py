"""Sentences for users keep docs/style.md: no phrase that has to be read twice, and short help texts."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.support.cli import GROUP
from tests.support.measures import ONE_MEASURE

PACKAGE = Path(__file__).parents[1] / "ablate"
COMMANDS = GROUP.commands
ODD = {
    r"\bgo(es)? on\b": "continue",
    r"\bthe same (command|call) (later|resumes|completes|repairs)": "run the same command again to ...",
    r"\banew\b": "again",
    r"\bas asked\b": "as requested",
    r"\bthere (is|are) not\b": "an unknown ..., or lacks",
    r"\b(which|that|who) \w+ has not\b": "which ... lacks",
    r"\b(of|by|in) (what|those) (is|was|are|were)\b": "name the thing",
    r"\bwhat (is|was|were|falls|turns|failed|was recommended)\b": "name the thing",
    r"\b(nobody|everybody|whoever)\b": "name who it is",
    r"\bare others\b": "have changed",
    r"\b(came about|reckoned|so-manieth)\b": "common words",
    r"\bso many\b": "N",
    r"[Nn]ot distinguishable|\bbe distinguished\b": "cannot be told from",
    r"\b[Uu]ntrained (cell|composition)s?\b": "that was not run; untrained is an encoder",
    r"\bat work elsewhere\b": "another process is at work on",
}


def sentences(tree):
    """Every text of a module with at least three words, without docstrings; ``...`` stands for its variables."""
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = [part.value if isinstance(part, ast.Constant) else "..." for part in node.values]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            parts = [node.value]
        else:
            continue
        text = "".join(map(str, parts))
        if len(text.split()) > 2:
            yield node.lineno, text


def odd(text):
    return [f"{found[0]!r} -> {better}" for phrase, better in ODD.items() if (found := re.search(phrase, text))]


def test_no_sentence_has_to_be_read_twice():
    found = [
        f"{path.relative_to(PACKAGE)}:{line}: {text!r}: {trouble}"
        for path in PACKAGE.rglob("*.py")
        for line, text in sentences(ast.parse(path.read_text()))
        if (trouble := odd(text))
    ]
    page = (PACKAGE / "report" / "page" / "templates" / "page.html.j2").read_text()
    found += [f"page.html.j2: {line!r}: {trouble}" for line in page.splitlines() if (trouble := odd(line))]
    assert not found, "\n".join(found)


def test_an_odd_sentence_would_be_found():
    (line, text), *_ = sentences(ast.parse('raise UsageError(f"{path}: of what is left, the same command goes on")'))
    assert (line, len(odd(text))) == (1, 3)


def test_a_report_names_the_measure_that_chose():
    """Sentences that say accuracy say it of every measure, also where AUROC chose: they take its name instead."""
    found = [
        f"{path.relative_to(PACKAGE)}:{line}: {text!r}"
        for room in ("report", "launch", "search")
        for path in (PACKAGE / room).rglob("*.py")
        for line, text in sentences(ast.parse(path.read_text()))
        if re.search(ONE_MEASURE, text)
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_help_text_is_short_and_begins_alike(name):
    for param in COMMANDS[name].params:
        text = param.help or ""
        assert 1 < len(text.split()) <= 30, f"{param.name}: {text}"
        assert not text.endswith("."), text
        assert not odd(text), text
