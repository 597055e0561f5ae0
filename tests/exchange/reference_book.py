"""A slow and obvious order book: one list of orders, looked through from the start each time.

It is written from the rules alone and shares no code with the engine. Prices and quantities are
whole numbers, and what it answers is a list of plain tuples:
``("trade", taker, maker, quantity, price)``, ``("accept", id)``, ``("reject", id)``,
``("expire", id, quantity)``, ``("decrement", id, quantity)``, ``("trigger", id)``,
``("cancel", id, quantity)``, ``("amend", id, quantity)``.
"""

from dataclasses import dataclass


@dataclass
class Slow:
    """An order, with its number in the queue of everyone (``turn``)."""

    id: int
    account: str
    buy: bool
    left: int
    price: int | None = None
    stop: int | None = None
    force: str = "GTC"
    post_only: bool = False
    show: int = 0
    prevention: str = "none"
    total: int = 0
    shown: int = 0
    turn: int = 0
    entry: int = 0
    until: int | None = None
    resting: bool = False
    waiting: bool = False


class ReferenceBook:
    """Price-time priority the long way round."""

    def __init__(self) -> None:
        self.orders: list[Slow] = []
        self.turns = 0
        self.last: int | None = None
        self.prints: list[int] = []
        self.told: list[tuple[object, ...]] = []
        self.state = "trading"
        self.now = 0

    def wait(self, now: int) -> list[tuple[object, ...]]:
        """Let time pass; what is over by then goes, what is over first goes first."""
        self.now = now
        over = [order for order in self.orders if order.until is not None and order.until <= now]
        self.orders = [order for order in self.orders if order not in over]
        over.sort(key=lambda order: (order.until, order.id))
        return [("expire", order.id, order.left) for order in over]

    def place(self, order: Slow) -> list[tuple[object, ...]]:
        self.told = []
        order.total = order.left
        if self.turns_away(order):
            return [("reject", order.id)]
        self.told.append(("accept", order.id))
        if order.stop is None:
            self.enter(order)
        else:
            order.waiting = True
            order.entry = self.next_turn()
            self.orders.append(order)
            if self.last is not None and self.state == "trading":
                self.prints.append(self.last)
        self.run_stops()
        return self.told

    def turns_away(self, order: Slow) -> bool:
        if order.until is not None and order.until <= self.now:
            return True
        if self.state == "trading":
            return order.post_only and order.stop is None and self.crossed_by(order)
        waits = order.force in ("GTC", "GTD") and (order.price or order.stop) is not None
        return self.state != "auction" or order.post_only or not waits

    def halt(self, state: str) -> None:
        self.state = state

    def resume(self) -> list[tuple[object, ...]]:
        self.told = []
        if self.state == "trading":
            return []
        self.uncross()
        self.state = "trading"
        if self.last is not None:
            self.prints.append(self.last)
        self.run_stops()
        return self.told

    def uncross(self) -> None:
        """Trade as much as any one price allows, at the best of the prices that allow it."""
        bids, asks = self.queue(buy=True), self.queue(buy=False)
        if not bids or not asks or (bids[0].price or 0) < (asks[0].price or 0):
            return
        low, high = asks[0].price or 0, bids[0].price or 0
        near = (low + high) // 2 if self.last is None else self.last
        ranks = []
        for price in range(low, high + 1):
            wanted = sum(order.left for order in bids if (order.price or 0) >= price)
            offered = sum(order.left for order in asks if (order.price or 0) <= price)
            volume = min(wanted, offered)
            ranks.append((-volume, abs(wanted - offered), abs(price - near), price, volume))
        *_, price, volume = min(ranks)
        while volume:
            bid, ask = self.queue(buy=True)[0], self.queue(buy=False)[0]
            quantity = min(bid.shown, ask.shown, volume)
            older, younger = sorted((bid, ask), key=lambda order: order.id)
            self.told.append(("trade", younger.id, older.id, quantity, price))
            for order in (bid, ask):
                self.use(order, quantity)
            volume -= quantity
            self.last = price
            self.prints.append(price)

    def cancel(self, order_id: int) -> list[tuple[object, ...]]:
        order = self.find(order_id)
        self.orders.remove(order)
        return [("cancel", order.id, order.left)]

    def amend(
        self, order_id: int, total: int | None, price: int | None
    ) -> list[tuple[object, ...]]:
        self.told = []
        order = self.find(order_id)
        if self.state not in ("trading", "auction"):
            return [("reject", order.id)]
        total = order.total if total is None else total
        price = order.price if price is None else price
        left = order.left - order.total + total
        moved = Slow(0, "", order.buy, left, price)
        market = order.price is None and price is not None
        takes = self.state == "trading" and order.resting and order.post_only
        if market or left <= 0 or (takes and self.crossed_by(moved)):
            return [("reject", order.id)]
        keeps = order.waiting or (left <= order.left and price == order.price)
        order.shown = min(order.shown, left) if order.show else left
        order.total, order.left, order.price = total, left, price
        self.told.append(("amend", order.id, total))
        if not keeps:
            self.orders.remove(order)
            self.enter(order)
        self.run_stops()
        return self.told

    def depth(self, *, buy: bool) -> list[tuple[int, int]]:
        prices = {order.price for order in self.orders if order.resting and order.buy is buy}
        return [
            (price, sum(o.shown for o in self.queue(buy=buy) if o.price == price))
            for price in sorted((p for p in prices if p is not None), reverse=buy)
        ]

    def find(self, order_id: int) -> Slow:
        return next(order for order in self.orders if order.id == order_id)

    def next_turn(self) -> int:
        self.turns += 1
        return self.turns

    def queue(self, *, buy: bool) -> list[Slow]:
        """The resting orders of a side, best price first, then by turn."""
        side = [order for order in self.orders if order.resting and order.buy is buy]
        sign = -1 if buy else 1
        return sorted(side, key=lambda order: (sign * (order.price or 0), order.turn))

    def partners(self, taker: Slow) -> list[Slow]:
        """The resting orders that a taker may meet, in the order it meets them."""
        return [maker for maker in self.queue(buy=not taker.buy) if acceptable(taker, maker)]

    def crossed_by(self, order: Slow) -> bool:
        return bool(self.partners(order))

    def enter(self, order: Slow) -> None:
        order.resting = order.waiting = False
        if self.state != "trading":
            self.rest(order)
            return
        if order.force == "FOK" and not self.fills_whole(order):
            self.told.append(("expire", order.id, order.left))
            return
        if not self.take(order):
            return
        if order.price is None or order.force in ("IOC", "FOK"):
            self.told.append(("expire", order.id, order.left))
            return
        self.rest(order)

    def rest(self, order: Slow) -> None:
        order.resting = True
        order.turn = self.next_turn()
        order.shown = min(order.show, order.left) if order.show else order.left
        self.orders.append(order)

    def take(self, taker: Slow) -> bool:
        """Trade unit by slice; return whether something is left that may stay."""
        while taker.left and (partners := self.partners(taker)):
            maker = partners[0]
            if taker.prevention != "none" and maker.account == taker.account:
                if not self.prevent(taker, maker):
                    return False
                continue
            quantity = min(taker.left, maker.shown)
            price = maker.price or 0
            self.told.append(("trade", taker.id, maker.id, quantity, price))
            self.last = price
            self.prints.append(price)
            taker.left -= quantity
            self.use(maker, quantity)
        return taker.left > 0

    def prevent(self, taker: Slow, maker: Slow) -> bool:
        """Do what the taker asks for instead of trading; return whether it may go on."""
        if taker.prevention == "decrement":
            quantity = min(taker.left, maker.shown)
            taker.left -= quantity
            taker.total -= quantity
            maker.total -= quantity
            self.use(maker, quantity)
            for order in (maker, taker):
                self.told.append(("decrement" if order.left else "expire", order.id, quantity))
            return taker.left > 0
        if taker.prevention in ("expire_maker", "expire_both"):
            self.orders.remove(maker)
            self.told.append(("expire", maker.id, maker.left))
        if taker.prevention in ("expire_taker", "expire_both"):
            self.told.append(("expire", taker.id, taker.left))
            return False
        return True

    def use(self, maker: Slow, quantity: int) -> None:
        maker.left -= quantity
        maker.shown -= quantity
        if not maker.left:
            self.orders.remove(maker)
        elif not maker.shown:
            maker.shown = min(maker.show, maker.left)
            maker.turn = self.next_turn()

    def fills_whole(self, taker: Slow) -> bool:
        """Try it on a copy of everything."""
        trial = ReferenceBook()
        trial.orders = [Slow(**vars(order)) for order in self.orders]
        trial.turns = self.turns
        copy = Slow(**vars(taker))
        trial.take(copy)
        return sum(tell[3] for tell in trial.told if tell[0] == "trade") == taker.left  # type: ignore[misc]

    def run_stops(self) -> None:
        chain: list[Slow] = []
        while True:
            chain += self.set_off()
            if not chain:
                return
            order = chain.pop(0)
            self.orders.remove(order)
            self.told.append(("trigger", order.id))
            if order.post_only and self.crossed_by(order):
                self.told.append(("expire", order.id, order.left))
            else:
                self.enter(order)

    def set_off(self) -> list[Slow]:
        prints, self.prints = self.prints, []
        reached = [
            order
            for order in self.orders
            if order.waiting and any(reaches(order, price) for price in prints)
        ]
        for order in reached:
            order.waiting = False
        return sorted(reached, key=lambda order: order.entry)


def acceptable(taker: Slow, maker: Slow) -> bool:
    if taker.price is None or maker.price is None:
        return True
    return maker.price <= taker.price if taker.buy else maker.price >= taker.price


def reaches(order: Slow, price: int) -> bool:
    assert order.stop is not None
    return price >= order.stop if order.buy else price <= order.stop
