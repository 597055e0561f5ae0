import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx

from charts.board import Board
from charts.risk_reader import RiskReader
from market.feed import FeedLost, FeedOpened
from tests.streams import eventually


class Risk:
    """Answers for an account with the statuses that it is given, the last one for ever."""

    def __init__(self, *statuses: int) -> None:
        self.statuses, self.asked = list(statuses), list[str]()
        self.meanwhile: Callable[[], None] = lambda: None

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.params["account"])
        self.meanwhile()
        return httpx.Response(self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0])


@asynccontextmanager
async def asking(risk: Risk, *accounts: str) -> AsyncIterator[RiskReader]:
    board = Board("0000beef")
    async with httpx.AsyncClient(transport=httpx.MockTransport(risk.answer)) as client:
        reader = RiskReader(
            board,
            "http://risk",
            client,
            accounts=lambda: accounts,
            tell=lambda *_: None,
            look_s=0.0,
        )
        task = asyncio.create_task(reader.ask())
        yield reader
        task.cancel()
        await asyncio.wait([task])


async def test_an_account_that_risk_does_not_know_yet_is_asked_for_until_it_does() -> None:
    risk = Risk(404, 503, 200)
    async with asking(risk, "me"):
        await eventually(lambda: len(risk.asked) == 3)
        for _ in range(20):
            await asyncio.sleep(0)
    assert risk.asked == ["me"] * 3


async def test_risk_that_comes_back_is_asked_for_every_account_anew() -> None:
    risk = Risk(200)
    async with asking(risk, "me", "you") as reader:
        await eventually(lambda: len(risk.asked) == 2)
        reader.take(FeedLost(reason="it was killed", retry_s=1.0))
        reader.take(FeedOpened())
        await eventually(lambda: len(risk.asked) == 4)
    assert sorted(risk.asked) == ["me", "me", "you", "you"]


async def test_an_answer_of_before_risk_came_back_does_not_count() -> None:
    risk = Risk(200)
    async with asking(risk, "me") as reader:

        def come_back() -> None:
            risk.meanwhile = lambda: None
            reader.take(FeedOpened())

        risk.meanwhile = come_back
        await eventually(lambda: len(risk.asked) == 2)
        for _ in range(20):
            await asyncio.sleep(0)
    assert risk.asked == ["me"] * 2
