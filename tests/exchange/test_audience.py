"""Readers who were told what the journal does not hold any more are told so: a new epoch begins."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from random import Random
from shutil import copyfile, rmtree
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from tests.exchange.markets import TCS, Market, a_market
from tests.exchange.processes import Process, a_source, command, open_for_orders
from tests.streams import Block, a_client, asked

JOURNAL = "journal.sqlite"
FROM_THE_BEGINNING = "/trades?symbol=TCS&limit=1000&from=2000-01-01T00:00:00Z"


def cut(folder: Path, *statements: str) -> None:
    """Change a journal behind its back, its snapshots gone."""
    with sqlite3.connect(folder / JOURNAL) as journal:
        for statement in ("DELETE FROM snapshots", *statements):
            journal.execute(statement)
    journal.close()


def without_last(folder: Path, count: int) -> None:
    cut(folder, f"DELETE FROM commands WHERE seq > (SELECT max(seq) - {count} FROM commands)")


def torn(folder: Path) -> None:
    cut(
        folder,
        "UPDATE commands SET body = '{' WHERE seq > (SELECT max(seq) - 7 FROM commands)",
    )


def removed(folder: Path) -> None:
    for path in folder.glob(f"{JOURNAL}*"):
        path.unlink()


async def agree(client: httpx.AsyncClient) -> list[int]:
    """Assert that trades, orders and the account tell the same; return the trades' numbers."""
    got = await client.get("/orders?account=ann")
    orders = got.json() if got.status_code == 200 else []
    filled = sorted(fill["trade_id"] for order in orders for fill in order["fills"])
    recent = (await client.get("/trades?symbol=TCS&limit=1000")).json()
    kept = (await client.get(FROM_THE_BEGINNING)).json()
    account = (await client.get("/accounts/ann")).json()
    assert [trade["trade_id"] for trade in kept] == filled
    assert recent[::-1] == kept
    held = sum(position["quantity"] for position in account.get("positions", ()))
    assert held == sum(order["filled_quantity"] for order in orders)
    return filled


async def resumed(base: str, path: str, last_id: str) -> list[Block]:
    """Return what somebody who resumes is told first, up to the snapshot or the first event."""
    async with asked(f"{base}{path}", headers={"Last-Event-ID": last_id}) as told:
        return [b for b in await told.until(lambda b: bool(b.id)) if b.event]


def is_void(blocks: list[Block], last_id: str) -> bool:
    """Whether a reader is told that it was in another epoch, and how everything stands."""
    gap, snapshot = blocks
    return (
        (gap.event, snapshot.event) == ("gap", "snapshot")
        and gap.data["reason"] == "epoch"
        and gap.data["from"] == last_id
        and gap.data["to"] == snapshot.id
        and snapshot.id[:8] != last_id[:8]
    )


async def a_day(market: Market, count: int = 10) -> tuple[str, str]:
    """Let ann buy so often; return the heads of the stream and of the accounts'."""
    for n in range(count):
        await market.order(client_order_id=f"{n}-of-{count}")
    return market.exchange.market.hub.id, market.exchange.orders.hub.id


@pytest.mark.parametrize("harm", [lambda of: without_last(of, 7), torn, removed])
async def test_what_readers_heard_of_a_lost_order_is_void(
    tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    async with a_market(tmp_path, TCS) as market:
        head, own_head = await a_day(market)
    harm(tmp_path)
    with capture_logs() as logs:
        async with a_market(tmp_path, TCS) as market:
            order = (await market.order(client_order_id="another")).json()
            assert is_void(await resumed(market.base, "/stream?events=trade", head), head)
            own = await resumed(market.base, "/accounts/ann/stream", own_head)
            assert is_void(own, own_head)
            assert own[1].data["account"]["positions"][0]["quantity"] < 10
            assert order["order_id"] <= 10, "the numbers are given out again, in a new epoch"
            trades = await agree(market.client)
            assert trades[-1] == order["fills"][0]["trade_id"]
            head = market.exchange.market.hub.id
        async with a_market(tmp_path, TCS) as market:
            assert market.exchange.market.hub.epoch == head[:8], "once is enough"
            assert await agree(market.client) == trades
    told = [log for log in logs if log["event"] == "journal_behind_streams"]
    assert [log["trades_void"] for log in told] == [10 - len(trades) + 1]


@pytest.mark.no_cover
@pytest.mark.parametrize("seed", range(6))
async def test_whatever_is_cut_the_answers_are_those_of_the_journal(
    tmp_path: Path, seed: int
) -> None:
    random = Random(seed)
    for turn in range(4):
        async with a_market(tmp_path, TCS) as market:
            before = await agree(market.client) if turn else []
            assert before == [*range(1, len(before) + 1)]
            for n in range(random.randrange(6)):
                await market.order(client_order_id=f"{turn}-{n}", price=random.choice([20, 40]))
            trades = await agree(market.client)
            assert trades == [*range(1, len(trades) + 1)]
            epochs = epochs_of(market)
        if gone := random.randrange(4):
            without_last(tmp_path, gone)
        async with a_market(tmp_path, TCS) as market:
            changed = [old != new for old, new in zip(epochs, epochs_of(market), strict=True)]
            assert changed == [bool(gone)] * 2


def epochs_of(market: Market) -> tuple[str, str]:
    return market.exchange.market.hub.epoch, market.exchange.orders.hub.epoch


async def test_a_journal_that_went_another_way_is_not_the_one_that_was_told(
    tmp_path: Path,
) -> None:
    async with a_market(tmp_path, TCS) as market:
        await a_day(market, 3)
    other = tmp_path / "other"
    other.mkdir()
    copyfile(tmp_path / JOURNAL, other / JOURNAL)
    async with a_market(tmp_path, TCS) as market:
        head, _ = await a_day(market, 5)
    async with a_market(other, TCS) as market:
        for _ in range(20):
            await market.order(quantity=2)
    copyfile(other / JOURNAL, tmp_path / JOURNAL)
    async with a_market(tmp_path, TCS) as market:
        assert is_void(await resumed(market.base, "/stream?events=trade", head), head)
        trades = await agree(market.client)
    assert trades == [*range(1, 24)]


async def test_a_tape_that_is_lost_leaves_each_trade_once_in_the_history(tmp_path: Path) -> None:
    async with a_market(tmp_path, TCS) as market:
        await a_day(market)
        market.exchange.desk.save()
        await a_day(market, 5)
    with sqlite3.connect(tmp_path / JOURNAL) as journal:  # so that some are told once more
        journal.execute("DELETE FROM snapshots WHERE seq = (SELECT max(seq) FROM snapshots)")
    journal.close()
    rmtree(tmp_path / "stream")
    async with a_market(tmp_path, TCS) as market:
        await market.order()
        kept = (await market.get(FROM_THE_BEGINNING)).json()
    assert [trade["trade_id"] for trade in kept] == [*range(1, 17)]


async def test_a_tape_put_back_from_an_older_copy_is_not_what_was_told(tmp_path: Path) -> None:
    async with a_market(tmp_path, TCS) as market:
        await a_day(market, 3)
        exchange = market.exchange
        exchange.market.commit()
        kept = {path: path.read_bytes() for path in (tmp_path / "stream").glob("*.sse")}
        head, _ = await a_day(market, 40)
    for path, frames in kept.items():
        path.write_bytes(frames)
    async with a_market(tmp_path, TCS) as market:
        assert is_void(await resumed(market.base, "/stream?events=trade", head), head)
        assert await agree(market.client) == [*range(1, 44)]


# --- a real process, killed ---


def changed_in_the_middle(folder: Path) -> None:
    cut(
        folder,
        "UPDATE commands SET body = replace(body, 'ann', 'eve') WHERE seq = "
        "(SELECT seq FROM commands WHERE body LIKE '%ann%' ORDER BY seq LIMIT 1 OFFSET 8)",
    )


@pytest.mark.no_cover
@pytest.mark.parametrize("harm", [lambda of: without_last(of, 300), changed_in_the_middle])
async def test_an_exchange_killed_and_cut_tells_whoever_comes_back(
    tmp_path: Path, port: int, harm: Callable[[Path], None]
) -> None:
    async with (
        a_source() as source,
        Process(tmp_path, source, port, JOURNAL_SNAPSHOT_EVERY="1000000") as process,
    ):
        async with a_client(process.base) as client:
            await process.start()
            await open_for_orders(client)
            head, own_head = await _bought(client, 20)
            await process.end()

            await process.start()  # nothing is lost by a kill
            await open_for_orders(client)
            again, own_again = await _bought(client, 1)
            assert (again[:8], own_again[:8]) == (head[:8], own_head[:8])
            assert len(await agree(client)) == 21
            await process.end()

            harm(tmp_path)
            await command(process.variables, "repair", "--yes")
            await process.start()
            await open_for_orders(client)
            order = (await client.post("/buy", json=BODY)).json()
            trades = await agree(client)
            assert is_void(await resumed(process.base, "/stream?events=trade", again), again)
            own = await resumed(process.base, "/accounts/ann/stream", own_again)
            assert is_void(own, own_again)
        await process.end()
    assert len(trades) < 21
    assert trades[-1] == order["fills"][0]["trade_id"]


BODY: dict[str, Any] = {"account": "ann", "symbol": "TCS", "quantity": 1}


async def _bought(client: httpx.AsyncClient, count: int) -> tuple[str, str]:
    """Buy so often; return the head of the stream and of the account's."""
    for _ in range(count):
        await client.post("/buy", json=BODY)
    head = (await client.get("/health")).json()["head"]
    async with asked(str(client.base_url.join("/accounts/ann/stream"))) as told:
        snapshot = (await told.until(lambda b: b.event == "snapshot"))[-1]
    return head, snapshot.id
