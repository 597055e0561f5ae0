"""A strategy on recorded prices: through source, house maker and engine, with latency and fees."""

from argparse import Namespace
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from msgspec import structs

from market.settings import symbols
from simulation.config import AgentConfig, RecordingConfig, RunConfig, changed, check
from simulation.errors import ConfigError
from simulation.line import first_time, recorded_days
from simulation.participant import strategy_class

ACCOUNT = "strategy"


def backtest_config(asked: Namespace, settings: Mapping[str, str]) -> RunConfig:
    """Return the run that the command line of a backtest asks for."""
    recording = RecordingConfig(
        file="",
        column=asked.column,
        time_column=asked.time_column,
        volume_column=asked.volume_column,
        interval_s=asked.interval,
    )
    try:
        agent = AgentConfig(
            strategy=asked.strategy,
            latency=asked.latency,
            hearing=asked.hearing,
            amount=asked.amount,
        )
    except ValueError as error:
        raise ConfigError(str(error)) from error
    return backtest(agent, asked.data, recording, settings, days=asked.days)


def backtest(
    agent: AgentConfig,
    data: Sequence[str],
    recording: RecordingConfig,
    settings: Mapping[str, Any],
    *,
    days: float | None = None,
) -> RunConfig:
    """Return the run of one agent on recorded prices, over all of them unless ``days`` is less.

    Args:
        data: ``SYMBOL=file`` or a file, which is then of the first symbol of the market.
        recording: how the files are to be read.

    Raises:
        ConfigError: a file is of no symbol of the market, or there is nothing in it.
        StrategyError: there is no such strategy.
    """
    strategy_class(agent.strategy)
    market = RunConfig(settings=dict(settings), agents={})
    files = dict(_of_symbol(text, market) for text in data)
    if len(files) != len(data):
        raise ConfigError("a symbol has two files")
    config = RunConfig(
        name="backtest",
        settings=dict(settings),
        agents={ACCOUNT: structs.replace(agent, symbols=agent.symbols or tuple(files))},
        recordings={
            name: structs.replace(recording, file=file) for name, file in sorted(files.items())
        },
        sample_s=60.0,
    )
    check(config, "backtest")
    start = first_time(config)
    whole = max(recorded_days(config, start), timedelta(seconds=1) / timedelta(days=1))
    length = whole if days is None else min(days, whole)
    return changed(config, start=start.isoformat(), days=length)


def _of_symbol(text: str, market: RunConfig) -> tuple[str, str]:
    known = symbols(market.environment)
    name, equals, path = text.partition("=")
    if equals and name in known:
        return name, path
    if equals and "/" not in name and "." not in name:
        raise ConfigError(f"--data {text}: there is no {name}, only {', '.join(known)}")
    return str(known[0]), text
