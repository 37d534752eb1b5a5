"""Chromium without a window, asked over its DevTools protocol."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import aiohttp

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

OPEN_S = 60.0
"""For a page to be there, on a machine that is busy with other things."""


LOOK = """(() => ({
  images: [...document.images].map(image => [image.naturalWidth, image.naturalHeight, image.alt]),
  heads: [...document.querySelectorAll('table')].map(table => table.querySelectorAll('th[scope=col]').length),
  scripts: document.scripts.length,
  paper: getComputedStyle(document.body).backgroundColor,
  width: document.documentElement.scrollWidth <= window.innerWidth,
  text: document.body.innerText,
}))()"""
"""What tests ask of a page."""


class NoBrowserError(Exception):
    """Nothing to open pages with."""


@dataclass
class Seen:
    """What a page is in the browser.

    Attributes
    ----------
    value : Any
        Of the expression that was asked for.
    requests : list of str
        Everything that the page asked for, itself first; data of its own left out.
    complaints : list of str
        Of the browser: broken resources, violated policies, dialogs that popped up.
    """

    value: Any = None
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


class Browser:
    """One process.

    Raises
    ------
    NoBrowserError
    """

    def __init__(self, profile: Path) -> None:
        program = next((found for name in NAMES if (found := shutil.which(name))), None)
        if program is None:
            raise NoBrowserError("no chromium here (apt-get install chromium)")
        flags = (
            "--headless",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--remote-debugging-port=0",
        )
        alone = ("--no-sandbox",) if os.getuid() == 0 else ()  # as root there is no sandbox
        self._port_file = profile / "DevToolsActivePort"
        self._process = subprocess.Popen(
            [program, *flags, *alone, f"--user-data-dir={profile}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(timeout=30)

    def look(self, page: Path, expression: str, *, dark: bool = False, width: int = 1_200) -> Seen:
        """Open a page, wait until it is loaded, and evaluate an expression of JavaScript in it."""
        return asyncio.run(self._look(page.as_uri(), expression, dark=dark, width=width))

    async def _look(self, url: str, expression: str, *, dark: bool, width: int) -> Seen:
        async with asyncio.timeout(OPEN_S), AsyncExitStack() as stack:
            while not (self._port_file.exists() and self._port_file.read_text().count("\n")):
                if self._process.poll() is not None:
                    raise NoBrowserError(f"chromium ended at once: {self._process.returncode}")
                await asyncio.sleep(0.05)
            port, path = self._port_file.read_text().split("\n")[:2]
            session = await stack.enter_async_context(aiohttp.ClientSession())
            socket = await stack.enter_async_context(session.ws_connect(f"ws://127.0.0.1:{port}{path}", max_msg_size=0))
            return await _Conversation(socket).look(url, expression, dark=dark, width=width)


class _Conversation:
    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._number = 0
        self._session: str | None = None
        self._seen = Seen()
        self._loaded = False

    async def look(self, url: str, expression: str, *, dark: bool, width: int) -> Seen:
        target = (await self._call("Target.createTarget", url="about:blank"))["targetId"]
        self._session = (await self._call("Target.attachToTarget", targetId=target, flatten=True))["sessionId"]
        for domain in ("Page", "Network", "Log", "Runtime"):
            await self._call(f"{domain}.enable")
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self._call("Emulation.setEmulatedMedia", features=[scheme])
        screen = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        await self._call("Emulation.setDeviceMetricsOverride", **screen)
        await self._call("Page.navigate", url=url)
        while not self._loaded:
            await self._hear()
        answer = await self._call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        self._seen.value = answer["result"].get("value")
        await self._call("Target.closeTarget", targetId=target)
        return self._seen

    async def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = await self._say(method, **parameters)
        while True:
            answer = await self._hear()
            if answer.get("id") == number:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result

    async def _say(self, method: str, **parameters: Any) -> int:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        await self._socket.send_json(message)
        return self._number

    async def _hear(self) -> dict[str, Any]:
        message: dict[str, Any] = await self._socket.receive_json()
        fields = message.get("params", {})
        match message.get("method"):
            case "Page.loadEventFired":
                self._loaded = True
            case "Network.requestWillBeSent" if not fields["request"]["url"].startswith("data:"):
                self._seen.requests.append(fields["request"]["url"])
            case "Log.entryAdded":
                self._seen.complaints.append(fields["entry"]["text"])
            case "Page.javascriptDialogOpening":
                self._seen.complaints.append(f"dialog: {fields['message']}")
                await self._say("Page.handleJavaScriptDialog", accept=True)
            case _:
                pass
        return message
