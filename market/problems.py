"""Errors as RFC 9457 problem documents: every refusal says what, why, and which field."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ExceptionHandler

from market.errors import MarketError
from market.wire import encode


class ProblemError(MarketError):
    """A refusal on its way to a client; ``members`` are added to the document."""

    def __init__(
        self,
        status: int,
        type: str,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        **members: object,
    ) -> None:
        super().__init__(detail)
        self.status, self.type, self.detail = status, type, detail
        self.headers, self.members = headers, members


def problem(error: ProblemError) -> Response:
    """Return the document of ``error``; its title is the type in words."""
    body = {
        "type": error.type,
        "title": error.type.replace("-", " ").capitalize(),
        "status": error.status,
        "detail": error.detail,
        **error.members,
    }
    return Response(
        encode(body),
        status_code=error.status,
        headers=error.headers,
        media_type="application/problem+json",
    )


async def _on_problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)
    return problem(error)


async def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    phrase = HTTPStatus(error.status_code).phrase
    detail = f"{request.method} {request.scope['path'][:200]}: {phrase}"
    return problem(
        ProblemError(
            error.status_code, phrase.lower().replace(" ", "-"), detail, headers=error.headers
        )
    )


async def _on_bug(_: Request, __: Exception) -> Response:
    return problem(ProblemError(500, "internal-error", "The server failed; its log says why."))


HANDLERS: Mapping[Any, ExceptionHandler] = {
    ProblemError: _on_problem,
    HTTPException: _on_http,
    Exception: _on_bug,
}
