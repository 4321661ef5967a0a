"""The sources that an appendix cites: their keys, and their entries in ``references.bib``."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

CITED = re.compile(r"\[@(\w+)\]")
"""A citation in a sentence, as Pandoc's Markdown has it: ``[@hsu1996]``."""
OBJECTIVES = {
    "simclr": "chen2020simclr",
    "byol": "grill2020byol",
    "simsiam": "chen2021simsiam",
    "barlow": "zbontar2021barlow",
    "vicreg": "bardes2022vicreg",
    "mocov3": "chen2021mocov3",
    "supcon": "khosla2020supcon",
    "dino": "caron2021dino",
}
"""The key of the paper of each objective that has one."""
OPTIMISERS = {"adamw": "loshchilov2019adamw", "lars": "you2017lars"}
ENTRIES = Path(__file__).with_name("references.bib")


def cite(key: str | None) -> str:
    """Return a citation to follow a word, `` [@hsu1996]``; nothing without a key."""
    return f" [@{key}]" if key else ""


def bibtex(sentences: Iterable[str]) -> str:
    """Return the entries of all sources that sentences cite, in the order of ``references.bib``."""
    keys = {key for text in sentences for key in CITED.findall(text)}
    entries = re.split(r"\n(?=@)", ENTRIES.read_text(encoding="utf-8"))
    return "\n".join(entry for entry in entries if entry.partition("{")[2].partition(",")[0] in keys)
