"""A record as one HTML page that needs nothing else: its figures drawn, its numbers in a table."""

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from html import escape
from itertools import pairwise
from typing import Any, Final

from plotly.offline import get_plotlyjs

from risk.backtests import kupiec
from risk.forecasts import FILTERED
from risk.replay import Outcome, Record
from risk.report import PUBLISHED, RiskReport

MOST_EVENTS: Final = 200
_BLUE, _RED, _GRAY = "#2563eb", "#dc2626", "#64748b"

_STYLE: Final = """
body{font:15px/1.5 system-ui,sans-serif;max-width:1100px;margin:2rem auto;padding:0 1rem}
body{color:#1e293b;background:#fff}
table{border-collapse:collapse;margin:1rem 0}
td,th{padding:.25rem .9rem .25rem 0;border-bottom:1px solid #e2e8f0;text-align:right}
td:first-child,th:first-child{text-align:left}
code{font-size:.85em;word-break:break-all}
"""

Json = dict[str, Any]


def page(record: Record) -> str:
    """Return the page; the same record gives the same page, bit for bit."""
    figures = [_returns(record), _forecasts(record), _contributions(record), _drawdown(record)]
    title = escape(f"Risk of {record.portfolio}")
    parts = [
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>',
        f"<style>{_STYLE}</style><script>{get_plotlyjs()}</script></head><body><h1>{title}</h1>",
        _summary(record),
        _numbers(record.last),
        _coverage(record.outcomes),
    ]
    parts += [f'<div id="figure{n}"></div>' for n in range(len(figures))]
    parts += [_events(record), f"<script>{_drawing(figures)}</script></body></html>\n"]
    return "".join(parts)


def _summary(record: Record) -> str:
    return (
        f"<p>{_time(record.reports[0].time)} to {_time(record.last.time)}, {record.facts} events,"
        f" {len(record.reports)} reports, {len(record.outcomes)} beats of the clock."
        f" Replayed from the record: <code>sha256 {record.digest}</code></p>"
    )


def _drawing(figures: Sequence[Json]) -> str:
    calls = (
        f'Plotly.newPlot("figure{n}",{_data(each["data"])},{_data(each["layout"])},'
        '{"responsive":true,"displaylogo":false});'
        for n, each in enumerate(figures)
    )
    return "".join(calls)


def _data(value: Any) -> str:
    return json.dumps(value, separators=(",", ":")).replace("</", "<\\/")


# -- figures -------------------------------------------------------------------------------------


def _figure(title: str, unit: str, *traces: Json, **layout: Any) -> Json:
    shape: Json = {
        "title": {"text": title},
        "yaxis": {"title": {"text": unit}},
        "height": 380,
        "margin": {"t": 50, "r": 20},
        "template": {"layout": {"plot_bgcolor": "#f8fafc"}},
    }
    return {"data": list(traces), "layout": shape | layout}


def _line(name: str, times: Iterable[datetime], values: Iterable[Any], **more: Any) -> Json:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": [_time(time) for time in times],
        "y": list(values),
    } | more


def _returns(record: Record) -> Json:
    valued = [(each.time, each.value) for each in record.reports if each.value is not None]
    pairs = pairwise(valued)
    made = [(time, 100 * (now / was - 1)) for (_, was), (time, now) in pairs if was > 0]
    times, values = [time for time, _ in made], [value for _, value in made]
    return _figure("Returns from report to report", "%", _line("return", times, values))


def _forecasts(record: Record) -> Json:
    times = [each.time for each in record.outcomes]
    traces = [_line("loss", times, [each.loss for each in record.outcomes], line=_of(_GRAY))]
    for name, color in (("0.99", _RED), (f"{FILTERED} 0.99", _BLUE)):
        bounds = [each.forecasts.get(name) for each in record.outcomes]
        label = "value at risk 99 %" + (", filtered" if FILTERED in name else "")
        traces.append(_line(label, times, bounds, line=_of(color)))
    hits = [each for each in record.outcomes if each.loss > each.forecasts["0.99"]]
    marks = {"mode": "markers", "marker": {"color": _RED, "size": 9, "symbol": "x"}}
    traces.append(_line("exception", [h.time for h in hits], [h.loss for h in hits], **marks))
    return _figure("Loss of each beat and what was forecast for it", "money", *traces)


def _contributions(record: Record) -> Json:
    told = [each for each in record.reports if each.contributions]
    names = sorted({name for each in told for name in each.contributions})
    times = [each.time for each in told]
    traces = [
        _line(name, times, [each.contributions.get(name, 0.0) for each in told], stackgroup="one")
        for name in names
    ]
    if any(value < 0 for each in told for value in each.contributions.values()):
        traces = [{key: v for key, v in one.items() if key != "stackgroup"} for one in traces]
    return _figure("Contributions to the volatility", "share", *traces)


def _drawdown(record: Record) -> Json:
    told = [each for each in record.reports if each.drawdown is not None]
    falls = [-100 * (each.drawdown or 0.0) for each in told]
    line = _line("drawdown", [each.time for each in told], falls, fill="tozeroy", line=_of(_RED))
    return _figure("Drawdown from the highest value", "%", line)


def _of(color: str) -> Json:
    return {"color": color, "width": 1.3}


# -- numbers -------------------------------------------------------------------------------------


def _numbers(report: RiskReport) -> str:
    rows: list[tuple[str, Any]] = [
        ("state", report.state),
        ("value", report.value),
        ("volatility over the horizon", report.volatility),
        *((f"value at risk {level}", report.value_at_risk[level]) for level in PUBLISHED),
        *((f"expected shortfall {level}", report.expected_shortfall[level]) for level in PUBLISHED),
        (
            "drawdown, now and at most",
            f"{report.drawdown or 0:.6g} / {report.max_drawdown or 0:.6g}",
        ),
        ("horizon, seconds", report.horizon_s),
        ("samples", report.samples),
        ("weighted risk", report.weighted_risk),
    ]
    return _table(("at the end", ""), ((name, _number(value)) for name, value in rows))


def _coverage(outcomes: Sequence[Outcome]) -> str:
    rows = []
    for name in sorted({name for each in outcomes for name in each.forecasts}):
        scored = [each for each in outcomes if name in each.forecasts]
        hits = sum(each.loss > each.forecasts[name] for each in scored)
        share = 1 - float(name.split()[-1])
        test = kupiec(len(scored), hits, share)
        wanted = f"{share * len(scored):.1f}"
        rows.append((name, str(len(scored)), str(hits), wanted, f"{test.p_value:.4g}"))
    return _table(("forecast", "beats", "exceptions", "expected", "Kupiec p"), rows)


def _events(record: Record) -> str:
    told = record.events[-MOST_EVENTS:]
    rows = [
        (_time(getattr(fact, "time")), fact.kind, ", ".join(f"{k} {v}" for k, v in _said(fact)))  # noqa: B009  not every fact has one
        for fact in told
    ]
    return _table(("time", "event", f"the last {MOST_EVENTS}"), rows) if rows else ""


def _said(fact: Any) -> list[tuple[str, str]]:
    names = [name for name in fact.__struct_fields__ if name not in {"time", "portfolio"}]
    return [(name, _number(getattr(fact, name))) for name in names]


def _number(value: Any) -> str:
    if value is None:
        return "unavailable"
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def _table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in heading)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows
    )
    return f"<table><tr>{head}</tr>{body}</table>"


def _time(time: datetime) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S.%f")
