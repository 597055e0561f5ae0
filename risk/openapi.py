"""The description of the HTTP face, OpenAPI 3.1, made from the types that it answers with."""

from typing import Any, Final

import msgspec

from risk.limits import LimitChanged, Limits
from risk.report import BacktestChanged, LimitReport, PriceGapSeen, RiskReport
from risk.standings import StandingReport

_REF: Final = "#/components/schemas/{name}"


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """What every refusal says, RFC 9457."""

    type: str
    title: str
    status: int
    detail: str


class PortfolioDocument(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A portfolio: one of ``weights``, ``quantities`` and ``account``."""

    weights: dict[str, float] | None = None
    quantities: dict[str, float] | None = None
    account: str | None = None
    value: float | None = None
    cash: float = 0.0
    limits: Limits | None = None


def document(version: str = "1") -> dict[str, Any]:
    """Return the description."""
    types = (
        RiskReport,
        BacktestChanged,
        LimitChanged,
        PriceGapSeen,
        LimitReport,
        StandingReport,
        PortfolioDocument,
        Problem,
    )
    _, schemas = msgspec.json.schema_components(types, ref_template=_REF)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Sandpit risk",
            "version": version,
            "summary": "Live risk of portfolios; losses are positive, times are those of the data.",
        },
        "paths": _paths(),
        "components": {"schemas": schemas},
    }


def _paths() -> dict[str, Any]:
    account = _query("account", "Of this account's positions instead of the default portfolio.")
    kinds = _query("events", "Kinds, comma-separated: risk, limit, backtest, price_gap.")
    about = _query("portfolios", "Names of portfolios, comma-separated.")
    report, portfolio = _ref(RiskReport), _ref(PortfolioDocument)
    name, of = _path("name"), _path("portfolio")
    body = {"requestBody": {"required": True, "content": _content(portfolio)}}
    put = _answers("Keep and follow a portfolio", portfolio, 404, 409, 413, 422) | body
    return {
        "/risk": {"get": _answers("The newest report", report, 404, 503, parameters=[account])},
        "/risk/{portfolio}": {
            "get": _answers("Of one portfolio", report, 404, 503, parameters=[of])
        },
        "/portfolios": {"get": _answers("All portfolios", {"type": "array", "items": portfolio})},
        "/portfolios/{name}": {
            "parameters": [name],
            "get": _answers("One portfolio", portfolio, 404),
            "put": put,
            "delete": {
                "summary": "Follow it no more",
                "responses": {"204": {"description": "Gone"}},
            },
        },
        "/portfolios/{name}/arm": {
            "parameters": [name],
            "post": _answers("Let every limit count from now", _ref(StandingReport), 404),
        },
        "/standings": {
            "get": _answers(
                "What every portfolio with limits may do",
                {"type": "array", "items": _ref(StandingReport)},
            )
        },
        "/limits": {"get": _answers("Every limit of every portfolio", {"type": "object"})},
        "/scenarios": {"get": _answers("The named shocks", {"type": "object"})},
        "/stream": {"get": _stream(kinds, about)},
        "/health": {"get": _answers("What is wrong, if anything", {"type": "object"}, 503)},
        "/metrics": {"get": _answers("For Prometheus", {"type": "string"}, media="text/plain")},
    }


def _answers(
    summary: str,
    schema: dict[str, Any],
    *problems: int,
    parameters: list[dict[str, Any]] | None = None,
    media: str = "application/json",
) -> dict[str, Any]:
    refusal = {"description": "A problem", "content": _content(_ref(Problem), _PROBLEM)}
    responses = {"200": {"description": "OK", "content": _content(schema, media)}}
    responses |= {str(status): refusal for status in problems}
    found: dict[str, Any] = {"summary": summary, "responses": responses}
    return found | ({"parameters": parameters} if parameters else {})


def _stream(*parameters: dict[str, Any]) -> dict[str, Any]:
    kinds = [_ref(kind) for kind in (RiskReport, LimitChanged, BacktestChanged, PriceGapSeen)]
    told = _answers(
        "Server-sent events; resume with Last-Event-ID",
        {"oneOf": kinds},
        404,
        422,
        503,
        media="text/event-stream",
    )
    return told | {"parameters": list(parameters)}


_PROBLEM: Final = "application/problem+json"


def _content(schema: dict[str, Any], media: str = "application/json") -> dict[str, Any]:
    return {media: {"schema": schema}}


def _ref(of: type) -> dict[str, Any]:
    return {"$ref": _REF.format(name=of.__name__)}


def _query(name: str, description: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": description, "schema": {"type": "string"}}


def _path(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
