"""A scenario before the exchange that runs now, on loopback: over its stream and its HTTP API.

What happens to prices needs a source that obeys: for each symbol whose prices a scenario touches,
one is served here, on the port where the exchange looks for it. The source of `make start` has to
leave that port first; an exchange started with ``<SYMBOL>_SOURCE_URL`` finds it anywhere.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import quote, urlencode

import httpx
import msgspec

from bots.answers import AccountAnswer, OrderAnswer
from market.client import http_client
from market.events import Fact, State
from market.feed import Feed, FeedEnded
from market.orders import PlaceOrder, TradingState, TradingStateChanged
from market.settings import Environment, environment, instrument, port, symbols
from market.values import Symbol
from market.wire import FACTS, Decoder, encode
from simulation.actions import (
    AnyEvent,
    News,
    PriceShock,
    SourceDies,
    SourceLies,
    SourceStalls,
    ThinBook,
    VolatilityRegime,
    events,
)
from simulation.assertions import Assertion, failures, never_came
from simulation.config import DAY_S, RunConfig
from simulation.distortion import Distortion
from simulation.errors import ConfigError
from simulation.outsider import Outsiders, adds_up
from simulation.puppet import Puppet
from simulation.recorder import Equity, Recorder
from simulation.results import BotResult, RunResult, as_it_stands
from sources.settings import Settings

PATIENCE_S: Final = 10.0
POLL_S: Final = 0.05
PRICED: Final = (PriceShock, VolatilityRegime, SourceStalls, SourceLies, SourceDies, News)
CLOSED: Final = (ThinBook,)  # the live exchange has no door for it

Say = Callable[[str], None]


class LiveStage:
    """Plays events before a live exchange, and records what its stream tells."""

    def __init__(self, env: Environment, client: httpx.AsyncClient, url: str, say: Say) -> None:
        self.recorder = Recorder(symbols(env), ())
        self.puppets: dict[str, Puppet] = {}
        self.accounts: dict[str, AccountAnswer] = {}
        self.refused: dict[str, dict[str, int]] = {}
        self._env, self._client, self._url, self._say = env, client, url, say
        self._distortions: dict[str, Distortion] = {}
        self._at_tick: dict[tuple[str, int], list[Callable[[], None]]] = {}
        self._made: dict[str, int] = {}
        self._halted: set[str] = set()
        self._tasks = asyncio.TaskGroup()
        self._turn = asyncio.Lock()  # orders reach the exchange in the order of their events
        self._began = asyncio.get_running_loop().time()

    @property
    def seconds(self) -> float:
        """The seconds since the scenario began."""
        return asyncio.get_running_loop().time() - self._began

    def distortion(self, symbol: str) -> Distortion:
        """Return what changes the ticks of a symbol."""
        of = instrument(self._env, Symbol(symbol))
        return self._distortions.setdefault(symbol, Distortion(of))

    def order(self, order: PlaceOrder, terms: Mapping[str, object]) -> None:
        """Place an order for an account that opens on these terms."""
        self.spawn(self._order(order, terms))

    def lose(self, symbol: str) -> None:
        """Have the source leave."""
        self.puppets[symbol].kill()

    def find(self, symbol: str) -> None:
        """Have the source come back."""
        self.puppets[symbol].revive()

    def halt(self, symbol: str) -> None:
        """Stop the trading of an instrument."""
        self._halted.add(symbol)
        self.spawn(self._allow(symbol, TradingState.HALTED))

    def resume(self, symbol: str) -> None:
        """Open an instrument that was halted here to trading again."""
        if symbol in self._halted:
            self._halted.remove(symbol)
            self.spawn(self._allow(symbol, TradingState.TRADING))

    def thin(self, quantity: Decimal | None, levels: int | None) -> None:
        """Refuse: there is no door for it."""
        raise ConfigError(f"a live house cannot be told to quote {quantity} at {levels} levels")

    def later(self, delay_s: float, action: Callable[[], None]) -> None:
        """Do something after a while."""
        asyncio.get_running_loop().call_later(delay_s, action)

    def spawn(self, job: Coroutine[Any, Any, None]) -> None:
        """Do something beside everything else."""
        self._tasks.create_task(job)

    async def play(self, scenario: tuple[AnyEvent, ...], for_s: float, sample_s: float) -> None:
        """Play the events for as long as it takes, then end everything that was begun."""
        async with self._tasks:
            begun = [self._tasks.create_task(p.run()) for p in self._string(scenario).values()]
            await self._heard()
            self._began = asyncio.get_running_loop().time()
            begun.append(self._tasks.create_task(self._read()))
            begun.append(self._tasks.create_task(self._sample(sample_s)))
            for event in scenario:
                self._schedule(event)
            await asyncio.sleep(for_s)
            await self._look()
            for symbol in tuple(self._halted):  # what is halted here does not stay so
                self.resume(symbol)
            for each in begun:
                each.cancel()

    @property
    def awaited(self) -> list[tuple[str, int]]:
        """The symbols and ticks that something is to happen at, and that have not come."""
        return sorted(self._at_tick)

    # -- inside ----------------------------------------------------------------------------------

    def _string(self, scenario: tuple[AnyEvent, ...]) -> dict[str, Puppet]:
        """Make a source for each symbol whose prices the scenario touches."""
        for event in scenario:
            if isinstance(event, CLOSED):
                raise ConfigError(f"a live exchange has no door for {type(event).__name__}")
            touched = isinstance(event, PRICED) or event.tick is not None
            if touched and event.symbol not in self.puppets:
                settings = Settings.from_env(self._env, Symbol(event.symbol))
                self.puppets[event.symbol] = Puppet(
                    settings,
                    settings.seed or 0,
                    self.distortion(event.symbol),
                    partial(self._before_tick, event.symbol),
                )
        return self.puppets

    async def _heard(self) -> None:
        """Return when the exchange hears every source that is served here; ConfigError if never."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                for puppet in self.puppets.values():
                    await puppet.up.wait()
                while not all(self._states(await self._health())):  # noqa: ASYNC110
                    await asyncio.sleep(POLL_S)
        except TimeoutError as error:
            names = ", ".join(self.puppets)
            raise ConfigError(f"the exchange does not listen to our sources of {names}") from error

    async def _health(self) -> dict[str, str]:
        answer = await self._client.get(f"{self._url}/health")
        return dict(answer.json().get("sources", {}))

    def _states(self, sources: Mapping[str, str]) -> list[bool]:
        return [sources.get(symbol) == State.UP for symbol in self.puppets]

    def _schedule(self, event: AnyEvent) -> None:
        act = partial(self._act, event)
        if event.tick is not None:
            due = self._made.get(event.symbol, 0) + event.tick
            self._at_tick.setdefault((event.symbol, due), []).append(act)
        else:
            self.later(event.at_s or 0.0, act)

    def _act(self, event: AnyEvent) -> None:
        self._say(f"{self.seconds:8.2f} s  {msgspec.to_builtins(event)}")
        event.perform(self)

    def _before_tick(self, symbol: str) -> float:
        number = self._made[symbol] = self._made.get(symbol, 0) + 1
        for action in self._at_tick.pop((symbol, number), ()):
            action()
        return self.seconds

    async def _order(self, order: PlaceOrder, terms: Mapping[str, object]) -> None:
        body = {k: v for k, v in msgspec.structs.asdict(order).items() if v is not None}
        async with self._turn:
            if terms:
                await self._open(order.account, terms)
            answer = await self._send("POST", "/orders", body)
        if answer.is_error:
            found = self.refused.setdefault(order.account, {})
            code = str(answer.json().get("type", answer.status_code)).rpartition("/")[2]
            found[code] = found.get(code, 0) + 1
            self._say(f"{self.seconds:8.2f} s  refused: {answer.text[:200]}")

    async def _open(self, account: str, terms: Mapping[str, object]) -> None:
        """Open an account on its terms, unless it is there already."""
        path = f"/accounts/{quote(account, safe='')}"
        if (await self._client.get(f"{self._url}{path}")).is_success:
            return
        answer = await self._send("PUT", path, terms)
        if answer.is_error:
            raise ConfigError(f"the exchange does not open {account}: {answer.text[:200]}")

    async def _allow(self, symbol: str, state: TradingState) -> None:
        """Have an instrument allow what ``state`` says."""
        answer = await self._send("PUT", f"/instruments/{symbol}/state", {"state": state})
        if answer.is_error:
            raise ConfigError(f"the exchange does not make {symbol} {state}: {answer.text[:200]}")

    async def _send(self, method: str, path: str, body: Mapping[str, object]) -> httpx.Response:
        headers = {"Content-Type": "application/json"}
        url = f"{self._url}{path}"
        return await self._client.request(method, url, content=encode(body), headers=headers)

    async def _read(self) -> None:
        url = f"{self._url}/stream?events=tick,trade,source,trading_state"
        decoder = Decoder((*FACTS, TradingStateChanged))
        async for fact in Feed(url, client=self._client, decoder=decoder):
            self._hear(fact)

    def _hear(self, fact: Fact) -> None:
        if not isinstance(fact, FeedEnded):
            self.recorder.published(fact, self.seconds)

    async def _sample(self, sample_s: float) -> None:
        while True:
            await self._look()
            await asyncio.sleep(sample_s)

    async def _look(self) -> None:
        """See how every account stands."""
        answer = await self._client.get(f"{self._url}/accounts")
        for account in msgspec.json.decode(answer.content, type=list[AccountAnswer]):
            self.accounts[account.account] = account
            equity = self.recorder.equity.setdefault(account.account, Equity())
            equity.sample(self.seconds, float(account.equity))


def play_live(config: RunConfig, *, for_s: float | None, say: Say) -> RunResult:
    """Play a scenario before the exchange of the settings in force; return what it came to.

    Raises:
        ConfigError: the exchange is not on loopback, does not answer, or cannot do what is asked.
        PortTakenError: the port of a source that the scenario needs is in use.
    """
    try:
        return asyncio.run(play_before(config, environment(), for_s=for_s, say=say))
    except BaseExceptionGroup as group:
        raise _first(group) from group


async def play_before(
    config: RunConfig, env: Environment, *, for_s: float | None, say: Say
) -> RunResult:
    """Play a scenario before the exchange that ``env`` tells of; errors as of `play_live`."""
    for text in config.assertions:
        Assertion(text).check({"symbol": symbols(env), "portfolio": ()})
    host, number = env.read("HOST", str), env.read("EXCHANGE_PORT", port)
    if host != "localhost" and not ip_address(host).is_loopback:
        raise ConfigError(f"HOST={host}: a scenario is played on loopback alone")
    if env.optional("API_KEYS", str) is not None:
        raise ConfigError("API_KEYS: a scenario is played before an exchange without keys")
    url = f"http://[{host}]:{number}" if ":" in host else f"http://{host}:{number}"
    scenario = events(config.event)
    length = config.days * DAY_S if for_s is None else for_s
    async with http_client(timeout=PATIENCE_S) as client:
        try:
            await client.get(f"{url}/health")
        except httpx.TransportError as error:
            raise ConfigError(f"no exchange answers at {url}: {error!r}") from error
        stage = LiveStage(env, client, url, say)
        await stage.play(scenario, length, config.sample_s)
        bots = [await _bot(stage, client, url, name, config) for name in sorted(stage.accounts)]
    bots += _never_opened(stage, scenario, env.read("STARTING_CASH", Decimal))
    bots.sort(key=lambda bot: bot.name)
    result = _result(config, stage, tuple(bots), length)
    return msgspec.structs.replace(
        result, failed=failures(config.assertions, result) + never_came(stage.awaited)
    )


def _result(
    config: RunConfig, stage: LiveStage, bots: tuple[BotResult, ...], length: float
) -> RunResult:
    instruments = stage.recorder.instruments
    return RunResult(
        name=f"{config.name}, live at {datetime.now(UTC):%H:%M:%S}",
        config=config.digest,
        seed=0,
        days=length / DAY_S,
        ticks=sum(of.ticks for of in instruments.values()),
        orders=sum(bot.orders for bot in bots),
        trades=sum(of.trade_count for of in instruments.values()),
        events=0,
        log="live: not kept",
        bots=bots,
        markets=tuple(of.result(0) for of in instruments.values()),
        risk=(),
    )


async def _bot(
    stage: LiveStage, client: httpx.AsyncClient, url: str, name: str, config: RunConfig
) -> BotResult:
    account, equity = stage.accounts[name], stage.recorder.equity[name]
    orders = await _orders(client, f"{url}/orders?{urlencode({'account': name})}")
    refusals = stage.refused.get(name, {})
    return as_it_stands(account, account.starting_cash)(
        name=name,
        orders=len(orders) + sum(refusals.values()),
        fills=sum(len(order.fills) for order in orders),
        refusals=dict(sorted(refusals.items())),
        sharpe=equity.sharpe(config.sample_s),
        max_drawdown=equity.max_drawdown,
        hit_rate=None,
        agrees=adds_up(account),
        failure="",
    )


def _never_opened(
    stage: LiveStage, scenario: Iterable[AnyEvent], cash: Decimal
) -> Iterator[BotResult]:
    """Yield the accounts of events that never opened: none of their orders was taken."""
    named = {name for event in scenario for name in event.accounts}
    outsiders = Outsiders(named - set(stage.accounts), lambda _: None, cash)
    for name in outsiders:
        refusals = stage.refused.get(name, {})
        nothing = outsiders.result(name, Equity(), 1.0)
        yield msgspec.structs.replace(nothing, orders=sum(refusals.values()), refusals=refusals)


async def _orders(client: httpx.AsyncClient, page: str) -> list[OrderAnswer]:
    """All orders, from the first ``page`` of them on."""
    found: list[OrderAnswer] = []
    while page:
        answer = await client.get(page)
        found += msgspec.json.decode(answer.content, type=list[OrderAnswer])
        following = answer.links.get("next", {}).get("url", "")
        page = str(answer.url.join(following)) if following else ""
    return found


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
