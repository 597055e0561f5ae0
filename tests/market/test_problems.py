import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from market.problems import HANDLERS, ProblemError, problem


async def _refuse(request: Request) -> Response:
    errors: dict[str, Exception] = {
        "problem": ProblemError(409, "insufficient-funds", "No.", missing=5, field="quantity"),
        "busy": ProblemError(503, "too-many", "Full.", headers={"Retry-After": "5"}),
        "http": HTTPException(403, headers={"X-Why": "because"}),
        "bug": RuntimeError("a secret of ours"),
    }
    raise errors[request.path_params["what"]]


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    app = Starlette(routes=[Route("/{what}", _refuse)], exception_handlers=HANDLERS)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as made:
        yield made


async def told(client: httpx.AsyncClient, path: str, method: str = "GET") -> tuple[Any, Any]:
    response = await client.request(method, path)
    assert response.headers["content-type"] == "application/problem+json"
    document = response.json()
    assert document["status"] == response.status_code
    assert document["title"]
    return response, document


async def test_a_problem_says_what_and_why_and_which_field(client: httpx.AsyncClient) -> None:
    response, document = await told(client, "/problem")

    assert response.status_code == 409
    assert document == {
        "type": "insufficient-funds",
        "title": "Insufficient funds",
        "status": 409,
        "detail": "No.",
        "missing": 5,
        "field": "quantity",
    }


async def test_the_headers_of_a_problem_are_sent(client: httpx.AsyncClient) -> None:
    assert (await told(client, "/busy"))[0].headers["retry-after"] == "5"
    assert (await told(client, "/http"))[0].headers["x-why"] == "because"


@pytest.mark.parametrize(
    ("method", "path", "type"),
    [
        ("GET", "/a/b", "not-found"),
        ("POST", "/problem", "method-not-allowed"),
        ("GET", "/http", "forbidden"),
        ("GET", "/" + "x/" * 2000, "not-found"),
    ],
)
async def test_what_starlette_refuses_is_a_problem_too(
    client: httpx.AsyncClient, method: str, path: str, type: str
) -> None:
    _, document = await told(client, path, method)

    assert document["type"] == type
    assert len(document["detail"]) < 300


async def test_a_bug_tells_nothing_of_itself(client: httpx.AsyncClient) -> None:
    response, document = await told(client, "/bug")

    assert document["type"] == "internal-error"
    assert "secret" not in response.text


def test_a_problem_with_any_text_is_json() -> None:
    answer = problem(ProblemError(404, "unknown", 'a "quote"\n\x00 and ünïcode'))

    assert json.loads(bytes(answer.body))["detail"] == 'a "quote"\n\x00 and ünïcode'
