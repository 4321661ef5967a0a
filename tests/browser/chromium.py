"""Headless Chromium, driven over its debugging pipe: JSON messages ended by a zero byte, on descriptors 3 and 4."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--hide-scrollbars",
    "--no-first-run",
    "--disable-dev-shm-usage",
)
TIMEOUT = 30.0  # seconds


def executable():
    """The browser's path, or None."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Page:
    """One tab; ``events`` are what the browser has told since :meth:`open`."""

    def __init__(self, profile: Path) -> None:
        to_browser, self.out = os.pipe()
        self.into, from_browser = os.pipe()
        line = [executable(), *FLAGS, "--remote-debugging-pipe", f"--user-data-dir={profile}", "about:blank"]
        shell = ["bash", "-c", f'exec "$@" 3<&{to_browser} 4>&{from_browser}', "bash", *line]
        self.process = subprocess.Popen(
            shell, pass_fds=(to_browser, from_browser), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        os.close(to_browser)
        os.close(from_browser)
        self.number, self.buffer, self.session, self.events = 0, b"", None, []
        targets = self._until_page()
        self.session = self("Target.attachToTarget", targetId=targets, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self(f"{domain}.enable")
        self("Emulation.setFocusEmulationEnabled", enabled=True)  # else nothing gets the focus before a click

    def _until_page(self):
        deadline = time.monotonic() + TIMEOUT
        while time.monotonic() < deadline:
            pages = [t["targetId"] for t in self("Target.getTargets")["targetInfos"] if t["type"] == "page"]
            if pages:
                return pages[0]
            time.sleep(0.05)
        raise TimeoutError("the browser shows no page")

    def __call__(self, method, **params):
        """Call a method of the protocol and return its result."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.out, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self.number:
                assert "error" not in answer, answer
                return answer["result"]
            self.events.append(answer)

    def _read(self):
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.into], [], [], TIMEOUT)
            assert ready, "the browser does not answer"
            self.buffer += os.read(self.into, 1 << 20)
        message, _, self.buffer = self.buffer.partition(b"\0")
        return json.loads(message)

    def open(self, path: Path, width=1280, height=900, *, dark=False, fragment=""):
        """Open a file in a window of that size and wait until it is there."""
        self.resize(width, height)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self("Emulation.setEmulatedMedia", features=[scheme])
        self.events.clear()
        if fragment:
            self("Page.navigate", url="about:blank")  # else it would be the same document
        self("Page.navigate", url=path.as_uri() + fragment)
        deadline = time.monotonic() + TIMEOUT
        while self.js("document.readyState") != "complete" or self.js("location.href") == "about:blank":
            assert time.monotonic() < deadline, "the page does not load"
            time.sleep(0.02)

    def resize(self, width, height):
        """Give the window that size, in CSS pixels."""
        self("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600)

    def js(self, expression):
        """The value of a JavaScript expression."""
        answer = self("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def centre(self, selector):
        """Where an element's centre is, once it is scrolled into view."""
        quoted = json.dumps(selector)
        box = self.js(
            f"(() => {{ const e = document.querySelector({quoted}); e.scrollIntoView({{block: 'center'}});"
            " const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]; })()"
        )
        return {"x": box[0], "y": box[1]}

    def hover(self, selector):
        """Move the mouse onto an element."""
        self("Input.dispatchMouseEvent", type="mouseMoved", **self.centre(selector))

    def click(self, selector):
        """Press and release the left button on an element."""
        place = {**self.centre(selector), "button": "left", "clickCount": 1}
        self("Input.dispatchMouseEvent", type="mousePressed", **place)
        self("Input.dispatchMouseEvent", type="mouseReleased", **place)

    def key(self, name, code):
        """Press and release a key, by its name and Windows code."""
        text = {"text": "\r"} if name == "Enter" else {}
        self("Input.dispatchKeyEvent", type="keyDown", key=name, code=name, windowsVirtualKeyCode=code, **text)
        self("Input.dispatchKeyEvent", type="keyUp", key=name, code=name, windowsVirtualKeyCode=code)

    def screenshot(self, path: Path, *, whole=True):
        """Write a PNG of the page."""
        picture = self("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(picture["data"]))

    def complaints(self):
        """Errors and warnings of the console, and every request but for the page's own file."""
        self.js("new Promise(done => setTimeout(done, 50))")
        found = []
        for event in self.events:
            params = event.get("params", {})
            match event.get("method"):
                case "Runtime.exceptionThrown":
                    found.append(params["exceptionDetails"])
                case "Runtime.consoleAPICalled" if params["type"] in ("error", "warning"):
                    found.append(params["args"])
                case "Log.entryAdded":
                    found.append(params["entry"])
                case "Network.requestWillBeSent":
                    url = params["request"]["url"]
                    if not url.startswith("data:") and params.get("type") != "Document":
                        found.append(url)
        return found

    def close(self):
        """End the browser."""
        self.process.terminate()
        self.process.wait(timeout=TIMEOUT)
        os.close(self.out)
        os.close(self.into)
