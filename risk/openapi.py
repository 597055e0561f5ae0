"""Every route of the service, described: what the OpenAPI document is made from."""

from typing import Any, Final

from msgspec import Struct

from market.openapi import Operation, Parameter
from market.openapi import document as described
from risk.limits import Limits
from risk.portfolio import Basis
from risk.report import LimitReport, RiskReport
from risk.repositories import PortfolioDocument
from risk.standings import StandingReport

_ABOUT: Final = "Live risk of portfolios; losses are positive, times are those of the data."
_STREAM: Final = "text/event-stream"


class PortfolioView(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A portfolio that is followed: its name, what stays the same in it, and what was asked for."""

    name: str
    basis: Basis
    weights: dict[str, float] | None = None
    quantities: dict[str, float] | None = None
    account: str | None = None
    value: float | None = None
    cash: float | None = None
    limits: Limits | None = None


class Health(Struct, frozen=True, kw_only=True):
    """Whether the service is well, and the counts that say how its stream is."""

    status: str
    problems: list[str]
    feed: str
    sources: dict[str, str]
    last: str | None
    ticks: int
    replayed: int
    missed: int
    garbled: int
    rejected: int
    streams: int
    head: str


def _path(name: str, about: str) -> Parameter:
    return Parameter(name=name, about=about, schema={"type": "string"}, where="path")


def _query(name: str, about: str, **schema: Any) -> Parameter:
    return Parameter(name=name, about=about, schema={"type": "string"} | schema)


_NAME: Final = _path("name", "A portfolio.")
_STREAM_QUERY: Final = (
    _query("events", "Kinds, comma-separated: risk, limit, backtest, price_gap; all of them."),
    _query("portfolios", "Names of portfolios, comma-separated; all of them."),
    _query("conflate", "Milliseconds in which one report of a portfolio comes at most."),
    _query("last_event_id", "The last event that was read."),
)

OPERATIONS: Final = (
    Operation(
        method="GET",
        path="/risk",
        about="The newest report of the default portfolio, or of an account's positions.",
        answer=RiskReport,
        parameters=(_query("account", "An account."),),
        problems=(404, 503),
        tag="risk",
    ),
    Operation(
        method="GET",
        path="/risk/{portfolio}",
        about="The newest report of a portfolio.",
        answer=RiskReport,
        parameters=(_path("portfolio", "A portfolio."),),
        problems=(404, 503),
        tag="risk",
    ),
    Operation(
        method="GET",
        path="/stream",
        about="Events risk, limit, backtest and price_gap; resumed with Last-Event-ID.",
        answer=_STREAM,
        parameters=_STREAM_QUERY,
        problems=(404, 422, 503),
        tag="risk",
    ),
    Operation(
        method="GET",
        path="/portfolios",
        about="Every portfolio that is followed.",
        answer=list[PortfolioView],
        tag="portfolios",
    ),
    Operation(
        method="GET",
        path="/portfolios/{name}",
        about="One portfolio.",
        answer=PortfolioView,
        parameters=(_NAME,),
        problems=(404,),
        tag="portfolios",
    ),
    Operation(
        method="PUT",
        path="/portfolios/{name}",
        about="Keep a portfolio and follow it: of weights, of quantities, or an account.",
        answer=PortfolioView,
        body=PortfolioDocument,
        parameters=(_NAME,),
        problems=(400, 409, 413, 422),
        statuses={201: "It is new."},
        tag="portfolios",
    ),
    Operation(
        method="DELETE",
        path="/portfolios/{name}",
        about="Follow a portfolio no more; the default one comes back as it is configured.",
        answer="",
        parameters=(_NAME,),
        problems=(404, 422),
        status=204,
        tag="portfolios",
    ),
    Operation(
        method="POST",
        path="/portfolios/{name}/arm",
        about="Let every limit count from now: what was halted is active again.",
        answer=StandingReport,
        parameters=(_NAME,),
        problems=(404,),
        tag="limits",
    ),
    Operation(
        method="GET",
        path="/standings",
        about="What every portfolio with limits may do: active, reducing or halted.",
        answer=list[StandingReport],
        tag="limits",
    ),
    Operation(
        method="GET",
        path="/limits",
        about="Every limit of every portfolio: its bound, its value, whether it is kept.",
        answer=dict[str, dict[str, LimitReport]],
        tag="limits",
    ),
    Operation(
        method="GET",
        path="/scenarios",
        about="The named shocks that every report applies, symbol by symbol; * is all others.",
        answer=dict[str, dict[str, float]],
        tag="risk",
    ),
    Operation(
        method="GET",
        path="/health",
        about="What is wrong, if anything.",
        answer=Health,
        statuses={503: "Something is wrong."},
        tag="process",
    ),
    Operation(
        method="GET",
        path="/metrics",
        about="Numbers for Prometheus.",
        answer="text/plain",
        tag="process",
    ),
    Operation(
        method="GET",
        path="/openapi.json",
        about="This document.",
        answer="application/json",
        tag="process",
    ),
)


def document(version: str = "1") -> dict[str, Any]:
    """Return the OpenAPI document of the service."""
    made = described("Sandpit risk", version, _ABOUT, OPERATIONS)
    made["paths"]["/openapi.json"]["get"]["responses"]["200"]["content"] = {
        "application/json": {"schema": {"type": "object"}}
    }
    return made
