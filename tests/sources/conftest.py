"""What the tests of sources share: a market of their own, without any file of the machine."""

from collections.abc import Callable

import pytest

from market.settings import Environment

VARIABLES = {
    "HOST": "127.0.0.1",
    "SYMBOLS": "BTC,TCS,META",
    "QUOTE": "USDT",
    "TICK_INTERVAL_S": "0.001",
    "SEED": "42",
    "HISTORY": "100000",
    "HEARTBEAT_S": "15",
    "SEND_TIMEOUT_S": "10",
    "MAX_STREAMS": "100",
    "MAX_STREAMS_PER_ADDRESS": "100",
    "REQUEST_TIMEOUT_S": "10",
    "BINANCE_STALL_S": "30",
    "LOG_LEVEL": "info",
    "LOG_FORMAT": "text",
    "LOG_MAX_BYTES": "1000000",
    "LOG_BACKUPS": "1",
    "BTC_PORT": "8081",
    "BTC_START": "70400",
    "BTC_TICK_SIZE": "1",
    "BTC_LOT_SIZE": "0.00001",
    "BTC_STEP_MAX": "10",
    "BTC_PROCESS": "walk",
    "TCS_PORT": "8082",
    "TCS_START": "33.95",
    "TCS_TICK_SIZE": "0.01",
    "TCS_LOT_SIZE": "1",
    "TCS_STEP_MAX": "10",
    "TCS_PROCESS": "walk",
    "META_PORT": "8083",
    "META_START": "505.47",
    "META_TICK_SIZE": "0.01",
    "META_LOT_SIZE": "1",
    "META_STEP_MAX": "50",
    "META_PROCESS": "walk",
}


@pytest.fixture
def market() -> Callable[..., Environment]:
    """Return the settings of the default market, with what a test changes."""

    def changed(**variables: str) -> Environment:
        return Environment(VARIABLES | variables)

    return changed
