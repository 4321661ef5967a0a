"""Chromium, driven by Playwright."""

from __future__ import annotations

import shutil

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="session")
def tab():
    """One tab for all tests, since a new one takes half a second."""
    if CHROMIUM is None:
        pytest.skip("needs Chromium: make test-browser installs it")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM)
        yield browser.new_page()
        browser.close()


@pytest.fixture
def page(tab):
    """A page that fails its test if it warns, throws an error or requests anything but its own file."""
    complaints = []
    listeners = {
        "pageerror": lambda error: complaints.append(str(error)),
        "console": lambda message: message.type in {"warning", "error"} and complaints.append(message.text),
        "request": lambda request: is_extra(request) and complaints.append(request.url),
    }
    tab.set_viewport_size({"width": 1280, "height": 900})
    tab.emulate_media(media="screen", color_scheme="light")
    for event, listener in listeners.items():
        tab.on(event, listener)
    yield tab
    tab.evaluate("new Promise(done => setTimeout(done, 50))")  # for events that are on their way
    for event, listener in listeners.items():
        tab.remove_listener(event, listener)
    assert complaints == []


def is_extra(request):
    return not request.is_navigation_request() and not request.url.startswith("data:")
