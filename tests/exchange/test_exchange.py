"""The exchange ends, by itself or by force, and starts again: nothing that was answered is lost."""

import asyncio
import itertools
import json
import os
import signal
import socket
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from exchange.api.keys import Keys
from exchange.chain import JournalError, Record
from exchange.commands import ConfigureAccount, MoveReference
from exchange.desk import BusyError, Desk
from exchange.streams import AccountStream
from market.errors import MarketError
from tests.exchange.markets import TCS, Market, Source, a_market
from tests.exchange.processes import Process, a_source, command, open_for_orders
from tests.streams import PATIENCE_S, Block, a_client, asked, eventually

# --- a restart ---


async def test_a_restart_keeps_orders_accounts_names_and_the_numbers_of_the_stream(
    tmp_path: Path,
) -> None:
    async with Source(TCS) as source:
        async with a_market(tmp_path, sources={TCS: source}) as market:
            named = (await market.order(client_order_id="a-1", quantity=2)).json()
            resting = (await market.order(price=30, type="limit")).json()
            account = (await market.get("/accounts/ann")).json()
            head = market.exchange.market.hub.id
            own_head = market.exchange.orders.hub.id
        async with a_market(tmp_path, sources={TCS: source}) as market:
            assert market.exchange.market.hub.epoch == head[:8]
            assert market.exchange.orders.hub.id == own_head
            assert (await market.order(client_order_id="a-1", quantity=9)).json() == named
            assert (await market.get(f"/orders/{resting['order_id']}")).json() == resting
            assert (await market.get("/accounts/ann")).json() == account
            assert (await market.order()).json()["order_id"] == resting["order_id"] + 1
            url = f"{market.base}/stream?events=tick,trade,book,source,trading_state"
            async with asked(url, headers={"Last-Event-ID": head}) as told:
                blocks = await told.until(lambda b: b.event == "tick")
    assert "gap" not in [block.event for block in blocks]
    assert next(block.n for block in blocks if block.id) == int(head[9:]) + 1


async def test_trades_go_on_after_a_restart_without_loss_or_repetition(tmp_path: Path) -> None:
    async with Source(TCS) as source:
        seen: list[int] = []
        last_id = ""
        for _ in range(3):
            async with a_market(tmp_path, sources={TCS: source}) as market:
                url = f"{market.base}/stream?events=trade"
                headers = {"Last-Event-ID": last_id} if last_id else {}
                async with asked(url, headers=headers) as told:
                    for _ in range(5):
                        await market.order()
                    blocks = await told.until(_is_trade(market.exchange.recent.last_trade_id))
            seen += [block.data["trade_id"] for block in blocks if block.event == "trade"]
            last_id = [block.id for block in blocks if block.id][-1]
    assert seen == [*range(1, 16)]


def _is_trade(trade_id: int) -> Callable[[Block], bool]:
    return lambda block: block.event == "trade" and block.data["trade_id"] == trade_id


async def test_an_account_s_history_that_is_lost_is_a_gap_and_the_market_s_goes_on(
    tmp_path: Path,
) -> None:
    async with Source(TCS) as source:
        async with a_market(tmp_path, sources={TCS: source}) as market:
            await market.order()
            head = market.exchange.orders.hub.id
        for path in (tmp_path / "orders").iterdir():  # as if the machine had lost them
            path.unlink()
        async with a_market(tmp_path, sources={TCS: source}) as market:
            async with asked(f"{market.base}/accounts/ann/stream?last_event_id={head}") as told:
                blocks = await told.until(lambda b: b.event == "snapshot")
            trades = (await market.get("/trades?symbol=TCS")).json()
    assert [block.event for block in blocks if block.event] == ["gap", "snapshot"]
    assert [trade["trade_id"] for trade in trades] == [1]


async def test_what_comes_after_a_cut_journal_is_told_at_once(tmp_path: Path) -> None:
    async with a_market(tmp_path, TCS) as market:
        for _ in range(20):
            await market.order()
    with sqlite3.connect(tmp_path / "journal.sqlite") as cut:
        cut.execute("DELETE FROM snapshots")
        cut.execute("DELETE FROM commands WHERE seq > 5")
    cut.close()
    with capture_logs() as logs:
        async with a_market(tmp_path, TCS) as market:
            async with asked(f"{market.base}/accounts/ann/stream") as told:
                await told.until(lambda b: b.event == "snapshot")
                order = (await market.order()).json()
                filled = (await told.until(lambda b: b.event == "order_filled"))[-1]
            traded = (await market.get("/trades?symbol=TCS&limit=1")).json()
    assert filled.data["order_id"] == order["order_id"]
    assert traded[0]["trade_id"] == order["fills"][0]["trade_id"]
    assert "journal_behind_streams" in [log["event"] for log in logs]


async def test_two_exchanges_cannot_have_one_folder(tmp_path: Path) -> None:
    async with a_market(tmp_path, TCS):
        with pytest.raises(MarketError, match="in use"):
            async with a_market(tmp_path, TCS):
                pass


async def test_what_an_account_may_hear_is_kept_though_nobody_listens(tmp_path: Path) -> None:
    async with a_market(tmp_path, TCS) as market:
        orders = market.exchange.orders
        for _ in range(20):
            await market.order()
        await eventually(lambda: len(list(orders.following(0))) == 40)
        assert orders.hub.head == 40


# --- the desk ---


async def test_a_book_is_told_at_most_once_in_a_turn_of_the_loop(tmp_path: Path) -> None:
    async with a_market(tmp_path, TCS) as market:
        hub, desk = market.exchange.market.hub, market.exchange.desk
        async with asked(f"{market.base}/stream?events=book,tick") as told:
            before = hub.head
            for n in range(50):
                market.sources[TCS].tick(f"34.{n:02d}")
            blocks = await told.until(lambda b: b.event == "book" and b.data["bids"][0][0] == 34.48)
        assert desk.commands < 30
    books = [block for block in blocks if block.event == "book" and block.n > before]
    ticks = [block for block in blocks if block.event == "tick" and block.n > before]
    assert len(ticks) == 50
    assert len(books) <= 5


async def test_a_desk_that_the_journal_holds_up_takes_no_more_orders(tmp_path: Path) -> None:
    async with a_market(tmp_path, TCS) as market:
        journal = _HeldUp(market.exchange.desk)
        got = await market.order()
        with pytest.raises(BusyError):
            await market.exchange.desk.execute(None)  # type: ignore[arg-type]
        journal.let_go()
        fine = await market.order()
    assert got.status_code == 503
    assert got.json()["type"] == "busy"
    assert got.headers["retry-after"] == "1"
    assert fine.status_code == 200


class _HeldUp:
    """A journal that says it has too much to do."""

    def __init__(self, desk: Desk) -> None:
        self._desk, self._journal = desk, desk._journal
        desk._journal = self  # type: ignore[assignment]
        self.backlog = 10_000

    def let_go(self) -> None:
        self._desk._journal = self._journal


@contextmanager
def a_slow_disk(market: Market, free: int = 0) -> Iterator[threading.Event]:
    """Let nothing be written until the event is set, but for the first ``free`` writes."""
    go_on, file = threading.Event(), market.exchange._journal._file
    write, writes = file.write, itertools.count()

    def late(records: Sequence[Record]) -> None:
        if next(writes) >= free:
            go_on.wait(60)
        write(records)

    file.write = late  # type: ignore[method-assign]
    try:
        yield go_on
    finally:
        go_on.set()


async def test_what_an_order_is_refused_for_is_on_disk_before_it_is_said(tmp_path: Path) -> None:
    async with a_market(tmp_path, TCS) as market:
        await market.order(quantity=3)
        with a_slow_disk(market) as go_on:
            sold = asyncio.create_task(market.order(side="sell", quantity=3))
            await eventually(lambda: market.exchange.desk.backlog > 0)
            refused = asyncio.create_task(market.order(side="sell"))
            await eventually(lambda: market.exchange.desk.placed["refused"] == 1)
            early = await asyncio.wait([refused], timeout=0.1)
            go_on.set()
            answers = [await sold, await refused]
    assert not early[0], "it was told that it has nothing to sell, which a kill could undo"
    assert [answer.status_code for answer in answers] == [200, 409]


async def test_a_source_that_is_heard_while_its_silence_is_journaled_can_be_silent_again(
    tmp_path: Path,
) -> None:
    async with a_market(tmp_path, TCS, stale_after_s=2.0) as market:
        venue = market.exchange.desk.venue
        with a_slow_disk(market) as go_on:
            await eventually(lambda: not venue.is_fresh(TCS))
            market.sources[TCS].tick()
            await eventually(lambda: venue.is_fresh(TCS))
            go_on.set()
        await eventually(lambda: not venue.is_fresh(TCS))
        assert (await market.order()).json()["type"] == "no-fresh-price"


async def test_nobody_sees_what_the_journal_does_not_have_yet(tmp_path: Path) -> None:
    async with a_market(tmp_path, TCS) as market:
        first = (await market.order()).json()
        desk, hub = market.exchange.desk, market.exchange.orders.hub
        head, own_head = desk.head, hub.head
        async with asked(f"{market.base}/accounts/ann/stream?last_event_id=old-1") as told:
            with a_slow_disk(market) as go_on:
                placing = asyncio.create_task(market.order(quantity=2))
                await eventually(lambda: desk.head > head)
                paths = ["/accounts/ann", "/accounts", "/orders?account=ann", "/leaderboard"]
                paths += ["/book/TCS", "/instruments"]
                paths.append(f"/orders/{first['order_id'] + 1}")
                asking = [asyncio.create_task(market.get(path)) for path in paths]
                stream = f"{market.base}/accounts/ann/stream"
                reading = asyncio.create_task(_snapshot_and_next(stream))
                done, _ = await asyncio.wait({placing, reading, *asking}, timeout=0.3)
                assert not done
                assert hub.head == own_head
                go_on.set()
                await placing
            answers = [(await answer).status_code for answer in asking]
            await market.order(quantity=4)
            snapshot, following = await reading
            await told.until(lambda b: b.event == "order_filled")
    assert answers == [200] * 7
    assert snapshot.n == own_head + 2
    assert snapshot.data["account"]["positions"][0]["quantity"] == 3
    assert following.n == snapshot.n + 1
    assert following.data["quantity"] == 4


async def test_a_book_is_shown_when_the_journal_has_what_changed_it(tmp_path: Path) -> None:
    async with a_market(tmp_path, TCS) as market:
        desk, hub = market.exchange.desk, market.exchange.market.hub
        await market.order(type="limit", price=31)
        async with asked(f"{market.base}/stream?events=book") as told:
            await told.until(lambda b: b.event == "snapshot")
            await eventually(lambda: not desk._show_is_due)
            head, own_head = hub.head, market.exchange.orders.hub.head
            with a_slow_disk(market, free=1) as go_on, a_slow_disk(market) as begin:
                first = asyncio.create_task(market.order(type="limit", price=30))
                await eventually(lambda: desk.backlog == 1)
                second = asyncio.create_task(market.order(type="limit", price=29))
                await eventually(lambda: desk.backlog == 2)
                begin.set()
                await first
                assert not (await asyncio.wait([second], timeout=0.2))[0]
                assert market.exchange.orders.hub.head == own_head + 1
                assert hub.head == head, "the book has the order that waits for the disk"
                go_on.set()
                blocks = await told.until(lambda b: b.event == "book")
            await second
    assert [30, 1] in blocks[-1].data["bids"]
    assert [29, 1] in blocks[-1].data["bids"]


async def test_a_slow_reader_s_gap_leads_to_what_the_journal_has(tmp_path: Path) -> None:
    async with a_market(tmp_path, TCS, history=4) as market:
        exchange, hub = market.exchange, market.exchange.orders.hub
        await market.order()
        wishes = hub.filter(subjects=["ann"])
        reader = hub.reader(wishes, hub.id)
        stream = AccountStream(
            hub,
            exchange.settings.stream,
            keys=Keys({}, 0, lambda: 0.0),
            exists=lambda _: True,
            fitting=exchange.fitting,
        )
        frames = stream._frames(reader)
        await anext(frames)
        for _ in range(4):
            await market.order()
        with a_slow_disk(market) as go_on:
            placing = asyncio.create_task(market.order())
            await eventually(lambda: exchange.desk.backlog > 0)
            reading = asyncio.ensure_future(anext(frames))
            assert not (await asyncio.wait([reading], timeout=0.2))[0]
            go_on.set()
            await placing
        gap, snapshot = map(Block, (await reading).split(b"\n\n")[:-1])
        await frames.aclose()
    assert gap.data["reason"] == "slow"
    assert snapshot.id == gap.data["to"] == hub.id
    assert snapshot.data["account"]["positions"][0]["quantity"] == 6


async def _snapshot_and_next(url: str) -> tuple[Block, Block]:
    async with asked(url) as told:
        snapshot = (await told.until(lambda b: b.event == "snapshot"))[-1]
        return snapshot, (await told.until(lambda b: b.event == "order_accepted"))[-1]


async def test_a_journal_that_fails_ends_the_exchange_and_answers_nothing_untrue(
    tmp_path: Path,
) -> None:
    with capture_logs() as logs:
        async with a_market(tmp_path, TCS) as market:
            market.exchange._journal._file._connection.close()  # the disk is gone
            first = await market.order()
            await eventually(lambda: market.failures == ["failed"])
            second = await market.order()
            health = await market.get("/health")
    assert first.json()["type"] == second.json()["type"] == "journal-failed"
    assert first.status_code == second.status_code == 503
    assert health.status_code == 503
    assert [log["event"] for log in logs if log["log_level"] == "critical"] == ["journal_failed"]


async def test_a_venue_that_breaks_off_halfway_ends_and_comes_back_as_journaled(
    tmp_path: Path,
) -> None:
    with capture_logs() as logs:
        async with a_market(tmp_path, TCS) as market:
            order = (await market.order(type="limit", price=30)).json()
            del market.exchange.desk.venue.blotter._tickets[order["order_id"]]
            market.sources[TCS].tick("29")  # it fills an order that is not known
            await eventually(lambda: market.failures == ["failed"])
            told = await market.get("/accounts/ann")
            standing = await market.get("/accounts/ann/stream")
            late = await market.order()
    async with a_market(tmp_path, TCS) as market:
        again = (await market.get(f"/orders/{order['order_id']}")).json()
    assert [one.status_code for one in (told, standing, late)] == [503, 503, 503]
    assert again == order
    (said,) = (log for log in logs if log["log_level"] == "critical")
    assert said["event"] == "venue_broke_off"
    assert isinstance(said["exc_info"], LookupError), "the cause has its traceback"


async def test_the_books_of_a_venue_that_broke_off_are_not_shown(tmp_path: Path) -> None:
    async with a_market(tmp_path, TCS) as market:
        desk, hub = market.exchange.desk, market.exchange.market.hub
        order = (await market.order(type="limit", price=30)).json()
        await eventually(lambda: not desk._show_is_due)
        shown = hub.head
        with a_slow_disk(market) as go_on:
            placing = asyncio.create_task(market.order(type="limit", price=20))
            await eventually(lambda: desk.backlog == 1)
            del desk.venue.blotter._tickets[order["order_id"]]
            with pytest.raises(JournalError, match="broke off"):
                await desk.execute(MoveReference(symbol=TCS, price=Decimal(29)))
            go_on.set()
            placed = await placing
        await market.get("/health")
        assert hub.head == shown
    assert placed.status_code == 200


async def test_a_command_that_cannot_be_written_ends_the_exchange(tmp_path: Path) -> None:
    with capture_logs() as logs:
        async with a_market(tmp_path, TCS) as market:
            with pytest.raises(JournalError, match="broke off"):
                await market.exchange.desk.execute(ConfigureAccount(account="\ud800"))
            assert market.failures == ["failed"]
    (said,) = (log for log in logs if log["log_level"] == "critical")
    assert said["event"] == "venue_broke_off"
    assert isinstance(said["exc_info"], UnicodeError)


# --- real processes ---


async def trade(client: httpx.AsyncClient, name: str, turn: int, answered: list[bytes]) -> None:
    """Place orders until the exchange is gone; add the answers to those that were given."""
    first = len(answered)
    random = Random(f"{name} {turn}")
    while True:
        body: dict[str, Any] = {
            "account": name,
            "symbol": "TCS",
            "side": "buy",
            "quantity": random.randint(1, 3),
            "client_order_id": f"{turn}-{len(answered) - first}",
        }
        if random.random() < 0.5:
            body |= {"price": 20}
        try:
            got = await client.post("/orders", json=body)
        except httpx.TransportError:
            return
        if got.status_code == 200:
            answered.append(got.content)


@pytest.mark.no_cover
async def test_an_answered_order_survives_kill_9_and_none_is_invented(
    tmp_path: Path, port: int
) -> None:
    names = [f"bot{n}" for n in range(4)]
    answered: dict[str, list[bytes]] = {name: [] for name in names}
    async with a_source() as source, Process(tmp_path, source, port) as process:
        async with a_client(process.base) as client:
            for turn in range(6):
                await process.start()
                await open_for_orders(client)
                for name in names:
                    await check_orders(client, name, answered[name])
                async with asyncio.TaskGroup() as trading:
                    for name in names:
                        trading.create_task(trade(client, name, turn, answered[name]))
                    await _more(answered)
                    await process.end()
            await process.start()
            await open_for_orders(client)
            for name in names:
                await check_orders(client, name, answered[name])
            trades = await all_trades(process.base)
        assert await process.end(signal.SIGTERM) == 0
        verified, told = await command(process.variables, "verify")
    assert trades == [*range(1, len(trades) + 1)]
    assert _count(answered) >= 60
    assert verified == 0, told
    assert "journal      whole" in told
    assert "0 differ" in told


def _count(answered: dict[str, list[bytes]]) -> int:
    return sum(map(len, answered.values()))


async def _more(answered: dict[str, list[bytes]]) -> None:
    wanted = _count(answered) + 10
    await eventually(lambda: _count(answered) >= wanted)


async def check_orders(client: httpx.AsyncClient, name: str, answers: list[bytes]) -> None:
    """Assert that every answered order is there as it was, and no other but the one in flight."""
    got = await client.get(f"/orders?account={name}")
    found = {one["order_id"]: one for one in got.json()} if got.status_code == 200 else {}
    answered = [json.loads(answer) for answer in answers]
    for order in answered:
        assert found.pop(order["order_id"]) == order
    for order, answer in [*zip(answered, answers, strict=True)][-20:]:
        members = ("account", "symbol", "side", "quantity", "client_order_id")
        again = await client.post("/orders", json={member: order[member] for member in members})
        assert again.content == answer
    rounds = {order["client_order_id"].partition("-")[0] for order in found.values()}
    assert len(found) == len(rounds), "at most the one that was not answered, in each round"
    account = (await client.get(f"/accounts/{name}")).json()
    if found or answered:
        held = sum(one["quantity"] for one in account["positions"])
        everything = [*found.values(), *answered]
        assert held == sum(one["filled_quantity"] for one in everything)


async def all_trades(base: str) -> list[int]:
    """Return the numbers of all trades on the stream, from its first event."""
    async with a_client(base) as client:
        head = (await client.get("/health")).json()["head"]
        newest = (await client.get("/trades?symbol=TCS&limit=1")).json()[0]["trade_id"]
    first = {"Last-Event-ID": f"{head[:8]}-0"}
    async with asked(f"{base}/stream?events=trade", headers=first) as told:
        blocks = await told.until(_is_trade(newest))
    return [block.data["trade_id"] for block in blocks if block.event == "trade"]


@pytest.mark.no_cover
async def test_a_journal_torn_in_the_middle_is_repaired_by_hand(tmp_path: Path, port: int) -> None:
    async with (
        a_source() as source,
        Process(tmp_path, source, port, JOURNAL_SNAPSHOT_EVERY="1000000") as process,
        a_client(process.base) as client,
    ):
        await process.start()
        await open_for_orders(client)
        body = {"account": "ann", "symbol": "TCS", "quantity": 1}
        orders = [(await client.post("/buy", json=body)).json() for _ in range(5)]
        assert len(orders) == 5
        await process.end()  # so that no snapshot stands for the damaged record
        with sqlite3.connect(tmp_path / "journal.sqlite") as damaged:
            damaged.execute(
                "UPDATE commands SET body = replace(body, 'ann', 'eve') "
                "WHERE seq = (SELECT seq FROM commands WHERE body LIKE '%ann%' "
                "ORDER BY seq LIMIT 1 OFFSET 3)"
            )
        damaged.close()
        verified, found = await command(process.variables, "verify")
        refused = await asyncio.wait_for(_started(process), PATIENCE_S)
        asked_first, plan = await command(process.variables, "repair")
        repaired, done = await command(process.variables, "repair", "--yes")
        await process.start()
        await open_for_orders(client)
        account = (await client.get("/accounts/ann")).json()
        await process.end(signal.SIGTERM)
    assert verified == 1
    assert "is bad" in found
    assert refused == 1
    assert asked_first == 1
    assert "--yes" in plan
    assert "lost" in plan
    assert repaired == 0, done
    assert "done" in done
    assert account["positions"][0]["quantity"] == 3


async def _started(process: Process) -> int | None:
    await process.start()
    assert process.running is not None
    return await process.running.wait()


async def test_a_command_that_is_not_known_is_told_how_it_is_used() -> None:
    code, told = await command(dict(os.environ), "frobnicate")
    assert code == 2
    assert "usage: python -m exchange" in told


async def test_a_wrong_setting_is_named(tmp_path: Path) -> None:
    variables = os.environ | {"DATA_DIR": str(tmp_path), "HOUSE_LEVELS": "many"}
    code, told = await command(variables)
    assert code == 2
    assert "HOUSE_LEVELS" in told
    assert "Traceback" not in told


async def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        variables = os.environ | {
            "DATA_DIR": str(tmp_path),
            "LOG_DIR": str(tmp_path),
            "EXCHANGE_PORT": port,
        }
        code, told = await command(variables)
    assert code == 1
    assert "EXCHANGE_PORT" in told
    assert "Traceback" not in told
