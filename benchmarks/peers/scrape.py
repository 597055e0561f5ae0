"""What goes on beside the reading: a wake-up now and then, and a scrape of the metrics a second."""

import socket
import threading
from types import TracebackType
from typing import Final, Self
from urllib.request import urlopen

WAKE_S: Final = 0.1
WAKES_A_SCRAPE: Final = 10
TIMEOUT_S: Final = 10.0


class Scrape(threading.Thread):
    """A thread for the length of a run, that sleeps nearly all of it.

    Args:
        address: where the metrics are; nothing is scraped without one.
        bell: gets a byte ten times a second, so that a wait without a limit has an end.
    """

    def __init__(self, address: str, bell: socket.socket) -> None:
        super().__init__(name="scrape")
        self._address, self._bell = address, bell
        self._over = threading.Event()
        self.scraped = 0
        self.problem: OSError | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        self._over.set()
        self.join()

    def run(self) -> None:
        """Ring and scrape until the run is over."""
        turn = 0
        while not self._over.wait(WAKE_S):
            self._bell.send(b"\n")
            if self._address and turn % WAKES_A_SCRAPE == 0:
                self._scrape()
            turn += 1

    def _scrape(self) -> None:
        try:
            with urlopen(self._address, timeout=TIMEOUT_S) as answer:
                self.scraped += len(answer.read()) > 0
        except OSError as problem:
            self.problem = problem
