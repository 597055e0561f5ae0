"""The words in which a pit tells what happened: facts in decimals, made of ticks and lots."""

from datetime import datetime

from exchange.floor import Floor
from exchange.grid import Grid
from exchange.price_level import Order
from exchange.rules import NO_FEE, Fees, Refusal
from exchange.teller import MAKER, TAKER, Teller
from market.events import Trade
from market.orders import (
    AmendRejected,
    Liquidity,
    OrderAccepted,
    OrderAmended,
    OrderCancelled,
    OrderDecremented,
    OrderExpired,
    OrderFilled,
    OrderRejected,
    OrderTriggered,
    PlaceOrder,
    TradingState,
    TradingStateChanged,
)
from market.values import Symbol


class Reporter(Teller):
    """Writes the facts of one instrument to the floor, with its time and the next trade ids."""

    __slots__ = ("_fees", "_floor", "_prices", "_quantities", "_symbol")

    def __init__(
        self, symbol: Symbol, floor: Floor, prices: Grid, quantities: Grid, fees: Fees
    ) -> None:
        self._symbol, self._floor, self._fees = symbol, floor, fees
        self._prices, self._quantities = prices, quantities

    def accepted(self, order: Order) -> None:
        """An order was taken in."""
        floor, request = self._floor, order.request
        floor.facts.append(
            OrderAccepted(
                order_id=order.id,
                account=request.account,
                symbol=self._symbol,
                time=floor.time,
                side=request.side,
                type=request.type,
                quantity=request.quantity,
                price=request.price,
                client_order_id=request.client_order_id,
            )
        )

    def rejected(self, order_id: int, request: PlaceOrder, refusal: Refusal) -> None:
        """An order was refused."""
        self._floor.facts.append(
            OrderRejected(
                order_id=order_id,
                account=request.account,
                symbol=self._symbol,
                time=self._floor.time,
                code=refusal.code,
                reason=refusal.reason,
            )
        )

    def amended(self, order: Order) -> None:
        """An order asks for something else."""
        self._floor.facts.append(
            OrderAmended(
                order_id=order.id,
                account=order.request.account,
                symbol=self._symbol,
                time=self._floor.time,
                quantity=self._quantities.values[order.total],
                price=self._prices.value(order.price) if order.key else None,
            )
        )

    def amendment_rejected(self, order: Order, refusal: Refusal) -> None:
        """An order could not be changed."""
        self._floor.facts.append(
            AmendRejected(
                order_id=order.id,
                account=order.request.account,
                symbol=self._symbol,
                time=self._floor.time,
                code=refusal.code,
                reason=refusal.reason,
            )
        )

    def triggered(self, order: Order) -> None:
        """A stop was set off."""
        self._floor.facts.append(
            OrderTriggered(
                order_id=order.id,
                account=order.request.account,
                symbol=self._symbol,
                time=self._floor.time,
            )
        )

    def cancelled(self, order: Order, lots: int) -> None:
        """What was left of an order was taken back."""
        self._floor.facts.append(
            OrderCancelled(
                order_id=order.id,
                account=order.request.account,
                symbol=self._symbol,
                time=self._floor.time,
                quantity=self._quantities.values[lots],
            )
        )

    def expired(self, order: Order, lots: int, reason: str) -> None:
        """What was left of an order went away."""
        self._floor.facts.append(
            OrderExpired(
                order_id=order.id,
                account=order.request.account,
                symbol=self._symbol,
                time=self._floor.time,
                quantity=self._quantities.values[lots],
                reason=reason,
            )
        )

    def decremented(self, order: Order, lots: int) -> None:
        """A part of an order went away, so that it did not trade with its own account."""
        self._floor.facts.append(
            OrderDecremented(
                order_id=order.id,
                account=order.request.account,
                symbol=self._symbol,
                time=self._floor.time,
                quantity=self._quantities.values[lots],
            )
        )

    def traded(self, maker: Order, taker: Order, ticks: int, lots: int, second: Liquidity) -> None:
        """Two orders met; ``second`` is what the second one gave: a MAKER in an auction."""
        floor, symbol = self._floor, self._symbol
        facts, time = floor.facts, floor.time
        trade_id = floor.trades = floor.trades + 1
        price, quantity = self._prices.values[ticks], self._quantities.values[lots]
        made, taken, fees = maker.request, taker.request, self._fees
        maker_fee = taker_fee = NO_FEE
        if fees.due:
            maker_fee = fees.maker(ticks * lots)
            taker_fee = fees.taker(ticks * lots) if second is TAKER else maker_fee
        facts += (
            Trade(
                symbol=symbol,
                price=price,
                quantity=quantity,
                side=taken.side,
                trade_id=trade_id,
                time=time,
            ),
            OrderFilled(
                order_id=maker.id,
                account=made.account,
                symbol=symbol,
                time=time,
                side=made.side,
                price=price,
                quantity=quantity,
                fee=maker_fee,
                liquidity=MAKER,
                trade_id=trade_id,
            ),
            OrderFilled(
                order_id=taker.id,
                account=taken.account,
                symbol=symbol,
                time=time,
                side=taken.side,
                price=price,
                quantity=quantity,
                fee=taker_fee,
                liquidity=second,
                trade_id=trade_id,
            ),
        )

    def changed(self, state: TradingState, reason: str, until: datetime | None) -> None:
        """The instrument allows something else."""
        self._floor.facts.append(
            TradingStateChanged(
                symbol=self._symbol,
                state=state,
                reason=reason,
                time=self._floor.time,
                until=until,
            )
        )
