"""The real processes, each at a port of its own: started, killed and started again."""

import asyncio
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from subprocess import DEVNULL, Popen

import httpx

from tests.ports import held_ports

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 60.0
COMMANDS = {
    "source-btc": ("sources", "BTC"),
    "source-tcs": ("sources", "TCS"),
    "source-meta": ("sources", "META"),
    "exchange": ("exchange",),
    "bot-investor": ("bots", "run", "investor"),
    "bot-hamster": ("bots", "run", "hamster"),
    "risk": ("risk",),
    "charts": ("charts",),
}
PORTS = ("EXCHANGE_PORT", "RISK_PORT", "CHARTS_PORT", "BTC_PORT", "TCS_PORT", "META_PORT")


class Market:
    """Every process of the market, by name; each writes its log below ``folder``."""

    def __init__(self, folder: Path, ports: Mapping[str, int], settings: Mapping[str, str]) -> None:
        self.folder, self.ports = folder, ports
        self._environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "DATA_DIR": str(folder / "data"),
            "LOG_DIR": str(folder / "logs"),
            **{name: str(port) for name, port in self.ports.items()},
            **settings,
        }
        self._processes: dict[str, Popen[bytes]] = {}

    @property
    def exchange(self) -> str:
        return f"http://127.0.0.1:{self.ports['EXCHANGE_PORT']}"

    @property
    def risk(self) -> str:
        return f"http://127.0.0.1:{self.ports['RISK_PORT']}"

    @property
    def charts(self) -> str:
        return f"http://127.0.0.1:{self.ports['CHARTS_PORT']}"

    def start(self, *names: str) -> None:
        """Start processes by name; all of them without names."""
        for name in names or COMMANDS:
            command = [sys.executable, "-m", *COMMANDS[name]]
            environment = {**self._environment, "PROCESS_NAME": name}
            self._processes[name] = Popen(
                command, cwd=ROOT, env=environment, stdout=DEVNULL, stderr=self._stderr(name)
            )

    def kill(self, name: str) -> None:
        """End a process at once, as a crash would."""
        self._processes[name].send_signal(signal.SIGKILL)
        self._processes[name].wait()

    def stop(self) -> dict[str, int]:
        """Ask every process to end; return how each did."""
        for process in self._processes.values():
            process.terminate()
        try:
            return {name: process.wait(PATIENCE_S) for name, process in self._processes.items()}
        finally:
            for process in self._processes.values():
                process.kill()

    def log(self, name: str) -> str:
        """Return what a process has logged."""
        path = self.folder / "logs" / f"{name}.log"
        return path.read_text() if path.exists() else ""

    def complaints(self) -> list[str]:
        """Return what no process may ever print: tracebacks."""
        found = [*(self.folder / "logs").glob("*.log"), *self.folder.glob("*.stderr")]
        texts = [f"{path.name}: {path.read_text()}" for path in found]
        return [text for text in texts if "Traceback" in text]

    def _stderr(self, name: str) -> int:
        return os.open(self.folder / f"{name}.stderr", os.O_CREAT | os.O_WRONLY | os.O_APPEND)


@contextmanager
def market(folder: Path, **settings: str) -> Iterator[Market]:
    """Give a market that is not started yet; whatever of it runs at the end is ended."""
    with held_ports(len(PORTS)) as ports:
        made = Market(folder, dict(zip(PORTS, ports, strict=True)), settings)
        try:
            yield made
        finally:
            made.stop()


async def until_healthy(client: httpx.AsyncClient, url: str, *, healthy: bool = True) -> None:
    """Return when ``/health`` answers 200, or no longer does."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                status = (await client.get(f"{url}/health")).status_code
            except httpx.TransportError:
                status = 0
            if (status == 200) is healthy:
                return
            await asyncio.sleep(0.05)
