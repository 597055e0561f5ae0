"""The line between an agent and the exchange: facts one way, commands the other."""

from collections.abc import Callable
from functools import partial

from market.events import Fact
from market.orders import Command
from simulation.event_loop import COMMAND, HEARING, EventLoop
from simulation.participant import Participant

Execute = Callable[[str, Command], None]


class Courier:
    """Carries the facts of one agent, and its commands, for as long as they are under way.

    What is on the line keeps its order, as with TCP: nothing is overtaken by what was sent later.

    Attributes:
        deliver: has the agent hear a fact: now, or when it gets there.
    """

    def __init__(self, agent: Participant, loop: EventLoop, execute: Execute) -> None:
        self._agent, self._loop = agent, loop
        self._execute = partial(execute, agent.name)
        self._hearing, self._latency = agent.hearing.draw, agent.latency.draw
        self._heard_at = self._sent_at = 0  # when the last fact, and the last command, arrive
        self.deliver: Callable[[Fact], None] = self._send if agent.is_far else self._hand_over

    def _send(self, fact: Fact) -> None:
        self._heard_at = max(self._heard_at, self._loop.now + self._hearing())
        self._loop.at(self._heard_at, HEARING, partial(self._hand_over, fact))

    def _hand_over(self, fact: Fact) -> None:
        for command in self._agent.hear(fact):
            self._sent_at = max(self._sent_at, self._loop.now + self._latency())
            self._loop.at(self._sent_at, COMMAND, partial(self._execute, command))
