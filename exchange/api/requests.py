"""What requests ask for, read and checked once: the models of bodies, the parts of a query."""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Final, TypeVar

from msgspec import Meta, Struct, structs
from starlette.requests import Request

from exchange.rules import MOST_SLICES
from market.errors import OffGridError
from market.orders import AmendOrder, OrderType, PlaceOrder, SelfTradePrevention, TimeInForce
from market.problems import ProblemError
from market.values import Instrument, Side, Symbol, on_grid

END: Final = r"(?![\s\S])"  # a "$" would let a line feed through
NAME: Final = rf"^[A-Za-z0-9][A-Za-z0-9_.@-]*{END}"
NAME_IN_WORDS: Final = "1 to 64 of A-Z a-z 0-9 _ . @ -, a letter or digit first"
AccountName = Annotated[
    str,
    Meta(pattern=NAME, min_length=1, max_length=64, examples=["ann"], description=NAME_IN_WORDS),
]
ClientOrderId = Annotated[
    str,
    Meta(
        pattern=rf"^[\x21-\x7e]+{END}",
        min_length=1,
        max_length=64,
        description="1 to 64 printable ASCII characters without spaces",
    ),
]
SymbolOrName = Annotated[str, Meta(min_length=1, max_length=40, examples=["BTC"])]
Above0 = Annotated[Decimal, Meta(extra_json_schema={"exclusiveMinimum": 0, "examples": [1]})]
Slice = Annotated[
    Decimal,
    Meta(
        extra_json_schema={"exclusiveMinimum": 0, "examples": [1]},
        description=f"What an iceberg shows; it comes in {MOST_SLICES} such slices at most",
    ),
]
Prevention = Annotated[
    SelfTradePrevention,
    Meta(extra_json_schema={"description": "The taker's rules, but in an auction none does"}),
]
Leverage = Annotated[Decimal, Meta(extra_json_schema={"minimum": 1, "maximum": 100})]
Cash = Annotated[Decimal, Meta(extra_json_schema={"minimum": 0, "maximum": 10**15})]

Priced = TypeVar("Priced", PlaceOrder, AmendOrder)

OLD_NAMES: Final = {"username": "account", "stock": "symbol", "amount": "quantity"}


class QuickOrder(Struct, frozen=True, kw_only=True):
    """The body of ``/buy`` and ``/sell``; with a ``price`` it is a limit order."""

    account: AccountName
    symbol: SymbolOrName
    quantity: Above0
    price: Above0 | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    expire_time: datetime | None = None
    client_order_id: ClientOrderId | None = None

    def order(self, symbol: Symbol, side: Side) -> PlaceOrder:
        """Return the command that this asks for."""
        return PlaceOrder(
            account=self.account,
            symbol=symbol,
            side=side,
            quantity=self.quantity,
            type=OrderType.MARKET if self.price is None else OrderType.LIMIT,
            price=self.price,
            time_in_force=self.time_in_force,
            expire_time=self.expire_time,
            client_order_id=self.client_order_id,
        )


class NewOrder(Struct, frozen=True, kw_only=True):
    """The body of ``POST /orders``."""

    account: AccountName
    symbol: SymbolOrName
    side: Side
    quantity: Above0
    type: OrderType | None = None
    price: Above0 | None = None
    stop_price: Above0 | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    expire_time: datetime | None = None
    post_only: bool = False
    display_quantity: Slice | None = None
    client_order_id: ClientOrderId | None = None
    self_trade_prevention: Prevention | None = None

    def order(self, symbol: Symbol) -> PlaceOrder:
        """Return the command that this asks for; without a type, a price makes it a limit order."""
        implied = OrderType.MARKET if self.price is None else OrderType.LIMIT
        return PlaceOrder(
            account=self.account,
            symbol=symbol,
            side=self.side,
            quantity=self.quantity,
            type=self.type or implied,
            price=self.price,
            stop_price=self.stop_price,
            time_in_force=self.time_in_force,
            expire_time=self.expire_time,
            post_only=self.post_only,
            display_quantity=self.display_quantity,
            client_order_id=self.client_order_id,
            self_trade_prevention=self.self_trade_prevention,
        )


class Amendment(Struct, frozen=True, kw_only=True):
    """The body of ``PATCH /orders/{order_id}``: what is left out stays as it is."""

    quantity: Above0 | None = None
    price: Above0 | None = None


class Configuration(Struct, frozen=True, kw_only=True):
    """The body of ``PUT /accounts/{account}``: what is left out stays as it is."""

    short_selling: bool | None = None
    leverage: Leverage | None = None
    starting_cash: Cash | None = None
    self_trade_prevention: SelfTradePrevention | None = None


class Symbols:
    """The symbols that can be asked for, by themselves or by their instruments' old names."""

    def __init__(self, instruments: Mapping[Symbol, Instrument]) -> None:
        self._known = {str(symbol): symbol for symbol in instruments}
        self._known |= {of.name.lower(): symbol for symbol, of in instruments.items()}
        self._instruments = instruments

    def find(self, text: str) -> Symbol:
        """Return the symbol that ``text`` means; raise the 404 problem when it means none."""
        found = self._known.get(text)
        if found is None:
            raise ProblemError(404, "unknown-symbol", f"There is no symbol {text[:40]!r}.")
        return found

    def written(self, command: Priced, symbol: Symbol) -> Priced:
        """Return a command with what is on its grid written with the decimals of that."""
        found: dict[str, Decimal] = {}
        for name, value, step in self._numbers(command, symbol):
            with suppress(OffGridError):  # the venue says so
                found[name] = on_grid(name, value, step)
        return structs.replace(command, **found)

    def off_grid(self, order: PlaceOrder) -> dict[str, str]:
        """Return each price and quantity of an order that is not on its grid, and the grid."""
        found: dict[str, str] = {}
        for name, value, step in self._numbers(order, order.symbol):
            try:
                on_grid(name, value, step)
            except OffGridError as error:
                found[name] = str(error).removeprefix(f"{name} ")
        return found

    def _numbers(
        self, command: PlaceOrder | AmendOrder, symbol: Symbol
    ) -> Iterator[tuple[str, Decimal, Decimal]]:
        """Yield the name and the value of each number that a command has, and the step for it."""
        instrument = self._instruments.get(symbol)
        for name in ("price", "stop_price", "quantity", "display_quantity"):
            value = getattr(command, name, None)
            if value is not None and instrument is not None:  # an old order's may be gone
                step = instrument.tick_size if name.endswith("price") else instrument.lot_size
                yield name, value, step

    def asked(self, request: Request) -> Symbol | None:
        """Return the symbol in a query, or None when it names none."""
        text = request.query_params.get("symbol")
        return self.find(text) if text else None


def is_name(text: str) -> bool:
    """Return whether an account may be called so."""
    return len(text) <= 64 and re.match(NAME, text) is not None


def check_name(text: str) -> str:
    """Return ``text`` as the name of an account; raise the 422 problem when it can be none."""
    if not is_name(text):
        raise ProblemError(
            422,
            "invalid-account",
            f"An account's name: {NAME_IN_WORDS}.",
            field="account",
        )
    return text


def count(request: Request, name: str, default: int, most: int) -> int:
    """Return a whole number in [1, most] from a query; raise the 422 problem when it is none."""
    text = request.query_params.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= most):
        raise ProblemError(422, "invalid-query", f"{name}: a number from 1 to {most}.", field=name)
    return int(text)


def order_id(request: Request) -> int:
    """Return the order id in a path; raise the 404 problem when it can be no order's."""
    text = str(request.path_params["order_id"])
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise ProblemError(404, "unknown-order", f"There is no order {text[:40]!r}.")
    return int(text)
