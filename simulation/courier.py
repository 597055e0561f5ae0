"""The line between an agent and the exchange: facts one way, commands the other."""

from collections.abc import Callable
from functools import partial
from typing import Final

from market.events import Fact
from market.orders import Command
from simulation.event_loop import COMMAND, HEARING, EventLoop
from simulation.participant import Participant

MOST_UNDER_WAY: Final = 10_000  # commands of one agent

Execute = Callable[[str, Command], None]


class Courier:
    """Carries the facts of one agent, and its commands, for as long as they are under way.

    What is on the line keeps its order, as with TCP: nothing is overtaken by what was sent later.
    An agent that orders without an end, as on each fill of its own, leaves when the line is full.

    Attributes:
        deliver: has the agent hear a fact: now, or when it gets there.
    """

    def __init__(self, agent: Participant, loop: EventLoop, execute: Execute) -> None:
        self._agent, self._loop = agent, loop
        self._execute, self._under_way = partial(execute, agent.name), 0
        self._hearing, self._latency = agent.hearing.draw, agent.latency.draw
        self._heard_at = self._sent_at = 0  # when the last fact, and the last command, arrive
        self.deliver: Callable[[Fact], None] = self._send if agent.is_far else self._hand_over

    def _send(self, fact: Fact) -> None:
        self._heard_at = max(self._heard_at, self._loop.now + self._hearing())
        self._loop.at(self._heard_at, HEARING, partial(self._hand_over, fact))

    def _hand_over(self, fact: Fact) -> None:
        for command in self._agent.hear(fact):
            if self._under_way >= MOST_UNDER_WAY:
                self._agent.failure = f"{MOST_UNDER_WAY} of its commands are under way at once"
                return
            self._under_way += 1
            self._sent_at = max(self._sent_at, self._loop.now + self._latency())
            self._loop.at(self._sent_at, COMMAND, partial(self._arrive, command))

    def _arrive(self, command: Command) -> None:
        self._under_way -= 1
        self._execute(command)
