"""The market as a frame of text for ``curl -N``: drawn here, a few times a second."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from charts.board import Board
from market.problems import ProblemError
from market.streaming import HEADERS, Admission

BLOCKS: Final = "▁▂▃▄▅▆▇█"
WIDTH: Final = 92
SYMBOLS: Final = f"{'SYMBOL':<12}{'PRICE':>16}{'CHANGE':>12}  {'':40}{'AGE':>7}"
ACCOUNTS: Final = f"{'ACCOUNT':<20}{'EQUITY':>18}{'REALIZED':>16}{'OPEN P&L':>16}{'DRAWDOWN':>12}"
ROWS: Final = 12
HOME, CLEAR_LINE, CLEAR_REST = "\x1b[H", "\x1b[K", "\x1b[J"
_COLORS: Final = {
    "up": "\x1b[38;5;79m",
    "down": "\x1b[38;5;203m",
    "warn": "\x1b[38;5;221m",
    "muted": "\x1b[38;5;245m",
    "bold": "\x1b[1m",
}
_MARKS: Final = {"up": "▲", "down": "▼", "muted": " "}
_END: Final = "\x1b[0m"


class Top:
    """``GET /top``: frames until the reader leaves.

    ``?hz=`` is how many a second (0.2 to 4), ``?plain`` is without any escape sequence, and
    ``?once`` is a single frame.
    """

    def __init__(
        self,
        board: Board,
        admission: Admission,
        status: Callable[[], dict[str, Any]],
    ) -> None:
        self._board, self._admission, self._status = board, admission, status

    async def top(self, request: Request) -> Response:
        """Answer the frames."""
        query = request.query_params
        pause_s, color = 1 / _rate(query.get("hz", "2")), "plain" not in query
        if "once" in query:
            return Response(self.frame(color=color), media_type="text/plain; charset=utf-8")
        address = request.client.host if request.client else "?"
        self._admission.enter(address)
        return StreamingResponse(
            self._frames(address, pause_s, color=color),
            headers=HEADERS,
            media_type="text/plain; charset=utf-8",
        )

    def frame(self, *, color: bool) -> str:
        """Return the market as it stands, in lines of no more than WIDTH columns."""
        paint = _painted if color else _bare
        return "\n".join(
            [
                self._head(paint),
                "",
                paint("muted", SYMBOLS),
                *self._prices(paint),
                "",
                paint("muted", ACCOUNTS),
                *self._accounts(paint),
                "",
                *self._risk(paint),
                *self._events(paint),
            ]
        )

    async def _frames(self, address: str, pause_s: float, *, color: bool) -> AsyncIterator[str]:
        try:
            if color:
                yield "\x1b[2J"
            while not self._board.closed:
                frame = self.frame(color=color)
                if color:
                    frame = HOME + frame.replace("\n", f"{CLEAR_LINE}\n") + CLEAR_LINE + CLEAR_REST
                yield frame + "\n" + ("" if color else "\n")
                await asyncio.sleep(pause_s)
        finally:
            self._admission.leave(address)

    def _head(self, paint: "Paint") -> str:
        status = self._status()
        link = self._board.get("link", "exchange") or {"state": "lost"}
        stale = [name for name, age in status["ages"].items() if age > status["stale_after_s"]]
        if link["state"] != "live":
            state = paint("down", "■ DISCONNECTED from the exchange")
        elif stale:
            state = paint("warn", "▲ STALE " + " ".join(_clean(name, 10) for name in stale[:4]))
        elif not status["ages"]:
            state = paint("muted", "○ WAITING for the first price")
        else:
            state = paint("up", "● LIVE")
        numbers = f"{status['rate']:.0f} ev/s  missed {status['missed']}"
        return f"{paint('bold', 'SANDPIT')}  {datetime.now(UTC):%H:%M:%S}  {state}  {numbers}"

    def _prices(self, paint: "Paint") -> list[str]:
        ages = self._status()["ages"]
        sparks, ticks = self._board.all("spark"), self._board.all("tick")
        order = {**self._board.all("instrument"), **ticks}  # the page's: the exchange's own
        lines = []
        for symbol in [symbol for symbol in order if symbol in ticks][:ROWS]:
            tick = ticks[symbol]
            price, first = tick["price"], float(tick["reference"])
            change = float(price) / first - 1 if first else 0.0
            moved = _with_sign(change, ".2%")
            tone = _tone(moved)
            lines.append(
                f"{_clean(symbol, 11):<12}{price:>16,f}"
                + paint(tone, f"{_MARKS[tone]:>3}{moved:>8} ")
                + f"  {spark(sparks.get(symbol, ())):<40}"
                + f"{ages.get(symbol, 0.0):>6.1f}s"
            )
        return lines or [paint("muted", "no prices yet")]

    def _accounts(self, paint: "Paint") -> list[str]:
        lines = []
        for name, account in sorted(self._board.all("account").items())[:ROWS]:
            lines.append(
                f"{_clean(name, 19):<20}{account['equity']:>18,.2f}"
                + _signed(paint, account["realized_pnl"])
                + _signed(paint, account["unrealized_pnl"])
                + f"{account['max_drawdown']:>12.2%}"
            )
        return lines or [paint("muted", "no accounts yet")]

    def _risk(self, paint: "Paint") -> list[str]:
        report = self._board.get("risk", "default")
        if report is None or report["value_at_risk"].get("0.99") is None:
            return []
        losses, shortfall = report["value_at_risk"], report["expected_shortfall"]
        text = (
            f"RISK default {report['state']}  VaR95 {losses['0.95'] or 0:,.0f}"
            f"  VaR99 {losses['0.99'] or 0:,.0f}  ES99 {shortfall.get('0.99') or 0:,.0f}"
            f"  over {report['horizon_s']:g} s"
        )
        return [paint("bold", text), ""]

    def _events(self, paint: "Paint") -> list[str]:
        tones = {"error": "down", "warn": "warn", "info": "muted"}
        return [
            paint(
                tones[each["level"]],
                _clean(f"{each['time']:%H:%M:%S} {each['what']}: {each['text']}", WIDTH),
            )
            for each in self._board.entries("event")[-5:]
        ]


Paint = Callable[[str, str], str]


def spark(values: Sequence[float]) -> str:
    """Return numbers as a row of blocks, the smallest the lowest."""
    if not values:
        return ""
    least, most = min(values), max(values)
    if most == least:
        return BLOCKS[3] * len(values)
    steps = len(BLOCKS) - 1
    return "".join(BLOCKS[round((value - least) / (most - least) * steps)] for value in values)


def _painted(tone: str, text: str) -> str:
    return f"{_COLORS[tone]}{text}{_END}"


def _bare(_: str, text: str) -> str:
    return text


def _signed(paint: Paint, value: Any) -> str:
    text = _with_sign(value, ",.2f")
    return paint(_tone(text), f"{text:>16}")


def _tone(text: str) -> str:
    return {"+": "up", "-": "down"}.get(text[0], "muted")


def _with_sign(value: Any, format: str) -> str:
    """Return a number with its sign; what rounds to zero has none."""
    text = f"{value:+{format}}"
    return text if text.strip("+-0.,%") else text[1:]


def _clean(text: str, width: int) -> str:
    """Return a name as a terminal may have it: no escape of somebody else's, and cut visibly."""
    plain = "".join(letter if letter.isprintable() else "?" for letter in text)
    return plain if len(plain) <= width else plain[: width - 1] + "…"


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0.2 <= rate <= 4:
        raise ProblemError(422, "invalid-query", "hz: from 0.2 to 4.", field="hz")
    return rate
