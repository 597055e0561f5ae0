"""A path and what each method does there, so that a 405 names them all."""

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

Handler = Callable[[Request], Awaitable[Response]]


def resource(path: str, **handlers: Handler) -> Route:
    """Return the route of ``path``; the handlers are named for their methods."""
    by_method = {"HEAD": handlers["GET"], **handlers} if "GET" in handlers else handlers

    async def endpoint(request: Request) -> Response:
        return await by_method[request.method](request)

    return Route(path, endpoint, methods=list(by_method))
