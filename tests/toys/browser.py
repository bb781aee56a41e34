"""A real browser without a screen, driven over its DevTools protocol."""

import asyncio
import base64
import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator

import aiohttp

BINARY = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)


class Tab:
    """An open page."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse):
        self._socket, self._number = socket, 0
        self.requested: list[str] = []
        self.complained: list[str] = []

    async def call(self, method: str, **parameters) -> dict:
        """One command of the protocol -> its result."""
        self._number += 1
        number = self._number
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        while True:
            message = await self._socket.receive_json(timeout=30)
            if message.get("id") == number:
                assert "error" not in message, message
                return message["result"]
            self._note(message)

    def _note(self, message):
        if message["method"] == "Network.requestWillBeSent":
            self.requested.append(message["params"]["request"]["url"])
        if message["method"] in ("Runtime.exceptionThrown", "Log.entryAdded"):
            self.complained.append(json.dumps(message["params"])[:500])

    async def value(self, script: str):
        """What an expression in the page is."""
        options = {"returnByValue": True, "awaitPromise": True}
        found = await self.call("Runtime.evaluate", expression=script, **options)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    async def until(self, script: str, seconds: float = 30):
        """The expression's value once it is true; AssertionError where it isn't in time."""
        for _ in range(int(seconds / 0.05)):
            if found := await self.value(script):
                return found
            await asyncio.sleep(0.05)
        raise AssertionError(f"never true: {script}")

    async def type(self, element: str, text: str) -> None:
        """Enters text where a person would, as an input method does."""
        await self.value(f"document.getElementById({element!r}).focus()")
        await self.call("Input.insertText", text=text)

    async def press_enter(self) -> None:
        """The Enter key."""
        for kind in ("rawKeyDown", "char", "keyUp"):
            await self.call(
                "Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", text="\r",
                windowsVirtualKeyCode=13,
            )  # fmt: skip

    async def picture(self, path: pathlib.Path) -> None:
        """What a person sees, as PNG."""
        found = await self.call("Page.captureScreenshot")
        path.write_bytes(base64.b64decode(found["data"]))


@contextlib.asynccontextmanager
async def opened(address: str, width: int = 900, height: int = 760) -> AsyncIterator[Tab]:
    """The page at an address, in a browser of its own."""
    # Its own processes write there for a moment after it is gone.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        command = [
            BINARY, "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}",
            "--remote-debugging-port=0", "--no-first-run", f"--window-size={width},{height}",
            "about:blank",
        ]  # fmt: skip
        quiet = {"stderr": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
        process = await asyncio.create_subprocess_exec(*command, **quiet, start_new_session=True)
        try:
            port = await _port(pathlib.Path(folder) / "DevToolsActivePort")
            async with aiohttp.ClientSession() as session:
                async with session.get(f"http://127.0.0.1:{port}/json") as answer:
                    page = next(t for t in await answer.json() if t["type"] == "page")
                async with session.ws_connect(page["webSocketDebuggerUrl"], max_msg_size=0) as ws:
                    tab = Tab(ws)
                    for domain in ("Page", "Network", "Runtime", "Log"):
                        await tab.call(f"{domain}.enable")
                    await tab.call(
                        "Emulation.setDeviceMetricsOverride", width=width, height=height,
                        deviceScaleFactor=1, mobile=False,
                    )  # fmt: skip
                    await tab.call("Page.navigate", url=address)
                    there = "location.href != 'about:blank' && document.readyState == 'complete'"
                    await tab.until(there)
                    yield tab
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


async def _port(path: pathlib.Path) -> str:
    for _ in range(600):
        if path.exists() and (text := path.read_text().split()):
            return text[0]
        await asyncio.sleep(0.05)
    raise AssertionError("the browser did not start")
