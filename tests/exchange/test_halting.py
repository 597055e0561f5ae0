import asyncio
from pathlib import Path

import pytest

from exchange.__main__ import main
from exchange.settings import operator_key
from market.errors import SettingsError
from market.settings import Environment
from tests.exchange.markets import TCS, Market, a_market


async def said(market: Market | int, *words: str, **variables: str) -> int:
    """Carry out a command line at an exchange, or at a port where there is none; its status."""
    port = market if isinstance(market, int) else int(market.base.rpartition(":")[2])
    env = Environment({"HOST": "127.0.0.1", "EXCHANGE_PORT": str(port), **variables})
    return await asyncio.to_thread(main, words, env)


async def test_one_line_halts_and_another_resumes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with a_market(tmp_path, TCS) as market:
        assert await said(market, "halt", "TCS") == 0
        assert await said(market, "halt", "tinkoff", "--state", "cancel_only") == 0
        assert market.exchange.desk.venue.trading_state(TCS) == "cancel_only"
        assert await said(market, "resume", "TCS") == 0
        assert await said(market, "halt", "a b") == 1
    told = capsys.readouterr()
    lines = [line for line in told.out.splitlines() if line.startswith("TCS is")]
    assert lines == ["TCS is halted", "TCS is cancel_only", "TCS is trading"]
    assert told.err == "exchange: There is no symbol 'a b'.\n"


async def test_with_keys_the_line_uses_an_operator_s(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = "ann:secret-of-ann,bob:secret-of-bob"
    owned = {"ann": "secret-of-ann", "bob": "secret-of-bob"}
    async with a_market(tmp_path, TCS, keys=owned, operators=("bob",)) as market:
        assert await said(market, "halt", "TCS", API_KEYS=keys) == 1
        assert await said(market, "halt", "TCS", API_KEYS=keys, OPERATORS="bob") == 0
    assert "key" in capsys.readouterr().err


async def test_an_exchange_that_is_not_there_is_named(
    port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await said(port, "halt", "TCS") == 1
    assert f"no answer from http://127.0.0.1:{port}" in capsys.readouterr().err


def test_a_line_that_makes_no_sense_is_told_how_it_is_used(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        main(["halt", "TCS", "--state", "trading"], Environment({}))
    assert "invalid choice" in capsys.readouterr().err


def test_an_operator_needs_a_key() -> None:
    with pytest.raises(SettingsError, match="OPERATORS: eve has no key"):
        operator_key(Environment({"API_KEYS": "ann:x", "OPERATORS": "eve"}))
    assert operator_key(Environment({})) is None
