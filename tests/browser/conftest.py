"""Chromium, driven by Playwright: a new page for every test."""

from __future__ import annotations

import shutil

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="session")
def browser():
    if CHROMIUM is None:
        pytest.skip("needs Chromium: make test-browser installs it")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM)
        yield browser
        browser.close()


@pytest.fixture
def page(browser):
    """A page that fails its test if it warns, throws an error or requests anything but its own file."""
    page, complaints = browser.new_page(viewport={"width": 1280, "height": 900}), []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: message.type in {"warning", "error"} and complaints.append(message.text))
    page.on("request", lambda request: is_extra(request) and complaints.append(request.url))
    yield page
    page.evaluate("new Promise(done => setTimeout(done, 50))")  # for events that are on their way
    page.close()
    assert complaints == []


def is_extra(request):
    return not request.is_navigation_request() and not request.url.startswith("data:")
