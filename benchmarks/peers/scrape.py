"""What goes on beside the reading: a wake-up now and then, and a scrape of the metrics a second."""

import socket
import threading
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from types import TracebackType
from typing import Final, Self

WAKE_S: Final = 0.1
WAKES_A_SCRAPE: Final = 10
TIMEOUT_S: Final = 10.0


class Scrape(threading.Thread):
    """A thread for the length of a run, that sleeps nearly all of it.

    Args:
        port: where the server is.
        path: where its metrics are; nothing is scraped without one.
        bell: gets a byte ten times a second, so that a wait without a limit has an end.
    """

    def __init__(self, port: int, path: str, bell: socket.socket) -> None:
        super().__init__(name="scrape")
        self._port, self._path, self._bell = port, path, bell
        self._over = threading.Event()
        self.problem: str | None = None

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
            if self._path and turn % WAKES_A_SCRAPE == 0:
                self._scrape()
            turn += 1

    def _scrape(self) -> None:
        try:
            with closing(HTTPConnection("127.0.0.1", self._port, timeout=TIMEOUT_S)) as connection:
                connection.request("GET", self._path)
                answer = connection.getresponse()
                if answer.status != 200 or not answer.read():
                    self.problem = f"{self._path} was answered {answer.status}"
        except (OSError, HTTPException) as problem:
            self.problem = str(problem)
