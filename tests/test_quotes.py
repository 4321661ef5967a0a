"""Messages that the documentation quotes are messages that the tool prints."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = re.sub(
    r'"\s*\n\s*f?"', "", "\n".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "ablate").rglob("*.py")))
)
"""All modules, with string literals joined that stand on several lines."""


def quoted(page: str, pattern: str) -> list[str]:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return [" ".join(message.split()) for message in re.findall(pattern, text, re.MULTILINE)]


MESSAGES = [
    *quoted("slurm.md", r"^- \*\*`([^`]+ [^`]+)`"),
    *quoted("slurm.md", r"`(no progress [^`]+)`"),
    *quoted("images.md", r"^(16-bit grey: .+)$"),
    *quoted("images.md", r"`(left out: [^`]+)`"),
    *quoted("images.md", r'"(images of [^"]+)"'),
    *quoted("evaluation.md", r'"([^"]+largest\s+class has[^"]+)"'),
    *quoted("tutorial.md", r'"(so far, [^"]+)"'),
]
OF_OTHERS = {"apptainer: not found"}


@pytest.mark.parametrize("message", sorted(set(MESSAGES) - OF_OTHERS))
def test_quoted_messages_are_printed(message):
    """The words between numbers and other values stand in one string of the code."""
    parts = [part.strip() for part in re.split(r"\.\.\.|\d[\d.]*(?: |$|,)|\b[nm]\b|\(\d+ \.heic\)|%", message)]
    assert len(parts) > 0
    assert not [part for part in parts if part not in SOURCE]


def test_enough_messages_are_checked():
    assert len(MESSAGES) >= 9
