"""Order entry over HTTP: the exchange with its journal, or an endpoint that only reads and answers.

python -m benchmarks.peers.order_entry [--echo] [--synchronous full]
"""

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import structlog
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from exchange.app import create_app
from exchange.commands import Charter
from exchange.exchange import Exchange
from exchange.journal import Synchronous
from exchange.rules import House, Rules
from exchange.settings import Settings
from market.clock import SystemClock
from market.events import Tick
from market.server import ServerSettings, serving, spare_the_collector
from market.streaming import StreamSettings
from market.values import Instrument, Symbol

TCS = Symbol("TCS")
OF = Instrument(symbol=TCS, name="Tinkoff", tick_size=Decimal("0.01"), lot_size=Decimal(1))
SERVER = ServerSettings()


@asynccontextmanager
async def exchange(data: Path, synchronous: Synchronous) -> AsyncIterator[str]:
    """Run an exchange whose house quotes without end; give its address."""
    rules = Rules(house=House(levels=5, quantity=Decimal(10**9)), max_open_orders=200)
    settings = Settings(
        instruments={TCS: OF},
        sources={},
        charter=Charter(instruments=(OF,), rules=rules),
        server=SERVER,
        stream=StreamSettings(),
        data=data,
        synchronous=synchronous,
    )
    made = Exchange(settings, SystemClock())
    async with serving(create_app(made), SERVER, made.leave) as base:
        price, now = Decimal("33.95"), datetime.now(UTC)
        made.desk.move(Tick(symbol=TCS, price=price, volume=Decimal(1), time=now, seq=1))
        yield base


@asynccontextmanager
async def echo() -> AsyncIterator[str]:
    """Run an endpoint that reads an order and answers something of the same size."""

    async def buy(request: Request) -> Response:
        asked = json.loads(await request.body())
        answer = {**asked, "order_id": 1, "status": "filled", "fills": [], "padding": "x" * 250}
        return Response(json.dumps(answer), media_type="application/json")

    routes = [Route(path, buy, methods=["POST"]) for path in ("/buy", "/sell")]
    async with serving(Starlette(routes=routes), SERVER) as base:
        yield base


async def main() -> None:
    """Serve until standard input ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--echo", action="store_true")
    parser.add_argument("--synchronous", choices=["normal", "full"], default="normal")
    asked = parser.parse_args()
    quiet = structlog.make_filtering_bound_logger("critical")
    structlog.configure(wrapper_class=quiet)
    with tempfile.TemporaryDirectory() as data:
        served = echo() if asked.echo else exchange(Path(data), asked.synchronous)
        async with served as base:
            spare_the_collector()
            print(json.dumps({"port": int(base.rpartition(":")[2])}), flush=True)
            await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    uvloop.run(main())
