"""``docs/performance.md`` says what the benchmarks' committed results say."""

from __future__ import annotations

from benchmarks import page


def test_the_page_is_made_from_the_committed_results():
    assert page.render(page.results()) == (page.DOCS / "performance.md").read_text()
