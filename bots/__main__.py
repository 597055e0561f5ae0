"""Run a bot: ``python -m bots run investor``; ``python -m bots list`` says which there are."""

import argparse
import asyncio
import re
import secrets
import signal
import sys
from collections.abc import Sequence
from functools import partial
from random import Random
from typing import Any

import structlog

from bots.bot import Bot
from bots.catalog import OURS, build, find
from bots.desk import Desk
from bots.errors import StrategyBrokenError
from bots.exchange_client import ExchangeClient, Patience
from bots.own_orders import OwnOrders, account_feed
from bots.runner import Runner
from bots.settings import Settings
from bots.strategy import Strategy
from market.client import http_client
from market.clock import SystemClock
from market.errors import MarketError
from market.feed import Feed
from market.logs import configure_from
from market.settings import environment, words
from market.values import symbol

WRONG = 2  # what was asked for makes no sense
BROKEN = 70  # the strategy failed for good: EX_SOFTWARE of sysexits.h


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; return the exit code."""
    asked = _parser().parse_args(arguments)
    if asked.command == "list":
        for name, strategy in OURS.items():
            sys.stdout.write(f"{name:14}{(strategy.__doc__ or '').splitlines()[0]}\n")
        return 0
    try:
        return _run(asked)
    except MarketError as error:
        sys.stderr.write(f"bots: {error}\n")
        return BROKEN if isinstance(error, StrategyBrokenError) else WRONG


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bots", description="Bots that trade.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="print the strategies in the box")
    run = commands.add_parser("run", help="run one until it is stopped")
    run.add_argument("strategy", help="a name from the list, or path/to/file.py:Class")
    run.add_argument(
        "--account", help="whose cash it trades with; the strategy's name if not given"
    )
    run.add_argument("--symbols", help="what it trades, such as BTC,TCS; else as the settings say")
    run.add_argument(
        "--events", default="tick,source", help="what it hears of: tick,source,trade,book"
    )
    return parser


def _run(asked: argparse.Namespace) -> int:
    strategy, env = find(asked.strategy), environment()
    name = asked.strategy if asked.strategy in OURS else asked.account or strategy.__name__.lower()
    account = asked.account or name
    name = re.sub(r"[^A-Za-z0-9_-]", "-", name)  # it names a log file and settings
    only = tuple(map(symbol, words(asked.symbols))) if asked.symbols else None
    settings = Settings.from_env(env, name, only)
    configure_from(env, f"bot-{name}")
    make = partial(_new, strategy, settings, account)
    make()  # what is wrong with it shows now, not in the middle of a log
    log = structlog.get_logger(f"bots.{name}")
    try:
        asyncio.run(_until_stopped(_trade(make, settings, account, asked.events, log)))
    except MarketError as error:
        log.error("stopped", reason=str(error))
        raise
    return 0


def _new(strategy: type[Strategy], settings: Settings, account: str) -> Strategy:
    """A fresh strategy; what it may ask for is documented in docs/bots.md."""
    offers = {
        "account": account,
        "symbols": settings.symbols,
        "amounts": settings.amounts,
        "instruments": settings.instruments,
        "rng": Random(None if settings.seed is None else f"{settings.seed}/{account}"),
    }
    return build(strategy, offers)


async def _trade(
    make: partial[Strategy], settings: Settings, account: str, events: str, log: Any
) -> None:
    """Wire one bot and run it."""
    clock, session = SystemClock(), f"{account[:32]}-{secrets.token_hex(6)}"
    query = f"symbols={','.join(settings.symbols)}&events={events}"
    url, key = settings.exchange_url, settings.keys.get(account)
    async with http_client() as http:
        feed = Feed(f"{url}/stream?{query}", client=http, silence_s=settings.silence_s)
        own_orders = OwnOrders(
            partial(account_feed, url, account, client=http, key=key, silence_s=settings.silence_s),
            log=log,
        )
        client = ExchangeClient(
            http, url, rng=Random(), patience=Patience(settings.order_retry_s), key=key
        )
        desk = Desk(client, account=account, clock=clock)
        bot = Bot(
            make,
            account=account,
            starting_cash=settings.starting_cash,
            log=log,
            most_failures=settings.max_failures,
        )
        runner = Runner(
            bot,
            feed,
            desk,
            own_orders,
            session=session,
            status_s=settings.status_s,
            clock=clock,
            log=log,
        )
        log.info("started", account=account, symbols=",".join(settings.symbols))
        await runner.run()


async def _until_stopped(work: Any) -> None:
    """Do the work until it ends or SIGINT or SIGTERM comes."""
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    for each in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(each, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        if not task.cancelled():
            raise


if __name__ == "__main__":
    sys.exit(main())
