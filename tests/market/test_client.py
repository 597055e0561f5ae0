import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from market.client import http_client
from market.server import ServerSettings, serving


async def _answer(_: Request) -> PlainTextResponse:
    return PlainTextResponse("here")


async def test_it_goes_straight_to_its_server_whatever_proxy_the_environment_names(
    monkeypatch: pytest.MonkeyPatch, port: int
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{port}")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    app = Starlette(routes=[Route("/", _answer)])
    async with serving(app, ServerSettings(farewell_s=0.1)) as url, http_client() as client:
        answer = await client.get(url)

    assert answer.text == "here"


async def test_clients_share_whom_they_trust() -> None:
    async with http_client() as one, http_client(timeout=1) as other:
        contexts = {id(each._transport._pool._ssl_context) for each in (one, other)}  # type: ignore[attr-defined]

    assert len(contexts) == 1
