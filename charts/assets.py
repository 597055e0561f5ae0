"""Files for the browser: ours and the libraries', each under an address that names its content."""

import gzip
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import files, version
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from market.errors import MarketError
from market.problems import ProblemError

HERE: Final = Path(__file__).parent / "static"
FOR_EVER: Final = "public, max-age=31536000, immutable"
ASK_AGAIN: Final = "no-cache"
TYPES: Final[Mapping[str, str]] = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".html": "text/html; charset=utf-8",
}
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'{styles}; img-src 'self' data: blob:; "
    "connect-src 'self'; font-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
SECURE: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class MissingAssetError(MarketError):
    """A library that is installed does not hold the file that we need of it."""


@dataclass(frozen=True, slots=True)
class Asset:
    """A small file, kept as it is sent."""

    content: bytes
    packed: bytes
    type: str
    etag: str

    @classmethod
    def of(cls, content: bytes, type: str) -> "Asset":
        """Return content with its tag, and as gzip packs it."""
        etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
        return cls(content, gzip.compress(content, 9, mtime=0), type, etag)

    def answer(self, request: Request, headers: Mapping[str, str]) -> Response:
        """Return the content, or 304 when the request has it already."""
        sent = {"ETag": self.etag, "Vary": "Accept-Encoding", **SECURE, **headers}
        if self.etag in _tags(request):
            return Response(status_code=304, headers=sent)
        body = self.content
        if "gzip" in request.headers.get("accept-encoding", ""):
            sent["Content-Encoding"], body = "gzip", self.packed
        return Response(body, headers=sent, media_type=self.type)


@dataclass(frozen=True, slots=True)
class Vendored:
    """A script in the wheel of a library, served as it is there, without importing the library."""

    distribution: str
    suffix: str
    name: str

    @property
    def path(self) -> Path:
        """Where it is; MissingAssetError when the wheel has none."""
        for file in files(self.distribution) or ():
            if str(file).endswith(self.suffix):
                return Path(str(file.locate()))
        raise MissingAssetError(f"{self.distribution} has no file {self.suffix}")

    @property
    def url(self) -> str:
        """The address of this version of it."""
        return f"/vendor/{version(self.distribution)}/{self.name}"

    def route(self) -> Route:
        """Return the route that serves it."""
        path, size = self.path, self.path.stat().st_size
        etag = f'"{self.distribution}-{version(self.distribution)}-{size}"'

        async def serve(request: Request) -> Response:
            headers = {"Cache-Control": FOR_EVER, "ETag": etag, **SECURE}
            if etag in _tags(request):
                return Response(status_code=304, headers=headers)
            return FileResponse(path, headers=headers, media_type=TYPES[".js"])

        return Route(self.url, serve)


LIGHTWEIGHT_CHARTS: Final = Vendored(
    "litecharts", "litecharts/js/lightweight-charts.js", "lightweight-charts.js"
)
PLOTLY: Final = Vendored("plotly", "plotly/package_data/plotly.min.js", "plotly.min.js")


class Pages:
    """Our own files; those that a page asks for are under an address that changes with them."""

    def __init__(self, folder: Path = HERE) -> None:
        found = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
        digest = hashlib.sha256(b"\0".join(found.values())).hexdigest()
        self.version = digest[:12]
        self._assets = {
            name: Asset.of(self._resolved(content, name), TYPES[Path(name).suffix])
            for name, content in found.items()
            if Path(name).suffix in TYPES
        }

    def routes(self) -> list[Route]:
        """Return the routes of the pages and of what they load."""
        return [
            Route("/", self._page("index.html", POLICY.format(styles=""))),
            Route("/study", self._page("study.html", POLICY.format(styles=" 'unsafe-inline'"))),
            Route("/favicon.ico", self._page("icon.svg", POLICY.format(styles=""))),
            Route(f"/static/{self.version}/{{name}}", self._static),
            LIGHTWEIGHT_CHARTS.route(),
            PLOTLY.route(),
        ]

    def _resolved(self, content: bytes, name: str) -> bytes:
        """Return a page with the addresses of what it loads."""
        if not name.endswith(".html"):
            return content
        addresses = {
            b"{{static}}": f"/static/{self.version}",
            b"{{lightweight-charts}}": LIGHTWEIGHT_CHARTS.url,
            b"{{plotly}}": PLOTLY.url,
        }
        for mark, address in addresses.items():
            content = content.replace(mark, address.encode())
        return content

    def _page(self, name: str, policy: str) -> Callable[[Request], Awaitable[Response]]:
        asset = self._assets[name]
        headers = {"Cache-Control": ASK_AGAIN, "Content-Security-Policy": policy}

        async def page(request: Request) -> Response:
            return asset.answer(request, headers)

        return page

    async def _static(self, request: Request) -> Response:
        name = str(request.path_params["name"])
        asset = self._assets.get(name)
        if asset is None or name.endswith(".html"):
            raise ProblemError(404, "not-found", f"There is no file {name[:60]!r}.")
        return asset.answer(request, {"Cache-Control": FOR_EVER})


def _tags(request: Request) -> set[str]:
    given = request.headers.get("if-none-match", "")
    return {tag.strip().removeprefix("W/") for tag in given.split(",")}
