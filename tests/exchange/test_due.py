"""Time passes by itself: what is due happens though no order and no price comes."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from tests.exchange.markets import PRICES, TCS, a_market, with_rules
from tests.streams import asked


async def test_an_order_expires_by_its_time_though_nothing_else_happens(tmp_path: Path) -> None:
    async with a_market(tmp_path, TCS) as market:
        until = (datetime.now(UTC) + timedelta(seconds=1)).isoformat(timespec="microseconds")
        placed = await market.order(price=30, time_in_force="GTD", expire_time=until)
        async with asked(f"{market.base}/accounts/ann/stream") as told:
            seen = await told.until(lambda b: b.event == "order_expired")
        found = (await market.get(f"/orders/{placed.json()['order_id']}")).json()
        account = (await market.get("/accounts/ann")).json()
    assert placed.json()["status"] == "open"
    assert seen[-1].data["time"] == until.replace("+00:00", "Z")
    assert found["status"] == "expired"
    assert account["locked_cash"] == 0


async def test_a_halt_and_its_auction_end_though_no_tick_comes(tmp_path: Path) -> None:
    rules = with_rules(halt_move_pct=Decimal(5), halt_window_s=60.0, halt_s=0.3, auction_s=0.3)
    async with a_market(tmp_path, TCS, rules=rules) as market:
        async with asked(f"{market.base}/stream?events=trading_state") as told:
            await told.until(lambda b: b.event == "snapshot")
            market.sources[TCS].tick(PRICES[TCS] * 2)
            seen = await told.until(lambda b: b.fields.get("data", "").find('"trading"') > 0)
        bought = await market.order()
    states = [block.data["state"] for block in seen if block.event == "trading_state"]
    assert states == ["halted", "auction", "trading"]
    assert bought.json()["status"] == "filled"
