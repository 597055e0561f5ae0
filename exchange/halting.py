"""``python -m exchange halt`` and ``resume``: trading stopped and opened by hand, over HTTP."""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from typing import Final
from urllib.parse import quote

import httpx
import msgspec

from exchange.settings import operator_key
from market.errors import MarketError
from market.orders import TradingState
from market.settings import Environment, port

STATES: Final = [str(state) for state in TradingState if state is not TradingState.TRADING]
TIMEOUT_S: Final = 10.0


class NotToldError(MarketError):
    """The exchange does not answer, or says no."""


class _Answer(msgspec.Struct):
    """What is read of an answer: a problem's detail, or how an instrument stands."""

    detail: str = ""
    symbol: str = ""
    trading_state: str = ""


def main(argv: Sequence[str], env: Environment) -> int:
    """Carry out ``argv`` at the exchange that runs under the settings in force.

    Return 0 when it did so, 1 when it refused or did not answer; raise SystemExit when ``argv`` is
    not understood.
    """
    asked = _parser().parse_args(argv)
    state = asked.state if asked.command == "halt" else TradingState.TRADING
    try:
        found = _told(asked, state, env)
    except NotToldError as error:
        sys.stderr.write(f"exchange: {error}\n")
        return 1
    sys.stdout.write(f"{found.symbol} is {found.trading_state}\n")
    return 0


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="python -m exchange")
    commands = parser.add_subparsers(dest="command", required=True)
    halt = commands.add_parser("halt", help="stop the trading of an instrument, until resumed")
    halt.add_argument("--state", choices=STATES, default="halted", help="what it is to allow")
    resume = commands.add_parser("resume", help="open an instrument to trading again")
    for command in (halt, resume):
        command.add_argument("symbol", help="such as BTC")
    return parser


def _told(asked: Namespace, state: str, env: Environment) -> _Answer:
    host, number = env.read("HOST", str), env.read("EXCHANGE_PORT", port)
    base = f"http://[{host}]:{number}" if ":" in host else f"http://{host}:{number}"
    key = operator_key(env)
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    try:
        with httpx.Client(base_url=base, trust_env=False, timeout=TIMEOUT_S) as client:
            answer = client.put(
                f"/instruments/{quote(asked.symbol, safe='')}/state",
                json={"state": state},
                headers=headers,
            )
        found = msgspec.json.decode(answer.content, type=_Answer)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise NotToldError(f"no answer from {base}: {error}") from error
    except (msgspec.DecodeError, UnicodeError) as error:
        raise NotToldError(f"{base} is no exchange: {error}") from error
    if answer.is_error:
        raise NotToldError(found.detail or f"HTTP status {answer.status_code}")
    return found
