"""``python -m risk report``: what was recorded, replayed into a page."""

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import httpx
import msgspec

from market.client import http_client
from market.errors import MarketError
from market.events import Fact, Tick
from market.settings import Environment
from market.tape import recorded
from risk.errors import ExchangeAwayError, UnavailableError
from risk.portfolio import Basis, Portfolio
from risk.replay import MOST_FACTS, Record, replay
from risk.repositories import SqlitePortfolioRepository
from risk.settings import Settings

PAGE: Final = 1000
EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
WARM: Final = timedelta(days=1)
"""How much before the beginning an exchange is asked for, to warm the estimators up."""


def main(arguments: Sequence[str], env: Environment) -> int:
    """Write the report; return 2 when it cannot be made, with the reason on stderr."""
    asked = _parser().parse_args(arguments)
    try:
        settings = Settings.from_env(env)
        record = audit(
            settings,
            env.read("DATA_DIR", Path) / "stream",
            name=asked.portfolio,
            since=asked.since,
            until=asked.until,
            url=asked.url,
        )
        from risk.report_page import page  # the drawing library is slow to load

        asked.out.write_text(page(record), encoding="utf-8")
    except (MarketError, OSError) as error:
        sys.stderr.write(f"risk: {error}\n")
        return 2
    sys.stdout.write(f"{asked.out}: {record.facts} events, sha256 {record.digest}\n")
    return 0


def audit(
    settings: Settings,
    tape: Path,
    *,
    name: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    url: str | None = None,
) -> Record:
    """Return the record of a portfolio, by default the one of the settings.

    Args:
        tape: the folder of the exchange's tape, which may be in use.
        url: of an exchange whose history is replayed instead.
    Raises:
        MarketError: there is no such portfolio, or nothing that was recorded of that time.
    """
    portfolio = _portfolio(settings, name)
    if url is not None:
        facts: list[Fact] = list(asyncio.run(_history(url, settings, since, until)))
    elif tape.is_dir():
        facts = list(recorded(tape))
    else:
        raise UnavailableError(
            f"there is no tape in {tape}; --url asks an exchange for its history"
        )
    return replay(facts, settings, portfolio, since, until)


def _portfolio(settings: Settings, name: str | None) -> Portfolio:
    if name is None:
        return settings.portfolio
    saved = SqlitePortfolioRepository(settings.database).get(name)
    found = settings.portfolio if saved is None and name == settings.portfolio.name else saved
    if found is None:
        raise UnavailableError(f"there is no portfolio {name!r}")
    if found.basis is Basis.ACCOUNT:
        raise UnavailableError(f"{name} is an account: the stream does not record what it held")
    return found


async def _history(
    url: str, settings: Settings, since: datetime | None, until: datetime | None
) -> list[Tick]:
    """Return the ticks of an exchange's history in order of time, from a day before ``since``."""
    found: list[Tick] = []
    async with http_client(base_url=url, timeout=30) as client:
        for symbol in settings.symbols:
            query = {"symbol": symbol, "limit": str(PAGE)}
            query["from"] = _text(EARLIEST if since is None else max(EARLIEST, since - WARM))
            if until is not None:
                query["to"] = _text(until)
            async for page in _pages(client, str(httpx.URL("/ticks", params=query))):
                found += page
                if len(found) > MOST_FACTS:
                    raise UnavailableError(f"over {MOST_FACTS} ticks; choose a shorter time")
    order = {symbol: place for place, symbol in enumerate(settings.symbols)}
    return sorted(found, key=lambda tick: (tick.time, order[tick.symbol], tick.seq))


async def _pages(client: httpx.AsyncClient, path: str) -> AsyncIterator[list[Tick]]:
    following: str | None = path
    while following:
        try:
            answer = await client.get(following)
            answer.raise_for_status()
            yield msgspec.json.decode(answer.content, type=list[Tick])
        except (httpx.HTTPError, msgspec.DecodeError) as error:
            raise ExchangeAwayError(f"{type(error).__name__} {error}") from error
        following = answer.links.get("next", {}).get("url")


def _text(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m risk report", description=__doc__)
    parser.add_argument("report", choices=["report"], help="write a report of what was recorded")
    parser.add_argument("--from", dest="since", type=_time, help="begin, 2026-01-31T12:00:00Z")
    parser.add_argument("--to", dest="until", type=_time, help="end")
    parser.add_argument("--portfolio", help="a portfolio that was saved; else the default one")
    parser.add_argument("--out", type=Path, default=Path("report.html"), help="report.html")
    parser.add_argument("--url", help="an exchange whose history is replayed, not the tape")
    return parser


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time
