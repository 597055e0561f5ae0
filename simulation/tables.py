"""Runs and sweeps as tables at a terminal."""

from collections import Counter
from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from simulation.results import BotResult, RunResult
from simulation.statistics import Estimate
from simulation.sweep import BotSummary, Duel

BOT_COLUMNS = (
    "bot",
    "P&L",
    "realized",
    "fees",
    "Sharpe/day",
    "drawdown",
    "hits",
    "orders",
    "fills",
)
SWEEP_COLUMNS = ("bot", "P&L [95 %]", "ahead [95 %]", "Sharpe/day", "drawdown", "hits", "fills")


def print_run(console: Console, result: RunResult, elapsed_s: float) -> None:
    """Print what a run came to, and what of it does not hold."""
    rate = result.ticks / elapsed_s if elapsed_s else 0.0
    console.print(
        f"[bold]{result.name}[/] seed {result.seed}: {result.days:g} days,"
        f" {result.ticks} ticks, {result.orders} orders, {result.trades} trades"
        f" in {elapsed_s:.1f} s ({rate:,.0f} ticks/s)",
        highlight=False,
    )
    if result.bots:
        console.print(_bots(result.bots))
    console.print(_markets(result))
    for risk in result.risk:
        console.print(
            f"risk {risk.portfolio}: {risk.reports} reports, exceptions"
            f" {risk.exceptions_95} at 95 %, {risk.exceptions_99} at 99 %",
            highlight=False,
        )
    console.print(
        f"events {result.events}, log sha256 {result.log}", highlight=False, soft_wrap=True
    )
    for bot in result.bots:
        _print_troubles(console, bot)
    for text in result.failed:
        console.print(f"[red]does not hold: {escape(text)}[/]", markup=True, highlight=False)


def print_sweep(
    console: Console, name: str, found: Sequence[BotSummary], duels: Sequence[Duel]
) -> None:
    """Print what many runs say together."""
    table = Table(title=f"{name}: {found[0].pnl.n if found else 0} runs")
    for column in SWEEP_COLUMNS:
        table.add_column(column, justify="left" if column == "bot" else "right")
    for bot in found:
        table.add_row(
            bot.name,
            with_interval(bot.pnl),
            f"{bot.ahead:.1%} [{bot.ahead_low:.1%}, {bot.ahead_high:.1%}]",
            with_interval(bot.sharpe, ".2f"),
            with_interval(bot.max_drawdown, ".2%"),
            with_interval(bot.hit_rate, ".1%"),
            f"{bot.fills.mean:,.0f}",
        )
    console.print(table)
    for each in duels:
        console.print(verdict(each), highlight=False, markup=False, soft_wrap=True)


def print_failures(console: Console, results: Sequence[RunResult]) -> None:
    """Print what did not hold in how many runs, who left how many of them, and who failed."""
    failed = Counter(f"does not hold: {text}" for result in results for text in result.failed)
    failed.update(f"{bot.name} left" for result in results for bot in result.bots if bot.failure)
    failed.update(
        f"the strategy of {bot.name} failed: {what}"
        for result in results
        for bot in result.bots
        for what in bot.failures
    )
    for text, count in sorted(failed.items()):
        line = f"{text} ({count} of {len(results)} runs)"
        console.print(line, style="red", markup=False, highlight=False, soft_wrap=True)


def verdict(duel: Duel) -> str:
    """Return a duel in words: how much, how often, and how surely."""
    mean = duel.difference
    share = duel.wins / duel.n if duel.n else 0.0
    return (
        f"{duel.first} beats {duel.second} in {duel.wins} of {duel.n} runs ({share:.1%}, 95 %"
        f" [{duel.low:.1%}, {duel.high:.1%}]), by {with_interval(mean)} on average;"
        f" sign test p = {duel.p_value:.2g}"
    )


def _print_troubles(console: Console, bot: BotResult) -> None:
    """Print what was refused to an agent, what its strategy raised, and why it left."""
    if bot.refusals:
        refused = f"{bot.name} was refused: {_counts(bot.refusals)}"
        console.print(refused, highlight=False, markup=False, soft_wrap=True)
    if bot.failures:
        failed = f"the strategy of {bot.name} failed: {_counts(bot.failures)}"
        console.print(failed, style="red", highlight=False, markup=False, soft_wrap=True)
    if bot.failure:
        console.print(f"[red]{escape(f'{bot.name} left: {bot.failure}')}[/]")


def _counts(of: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {what}" for what, count in sorted(of.items()))


def with_interval(estimate: Estimate | None, form: str = ",.0f") -> str:
    """Return a mean and its interval."""
    if estimate is None:
        return "-"
    return f"{estimate.mean:{form}} [{estimate.low:{form}}, {estimate.high:{form}}]"


def _bots(bots: Sequence[BotResult]) -> Table:
    table = Table(*BOT_COLUMNS)
    for column in table.columns[1:]:
        column.justify = "right"
    for bot in sorted(bots, key=lambda each: (-each.pnl, each.name))[:20]:
        table.add_row(
            bot.name,
            f"{bot.pnl:,.2f}",
            f"{bot.realized_pnl:,.2f}",
            f"{bot.fees:,.2f}",
            "-" if bot.sharpe is None else f"{bot.sharpe:.2f}",
            f"{bot.max_drawdown:.2%}",
            "-" if bot.hit_rate is None else f"{bot.hit_rate:.1%}",
            str(bot.orders),
            str(bot.fills),
        )
    return table


def _markets(result: RunResult) -> Table:
    names = ("symbol", "ticks", "first", "low", "high", "last", "trades", "volume", "halts")
    table = Table(*names)
    for column in table.columns[1:]:
        column.justify = "right"
    for of in result.markets:
        prices = [("-" if p is None else f"{p:f}") for p in (of.first, of.low, of.high, of.last)]
        row = (of.symbol, str(of.ticks), *prices, str(of.trades), f"{of.volume:f}", str(of.halts))
        table.add_row(*row)
    return table
