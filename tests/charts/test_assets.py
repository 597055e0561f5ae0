import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from charts.assets import HERE, LIGHTWEIGHT_CHARTS, PLOTLY, MissingAssetError, Vendored
from tests.charts.builders import PaperMarket, charts_over
from tests.streams import a_client

LIGHTWEIGHT_CHARTS_SHA256 = "756b0ba9f58930226d6b8b9d47ad310448ab85d799ea1f7c2c02304777c10b52"


class Seen(HTMLParser):
    """What a page loads, and what it has that a strict policy forbids."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.forbidden: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.forbidden += [f"{tag} {name}" for name in given if name.startswith("on")]
        self.forbidden += [f"{tag} style"] if "style" in given or tag == "style" else []
        if tag == "script" and "src" not in given:
            self.forbidden.append("inline script")
        if tag in {"script", "img", "iframe"}:
            self.loads.append(given.get("src", ""))
        if tag == "link":
            self.loads.append(given["href"])


def test_the_chart_library_is_the_very_file_that_was_looked_at() -> None:
    content = LIGHTWEIGHT_CHARTS.path.read_bytes()
    assert hashlib.sha256(content).hexdigest() == LIGHTWEIGHT_CHARTS_SHA256


def test_a_library_without_its_file_is_an_error_that_names_it() -> None:
    with pytest.raises(MissingAssetError, match=r"no file nothing\.js"):
        _ = Vendored("litecharts", "nothing.js", "nothing.js").path


@pytest.mark.parametrize("path", ["/", "/study"])
async def test_a_page_has_a_strict_policy_and_nothing_that_it_forbids(path: str) -> None:
    async with charts_over(PaperMarket()) as url, a_client(url) as client:
        answer = await client.get(path)
        seen = Seen()
        seen.feed(answer.text)
        loaded = [await client.get(address) for address in seen.loads]
    policy = answer.headers["content-security-policy"]
    assert "script-src 'self';" in policy
    assert "connect-src 'self'" in policy
    assert "default-src 'none'" in policy
    assert seen.forbidden == []
    assert all(address.startswith("/") for address in seen.loads)
    assert [each.status_code for each in loaded] == [200] * len(loaded)
    assert all("immutable" in each.headers["cache-control"] for each in loaded)
    assert all(each.headers["x-content-type-options"] == "nosniff" for each in loaded)


@pytest.mark.parametrize("path", ["/", LIGHTWEIGHT_CHARTS.url, PLOTLY.url])
async def test_what_a_browser_has_is_not_sent_again(path: str) -> None:
    async with charts_over(PaperMarket()) as url, a_client(url) as client:
        first = await client.get(path)
        again = await client.get(path, headers={"If-None-Match": first.headers["etag"]})
    assert (first.status_code, again.status_code) == (200, 304)
    assert again.content == b""


async def test_a_file_that_is_not_ours_is_not_there() -> None:
    async with charts_over(PaperMarket()) as url, a_client(url) as client:
        home = (await client.get("/")).text
        found = re.search(r"/static/[0-9a-f]+", home)
        assert found is not None
        for name in ("none.js", "..%2Fapp.py", "index.html", "app.py"):
            assert (await client.get(f"{found[0]}/{name}")).status_code == 404


def test_no_module_writes_markup_or_asks_another_host() -> None:
    for path in [*HERE.glob("*.js"), *HERE.glob("*.css")]:
        text = path.read_text()
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", text)
        assert not re.search(r"https?://(?!www\.w3\.org/)", text), path.name


def test_the_modules_are_small_enough_to_read() -> None:
    folder = Path(__file__).parents[2] / "charts" / "static"
    assert {path.name for path in folder.glob("*.js") if len(path.read_text()) > 20_000} == set()
