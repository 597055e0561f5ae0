import pytest

from tests.charts.builders import PaperMarket, charts_over
from tests.streams import a_client

REFUSED = {
    "type": "insufficient-funds",
    "title": "Insufficient funds",
    "status": 409,
    "detail": "me has 1 free, the order needs 2.",
}
JSON = {"Content-Type": "application/json"}


async def test_an_order_goes_to_the_exchange_as_it_is() -> None:
    paper = PaperMarket()
    body = b'{"account":"me","symbol":"BTC","side":"buy","quantity":0.10}'
    async with charts_over(paper) as url, a_client(url) as client:
        answer = await client.post("/orders", content=body, headers=JSON)
    assert answer.json() == {"order_id": 1}
    assert paper.bodies == [body]


@pytest.mark.parametrize("method", ["POST", "DELETE"])
async def test_a_refusal_comes_back_in_the_exchanges_own_words(method: str) -> None:
    paper = PaperMarket()
    paper.answer = (409, REFUSED)
    async with charts_over(paper) as url, a_client(url) as client:
        path = "/orders" if method == "POST" else "/orders/1"
        answer = await client.request(method, path, content=b"{}", headers=JSON)
    assert answer.status_code == 409
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == REFUSED


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({**JSON, "Origin": "http://elsewhere.example"}, 403),
        ({**JSON, "Origin": "null"}, 403),
        ({"Content-Type": "text/plain"}, 415),
    ],
)
async def test_a_page_of_somebody_else_places_no_orders(
    headers: dict[str, str], status: int
) -> None:
    paper = PaperMarket()
    async with charts_over(paper) as url, a_client(url) as client:
        answer = await client.post("/orders", content=b"{}", headers=headers)
    assert answer.status_code == status
    assert paper.bodies == []


async def test_a_body_is_bounded() -> None:
    async with charts_over(PaperMarket()) as url, a_client(url) as client:
        answer = await client.post("/orders", content=b" " * 70_000, headers=JSON)
    assert answer.status_code == 413
