import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from tests.exchange.markets import TCS, a_market
from tests.streams import answer, connected, eventually

BUY = '{"account":"ann","symbol":"TCS","quantity":%s}'

REFUSED: dict[str, tuple[bytes, int, str]] = {
    "no body": (b"", 422, "invalid-body"),
    "no json": (b"account=ann", 422, "invalid-body"),
    "truncated": (b'{"account":"ann","sym', 422, "invalid-body"),
    "a list": (b"[]", 422, "invalid-body"),
    "a number": (b"1", 422, "invalid-body"),
    "null": (b"null", 422, "invalid-body"),
    "no fields": (b"{}", 422, "invalid-body"),
    "nan": ((BUY % "NaN").encode(), 422, "invalid-body"),
    "infinity": ((BUY % "-Infinity").encode(), 422, "invalid-body"),
    "1e400": ((BUY % "1e400").encode(), 422, "lot-size"),
    "an exponent out of all reason": ((BUY % ("1e" + "9" * 30)).encode(), 422, "invalid-body"),
    "a large exponent": ((BUY % "1e999999999").encode(), 422, "lot-size"),
    "a small exponent": ((BUY % "1e-999999999").encode(), 422, "lot-size"),
    "1e-30": ((BUY % "1e-30").encode(), 422, "lot-size"),
    "negative": ((BUY % "-1").encode(), 422, "lot-size"),
    "zero": ((BUY % "0").encode(), 422, "lot-size"),
    "minus zero": ((BUY % "-0.0").encode(), 422, "lot-size"),
    "off the grid": ((BUY % "0.5").encode(), 422, "lot-size"),
    "100 digits": ((BUY % ("9" * 100)).encode(), 422, "lot-size"),
    "101 digits": ((BUY % ("9" * 101)).encode(), 422, "invalid-body"),
    "40000 digits": ((BUY % ("9" * 40_000)).encode(), 422, "invalid-body"),
    "a one with 40000 zeros": ((BUY % ("1." + "0" * 40_000)).encode(), 422, "invalid-body"),
    "a string": ((BUY % '"1"').encode(), 422, "invalid-body"),
    "a boolean": ((BUY % "true").encode(), 422, "invalid-body"),
    "a null quantity": ((BUY % "null").encode(), 422, "invalid-body"),
    "an object for a number": ((BUY % '{"a":1}').encode(), 422, "invalid-body"),
    "deep nesting": ((BUY % ("[" * 20_000 + "]" * 20_000)).encode(), 422, "invalid-body"),
    "bad utf-8": (b'{"account":"\xff\xfe","symbol":"TCS","quantity":1}', 422, "invalid-body"),
    "utf-16": ((BUY % "1").encode("utf-16"), 422, "invalid-body"),
    "a byte order mark": (b"\xef\xbb\xbf" + (BUY % "1").encode(), 422, "invalid-body"),
    "a lone surrogate": (b'{"account":"\\ud800","symbol":"TCS","quantity":1}', 422, "invalid-body"),
    "a lone surrogate in a name": (b'{"\\udfff":1}', 422, "invalid-body"),
    "a surrogate in utf-8": (b'{"account":"\xed\xa0\x80"}', 422, "invalid-body"),
    "a field twice": (
        b'{"account":"ann","symbol":"TCS","quantity":1,"quantity":2}',
        422,
        "invalid-body",
    ),
    "a field under both names": (
        b'{"account":"ann","symbol":"TCS","quantity":1,"amount":2}',
        422,
        "invalid-body",
    ),
    "unknown fields": (
        b'{"account":"ann","symbol":"TCS","quantity":1,"qty":2,"__class__":3}',
        422,
        "invalid-body",
    ),
    "an account of 65": (
        b'{"account":"%b","symbol":"TCS","quantity":1}' % (b"a" * 65),
        422,
        "invalid-body",
    ),
    "an account with a line feed": (
        b'{"account":"ann\\n","symbol":"TCS","quantity":1}',
        422,
        "invalid-body",
    ),
    "an account with a nul": (
        b'{"account":"a\\u0000","symbol":"TCS","quantity":1}',
        422,
        "invalid-body",
    ),
    "an unknown symbol": (b'{"account":"ann","symbol":"XYZ","quantity":1}', 404, "unknown-symbol"),
    "a symbol that is none": (
        '{"account":"ann","symbol":"💰\\u0000","quantity":1}'.encode(),
        404,
        "unknown-symbol",
    ),
    "the house's own account": (
        b'{"account":"house","symbol":"TCS","quantity":1}',
        422,
        "reserved-account",
    ),
    "the fees' account": (
        b'{"account":"fees","symbol":"TCS","quantity":1}',
        422,
        "reserved-account",
    ),
    "a price off the grid": (
        b'{"account":"ann","symbol":"TCS","quantity":1,"price":33.955}',
        422,
        "tick-size",
    ),
    "a price of 1e400": (
        b'{"account":"ann","symbol":"TCS","quantity":1,"price":1e400}',
        422,
        "tick-size",
    ),
    "another time in force": (
        b'{"account":"ann","symbol":"TCS","quantity":1,"time_in_force":"DAY"}',
        422,
        "invalid-body",
    ),
    "an expiry without GTD": (
        b'{"account":"ann","symbol":"TCS","quantity":1,"expire_time":"2030-01-01T00:00:00Z"}',
        422,
        "invalid-order",
    ),
    "an expiry without a zone": (
        b'{"account":"ann","symbol":"TCS","quantity":1,"expire_time":"2030-01-01T00:00:00"}',
        422,
        "invalid-order",
    ),
    "an expiry before all time": (
        b'{"account":"ann","symbol":"TCS","quantity":1,"price":30,"time_in_force":"GTD"%b}'
        % b',"expire_time":"0001-01-01T00:00:00+14:00"',
        422,
        "expire-time",
    ),
    "an expiry after all time": (
        b'{"account":"ann","symbol":"TCS","quantity":1,"price":30,"time_in_force":"GTD"%b}'
        % b',"expire_time":"9999-12-31T23:59:59-14:00"',
        422,
        "invalid-order",
    ),
    "an empty client order id": (
        b'{"account":"ann","symbol":"TCS","quantity":1,"client_order_id":""}',
        422,
        "invalid-body",
    ),
    "more than there is cash": (
        b'{"account":"ann","symbol":"TCS","quantity":50000,"price":33}',
        409,
        "insufficient-funds",
    ),
}


def check_problem(response: httpx.Response, status: int, type: str) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert body["type"] == type
    assert body["status"] == status
    assert body["title"]
    assert body["detail"]
    return body


async def test_a_body_that_will_not_do_is_a_problem_and_changes_nothing(tmp_path: Path) -> None:
    with capture_logs() as logs:
        async with a_market(tmp_path, TCS) as market:
            head = market.exchange.desk.head
            for name, (body, status, kind) in REFUSED.items():
                for path in ("/buy", "/orders"):
                    given = body
                    if path == "/orders" and body.startswith(b'{"account"'):
                        given = body.replace(b'{"account"', b'{"side":"buy","account"', 1)
                    got = await market.client.post(path, content=given)
                    assert got.status_code == status, (name, path, got.text)
                    check_problem(got, status, kind)
            assert market.exchange.desk.head == head, "a refused order changes nothing"
            assert (await market.get("/accounts")).json() == []
    assert not [log for log in logs if log["log_level"] in ("error", "critical")]


async def test_every_bad_field_is_named(tmp_path: Path) -> None:
    body = {"symbol": 5, "quantity": "1", "price": [], "colour": "red"}
    async with a_market(tmp_path, TCS) as market:
        problem = check_problem(await market.post("/buy", body), 422, "invalid-body")
    assert {error["field"] for error in problem["errors"]} == {
        "account",
        "symbol",
        "quantity",
        "price",
        "colour",
    }


async def test_a_number_out_of_bounds_is_named_beside_what_else_is_wrong(tmp_path: Path) -> None:
    order = {"account": "", "symbol": "TCS", "side": "up", "quantity": -1, "price": 0}
    terms = {"leverage": 101, "starting_cash": -1}
    async with a_market(tmp_path, TCS) as market:
        refused = check_problem(await market.post("/orders", order), 422, "invalid-body")
        got = await market.client.put("/accounts/ann", json=terms)
    assert {one["field"]: one["problem"] for one in refused["errors"]} == {
        "account": "must be 1 to 64 of A-Z a-z 0-9 _ . @ -, a letter or digit first",
        "side": "must be one of buy, sell",
        "quantity": "must be above 0",
        "price": "must be above 0",
    }
    problem = check_problem(got, 422, "invalid-leverage")
    assert [one["field"] for one in problem["errors"]] == ["leverage", "starting_cash"]


async def test_every_term_that_is_unfit_is_named(tmp_path: Path) -> None:
    terms = b'{"leverage":0.5,"starting_cash":1.0000000000001}'
    async with a_market(tmp_path, TCS) as market:
        got = await market.client.put("/accounts/ann", content=terms)
    problem = check_problem(got, 422, "invalid-leverage")
    assert {one["field"]: one["problem"] for one in problem["errors"]} == {
        "leverage": "must be in [1, 100], to 12 decimals",
        "starting_cash": "must be in [0, 10^15], to 12 decimals",
    }
    assert problem["detail"].startswith("leverage must be in [1, 100], to 12 decimals; starting_")


async def test_all_that_does_not_go_together_in_an_order_is_named(tmp_path: Path) -> None:
    order = {"account": "ann", "symbol": "TCS", "side": "buy", "quantity": 1, "type": "limit"}
    async with a_market(tmp_path, TCS) as market:
        sent = order | {"stop_price": 30, "time_in_force": "GTD", "display_quantity": 2}
        problem = check_problem(await market.post("/orders", sent), 422, "invalid-order")
    assert {one["field"]: one["problem"] for one in problem["errors"]} == {
        "price": "is missing: a limit order needs one",
        "stop_price": "is not for a limit order",
        "expire_time": "is missing: GTD needs one",
        "display_quantity": "2 is above the quantity 1",
    }
    assert problem["detail"].startswith("price is missing: a limit order needs one; stop_price is")


async def test_what_is_off_its_grid_and_what_does_not_go_together_are_named_at_once(
    tmp_path: Path,
) -> None:
    order = b'{"account":"ann","symbol":"TCS","side":"buy","price":33.955,"stop_price":30,'
    async with a_market(tmp_path, TCS) as market:
        for rest, kind in (
            (b'"quantity":1,"display_quantity":2}', "tick-size"),
            (b'"quantity":1e9999999,"display_quantity":1e9999999}', "lot-size"),
        ):
            got = await market.client.post("/orders", content=order + rest)
            problem = check_problem(got, 422, kind)
            told = {one["field"]: one["problem"] for one in problem["errors"]}
            assert told["price"].startswith("33.955 is not a positive multiple of 0.01")
            assert told["stop_price"] == "is not for a limit order"
            assert "display_quantity" in told
            assert all(f"{field} {text}" in problem["detail"] for field, text in told.items())


async def test_numbers_are_answered_as_the_grid_has_them(tmp_path: Path) -> None:
    async with a_market(tmp_path, TCS) as market:
        sent = b'{"account":"ann","symbol":"TCS","quantity":3.%b,"price":3e1}' % (b"0" * 90)
        placed = await market.client.post("/buy", content=sent)
        url = f"/orders/{placed.json()['order_id']}"
        amended = await market.client.patch(url, content=b'{"quantity":2e0,"price":3.1E+1}')
    assert '"quantity":3,' in placed.text
    assert '"price":30.00,' in placed.text
    assert '"quantity":2,' in amended.text
    assert '"price":31.00,' in amended.text


async def test_what_a_field_may_be_is_said_in_words(tmp_path: Path) -> None:
    body = {"account": "a b", "symbol": "TCS", "quantity": 1, "side": "hold", "type": "limit"}
    async with a_market(tmp_path, TCS) as market:
        sent = body | {"client_order_id": "x y", "expire_time": "tomorrow"}
        problem = check_problem(await market.post("/orders", sent), 422, "invalid-body")
    told = {error["field"]: error["problem"] for error in problem["errors"]}
    assert told == {
        "account": "must be 1 to 64 of A-Z a-z 0-9 _ . @ -, a letter or digit first",
        "client_order_id": "must be 1 to 64 printable ASCII characters without spaces",
        "expire_time": "invalid RFC3339 encoded datetime",
        "side": "must be one of buy, sell",
    }


async def test_every_field_off_its_grid_is_named(tmp_path: Path) -> None:
    order = {"account": "ann", "symbol": "TCS", "quantity": -1, "price": 0}
    stop = {**order, "price": 33.955, "stop_price": -3, "side": "buy", "type": "stop_limit"}
    async with a_market(tmp_path, TCS) as market:
        quick = check_problem(await market.post("/buy", order), 422, "lot-size")
        full = check_problem(await market.post("/orders", stop), 422, "lot-size")
    assert {error["field"] for error in quick["errors"]} == {"quantity", "price"}
    assert {error["field"] for error in full["errors"]} == {"quantity", "price", "stop_price"}
    assert "quantity -1 is not a positive multiple of 1 below" in quick["detail"]


async def test_a_field_under_both_names_is_told_by_both(tmp_path: Path) -> None:
    body = {"username": "ann", "account": "bob", "symbol": "TCS", "quantity": 1}
    async with a_market(tmp_path, TCS) as market:
        problem = check_problem(await market.post("/buy", body), 422, "invalid-body")
    assert problem["detail"] == "account says again what username says"


@pytest.mark.parametrize("size", [64 * 1024 + 1, 1_000_000])
async def test_a_body_over_64_kib_is_too_large(tmp_path: Path, size: int) -> None:
    async with a_market(tmp_path, TCS) as market:
        got = await market.client.post("/buy", content=b"x" * size)
        check_problem(got, 413, "content-too-large")
        fine = await market.post("/buy", {"account": "ann", "symbol": "TCS", "quantity": 1})
    assert fine.status_code == 200


async def test_a_body_in_chunks_is_bounded_too(tmp_path: Path) -> None:
    async def parts() -> Any:
        for _ in range(100):
            yield b"x" * 1000

    async with a_market(tmp_path, TCS) as market:
        got = await market.client.post("/buy", content=parts())
        check_problem(got, 413, "content-too-large")


async def test_a_client_that_hangs_up_in_its_body_leaves_no_trace(tmp_path: Path) -> None:
    head = b"POST /buy HTTP/1.1\r\nHost: x\r\nContent-Length: 500\r\n\r\n"
    with capture_logs() as logs:
        async with a_market(tmp_path, TCS) as market:
            async with connected(market.base) as (_, writer):
                writer.write(head + b'{"account":"ann",')
                await writer.drain()
            good = await market.order()
    assert good.status_code == 200
    assert not [log for log in logs if log["log_level"] in ("error", "critical")]


async def test_an_order_that_was_sent_counts_though_its_client_hangs_up(tmp_path: Path) -> None:
    body = json.dumps({"account": "ann", "symbol": "TCS", "quantity": 1}).encode()
    head = b"POST /buy HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
    async with a_market(tmp_path, TCS) as market:
        async with connected(market.base) as (_, writer):
            writer.write(head + body)
            await writer.drain()
            await eventually(lambda: market.exchange.desk.placed["filled"] == 1)
        account = (await market.get("/accounts/ann")).json()
    assert account["positions"][0]["quantity"] == 1


async def test_an_old_client_is_understood(tmp_path: Path) -> None:
    """No content type, the old names of the fields, lower-case names of the stocks."""
    async with a_market(tmp_path) as market:
        for stock in ("bitcoin", "tinkoff", "meta"):
            body = {"username": "old", "stock": stock, "amount": 1}
            got = await market.client.post("/buy", content=json.dumps(body).encode())
            assert got.status_code == 200, got.text
            assert got.json()["account"] == "old"
        selling = {"username": "old", "stock": "meta", "amount": 1}
        sold = await market.client.post("/sell", content=json.dumps(selling).encode())
        full = {**selling, "stock": "tinkoff", "side": "buy", "type": "market"}
        assert (await market.post("/orders", full)).status_code == 200
        account = (await market.get("/accounts/old")).json()
    assert sold.json()["symbol"] == "META"
    assert sold.json()["side"] == "sell"
    assert {held["symbol"] for held in account["positions"]} == {"BTC", "TCS"}


async def test_garbage_in_a_url_is_a_clean_refusal(tmp_path: Path) -> None:
    paths = {
        "/market-data/%ff%fe": 404,
        "/market-data/%": 404,
        "/market-data/%zz%00": 404,
        "/market-data/btc%0d%0aX: y": 404,
        "/market-data/" + "B" * 1000: 404,
        "/book/TCS?depth=%ff": 422,
        "/book/TCS?depth=0": 422,
        "/book/TCS?depth=1e3": 422,
        "/book/TCS?depth=" + "9" * 5000: 422,
        "/book/TCS?depth=-1": 422,
        "/ticks": 422,
        "/ticks?symbol=": 422,
        "/ticks?symbol=%ed%a0%80": 404,
        "/trades?symbol=TCS&limit=1001": 422,
        "/orders": 422,
        "/orders?account=nobody": 404,
        "/orders?account=%00": 404,
        "/orders/0": 404,
        "/orders/abc": 404,
        "/orders/-1": 404,
        "/orders/" + "9" * 400: 404,
        "/orders/%D9%A1": 404,
        "/accounts/nobody": 404,
        "/accounts/%F0%9F%92%B0": 404,
        "/accounts/house/stream": 422,
        "/accounts/fees/stream": 422,
        "/accounts/nobody/stream": 404,
        "/stream?symbols=" + ",".join(f"S{n}" for n in range(2000)): 404,
        "/stream?symbols=" + ",".join(f"S{n}" for n in range(10_000)): 414,
        "/stream?events=nothing": 422,
        "/stream?conflate=%00": 422,
        "/nowhere": 404,
    }
    with capture_logs() as logs:
        async with a_market(tmp_path, TCS) as market:
            for path, status in paths.items():
                async with connected(market.base) as (reader, writer):
                    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode("latin-1"))
                    if " " in path:
                        continue
                    got = await answer(reader, writer)
                    assert got.status == status, path
                    assert got.headers["content-type"] == "application/problem+json", path
            health = await market.get("/health")
            assert health.status_code == 200, health.text
    assert not [log for log in logs if log["log_level"] in ("error", "critical")]


async def test_a_method_that_is_not_there_names_those_that_are(tmp_path: Path) -> None:
    async with a_market(tmp_path, TCS) as market:
        got = await market.client.put("/orders")
        check_problem(got, 405, "method-not-allowed")
        assert set(got.headers["allow"].split(", ")) == {"GET", "HEAD", "POST", "DELETE"}
