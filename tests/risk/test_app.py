"""The service over real sockets, against a stand-in for the exchange."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from starlette.routing import Route

from market.events import SourceState, State
from market.server import ServerSettings, serving
from market.settings import Environment
from market.values import Symbol
from risk.app import create_app, create_hub
from risk.settings import Settings
from risk.standings import Guard, SqliteGuardRepository
from tests.described import broken_promises
from tests.risk.builders import WEIGHTS, a_settings, a_tick, at, walks
from tests.risk.exchange import an_exchange
from tests.streams import PATIENCE_S, a_client, eventually

NOWHERE = "http://127.0.0.1:9"


@asynccontextmanager
async def a_risk(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    hub = create_hub(settings)
    app = create_app(settings, hub=hub)
    async with (
        serving(app, ServerSettings(farewell_s=0.1), hub.close) as url,
        a_client(url) as client,
    ):
        yield client


async def until(
    ask: Callable[[], Awaitable[httpx.Response]], good: Callable[[httpx.Response], bool]
) -> httpx.Response:
    async with asyncio.timeout(PATIENCE_S):
        while not good(answer := await ask()):  # noqa: ASYNC110  the other side is HTTP
            await asyncio.sleep(0.01)
    return answer


async def healthy(client: httpx.AsyncClient) -> httpx.Response:
    return await until(lambda: client.get("/health"), lambda answer: answer.status_code == 200)


def is_halted(database: Path, name: str) -> bool:
    """Tell whether it is kept that a portfolio is halted."""
    return bool(SqliteGuardRepository(database).all().get(name, Guard()).halted)


async def events(client: httpx.AsyncClient, url: str, count: int) -> list[tuple[str, Any]]:
    return await events_until(client, url, lambda found: len(found) == count)


async def events_until(
    client: httpx.AsyncClient, url: str, enough: Callable[[list[tuple[str, Any]]], bool]
) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    async with asyncio.timeout(PATIENCE_S), client.stream("GET", url) as answer:
        kind = ""
        async for line in answer.aiter_lines():
            if line.startswith("event: "):
                kind = line[7:]
            elif line.startswith("data: "):
                found.append((kind, json.loads(line[6:])))
                if enough(found):
                    break
    return found


async def test_the_newest_report_of_the_default_portfolio(tmp_path: Path) -> None:
    async with an_exchange() as (_, url), a_risk(a_settings(url, tmp_path)) as client:
        await healthy(client)
        answer = await client.get("/risk")
        report = answer.json()
        assert answer.headers["content-type"] == "application/json"
        assert report["state"] == "live"
        assert report["weights"] == WEIGHTS
        assert report["time"].endswith("Z")
        assert set(report["value_at_risk"]) == {"0.95", "0.99"}
        assert sum(report["contributions"].values()) == pytest.approx(1)
        assert (await client.get("/risk/default")).json() == report


async def test_a_tick_becomes_a_report_on_the_stream(tmp_path: Path) -> None:
    async with an_exchange() as (exchange, url), a_risk(a_settings(url, tmp_path)) as client:
        await healthy(client)
        await until(lambda: client.get("/risk"), lambda answer: answer.json()["state"] == "live")
        second = "2026-01-01T00:01:01"
        reading = asyncio.create_task(
            events_until(client, "/stream", lambda found: found[-1][1]["time"].startswith(second))
        )
        await until(lambda: client.get("/health"), lambda answer: answer.json()["streams"] == 1)
        exchange.tick(a_tick("BTC", 71000.0, t=60, seq=51))
        await until(lambda: client.get("/risk"), lambda answer: "00:01:00" in answer.json()["time"])
        exchange.tick(a_tick("BTC", 72000.0, t=61, seq=52))
        found = await reading
        assert {kind for kind, _ in found} == {"risk"}
        assert found[-1][1]["portfolio"] == "default"


async def test_without_the_exchange_it_says_so_and_comes_alive_with_it(
    tmp_path: Path, port: int
) -> None:
    url = f"http://127.0.0.1:{port}"
    async with a_risk(a_settings(url, tmp_path)) as client:
        health = await until(
            lambda: client.get("/health"), lambda answer: "lost" in answer.json()["feed"]
        )
        assert health.status_code == 503
        answer = await client.get("/risk")
        assert answer.status_code == 503
        assert answer.headers["content-type"] == "application/problem+json"
        assert "lost" in answer.json()["detail"]
        async with an_exchange(port):
            await healthy(client)
            assert (await client.get("/risk")).json()["value"] == pytest.approx(1_000_000)
        gone = await until(lambda: client.get("/health"), lambda answer: answer.status_code == 503)
        assert gone.json()["problems"]
        assert (await client.get("/risk")).json()["state"] == "stale"


async def test_a_source_that_is_down_turns_health_and_report(tmp_path: Path) -> None:
    async with an_exchange() as (exchange, url), a_risk(a_settings(url, tmp_path)) as client:
        await healthy(client)
        exchange.hub.publish(SourceState(symbol=Symbol("BTC"), state=State.DOWN, since=at(55)))
        await until(lambda: client.get("/health"), lambda answer: answer.status_code == 503)
        assert (await client.get("/risk")).json()["state"] == "stale"


async def test_the_positions_of_an_account(tmp_path: Path) -> None:
    async with an_exchange() as (exchange, url), a_risk(a_settings(url, tmp_path)) as client:
        await healthy(client)
        price = float(exchange.latest()["BTC"].price)
        exchange.accounts["investor"] = {
            "cash": 1000,
            "positions": [{"symbol": "BTC", "quantity": 2}, {"symbol": "TCS", "quantity": 0}],
        }
        report = (await client.get("/risk", params={"account": "investor"})).json()
        assert report["portfolio"] == "account:investor"
        assert report["value"] == pytest.approx(1000 + 2 * price)
        assert list(report["weights"]) == ["BTC"]
        exchange.accounts["investor"]["positions"][0]["quantity"] = 3
        await until(
            lambda: client.get("/risk", params={"account": "investor"}),
            lambda answer: answer.json()["value"] == pytest.approx(1000 + 3 * price),
        )
        answer = await client.get("/risk", params={"account": "nobody"})
        assert (answer.status_code, answer.json()["type"]) == (404, "unknown-account")
        for name in ("", "a b", "..", "x" * 65, "a/b", "é"):
            answer = await client.get("/risk", params={"account": name})
            assert (answer.status_code, answer.json()["type"]) == (404, "unknown-account")


async def test_an_account_is_asked_for_at_most_once_an_interval(tmp_path: Path) -> None:
    settings = a_settings("", tmp_path, interval_s=60.0)
    async with an_exchange() as (exchange, url):
        exchange.accounts["me"] = {"cash": 5, "positions": []}
        async with a_risk(a_settings(url, tmp_path, interval_s=settings.interval_s)) as client:
            await healthy(client)
            for _ in range(5):
                assert (await client.get("/risk?account=me")).json()["value"] == 5
            assert exchange.asked == ["me"]


async def test_an_account_while_the_exchange_is_away_is_503(tmp_path: Path) -> None:
    async with a_risk(a_settings(NOWHERE, tmp_path)) as client:
        answer = await client.get("/risk", params={"account": "investor"})
        assert (answer.status_code, answer.json()["type"]) == (503, "exchange-away")


async def test_a_portfolio_may_be_an_account_and_have_limits(tmp_path: Path) -> None:
    async with an_exchange() as (exchange, url), a_risk(a_settings(url, tmp_path)) as client:
        exchange.accounts["me"] = {"cash": 5, "positions": [{"symbol": "BTC", "quantity": 1}]}
        await healthy(client)
        body = {"account": "me", "limits": {"max_gross": 1.0}}
        assert (await client.put("/portfolios/mine", json=body)).status_code == 201
        assert (await client.put("/portfolios/nobodys", json={"account": "x"})).status_code == 201
        price = float(exchange.latest()["BTC"].price)
        await until(
            lambda: client.get("/risk/mine"),
            lambda answer: answer.json()["value"] == pytest.approx(5 + price),
        )
        for k in range(3):
            exchange.tick(a_tick("BTC", price, t=60 + k, seq=51 + k))
        await until(
            lambda: client.get("/limits"),
            lambda answer: answer.json()["mine"]["max_gross"]["state"] == "breached",
        )
        unknown = (await client.get("/risk/nobodys")).json()
        assert unknown["value"] is None
        assert "positions" in unknown["unavailable"]["value"]


async def test_what_is_halted_stays_so_over_a_restart_until_it_is_armed(tmp_path: Path) -> None:
    async with an_exchange() as (exchange, url):
        settings = a_settings(url, tmp_path)
        async with a_risk(settings) as client:
            await healthy(client)
            body = {"quantities": {"BTC": 1}, "limits": {"max_drawdown": 0.01}}
            await client.put("/portfolios/mine", json=body)
            reading = asyncio.create_task(events(client, "/stream?events=limit", 1))
            await until(lambda: client.get("/health"), lambda answer: answer.json()["streams"] == 1)
            for k in range(3):
                exchange.tick(a_tick("BTC", 50_000.0, t=60 + k, seq=51 + k))
            ((kind, told),) = await reading
            assert (kind, told["portfolio"], told["standing"]) == ("limit", "mine", "halted")
            await eventually(lambda: is_halted(settings.database, "mine"))
        async with a_risk(settings) as client:
            (stands,) = (await client.get("/standings")).json()
            assert (stands["portfolio"], stands["standing"]) == ("mine", "halted")
            await healthy(client)
            armed = (await client.post("/portfolios/mine/arm")).json()
            assert armed["standing"] == "active"
            assert (await client.get("/standings")).json() == [armed]
            assert (await client.post("/portfolios/yours/arm")).status_code == 404


async def test_accounts_that_nobody_asks_for_make_room(tmp_path: Path) -> None:
    async with an_exchange() as (exchange, url):
        for name in "abcd":
            exchange.accounts[name] = {"cash": 5, "positions": []}
        async with a_risk(a_settings(url, tmp_path, max_portfolios=2)) as client:
            await healthy(client)
            for name in "abcd":
                assert (await client.get(f"/risk?account={name}")).status_code == 200
            names = {each["name"] for each in (await client.get("/portfolios")).json()}
            assert names == {"default", "account:c", "account:d"}


async def test_portfolios_are_put_kept_and_deleted(tmp_path: Path) -> None:
    async with an_exchange() as (_, url):
        settings = a_settings(url, tmp_path)
        async with a_risk(settings) as client:
            await healthy(client)
            body = {"quantities": {"BTC": 2, "META": -10}, "cash": 100}
            assert (await client.put("/portfolios/mine", json=body)).status_code == 201
            assert (await client.put("/portfolios/mine", json=body)).status_code == 200
            assert (await client.get("/risk/mine")).json()["quantities"] == body["quantities"]
        async with a_risk(settings) as client:
            await healthy(client)
            assert (await client.get("/portfolios/mine")).json()["cash"] == 100
            assert (await client.delete("/portfolios/mine")).status_code == 204
            assert (await client.get("/risk/mine")).status_code == 404
            assert (await client.delete("/portfolios/mine")).status_code == 404


WRONG = {
    b"{": 422,
    b"\xff\xfe": 422,
    b"[]": 422,
    b"[" * 5000: 422,
    b'{"weights": {"BTC": "x"}}': 422,
    b'{"weights": {"btc": 1}}': 422,
    b'{"weights": {"BTC": 1e400}}': 422,
    b'{"weights": {}}': 422,
    b'{"weights": {"DOGE": 1}}': 422,
    b'{"weights": {"BTC": 1}, "account": "me"}': 422,
    b'{"weights": {"BTC": 1}, "value": -5}': 422,
    b'{"weights": {"BTC": 1}, "limits": {"max_var": 0}}': 422,
    b'{"unknown": 1}': 422,
    b"x" * 70_000: 413,
}


async def test_a_wrong_portfolio_is_a_problem(tmp_path: Path) -> None:
    async with a_risk(a_settings(NOWHERE, tmp_path)) as client:
        for body, status in WRONG.items():
            answer = await client.put("/portfolios/mine", content=body)
            assert (answer.status_code, body) == (status, body)
            assert answer.headers["content-type"] == "application/problem+json"
        assert [each["name"] for each in (await client.get("/portfolios")).json()] == ["default"]


async def test_too_many_portfolios_are_refused(tmp_path: Path) -> None:
    async with a_risk(a_settings(NOWHERE, tmp_path, max_portfolios=2)) as client:
        body = {"weights": {"BTC": 1}}
        assert (await client.put("/portfolios/a", json=body)).status_code == 201
        assert (await client.put("/portfolios/b", json=body)).status_code == 409
        assert (await client.put("/portfolios/account:x", json=body)).status_code == 422


async def test_readers_choose_portfolios_and_kinds(tmp_path: Path) -> None:
    async with a_risk(a_settings(NOWHERE, tmp_path)) as client:
        assert (await client.get("/stream", params={"portfolios": "x"})).status_code == 404
        assert (await client.get("/stream", params={"events": "x"})).status_code == 422
        assert (await client.head("/stream?portfolios=default&events=risk")).status_code == 200


async def test_at_most_one_report_an_interval_and_portfolio(tmp_path: Path) -> None:
    async with an_exchange() as (exchange, url):
        settings = a_settings(url, tmp_path, interval_s=0.3)
        async with a_risk(settings) as client:
            await healthy(client)
            exchange.tick(*walks(3, 300, start_s=100, step_s=0.01))
            loop = asyncio.get_running_loop()
            started = loop.time()
            reading = asyncio.create_task(events(client, "/stream?events=risk", 3))
            for k in count():
                exchange.tick(a_tick("BTC", 70000.0 + k % 100, t=200 + k, seq=1000 + k))
                if (await asyncio.wait([reading], timeout=0.01))[0]:
                    break
            found = await reading
            assert loop.time() - started > 0.5
            times = [report["time"] for _, report in found]
            assert sorted(set(times)) == times


async def test_metrics_and_scenarios(tmp_path: Path) -> None:
    async with an_exchange() as (_, url), a_risk(a_settings(url, tmp_path)) as client:
        await healthy(client)
        text = (await client.get("/metrics")).text
        assert "risk_up 1.0" in text
        assert 'risk_value{portfolio="default"} ' in text
        assert (await client.get("/scenarios")).json() == {}
        assert (await client.get("/limits")).json() == {"default": {}}


async def test_the_document_is_valid_and_every_route_is_in_it(tmp_path: Path) -> None:
    app = create_app(a_settings(NOWHERE, tmp_path))
    async with a_risk(a_settings(NOWHERE, tmp_path)) as client:
        described = (await client.get("/openapi.json")).json()
    OpenAPIV31SpecValidator(described).validate()
    routes = {
        (method, route.path)
        for route in app.routes
        if isinstance(route, Route)
        for method in (route.methods or set()) - {"HEAD"}
    }
    paths = described["paths"]
    assert routes == {(method.upper(), path) for path, each in paths.items() for method in each}


async def test_answers_are_as_the_document_says_whatever_is_asked(tmp_path: Path) -> None:
    async with (
        an_exchange() as (exchange, url),
        a_risk(a_settings(url, tmp_path, max_portfolios=5)) as client,
    ):
        exchange.accounts["me"] = {"cash": 5, "positions": []}
        await healthy(client)
        body = {"weights": {"BTC": 1}, "limits": {"max_gross": 1.0}}
        await client.put("/portfolios/mine", json=body)
        base = str(client.base_url).rstrip("/")
        broken = await broken_promises(
            base, tmp_path, phases="coverage", examples=3, endless="stream"
        )
    assert not broken, broken


def test_settings_come_from_the_environment(tmp_path: Path) -> None:
    scenarios = tmp_path / "scenarios.toml"
    scenarios.write_text('[winter]\nBTC = -0.5\n"*" = -0.1\n')
    from market.settings import environment

    given = environment(
        process={
            "PORTFOLIO": "BTC:1,META:1",
            "RISK_SCENARIOS_FILE": str(scenarios),
            "RISK_HALF_LIFE_S": "30",
            "DATA_DIR": str(tmp_path),
        }
    )
    settings = Settings.from_env(given)
    assert settings.portfolio.total_weight() == 2
    assert settings.portfolio.value == 1_000_000
    assert settings.estimators.half_life_s == 30
    assert settings.terms.shocks == {"winter": {"BTC": -0.5, "*": -0.1}}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORTFOLIO", "BTC"),
        ("PORTFOLIO", "btc:1"),
        ("PORTFOLIO", "BTC:nan"),
        ("RISK_HORIZON_S", "0"),
        ("RISK_SCENARIOS_FILE", "/nowhere"),
    ],
)
def test_a_wrong_setting_is_named(name: str, value: str) -> None:
    from market.errors import SettingsError
    from market.settings import environment

    with pytest.raises(SettingsError, match=name):
        Settings.from_env(environment(process={name: value}))


@pytest.mark.parametrize("name", ["RISK_API_KEYS", "API_KEYS"])
def test_the_keys_of_accounts_are_known_and_not_told(name: str) -> None:
    from market.errors import SettingsError
    from market.settings import environment

    settings = Settings.from_env(environment(process={name: "ann:s3cret"}))
    assert settings.keys == {"ann": "s3cret"}
    assert "s3cret" not in repr(settings)
    with pytest.raises(SettingsError, match=name) as refused:
        Settings.from_env(environment(process={name: "ann:s3cret,bob"}))
    assert "s3cret" not in str(refused.value)


def test_the_environment_is_an_argument() -> None:
    from risk.__main__ import main

    assert main(Environment({})) == 2


def test_a_portfolio_of_what_is_not_streamed_is_refused_by_name(
    capsys: pytest.CaptureFixture[str],
) -> None:
    from market.settings import environment
    from risk.__main__ import main

    assert main(environment(process={"PORTFOLIO": "BTC:1,DOGE:1"})) == 2
    assert "PORTFOLIO: DOGE is not among SYMBOLS=BTC,TCS,META" in capsys.readouterr().err
