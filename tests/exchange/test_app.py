import asyncio
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from starlette.routing import Route
from structlog.testing import capture_logs

from exchange.api.operations import OPERATIONS
from exchange.app import create_app
from exchange.exchange import Exchange
from exchange.settings import Settings
from market.clock import SystemClock
from market.errors import SettingsError
from market.settings import Environment, environment
from market.streaming import StreamSettings
from tests.exchange.markets import BTC, META, TCS, Market, a_market, settings
from tests.exchange.test_api_bodies import check_problem
from tests.streams import asked, eventually


def exact(text: str) -> Any:
    """Return JSON with its numbers as they are written."""
    return json.loads(text, parse_float=Decimal, parse_int=Decimal)


# --- what is described is what is there ---


async def test_the_openapi_document_is_valid_and_complete(tmp_path: Path) -> None:
    async with a_market(tmp_path, TCS) as market:
        document = (await market.get("/openapi.json")).json()
        page = await market.get("/docs")
        home = await market.get("/")
    OpenAPIV31SpecValidator(document).validate()
    described = {(method.upper(), path) for path, of in document["paths"].items() for method in of}
    assert described == {(one.method, one.path) for one in OPERATIONS}
    assert all(path in page.text for _, path in described)
    assert "<script" not in page.text
    assert "//" not in page.text.replace("<!doctype", "")
    assert home.headers["location"] == "/docs"


async def test_what_is_asked_after_the_journal_failed_is_answered_as_described(
    tmp_path: Path,
) -> None:
    async with a_market(tmp_path, TCS) as market:
        order = (await market.order()).json()
        market.exchange._journal._file._connection.close()  # the disk is gone
        await market.order()
        given = {"order_id": str(order["order_id"]), "account": "ann", "symbol": "TCS"}
        asks = [one for one in OPERATIONS if one.method == "GET" and "stream" not in one.path]
        statuses = {
            one.path: (await market.get(one.path.format(**given) + "?account=ann")).status_code
            for one in asks
            if one.path not in {"/api/prices", "/"}
        }
    told = {one.path: {one.status, *one.problems, *(one.statuses or ())} for one in asks}
    assert {path for path, status in statuses.items() if status not in told[path]} == set()
    assert statuses["/accounts/{account}"] == statuses["/orders/{order_id}"] == 503


async def test_with_keys_the_document_says_what_needs_one_and_how_to_give_it(
    tmp_path: Path,
) -> None:
    async with a_market(tmp_path / "open", TCS) as market:
        free = (await market.get("/openapi.json")).json()
    async with a_market(tmp_path / "keys", TCS, keys=KEYS) as market:
        document = (await market.get("/openapi.json")).json()
        found = {
            path: (await market.get(path)).status_code for path in ("/accounts", "/instruments")
        }
    OpenAPIV31SpecValidator(document).validate()
    paths, schemes = document["paths"], document["components"]["securitySchemes"]
    assert {of["type"] for of in schemes.values()} == {"http", "apiKey"}
    guarded = {path for path in found if "security" in paths[path]["get"]}
    assert guarded == {path for path, status in found.items() if status == 401} == {"/accounts"}
    assert {next(iter(way)) for way in paths["/orders"]["post"]["security"]} == set(schemes)
    assert "securitySchemes" not in free["components"]
    assert "security" not in free["paths"]["/accounts"]["get"]


async def test_the_root_leads_to_the_live_page_on_the_host_that_was_asked(tmp_path: Path) -> None:
    async with a_market(tmp_path, TCS, charts_port=8085) as market:
        own = await market.get("/?x=1")
        far = await market.get("/", headers={"Host": "market.example:8080"})
        six = await market.get("/", headers={"Host": "[::1]:8080"})
        bad = await market.get("/", headers={"Host": "a\\b@:x"})
        docs = await market.get("/docs")
    assert own.status_code == 307
    assert own.headers["location"] == "http://127.0.0.1:8085/"
    assert far.headers["location"] == "http://market.example:8085/"
    assert six.headers["location"] == "http://[::1]:8085/"
    assert bad.status_code in {307, 400}
    assert docs.status_code == 200


async def test_every_route_is_described(tmp_path: Path) -> None:
    made = Exchange(settings(tmp_path, sources={}), SystemClock())
    app = create_app(made)
    async with made.running():
        pass
    routes = {
        (method, route.path)
        for route in app.routes
        if isinstance(route, Route)
        for method in (route.methods or ())
        if method != "HEAD"
    }
    assert routes == {(one.method, one.path) for one in OPERATIONS}


# --- the market ---


async def test_prices_are_exact_decimals_wherever_they_are_told(tmp_path: Path) -> None:
    async with a_market(tmp_path) as market, asked(f"{market.base}/stream") as told:
        first = (await told.until(lambda b: b.event == "snapshot"))[-1]
        latest = await market.get("/market-data/META")
        ticks = await market.get("/ticks?symbol=META&limit=1")
    tick = next(t for t in exact(first.fields["data"])["ticks"] if t["symbol"] == "META")
    assert str(tick["price"]) == "505.47"
    assert exact(latest.text) == tick
    assert exact(ticks.text) == [tick]
    assert set(tick) == {"symbol", "price", "volume", "time", "seq"}
    assert '"price":505.47,' in latest.text
    assert tick["time"].endswith("Z")
    assert len(tick["time"]) == len("2026-11-20T05:03:47.123456Z")


async def test_instruments_and_books_are_told(tmp_path: Path) -> None:
    async with a_market(tmp_path) as market:
        instruments = (await market.get("/instruments")).json()
        book = exact((await market.get("/book/TCS?depth=2")).text)
        by_name = exact((await market.get("/book/tinkoff?depth=2")).text)
    assert [one["symbol"] for one in instruments] == [BTC, TCS, META]
    assert instruments[1] == {
        "symbol": "TCS",
        "name": "Tinkoff",
        "quote": "USDT",
        "tick_size": 0.01,
        "lot_size": 1,
        "trading_state": "trading",
    }
    assert [str(price) for price, _ in book["bids"]] == ["33.94", "33.93"]
    assert [str(price) for price, _ in book["asks"]] == ["33.96", "33.97"]
    assert by_name["bids"] == book["bids"]


async def test_the_stream_tells_trades_and_books_to_those_who_ask(tmp_path: Path) -> None:
    async with (
        a_market(tmp_path, TCS) as market,
        asked(f"{market.base}/stream?events=trade,book") as told,
        asked(f"{market.base}/stream") as quiet,
    ):
        order = (await market.order(quantity=3)).json()
        market.sources[TCS].tick("40")
        seen = await told.until(lambda b: b.event == "book" and b.data["bids"][0][0] == 39.99)
        usual = await quiet.until(lambda b: b.event == "tick")
        trades = (await market.get("/trades?symbol=TCS")).json()
    (trade,) = [block.data for block in seen if block.event == "trade"]
    assert trade == {
        "symbol": "TCS",
        "price": 33.96,
        "quantity": 3,
        "side": "buy",
        "trade_id": order["fills"][0]["trade_id"],
        "time": order["time"],
    }
    assert trades == [trade]
    books = [block.data for block in seen if block.event == "book"]
    assert set(books[0]) == {"symbol", "bids", "asks", "time"}
    assert len(books[-1]["bids"]) == len(books[-1]["asks"]) == 5
    assert {block.event for block in usual} <= {"", "snapshot", "tick"}


async def test_old_clients_get_all_prices_again_and_again(tmp_path: Path) -> None:
    async with a_market(tmp_path) as market, asked(f"{market.base}/api/prices") as told:
        blocks = [await anext(aiter(told.events())) for _ in range(3)]
        head = await market.client.head("/api/prices")
        assert market.exchange.is_up
    assert {block.event for block in blocks} == {"price_changes"}
    prices = exact(blocks[0].fields["data"])
    assert {name: str(price) for name, price in prices.items()} == {
        "bitcoin": "70400",
        "tinkoff": "33.95",
        "meta": "505.47",
    }
    assert head.status_code == 200


async def test_old_clients_count_as_streams(tmp_path: Path) -> None:
    limits = StreamSettings(max_streams=1)
    async with a_market(tmp_path, TCS, stream=limits) as market:
        async with asked(f"{market.base}/api/prices") as told:
            await anext(aiter(told.events()))
            refused = await market.get("/api/prices")
            check_problem(refused, 503, "too-many-streams")
        await eventually(lambda: True)
        assert "Retry-After" in refused.headers


async def test_streams_of_accounts_count_as_streams(tmp_path: Path) -> None:
    limits = StreamSettings(max_streams=1)
    async with a_market(tmp_path, TCS, stream=limits) as market:
        await market.order()
        async with asked(f"{market.base}/accounts/ann/stream") as stream:
            await stream.chunk()
            refused = await market.get("/stream")
            health = (await market.get("/health")).json()
    check_problem(refused, 503, "too-many-streams")
    assert health["streams"] == 1


async def test_a_price_that_is_too_old_takes_no_orders(tmp_path: Path) -> None:
    async with a_market(tmp_path, TCS, stale_after_s=1.5) as market:
        await eventually(lambda: not market.exchange.desk.venue.is_fresh(TCS))
        got = await market.order()
        check_problem(got, 503, "no-fresh-price")
        market.sources[TCS].tick()
        await eventually(lambda: market.exchange.desk.venue.is_fresh(TCS))
        assert (await market.order()).status_code == 200
    assert got.headers["retry-after"] == "1"


async def test_before_its_first_tick_a_symbol_has_no_price(tmp_path: Path) -> None:
    async with a_market(tmp_path, TCS, opened=False) as market:
        check_problem(await market.get("/market-data/TCS"), 404, "no-price-yet")
        check_problem(await market.order(), 503, "no-fresh-price")


# --- orders and accounts ---


def check_identity(account: dict[str, Any]) -> None:
    held = sum((p["quantity"] * p["mark"] for p in account["positions"]), Decimal(0))
    assert account["equity"] == account["cash"] + held
    profit = account["realized_pnl"] + account["unrealized_pnl"]
    assert account["equity"] == account["starting_cash"] + profit


async def test_a_round_trip_leaves_the_books_exact(tmp_path: Path) -> None:
    async with a_market(tmp_path, TCS) as market:
        await market.order(quantity=3)
        market.sources[TCS].tick("41.17")
        await eventually(lambda: market.exchange.desk.venue.marks[TCS] == Decimal("41.17"))
        sold = exact((await market.order(side="sell", quantity=2)).text)
        account = exact((await market.get("/accounts/ann")).text)
        leaders = exact((await market.get("/leaderboard")).text)
        everyone = exact((await market.get("/accounts")).text)
    assert str(sold["average_price"]) == "41.16"
    assert set(account) >= {
        "account",
        "cash",
        "equity",
        "realized_pnl",
        "unrealized_pnl",
        "fees",
        "positions",
    }
    assert account["realized_pnl"] == Decimal("14.40")
    assert set(account["positions"][0]) >= {
        "symbol",
        "quantity",
        "average_price",
        "mark",
        "unrealized_pnl",
    }
    check_identity(account)
    assert everyone == [account]
    assert leaders[0]["profit"] == account["equity"] - 1_000_000
    assert leaders[0]["rank"] == 1


ANSWER = {
    "order_id",
    "client_order_id",
    "account",
    "symbol",
    "side",
    "type",
    "time_in_force",
    "status",
    "quantity",
    "filled_quantity",
    "average_price",
    "fee",
    "fills",
    "time",
}


async def test_an_order_is_looked_up_amended_and_cancelled(tmp_path: Path) -> None:
    async with a_market(tmp_path, TCS) as market:
        placed = (await market.order(price=30, quantity=5, type="limit")).json()
        path = f"/orders/{placed['order_id']}"
        amended = await market.client.patch(path, json={"quantity": 3})
        found = await market.get(path)
        working = await market.get("/orders?account=ann&status=open")
        cancelled = await market.client.delete(path)
        again = await market.client.delete(path)
        after = await market.client.patch(path, json={"quantity": 2})
        listed = await market.get("/orders?account=ann")
        nothing = await market.get("/orders?account=ann&status=odd")
    assert set(placed) >= ANSWER
    assert placed["status"] == "open"
    assert amended.json()["quantity"] == 3
    assert found.json() == amended.json()
    assert working.json() == [amended.json()]
    assert cancelled.json()["status"] == "cancelled"
    check_problem(again, 409, "not-cancellable")
    check_problem(after, 409, "not-cancellable")
    assert listed.json() == [cancelled.json()]
    check_problem(nothing, 422, "invalid-query")


async def test_orders_come_a_page_at_a_time_and_each_once(tmp_path: Path) -> None:
    async with a_market(tmp_path, TCS) as market:
        placed = [(await market.order(price=30)).json()["order_id"] for _ in range(7)]
        await market.client.delete(f"/orders/{placed[2]}")
        pages, where = [], "/orders?account=ann&limit=3&status=open"
        while where:
            got = await market.get(where)
            pages.append([one["order_id"] for one in got.json()])
            where = got.links.get("next", {}).get("url", "")
        newer = await market.get(f"/orders?account=ann&since={placed[4]}&before={placed[6]}")
        for name in ("limit=0", "limit=1001", "since=x", "before=-1", "since=1e3", "before=²"):
            check_problem(await market.get(f"/orders?account=ann&{name}"), 422, "invalid-query")
    left = [number for number in reversed(placed) if number != placed[2]]
    assert pages == [left[:3], left[3:], []]
    assert [one["order_id"] for one in newer.json()] == [placed[5]]


async def test_an_order_shows_what_is_special_about_it(tmp_path: Path) -> None:
    special: dict[str, object] = {
        "price": 30,
        "post_only": True,
        "display_quantity": 2,
        "time_in_force": "GTD",
        "self_trade_prevention": "expire_maker",
    }
    stop = {"type": "stop", "stop_price": 40}
    async with a_market(tmp_path, TCS) as market:
        got = await market.order(quantity=5, **special, expire_time="2999-01-01T02:00:00+02:00")
        placed = got.json()
        found = (await market.get(f"/orders/{placed['order_id']}")).json()
        waiting = (await market.order(**stop)).json()
        plain = (await market.order()).json()
    assert found == placed
    assert placed == placed | special
    assert placed["expire_time"] == "2999-01-01T00:00:00.000000Z"
    assert waiting["stop_price"] == 40
    assert plain["self_trade_prevention"] == "expire_taker"
    assert plain.keys().isdisjoint({"post_only", "display_quantity", "expire_time"})


async def test_all_open_orders_of_an_account_are_cancelled_at_once(tmp_path: Path) -> None:
    async with a_market(tmp_path) as market:
        for symbol, price in (("TCS", 30), ("TCS", 31), ("META", 500)):
            await market.order(symbol=symbol, price=price)
        one = await market.client.delete("/orders?account=ann&symbol=META")
        rest = await market.client.delete("/orders?account=ann")
        nobody = await market.client.delete("/orders?account=nobody")
    assert [order["symbol"] for order in one.json()] == ["META"]
    assert [order["price"] for order in rest.json()] == [30, 31]
    check_problem(nobody, 404, "unknown-account")


async def test_the_same_client_order_id_is_answered_the_same(tmp_path: Path) -> None:
    async with a_market(tmp_path, TCS) as market:
        first = await market.order(client_order_id="a-1")
        again = await market.order(client_order_id="a-1", quantity=7)
        account = (await market.get("/accounts/ann")).json()
    assert first.json() == again.json()
    assert account["positions"][0]["quantity"] == 1


async def test_an_account_is_told_of_the_orders_that_are_refused_to_it(tmp_path: Path) -> None:
    async with a_market(tmp_path, TCS) as market:
        await market.order()
        head = market.exchange.orders.hub.id
        await market.order(account="bob", price=30, quantity=10**6)  # not open
        refused = await market.order(price=30, quantity=10**6)
        url = f"{market.base}/accounts/ann/stream?last_event_id={head}"
        async with asked(url) as told:
            fact = (await told.until(lambda block: block.event == "order_rejected"))[-1].data
        answer = (await market.get("/accounts/ann")).json()
    check_problem(refused, 409, "insufficient-funds")
    assert (fact["code"], fact["reason"] + ".") == (
        "insufficient-funds",
        refused.json()["detail"],
    )
    assert (fact["account"], fact["symbol"], fact["order_id"]) == ("ann", "TCS", 0)
    assert answer["positions"][0]["quantity"] == 1


async def test_an_account_is_told_of_a_refused_change_and_not_of_a_late_cancel(
    tmp_path: Path,
) -> None:
    async with a_market(tmp_path, TCS) as market:
        gone = (await market.order()).json()
        resting = (await market.order(type="limit", price=30, quantity=10)).json()
        head = market.exchange.orders.hub.id
        late = await market.client.delete(f"/orders/{gone['order_id']}")
        url = f"/orders/{resting['order_id']}"
        refused = await market.client.patch(url, json={"quantity": 10**5})
        await market.client.delete(url)
        async with asked(f"{market.base}/accounts/ann/stream?last_event_id={head}") as told:
            blocks = await told.until(lambda block: block.event == "order_cancelled")
    check_problem(late, 409, "not-cancellable")
    check_problem(refused, 409, "insufficient-funds")
    facts = [block for block in blocks if "data" in block.fields]
    assert [block.event for block in facts] == ["amend_rejected", "order_cancelled"]
    assert facts[0].data["order_id"] == resting["order_id"]
    assert facts[0].data["reason"] + "." == refused.json()["detail"]


async def test_an_account_is_configured_before_it_trades(tmp_path: Path) -> None:
    async with a_market(tmp_path, TCS) as market:
        put = market.client.put
        opened = await put("/accounts/ann", json={"starting_cash": 500, "short_selling": True})
        short = await market.order(side="sell")
        late = await put("/accounts/ann", json={"starting_cash": 1})
        wrong = await put("/accounts/ann", json={"leverage": 1e9, "short_selling": 1})
        huge = await put("/accounts/ann", json={"leverage": 1000})
        unnamed = await put("/accounts/%00", json={})
        house = await put("/accounts/house", json={"short_selling": True})
    assert opened.json()["cash"] == 500
    assert opened.json()["short_selling"] is True
    assert short.json()["status"] == "filled"
    check_problem(late, 409, "starting-cash-fixed")
    check_problem(wrong, 422, "invalid-body")
    check_problem(huge, 422, "invalid-leverage")
    check_problem(unnamed, 422, "invalid-account")
    check_problem(house, 422, "reserved-account")


async def test_what_cannot_be_paid_or_sold_is_refused(tmp_path: Path) -> None:
    async with a_market(tmp_path, TCS) as market:
        check_problem(await market.order(side="sell"), 409, "insufficient-position")
        check_problem(await market.order(quantity=40_000, price=33), 409, "insufficient-funds")
        check_problem(await market.get("/accounts/ann"), 404, "unknown-account")


async def test_an_account_hears_of_its_own_orders_alone_and_resumes(tmp_path: Path) -> None:
    async with a_market(tmp_path, TCS) as market:
        await market.order(price=30, type="limit")
        url = f"{market.base}/accounts/ann/stream"
        async with asked(url) as told:
            first = (await told.until(lambda b: b.event == "snapshot"))[-1]
            await market.order(account="bob")
            await market.order(quantity=2)
            seen = await told.until(lambda b: b.event == "order_filled")
        async with asked(url, headers={"Last-Event-ID": first.id}) as told:
            again = await told.until(lambda b: b.event == "order_filled")
        async with asked(f"{market.base}/accounts/nobody/stream") as nobody:
            assert nobody.status == 404
    assert first.data["account"]["account"] == "ann"
    assert [order["price"] for order in first.data["orders"]] == [30]
    events = [block for block in seen if block.id]
    assert {block.data["account"] for block in events} == {"ann"}
    assert [block.event for block in events] == ["order_accepted", "order_filled"]
    assert [block.raw for block in again if block.id] == [block.raw for block in events]


# --- trading states by hand ---

STATES = "/stream?events=trading_state"


async def test_an_instrument_is_halted_collected_and_resumed_by_hand(tmp_path: Path) -> None:
    async with a_market(tmp_path, TCS, META) as market, asked(f"{market.base}{STATES}") as told:
        resting = (await market.order(price=30)).json()
        halted = await market.client.put("/instruments/TCS/state", json={"state": "cancel_only"})
        check_problem(await market.order(price=30), 409, "trading-state")
        cancelled = await market.client.delete(f"/orders/{resting['order_id']}")
        other = await market.order(symbol="META")
        await market.client.put("/instruments/tinkoff/state", json={"state": "auction"})
        collected = await market.order(price=40)
        again = await market.client.put("/instruments/TCS/state", json={"state": "trading"})
        found = await market.get(f"/orders/{collected.json()['order_id']}")
        seen = await told.until(lambda b: bool(b.id) and b.data.get("state") == "trading")
    assert (halted.json()["symbol"], halted.json()["trading_state"]) == ("TCS", "cancel_only")
    assert (cancelled.status_code, other.status_code) == (200, 200)
    assert (collected.json()["status"], found.json()["status"]) == ("open", "filled")
    assert again.json()["trading_state"] == "trading"
    states = [block.data["state"] for block in seen if block.event == "trading_state"]
    assert states == ["cancel_only", "auction", "trading"]


async def test_a_halt_by_hand_survives_a_restart(tmp_path: Path) -> None:
    async with a_market(tmp_path, TCS) as market:
        await market.client.put("/instruments/TCS/state", json={"state": "halted"})
    async with a_market(tmp_path, TCS) as market:
        (found,) = (await market.get("/instruments")).json()
        check_problem(await market.order(), 409, "trading-state")
    assert found["trading_state"] == "halted"


async def test_a_state_that_is_none_is_refused(tmp_path: Path) -> None:
    async with a_market(tmp_path, TCS) as market:
        for body, field in (({"state": "closed"}, "state"), ({}, "state")):
            got = await market.client.put("/instruments/TCS/state", json=body)
            check_problem(got, 422, "invalid-body")
            assert got.json()["errors"][0]["field"] == field
        unknown = await market.client.put("/instruments/NOPE/state", json={"state": "halted"})
        check_problem(unknown, 404, "unknown-symbol")


async def test_with_keys_only_an_operator_halts(tmp_path: Path) -> None:
    wish = {"state": "halted"}
    async with a_market(tmp_path, TCS, keys=KEYS, operators=("bob",)) as market:
        put = market.client.put
        check_problem(await put("/instruments/TCS/state", json=wish), 401, "key-missing")
        for wrong in (KEYS["ann"], "nonsense"):
            got = await put("/instruments/TCS/state", json=wish, headers=bearer(wrong))
            check_problem(got, 403, "key-refused")
        done = await put("/instruments/TCS/state", json=wish, headers=bearer(KEYS["bob"]))
    async with a_market(tmp_path / "other", TCS, keys=KEYS) as market:
        nobody = bearer(KEYS["ann"])
        got = await market.client.put("/instruments/TCS/state", json=wish, headers=nobody)
        check_problem(got, 403, "key-refused")
    assert done.json()["trading_state"] == "halted"


# --- who may ---

KEYS = {"ann": "secret-of-ann", "bob": "secret-of-bob"}


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


async def test_with_keys_every_account_route_needs_its_own(tmp_path: Path) -> None:
    ann = bearer(KEYS["ann"])
    body = {"account": "ann", "symbol": "TCS", "quantity": 1}
    async with a_market(tmp_path, TCS, keys=KEYS) as market:
        placed = await market.post("/buy", {**body, "price": 30}, headers=ann)
        routes: list[tuple[str, str, dict[str, Any] | None]] = [
            ("POST", "/buy", body),
            ("POST", "/sell", body),
            ("POST", "/orders", {**body, "side": "buy"}),
            ("GET", "/orders?account=ann", None),
            ("DELETE", "/orders?account=ann&symbol=META", None),
            ("GET", f"/orders/{placed.json()['order_id']}", None),
            ("PATCH", f"/orders/{placed.json()['order_id']}", {"quantity": 1}),
            ("DELETE", f"/orders/{placed.json()['order_id']}", None),
            ("GET", "/accounts/ann", None),
            ("PUT", "/accounts/ann", {"short_selling": True}),
            ("GET", "/accounts/ann/stream", None),
        ]
        for method, path, sent in routes:
            ask = market.client.build_request
            none = await market.client.send(ask(method, path, json=sent))
            check_problem(none, 401, "key-missing")
            assert none.headers["www-authenticate"] == "Bearer"
            for wrong in (KEYS["bob"], "nonsense", "secret-of-ann ann", "Ω"):
                headers = {b"Authorization": f"Bearer {wrong}".encode()}
                refused = await market.client.send(ask(method, path, json=sent, headers=headers))
                check_problem(refused, 403, "key-refused")
        keyed = {"X-API-Key": KEYS["ann"]}
        assert (await market.get("/accounts/ann", headers=keyed)).status_code == 200
        listed = (await market.get("/accounts", headers=ann)).json()
        check_problem(await market.get("/accounts"), 401, "key-missing")
        check_problem(await market.get("/orders/999"), 401, "key-missing")
        for path in ("/accounts", "/orders/999"):
            check_problem(await market.get(path, headers=bearer("nonsense")), 403, "key-refused")
        check_problem(await market.client.post("/buy", content=b"x"), 401, "key-missing")
        assert (await market.get("/leaderboard")).status_code == 200
        assert market.exchange.desk.placed == {"open": 1}
    assert [one["account"] for one in listed] == ["ann"]


async def test_without_a_key_of_its_own_an_account_cannot_be_used(tmp_path: Path) -> None:
    async with a_market(tmp_path, TCS, keys=KEYS) as market:
        body = {"account": "eve", "symbol": "TCS", "quantity": 1}
        for secret in (KEYS["ann"], "-", "eve"):
            got = await market.post("/buy", body, headers={"X-API-Key": secret.encode() + b"."})
            check_problem(got, 403, "key-refused")


@pytest.mark.parametrize("secret", ["Р", "déjà", "a:b", "two words", "х" * 500])  # noqa: RUF001
async def test_a_secret_may_be_of_any_letters(secret: str, tmp_path: Path) -> None:
    keys = Environment({"API_KEYS": f"ann:{secret}"}).secrets("API_KEYS")
    async with a_market(tmp_path, TCS, keys=keys) as market:
        for header, scheme in ((b"Authorization", "Bearer "), (b"X-API-Key", "")):
            given = {header: f"{scheme}{secret}".encode()}
            assert (await market.get("/accounts", headers=given)).json() == []


@pytest.mark.parametrize(
    "text", ["s3", "ann:", ":s3", "a b:s3", "ann\n:s3", "-:s3", "a" * 65 + ":s3", "ann:s3,ann:s4"]
)
def test_keys_that_nobody_could_use_are_refused_and_not_told(text: str) -> None:
    with pytest.raises(SettingsError, match="API_KEYS") as refused:
        Settings.from_env(environment(process={"API_KEYS": text}))
    assert "s3" not in str(refused.value)


def test_the_keys_of_accounts_are_known_and_not_shown() -> None:
    settings = Settings.from_env(environment(process={"API_KEYS": "ann:s3cret"}))
    assert settings.keys == {"ann": "s3cret"}
    assert "s3cret" not in repr(settings)


async def test_orders_beyond_the_pace_are_told_to_come_later(tmp_path: Path) -> None:
    async with a_market(tmp_path, TCS, orders_per_s=3.0) as market:
        answers = await asyncio.gather(*(market.order() for _ in range(40)))  # in one moment
        other = await market.order(account="bob")
        refused = [one for one in answers if one.status_code != 200]
        assert (await market.get("/accounts/ann")).status_code == 200
    assert 3 <= len(answers) - len(refused) < 40
    check_problem(refused[0], 429, "too-many-orders")
    assert int(refused[0].headers["retry-after"]) >= 1
    assert other.status_code == 200


async def test_an_order_of_an_instrument_that_is_gone_is_answered_for(tmp_path: Path) -> None:
    async with a_market(tmp_path, TCS, META) as market:
        order = (await market.order(symbol="META", type="limit", price=500)).json()
        held = (await market.order(symbol="META")).json()
    async with a_market(tmp_path, TCS) as market:
        url = f"/orders/{order['order_id']}"
        found = (await market.get(url)).json()
        amended = await market.client.patch(url, json={"quantity": 2, "price": 501})
        cancelled = await market.client.delete(url)
        account = exact((await market.get("/accounts/ann")).text)
        check_problem(await market.order(symbol="META"), 404, "unknown-symbol")
    assert (found["status"], held["status"]) == ("cancelled", "filled")
    check_problem(amended, 409, "not-cancellable")
    check_problem(cancelled, 409, "not-cancellable")
    assert [one["symbol"] for one in account["positions"]] == ["META"]
    assert account["locked_cash"] == 0


async def test_amendments_count_in_the_pace_and_cancels_never_do(tmp_path: Path) -> None:
    async with a_market(tmp_path, TCS, orders_per_s=0.001) as market:
        order = (await market.order(type="limit", price=30, quantity=10)).json()
        url = f"/orders/{order['order_id']}"
        amended = await market.client.patch(url, json={"quantity": 5})
        cancelled = await market.client.delete(url)
        late = [await market.client.delete(url) for _ in range(3)]
        all_cancelled = await market.client.delete("/orders?account=ann")
    check_problem(amended, 429, "too-many-orders")
    assert cancelled.json()["status"] == "cancelled"
    assert {one.status_code for one in late} == {409}
    assert all_cancelled.json() == []


@pytest.mark.parametrize("header", ["last-event-id", "authorization", "x-api-key", "content-type"])
async def test_a_web_page_may_ask_with_the_headers_it_needs(tmp_path: Path, header: str) -> None:
    asking = {
        "Origin": "http://localhost:3000",
        "Access-Control-Request-Method": "DELETE",
        "Access-Control-Request-Headers": header,
    }
    async with a_market(tmp_path, TCS) as market:
        preflight = await market.client.options("/orders/1", headers=asking)
        missing = await market.get("/orders/1", headers={"Origin": "http://localhost:3000"})
    assert preflight.status_code == 200
    assert header in preflight.headers["access-control-allow-headers"].lower()
    assert "DELETE" in preflight.headers["access-control-allow-methods"]
    assert missing.headers["access-control-allow-origin"] == "*"


# --- how it is ---


def figures(text: str) -> dict[str, float]:
    lines = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, _, value in lines}


async def test_metrics_count_what_happened(tmp_path: Path) -> None:
    async with a_market(tmp_path, TCS) as market, asked(f"{market.base}/stream") as told:
        await market.order()
        await market.order(side="sell", quantity=5)
        market.sources[TCS].tick("33.951")
        await eventually(lambda: market.exchange.merging.sources[TCS].faults == 1)
        market.sources[TCS].tick()
        await told.until(lambda b: b.event == "tick")
        head = market.exchange.market.hub.id
        async with asked(f"{market.base}/stream", headers={"Last-Event-ID": head}):
            got = await market.get("/metrics")
    found = figures(got.text)
    assert got.headers["content-type"].startswith("text/plain")
    assert found["sandpit_readers"] == 2
    assert found["sandpit_replays_total"] == 1
    assert found["sandpit_deliveries_total"] >= 1
    assert found["sandpit_bytes_total"] > 100
    assert found['sandpit_ticks_total{symbol="TCS"}'] == 2
    assert found['sandpit_source_faults_total{symbol="TCS"}'] == 1
    assert found['sandpit_source_up{symbol="TCS"}'] == 1
    assert found['sandpit_orders_total{status="filled"}'] == 1
    assert found['sandpit_orders_total{status="refused"}'] == 1
    assert found["sandpit_denied_orders_total"] == 0
    assert found["sandpit_journal_backlog"] <= 1
    assert 0 < found["sandpit_journal_head"] <= market.exchange.desk.head
    assert found["sandpit_accounts"] == 1
    assert found["sandpit_ring_depth"] == found["sandpit_stream_head"]
    for name in ("gaps", "evictions", "refused_streams", "events", "commands"):
        assert f"sandpit_{name}_total" in found
    assert found["sandpit_lag_max"] >= found["sandpit_lag_p99"] >= 0


async def test_metrics_count_the_readers_of_accounts_and_of_http_1_0_too(tmp_path: Path) -> None:
    async with a_market(tmp_path, TCS) as market:
        await market.order()
        before = figures((await market.get("/metrics")).text)
        async with (
            asked(f"{market.base}/stream", version="1.0") as plain,
            asked(f"{market.base}/accounts/ann/stream") as told,
        ):
            await plain.reader.readuntil(b"event: snapshot\n")
            await told.until(lambda b: b.event == "snapshot")
            await market.order()
            await told.until(lambda b: b.event == "order_filled")
            market.sources[TCS].tick()
            await plain.reader.readuntil(b"event: tick\n")
            during = figures((await market.get("/metrics")).text)
        after = figures((await market.get("/metrics")).text)

    assert before["sandpit_deliveries_total"] == 0
    assert during["sandpit_readers"] == 2
    assert during["sandpit_deliveries_total"] >= 3  # accepted, filled, and the tick
    assert during["sandpit_bytes_total"] > before["sandpit_bytes_total"] + 500
    assert after["sandpit_deliveries_total"] >= during["sandpit_deliveries_total"]


async def test_the_log_says_who_is_ahead(tmp_path: Path) -> None:
    with capture_logs() as logs:
        async with a_market(tmp_path, TCS, status_s=0.02) as market:
            await market.order()
            await eventually(lambda: any(log["event"] == "leaderboard" for log in logs))
    (first, *_) = [log for log in logs if log["event"] == "leaderboard"]
    assert first["standing"] == "1. ann -0.01"


async def test_nothing_runs_before_the_lifespan(tmp_path: Path) -> None:
    made = Exchange(settings(tmp_path, sources={}), SystemClock())
    create_app(made)
    assert made.market.hub.head == 0
    assert made.desk.commands == 0
    async with made.running():
        assert made.desk.commands == 1


async def test_readers_are_bid_farewell(tmp_path: Path) -> None:
    market: Market
    async with a_market(tmp_path, TCS) as market:
        url = market.base
        async with (
            asked(f"{url}/stream") as told,
            asked(f"{url}/api/prices") as old,
        ):
            market.exchange.leave()
            blocks = await told.rest()
            await old.rest()
    assert blocks[-1].event == "shutdown"
    assert told.ended_well
    assert old.ended_well
