// The book: asks above, bids below, the middle between them, and one's own orders marked.

import { $, element, row, write } from "./dom.js";
import { decimals, price, quantity } from "./format.js";

const LEVELS = 8;

export class Ladder {
  /** `pick` is told the price that was chosen, and on which side of the book it stands. */
  constructor(store, pick) {
    this.store = store;
    this.asks = this.make($("asks"), "Ask", "down", (at) => pick(at, "buy"));
    this.bids = this.make($("bids"), "Bid", "up", (at) => pick(at, "sell"));
    this.asks.reverse(); // the best is next to the middle
  }

  make(body, side, tone, pick) {
    return Array.from({ length: LEVELS }, () => {
      const node = row(["", `num ${tone}`, "num", "num own"]);
      const button = element("button", { type: "button" });
      node.cells[0].textContent = side;
      node.cells[1].append(button);
      button.addEventListener("click", () => node.price !== null && pick(node.price));
      Object.assign(node, { button, price: null });
      body.append(node);
      return node;
    });
  }

  draw(symbol, account) {
    const book = this.store.book.get(symbol);
    const digits = decimals(this.store.instrument.get(symbol)?.tick_size);
    const own = new Map();
    for (const order of this.store.orders.get(account) ?? []) {
      if (order.symbol !== symbol || order.price === null) continue;
      const key = `${order.side} ${order.price}`;
      own.set(key, (own.get(key) ?? 0) + order.quantity - order.filled_quantity);
    }
    const asks = book?.asks ?? [];
    const bids = book?.bids ?? [];
    const most = Math.max(0, ...asks.slice(0, LEVELS).map((level) => level[1]), ...bids.slice(0, LEVELS).map((level) => level[1]));
    this.asks.forEach((node, index) => this.update(node, asks[index], "sell", digits, most, own));
    this.bids.forEach((node, index) => this.update(node, bids[index], "buy", digits, most, own));
    const both = asks.length && bids.length;
    write($("mid"), both ? price((asks[0][0] + bids[0][0]) / 2, digits + 1) : "–");
    write($("spread"), both ? `mid · spread ${price(asks[0][0] - bids[0][0], digits)}` : "no two-sided market");
  }

  update(node, level, side, digits, most, own) {
    node.price = level?.[0] ?? null;
    write(node.button, level ? price(level[0], digits) : "");
    write(node.cells[2], level ? quantity(level[1]) : "");
    const mine = level ? own.get(`${side} ${level[0]}`) : undefined;
    write(node.cells[3], mine ? `◆ ${quantity(mine)}` : "");
    const depth = level && most ? `${Math.round((100 * level[1]) / most)}%` : "0%";
    if (node.depth !== depth) {
      node.depth = depth;
      node.style.setProperty("--depth", depth);
    }
  }
}
