"""The handlers: HTTP in, one call of the service, HTTP out."""

from collections.abc import Sequence
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from market.bodies import read_body
from market.problems import ProblemError
from market.wire import encode
from risk.errors import (
    ExchangeAwayError,
    InvalidPortfolioError,
    KeyRefusedError,
    UnavailableError,
    UnknownAccountError,
)
from risk.metrics import exposition
from risk.openapi import document
from risk.portfolio import Portfolio
from risk.report import RiskReport
from risk.repositories import PortfolioDocument, of_document, to_document
from risk.service import RiskService


class RiskApi:
    """What can be asked of a service."""

    def __init__(self, service: RiskService) -> None:
        self._service, self._monitor = service, service.monitor

    def routes(self) -> Sequence[Route]:
        """Return the routes, the stream apart."""
        return [
            Route("/risk", self.risk, methods=["GET"]),
            Route("/risk/{portfolio}", self.risk_of, methods=["GET"]),
            Route("/portfolios", self.portfolios, methods=["GET"]),
            Route("/portfolios/{name}", self.portfolio, methods=["GET"]),
            Route("/portfolios/{name}", self.put_portfolio, methods=["PUT"]),
            Route("/portfolios/{name}", self.delete_portfolio, methods=["DELETE"]),
            Route("/portfolios/{name}/arm", self.arm, methods=["POST"]),
            Route("/standings", self.standings, methods=["GET"]),
            Route("/limits", self.limits, methods=["GET"]),
            Route("/scenarios", self.scenarios, methods=["GET"]),
            Route("/openapi.json", self.openapi, methods=["GET"]),
            Route("/health", self.health, methods=["GET"]),
            Route("/metrics", self.metrics, methods=["GET"]),
        ]

    async def risk(self, request: Request) -> Response:
        """Answer the newest report of the default portfolio, or of ``?account=``."""
        account = request.query_params.get("account")
        if account is None:
            return _json(self._report(self._service.settings.portfolio.name))
        return _json(self._report(await self._follow(account)))

    async def risk_of(self, request: Request) -> Response:
        """Answer the newest report of a portfolio."""
        return _json(self._report(request.path_params["portfolio"]))

    async def portfolios(self, _: Request) -> Response:
        """Answer all portfolios that are followed."""
        return _json([self._document(name) for name in sorted(self._monitor.contexts)])

    async def portfolio(self, request: Request) -> Response:
        """Answer one portfolio."""
        return _json(self._document(self._known(request.path_params["name"])))

    async def put_portfolio(self, request: Request) -> Response:
        """Keep a portfolio and follow it; 201 when the name is new."""
        portfolio = self._asked(_name(request), await read_body(request, PortfolioDocument))
        new = portfolio.name not in self._monitor.contexts
        if new and len(self._named()) >= self._service.settings.max_portfolios:
            raise ProblemError(409, "too-many-portfolios", "Delete one first.")
        await run_in_threadpool(self._service.repository.save, portfolio)
        self._monitor.put(portfolio)
        return _json(self._document(portfolio.name), status=201 if new else 200)

    async def delete_portfolio(self, request: Request) -> Response:
        """Follow a portfolio no more; the default one comes back as it is configured."""
        name = self._known(_name(request))
        await run_in_threadpool(self._service.repository.remove, name)
        await run_in_threadpool(self._service.guards.remove, name)
        self._monitor.drop(name)
        if name == self._service.settings.portfolio.name:
            self._monitor.put(self._service.settings.portfolio)
        return Response(status_code=204)

    async def limits(self, _: Request) -> Response:
        """Answer every limit of every portfolio: its bound, its value, and whether it is kept."""
        contexts = self._monitor.contexts
        return _json({name: contexts[name].limits_told() for name in sorted(contexts)})

    async def standings(self, _: Request) -> Response:
        """Answer what every portfolio with limits may do now: all, or only reduce."""
        return _json(self._monitor.standings())

    async def arm(self, request: Request) -> Response:
        """Let every limit of a portfolio count from now: what was halted is active again."""
        name = self._known(request.path_params["name"])
        self._service.arm(name)
        return _json(self._monitor.contexts[name].standing_told())

    async def scenarios(self, _: Request) -> Response:
        """Answer the named shocks that every report applies."""
        return _json(self._service.settings.terms.shocks)

    async def openapi(self, _: Request) -> Response:
        """Answer the description of all this."""
        return _json(document())

    async def health(self, _: Request) -> Response:
        """Answer 200 while the feed is live, else 503 with what is wrong."""
        ailments = self._service.ailments()
        monitor = self._monitor
        body = {
            "status": "down" if ailments else "up",
            "problems": ailments,
            "feed": monitor.lost or "live",
            "sources": {
                name: monitor.sources.get(name, "unknown") for name in monitor.market.symbols
            },
            "last": monitor.market.time,
            "ticks": int(monitor.market.ticks.sum()),
            "replayed": monitor.marks.replayed,
            "missed": monitor.marks.missed,
            "garbled": monitor.garbled,
            "rejected": monitor.rejected,
            "streams": self._service.streams(),
            "head": self._service.hub.id,
        }
        return _json(body, status=503 if ailments else 200)

    async def metrics(self, _: Request) -> Response:
        """Answer the numbers of the service in the exposition format of Prometheus."""
        body, media_type = exposition(self._service)
        return Response(body, media_type=media_type)

    def _report(self, name: str) -> RiskReport:
        try:
            return self._monitor.report(self._known(name))
        except UnavailableError as error:
            raise ProblemError(
                503, "no-market-data", error.reason, headers={"Retry-After": "1"}
            ) from error

    async def _follow(self, account: str) -> str:
        try:
            return await self._service.follow(account)
        except UnknownAccountError as error:
            raise ProblemError(404, "unknown-account", str(error)) from error
        except KeyRefusedError as error:
            raise ProblemError(503, "account-guarded", f"{error}.") from error
        except ExchangeAwayError as error:
            raise ProblemError(
                503, "exchange-away", str(error), headers={"Retry-After": "1"}
            ) from error

    def _asked(self, name: str, asked: PortfolioDocument) -> Portfolio:
        try:
            value = self._service.settings.portfolio.value
            portfolio = of_document(name, asked, value=value)
        except InvalidPortfolioError as error:
            wrong = [{"field": error.field, "problem": error.problem}]
            raise ProblemError(422, "invalid-portfolio", str(error), errors=wrong) from error
        market = self._monitor.market
        if unknown := [each for each in portfolio.symbols if each not in market.index]:
            known = ", ".join(market.symbols)
            raise ProblemError(
                422, "unknown-symbol", f"{unknown[0]} is not streamed here, only {known}."
            )
        return portfolio

    def _known(self, name: str) -> str:
        if name not in self._monitor.contexts:
            raise ProblemError(404, "unknown-portfolio", f"There is no portfolio {name[:80]!r}.")
        return name

    def _document(self, name: str) -> dict[str, Any]:
        portfolio = self._monitor.contexts[name].portfolio_context.portfolio
        return {"name": name, "basis": portfolio.basis, **to_document(portfolio)}

    def _named(self) -> list[str]:
        return [name for name in self._monitor.contexts if ":" not in name]


def _name(request: Request) -> str:
    name = str(request.path_params["name"])
    if ":" in name:
        raise ProblemError(422, "invalid-portfolio", "name: a colon is for accounts.")
    return name


def _json(value: object, *, status: int = 200) -> Response:
    return Response(
        encode(value),
        status_code=status,
        media_type="application/json",
        headers={"Cache-Control": "no-store"},
    )
