"""A source at full speed: nothing is lost on its way to a reader that comes and goes."""

import asyncio
import re
from decimal import Decimal
from pathlib import Path
from random import Random
from time import perf_counter

import pytest

from market.events import Tick
from tests.exchange.markets import NOON, TCS, Market, a_market
from tests.streams import asked

TICKS, A_SECOND, BURST = 40_000, 20_000, 100
ID_AND_SEQ = re.compile(rb"id: [0-9a-f]{8}-(\d+)\nevent: tick\ndata: .*\"seq\":(\d+)")


async def push(market: Market) -> None:
    """Send the ticks at their pace; late ones at once."""
    source, begun = market.sources[TCS], perf_counter()
    prices = [Decimal(3395 + n % 40).scaleb(-2) for n in range(40)]
    for sent in range(0, TICKS, BURST):
        for n in range(BURST):
            source.seq += 1
            price = prices[n % 40]
            source.hub.publish(
                Tick(symbol=TCS, price=price, volume=Decimal(1), time=NOON, seq=source.seq)
            )
        await asyncio.sleep(max(0.0, sent / A_SECOND - (perf_counter() - begun)))


async def follow(market: Market, upto: int) -> list[int]:
    """Read the ticks, hanging up now and then; return their seqs as they came."""
    random, last_id, seqs = Random(5), f"{market.exchange.market.hub.epoch}-0", list[int]()
    while not seqs or seqs[-1] < upto:
        left = random.randint(1, 60)
        async with asked(f"{market.base}/stream", headers={"Last-Event-ID": last_id}) as told:
            while left and (not seqs or seqs[-1] < upto):
                chunk = await told.chunk()
                told.chunks.clear()
                found = ID_AND_SEQ.findall(chunk)
                seqs += [int(seq) for _, seq in found]
                if found:
                    last_id = f"{last_id[:8]}-{int(found[-1][0])}"
                    left -= 1
    return seqs


@pytest.mark.no_cover
async def test_20_000_ticks_a_second_all_reach_a_reader_that_comes_and_goes(
    tmp_path: Path,
) -> None:
    async with a_market(tmp_path, TCS, history=100_000) as market:
        reading = asyncio.create_task(follow(market, TICKS + 1))
        await push(market)
        seqs = await asyncio.wait_for(reading, 200)
        source = market.exchange.merging.sources[TCS]
    assert seqs == [*range(1, TICKS + 2)]
    assert source.faults == source.lost_ticks == 0
    assert market.failures == []
