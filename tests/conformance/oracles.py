"""Programs whose EventSource is not ours: they read, and post what they found to a desk."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from market.server import ServerSettings, serving

QUIET_CHROMIUM: Final = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)

# Reads each url until its end, or for good until it is told to stop; notes every event.
SCRIPT: Final = """
const KINDS = ["message", "open-house", "\\u00e9", "snapshot", "tick", "source", "gap", "shutdown"];
function read(url, forGood) {
  return new Promise((done) => {
    const seen = [], source = new EventSource(url);
    for (const kind of KINDS)
      source.addEventListener(kind, (e) => seen.push([kind, e.data, e.lastEventId]));
    source.onerror = () => {
      if (forGood && source.readyState !== EventSource.CLOSED) return;
      source.close();
      done(seen);
    };
  });
}
async function readAll(urls, forGood, found) {
  const findings = [];
  for (const url of urls) findings.push(await read(url, forGood));
  await fetch(found, { method: "POST", mode: "no-cors", body: JSON.stringify(findings) });
}
"""

Seen = list[list[str]]


@dataclass(slots=True)
class Desk:
    """A site that stays: it gives the page, and takes what was found."""

    url: str = ""
    streams: Mapping[str, bytes] = field(default_factory=dict)
    _call: str = ""
    _found: asyncio.Event = field(default_factory=asyncio.Event)
    _findings: Any = None

    def asks(self, urls: Sequence[str], *, for_good: bool) -> str:
        """Return the script that reads the urls and reports here."""
        call = f"readAll({json.dumps(urls)}, {json.dumps(for_good)}, {json.dumps(self.url)})"
        self._call = f"{SCRIPT};{call}"
        return self._call

    async def findings(self) -> list[Seen]:
        """Return what was found, one list of [type, data, last id] a url."""
        async with asyncio.timeout(50):
            await self._found.wait()
        return list(self._findings)

    async def page(self, _: Request) -> Response:
        return HTMLResponse(f"<meta charset=utf-8><script>{self._call}</script>")

    async def take(self, request: Request) -> Response:
        self._findings = json.loads(await request.body())
        self._found.set()
        return Response(status_code=204)

    async def stream(self, request: Request) -> Response:
        body = self.streams[request.path_params["name"]]
        return Response(body, media_type="text/event-stream", headers={"Connection": "close"})


@asynccontextmanager
async def a_desk(streams: Mapping[str, bytes] = {}) -> AsyncIterator[Desk]:
    """Open a desk; its ``/streams/<name>`` are these bytes, each once through."""
    desk = Desk(streams=streams)
    routes = [
        Route("/", desk.page),
        Route("/", desk.take, methods=["POST"]),
        Route("/streams/{name}", desk.stream),
    ]
    async with serving(Starlette(routes=routes), ServerSettings(farewell_s=0.1)) as url:
        desk.url = f"{url}/"
        yield desk


@asynccontextmanager
async def running(*command: str) -> AsyncIterator[None]:
    """Run a program and what it starts, for the length of the block."""
    process = await asyncio.create_subprocess_exec(
        *command,
        start_new_session=True,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


@asynccontextmanager
async def chromium(path: str, desk: Desk, profile: Path) -> AsyncIterator[None]:
    """Open the desk's page in a browser of its own."""
    async with running(path, *QUIET_CHROMIUM, f"--user-data-dir={profile}", desk.url):
        yield


@asynccontextmanager
async def node(path: str, desk: Desk) -> AsyncIterator[None]:
    """Run the desk's script in node, which would end while its EventSource waits to come back."""
    script = f"setInterval(() => {{}}, 1000); {desk._call}"
    async with running(path, "--experimental-eventsource", "-e", script):
        yield
