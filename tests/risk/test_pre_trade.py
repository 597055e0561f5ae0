"""Risk and the exchange together: an account over its limit may only reduce what it holds."""

from decimal import Decimal
from pathlib import Path

from exchange.pre_trade import PreTradeSettings
from market.server import ServerSettings, serving
from risk.app import create_app, create_hub
from tests.exchange.markets import TCS, a_market
from tests.risk.builders import a_settings
from tests.risk.test_app import healthy, until
from tests.streams import a_client


async def test_an_account_over_its_limit_may_only_reduce(tmp_path: Path, port: int) -> None:
    asked = PreTradeSettings(url=f"http://127.0.0.1:{port}")
    async with a_market(tmp_path / "exchange", TCS, pre_trade=asked) as market:
        settings = a_settings(market.base, tmp_path, symbols=(TCS,))
        hub = create_hub(settings)
        server = ServerSettings(port=port, farewell_s=0.1)
        async with (
            serving(create_app(settings, hub=hub), server, hub.close) as url,
            a_client(url) as client,
        ):
            await healthy(client)
            await until(market.order, lambda answer: answer.status_code == 200)
            for k in range(20):  # an estimate is worth ten returns
                market.sources[TCS].tick(Decimal("33.95") + Decimal(k % 3) / 100)
            body = {"account": "ann", "limits": {"max_gross": 1000.0, "max_position": 1500.0}}
            assert (await client.put("/portfolios/anns", json=body)).status_code == 201
            await until(
                lambda: client.get("/risk/anns"), lambda answer: bool(answer.json()["quantities"])
            )
            assert (await market.order(quantity=25)).status_code == 200
            await until(
                lambda: client.get("/risk/anns"),
                lambda answer: answer.json()["quantities"] == {"TCS": 26},
            )
            denied = await until(
                lambda: market.order(quantity=10), lambda answer: answer.status_code == 409
            )
            assert denied.json()["type"] == "risk-limit"
            limits = market.exchange.pre_trade
            assert limits is not None
            await until(
                lambda: market.order(quantity=100), lambda answer: answer.status_code == 409
            )
            assert (await market.order(side="sell", quantity=5)).status_code == 200
