"""A run as one HTML file that needs nothing else, and as a picture."""

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any, Final

import plotly.io
from matplotlib.figure import Figure
from plotly.offline import get_plotlyjs

from simulation import figures
from simulation.recorder import Recorder
from simulation.results import BotResult, RunResult
from simulation.run import Simulation
from simulation.sweep import summaries
from simulation.tables import with_interval

MOST_AGENTS: Final = 12  # lines that a picture can bear

_STYLE: Final = """
body{font-family:system-ui,sans-serif;max-width:1100px;margin:2rem auto;padding:0 1rem;color:#222}
table{border-collapse:collapse;margin:1rem 0}
td,th{padding:.3rem .8rem;border-bottom:1px solid #ddd;text-align:right}
td:first-child,th:first-child{text-align:left}
.failed{color:#b00020}code{font-size:.85em;word-break:break-all}
@media(prefers-color-scheme:dark){body{background:#fff}}
"""

HEADING: Final = (
    "bot", "P&L", "realized", "unrealized", "fees", "Sharpe/day", "max drawdown", "hit rate",
    "orders", "fills",
)  # fmt: skip


def write_report(
    folder: Path, market: Simulation, result: RunResult, results: Sequence[RunResult]
) -> None:
    """Write ``report.html`` and ``report.png`` into a folder, which is made if it is missing.

    Args:
        market: the run that is shown in full.
        results: of all seeds, for the distribution.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.html").write_text(page(market, result, results), encoding="utf-8")
    draw(market, results, folder / "report.png")


def page(market: Simulation, result: RunResult, results: Sequence[RunResult]) -> str:
    """Return the report as one page, every script inside."""
    recorder = market.recorder
    drawn = [figures.equity(_fewer(recorder))]
    drawn += [figures.fills(_fewer(recorder), symbol) for symbol in recorder.instruments]
    if len(results) > 1:
        drawn.append(figures.distribution(results))
    if market.risk is not None:
        drawn += [figures.risk(each) for each in list(market.risk.watched.values())[:MOST_AGENTS]]
    parts = [plotly.io.to_html(each, full_html=False, include_plotlyjs=False) for each in drawn]
    title = escape(f"{result.name}, seed {result.seed}, {result.days:g} days")
    failed = "".join(f'<p class="failed">does not hold: {escape(t)}</p>' for t in result.failed)
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{_STYLE}</style><script>{get_plotlyjs()}</script></head><body><h1>{title}</h1>"
        f"<p>Configuration {result.config}, {result.ticks} ticks, {result.orders} orders,"
        f" {result.trades} trades. Event log <code>sha256 {result.log}</code></p>{failed}"
        f"{_table(HEADING, map(_row, _ranked(result.bots)))}{_seeds(results)}"
        f"{''.join(parts)}</body></html>\n"
    )


def draw(market: Simulation, results: Sequence[RunResult], path: Path) -> None:
    """Write the main pictures as one PNG."""
    recorder = _fewer(market.recorder)
    figure = Figure(figsize=(12, 12), layout="constrained")
    grid = figure.subplots(3, 2)
    of = figures.colors(recorder.equity)
    for name, kept in recorder.equity.items():
        hours, profits, drops = figures.drawdowns(kept.path.points)
        grid[0][0].plot(hours, profits, label=name, linewidth=1, color=of[name])
        grid[0][1].plot(hours, drops, label=name, linewidth=1, color=of[name])
    grid[0][0].set(title="P&L", xlabel="hours")
    grid[0][1].set(title="drawdown, %", xlabel="hours")
    has_many = len(results) > 1  # else there is room for one more instrument
    rooms = [*grid[1]] if has_many else [*grid[1], grid[2][0]]
    for axes, symbol in zip(rooms, _busiest(recorder), strict=False):
        _draw_fills(axes, recorder, symbol)
    if has_many:
        _draw_seeds(grid[2][0], results)
    _draw_risk(grid[2][1], market)
    for axes in grid.flat:
        axes.set_visible(axes.has_data())
        if axes.get_legend_handles_labels()[1]:
            axes.legend(fontsize=7)
    figure.savefig(path, dpi=110)


def _draw_seeds(axes: Any, results: Sequence[RunResult]) -> None:
    found = figures.profits_by_bot(results)
    of = figures.colors(found)
    for name, values in list(found.items())[:MOST_AGENTS]:
        axes.hist(values, bins=40, alpha=0.6, label=name, color=of[name])
    axes.set(title=f"P&L over {len(results)} seeds", xlabel="P&L")


def _draw_fills(axes: Any, recorder: Recorder, symbol: str) -> None:
    plot = axes
    of = recorder.instruments[symbol]
    path = of.path.points
    plot.plot([s / 3600 for s, _ in path], [p for _, p in path], color="#999", linewidth=0.7)
    for name, color in figures.colors(recorder.fills).items():
        for side, marker in (("buy", "^"), ("sell", "v")):
            found = figures.fills_of(recorder, name, symbol, side)
            if found:
                hours, prices = [f.seconds / 3600 for f in found], [f.price for f in found]
                plot.scatter(hours, prices, s=8, marker=marker, c=color, label=f"{name} {side}")
    plot.set(title=f"fills on {symbol}", xlabel="hours")


def _draw_risk(axes: Any, market: Simulation) -> None:
    if market.risk is None:
        return
    watched = next(iter(market.risk.watched.values()))
    points = watched.path.points
    hours = [seconds / 3600 for seconds, *_ in points]
    losses = figures.losses_of(points)
    axes.plot(hours[1:], losses, linewidth=0.6, label="loss")
    axes.plot(hours, [point[2] for point in points], linewidth=0.8, label="VaR 99 %")
    marked = [(h, loss) for h, loss, p in zip(hours[1:], losses, points[1:], strict=True) if p[3]]
    axes.scatter(
        [h for h, _ in marked], [v for _, v in marked], s=12, c="crimson", label="exception"
    )
    axes.set(title=f"risk of {watched.name}", xlabel="hours")


def _busiest(recorder: Recorder) -> list[str]:
    return sorted(recorder.instruments, key=lambda s: (-recorder.instruments[s].trade_count, s))


def _fewer(recorder: Recorder) -> Recorder:
    """Return what is recorded of as many agents as a picture can bear, those that traded first."""
    names = sorted(recorder.equity, key=lambda name: (-len(recorder.fills[name].points), name))
    kept = sorted(names[:MOST_AGENTS])
    fewer = Recorder((), ())
    fewer.instruments = recorder.instruments
    fewer.equity = {name: recorder.equity[name] for name in kept}
    fewer.fills = {name: recorder.fills[name] for name in kept}
    return fewer


def _ranked(bots: Iterable[BotResult]) -> list[BotResult]:
    return sorted(bots, key=lambda bot: (-bot.pnl, bot.name))


def _row(bot: BotResult) -> tuple[str, ...]:
    return (
        bot.name,
        f"{bot.pnl:,.2f}",
        f"{bot.realized_pnl:,.2f}",
        f"{bot.unrealized_pnl:,.2f}",
        f"{bot.fees:,.2f}",
        "-" if bot.sharpe is None else f"{bot.sharpe:.2f}",
        f"{bot.max_drawdown:.2%}",
        "-" if bot.hit_rate is None else f"{bot.hit_rate:.1%}",
        str(bot.orders),
        str(bot.fills),
    )


def _seeds(results: Sequence[RunResult]) -> str:
    """Return the table over the seeds, where there are several."""
    if len(results) < 2:
        return ""
    rows = (
        (
            each.name,
            with_interval(each.pnl),
            f"{each.ahead:.1%} [{each.ahead_low:.1%}, {each.ahead_high:.1%}]",
            with_interval(each.sharpe, ".2f"),
            with_interval(each.max_drawdown, ".2%"),
            with_interval(each.hit_rate, ".1%"),
        )
        for each in summaries(results)
    )
    heading = ("bot", "P&L [95 %]", "ahead", "Sharpe/day", "max drawdown", "hit rate")
    return f"<h2>{len(results)} seeds</h2>{_table(heading, rows)}"


def _table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in heading)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows
    )
    return f"<table><tr>{head}</tr>{body}</table>"
