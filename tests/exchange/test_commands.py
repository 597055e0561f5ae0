from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import pytest

from exchange.commands import (
    AdvanceTime,
    AnyCommand,
    CancelOrders,
    ConfigureAccount,
    LoseReference,
    MoveReference,
    OpenVenue,
    decode,
    encode,
)
from exchange.rules import House, Rules
from market.orders import AmendOrder, CancelOrder, HaltTrading, ResumeTrading, TimeInForce
from tests.exchange.venues import BTC, TCS, a_charter, an_order

RULES = Rules(taker_fee_bps=Decimal("7.30"), halt_window_s=0.5, house=House(levels=2))


@pytest.mark.parametrize(
    "command",
    [
        an_order("ann", "buy", "1.50", "10.10", client_order_id='é\n"\\', post_only=True),
        an_order(
            "ann",
            "sell",
            "1",
            None,
            time_in_force=TimeInForce.GTD,
            expire_time=datetime(2026, 1, 1, 0, 0, 0, 7, UTC),
        ),
        CancelOrder(account="ann", order_id=7),
        CancelOrders(account="ann", symbol=TCS),
        AmendOrder(account="ann", order_id=7, quantity=Decimal(2)),
        ConfigureAccount(account="ann", leverage=Decimal("2.0"), short_selling=False),
        MoveReference(symbol=BTC, price=Decimal(70400)),
        LoseReference(symbol=BTC),
        HaltTrading(symbol=BTC),
        ResumeTrading(symbol=BTC),
        AdvanceTime(),
        OpenVenue(charter=a_charter(RULES, sourced=(BTC,))),
    ],
)
def test_a_command_is_one_line_and_comes_back_to_the_digit(command: AnyCommand) -> None:
    data = encode(command)
    assert b"\n" not in data
    assert decode(data) == command
    assert encode(decode(data)) == data


@pytest.mark.parametrize("data", ["", "{}", '{"command":"dance"}', '{"command":"cancel"}', "[1]"])
def test_what_is_no_command_is_refused(data: str) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode(data)
