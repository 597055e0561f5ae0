"""The pictures of a run, interactive, by Plotly: equity, drawdown, fills, risk, many seeds."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from simulation.recorder import Fill, Recorder
from simulation.results import RunResult
from simulation.risk_watch import Watched

HEIGHT = 380
PALETTE = (
    "#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b",
    "#e377c2", "#17becf", "#bcbd22", "#393b79", "#637939", "#843c39",
)  # fmt: skip


def colors(names: Iterable[str]) -> dict[str, str]:
    """Return a color for each agent, the same in every picture of the same agents."""
    return {name: PALETTE[i % len(PALETTE)] for i, name in enumerate(sorted(names))}


def equity(recorder: Recorder) -> Any:
    """Return the equity of each agent less its start, and its drawdown below."""
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[0.65, 0.35])
    of = colors(recorder.equity)
    for name, kept in recorder.equity.items():
        hours, profits, drops = drawdowns(kept.path.points)
        style: dict[str, Any] = {"legendgroup": name, "line_color": of[name], "col": 1}
        figure.add_scatter(x=hours, y=profits, name=name, row=1, **style)
        figure.add_scatter(x=hours, y=drops, name=name, showlegend=False, row=2, **style)
    figure.update_yaxes(title_text="P&L", row=1, col=1)
    figure.update_yaxes(title_text="drawdown, %", row=2, col=1)
    figure.update_xaxes(title_text="hours", row=2, col=1)
    return _titled(figure, "Equity and drawdown", 520)


def drawdowns(
    points: Sequence[tuple[float, float]],
) -> tuple[list[float], list[float], list[float]]:
    """Return hours, P&L since the start, and drawdown from the peak in percent, negative."""
    start = points[0][1] if points else 0.0
    peak, drops = start, []
    for _, value in points:
        peak = max(peak, value)
        drops.append(-100 * (1 - value / peak) if peak > 0 else 0.0)
    hours = [seconds / 3600 for seconds, _ in points]
    return hours, [value - start for _, value in points], drops


def fills(recorder: Recorder, symbol: str) -> Any:
    """Return the price of a symbol with the agents' fills on it."""
    of = recorder.instruments[symbol]
    path = of.path.points if recorder.instruments[symbol].ticks else of.trades.points
    figure = go.Figure()
    figure.add_scatter(
        x=[seconds / 3600 for seconds, _ in path],
        y=[price for _, price in path],
        name=symbol,
        line={"width": 1, "color": "#888"},
    )
    for name, color in colors(recorder.fills).items():
        for side, marker in (("buy", "triangle-up"), ("sell", "triangle-down")):
            found = fills_of(recorder, name, symbol, side)
            if found:
                figure.add_scatter(
                    x=[fill.seconds / 3600 for fill in found],
                    y=[fill.price for fill in found],
                    name=f"{name} {side}",
                    mode="markers",
                    marker={"symbol": marker, "size": 7, "color": color},
                )
    figure.update_xaxes(title_text="hours")
    return _titled(figure, f"Fills on the price of {symbol}")


def fills_of(recorder: Recorder, name: str, symbol: str, side: str) -> list[Fill]:
    """Return the kept fills of an agent in a symbol, on one side."""
    kept = recorder.fills[name].points
    return [fill for fill in kept if fill.symbol == symbol and fill.side == side]


def risk(watched: Watched) -> Any:
    """Return the loss from report to report against the value at risk, exceptions marked."""
    figure = go.Figure()
    points = watched.path.points
    hours = [seconds / 3600 for seconds, *_ in points]
    losses = losses_of(points)
    figure.add_scatter(x=hours[1:], y=losses, name="loss", mode="lines", line={"width": 1})
    limits = [limit for _, _, limit, _ in points]
    figure.add_scatter(x=hours, y=limits, name="value at risk 99 %")
    marked = [
        (hour, loss)
        for hour, loss, point in zip(hours[1:], losses, points[1:], strict=True)
        if point[3]
    ]
    figure.add_scatter(
        x=[hour for hour, _ in marked],
        y=[loss for _, loss in marked],
        name="exception",
        mode="markers",
        marker={"color": "crimson", "size": 8},
    )
    figure.update_xaxes(title_text="hours")
    return _titled(figure, f"Risk of {watched.name} over time")


def losses_of(points: Sequence[tuple[float, float, float, bool]]) -> list[float]:
    """Return what the value fell by from point to point."""
    return [before[1] - after[1] for before, after in pairwise(points)]


def distribution(results: Sequence[RunResult]) -> Any:
    """Return the P&L of each agent over the seeds."""
    figure = go.Figure()
    found = profits_by_bot(results)
    of = colors(found)
    for name, values in found.items():
        figure.add_histogram(x=values, name=name, opacity=0.6, nbinsx=60, marker_color=of[name])
    figure.update_layout(barmode="overlay")
    figure.update_xaxes(title_text="P&L")
    return _titled(figure, f"P&L over {len(results)} seeds")


def profits_by_bot(results: Sequence[RunResult]) -> dict[str, list[float]]:
    """Return the P&L of each agent, run by run."""
    found: dict[str, list[float]] = {}
    for result in results:
        for bot in result.bots:
            found.setdefault(bot.name, []).append(float(bot.pnl))
    return dict(sorted(found.items()))


def _titled(figure: Any, title: str, height: int = HEIGHT) -> Any:
    figure.update_layout(title=title, height=height, template="plotly_white", margin={"t": 50})
    return figure
