"""Portfolios that follow an account: its own stream first, a request where there is none."""

from pathlib import Path

import httpx
import pytest

from market.values import Side, Symbol
from risk.accounts import Accounts
from risk.portfolio import Asset, Basis, Portfolio, Weight
from risk.repositories import AccountRepository, ExchangeClient
from tests.risk.builders import a_monitor, a_settings
from tests.risk.exchange import Exchange, an_exchange
from tests.risk.test_app import a_risk, healthy, until
from tests.streams import a_client, eventually

ME = {"cash": 1000.0, "positions": [{"symbol": "BTC", "quantity": 2}]}


def priced(exchange: Exchange) -> float:
    return float(exchange.latest()["BTC"].price)


async def joined(exchange: Exchange) -> None:
    await eventually(lambda: bool(exchange.joined))


async def value_of(client: httpx.AsyncClient, value: float) -> None:
    await until(
        lambda: client.get("/risk/mine"),
        lambda answer: answer.json()["value"] == pytest.approx(value),
    )


async def test_a_fill_on_the_account_s_stream_moves_the_portfolio(tmp_path: Path) -> None:
    async with an_exchange(account_streams=True) as (exchange, url):
        exchange.accounts["me"] = ME
        async with a_risk(a_settings(url, tmp_path)) as client:
            await healthy(client)
            await client.put("/portfolios/mine", json={"account": "me"})
            price = priced(exchange)
            await value_of(client, 1000 + 2 * price)
            await joined(exchange)
            exchange.fill("other", Side.BUY, "5", "1")
            exchange.fill("me", Side.BUY, "1", "100", fee="3")
            await value_of(client, 1000 - 103 + 3 * price)
            exchange.fill("me", Side.SELL, "3", "200", fee="1")
            await value_of(client, 1000 - 103 + 599)
            assert (await client.get("/risk/mine")).json()["quantities"] == {}


async def test_what_differs_for_good_is_put_right_and_the_stream_begins_anew(
    tmp_path: Path,
) -> None:
    async with an_exchange(account_streams=True) as (exchange, url):
        exchange.accounts["me"] = ME
        async with a_risk(a_settings(url, tmp_path, reconcile_s=0.05)) as client:
            await healthy(client)
            await client.put("/portfolios/mine", json={"account": "me"})
            await value_of(client, 1000 + 2 * priced(exchange))
            exchange.accounts["me"] = ME | {"cash": 77.0}
            await value_of(client, 77 + 2 * priced(exchange))


async def test_a_guarded_account_is_followed_with_its_key(tmp_path: Path) -> None:
    async with an_exchange(account_streams=True) as (exchange, url):
        exchange.accounts["me"], exchange.keys["me"] = ME, "s3cret"
        async with a_risk(a_settings(url, tmp_path, keys={"me": "s3cret"})) as client:
            await healthy(client)
            report = (await client.get("/risk?account=me")).json()
            assert report["quantities"] == {"BTC": 2}
            await joined(exchange)
            exchange.fill("me", Side.BUY, "1", "100")
            await until(
                lambda: client.get("/risk?account=me"),
                lambda answer: answer.json()["quantities"] == {"BTC": 3},
            )


@pytest.mark.parametrize("keys", [{}, {"me": "wrong"}])
async def test_a_guarded_account_without_its_key_is_a_clear_503(
    tmp_path: Path, keys: dict[str, str]
) -> None:
    async with an_exchange(account_streams=True) as (exchange, url):
        exchange.accounts["me"], exchange.keys["me"] = ME, "s3cret"
        async with a_risk(a_settings(url, tmp_path, keys=keys)) as client:
            answer = await client.get("/risk?account=me")
            assert (answer.status_code, answer.json()["type"]) == (503, "account-guarded")
            assert "RISK_API_KEYS" in answer.json()["detail"]


async def test_an_account_that_was_followed_by_name_can_be_asked_for_too(tmp_path: Path) -> None:
    async with an_exchange(account_streams=True) as (exchange, url):
        exchange.accounts["me"] = ME
        async with a_risk(a_settings(url, tmp_path)) as client:
            await healthy(client)
            await client.put("/portfolios/mine", json={"account": "me"})
            await value_of(client, 1000 + 2 * priced(exchange))
            assert (await client.get("/risk?account=me")).json()["quantities"] == {"BTC": 2}


async def test_an_account_whose_line_is_lost_is_joined_anew_and_counts_no_fill_twice(
    tmp_path: Path,
) -> None:
    async with an_exchange(account_streams=True) as (exchange, url):
        exchange.accounts["me"] = ME
        async with a_risk(a_settings(url, tmp_path)) as client:
            await healthy(client)
            await client.put("/portfolios/mine", json={"account": "me"})
            await value_of(client, 1000 + 2 * priced(exchange))
            exchange.fills.close()
            exchange.hub.close()
            exchange.accounts["me"] = ME | {"cash": 500.0}
            await value_of(client, 500 + 2 * priced(exchange))


def test_what_is_left_of_a_position_that_was_sold_is_nothing() -> None:
    btc = Symbol("BTC")
    held = Portfolio(name="a", assets=(Asset(btc, Weight(0.3)),), basis=Basis.ACCOUNT, account="a")
    after = held.after(btc, -0.1, 10.0).after(btc, -0.2, 20.0)
    assert after.assets == ()
    assert after.cash == 30


async def test_no_account_is_asked_for_under_a_name_that_means_something_else(
    tmp_path: Path,
) -> None:
    from risk.errors import UnknownAccountError

    async with a_client() as client:
        settings = a_settings("http://127.0.0.1:9", tmp_path)
        known = AccountRepository(ExchangeClient(client, settings.exchange_url))
        accounts = Accounts(settings, a_monitor(), known, client, lambda: 0.0)
        with pytest.raises(UnknownAccountError):
            await accounts.follow("../orders")
