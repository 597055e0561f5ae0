// The book: asks above, bids below, the middle between them, and one's own orders marked.

import { $, element, row, write } from "./dom.js";
import { brief, decimals, price, quantity } from "./format.js";

const LEVELS = 6;

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
      const node = row([tone, "num own", "num", "num"]);
      const button = element("button", { type: "button" });
      node.cells[0].append(element("span", { className: "sr-only" }, `${side} `), button);
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
    const upto = [totals(asks), totals(bids)];
    const most = Math.max(0, ...upto.flat());
    this.asks.forEach((node, index) => this.update(node, asks[index], upto[0][index], "sell", digits, most, own));
    this.bids.forEach((node, index) => this.update(node, bids[index], upto[1][index], "buy", digits, most, own));
    const both = asks.length && bids.length;
    write($("mid"), both ? price((asks[0][0] + bids[0][0]) / 2, digits + 1) : "–");
    const none = book === undefined ? "" : "no two-sided market";
    write($("spread"), both ? `mid · spread ${price(asks[0][0] - bids[0][0], digits)}` : none);
  }

  update(node, level, upto, side, digits, most, own) {
    node.price = level?.[0] ?? null;
    node.button.hidden = !level;
    write(node.button, level ? price(level[0], digits) : "");
    const mine = level ? own.get(`${side} ${level[0]}`) : undefined;
    write(node.cells[1], mine ? `◆ ${brief(mine)}` : "");
    write(node.cells[2], level ? brief(level[1]) : "");
    write(node.cells[3], level ? brief(upto) : "");
    [mine, level?.[1], level && upto].forEach((whole, index) => {
      const title = whole ? quantity(whole) : "";
      if (node.cells[index + 1].title !== title) node.cells[index + 1].title = title;
    });
    const depth = level && most ? `${Math.round((100 * upto) / most)}%` : "0%";
    if (node.depth !== depth) {
      node.depth = depth;
      node.style.setProperty("--depth", depth);
    }
  }
}

/** What stands at each level and all better ones. */
function totals(levels) {
  let sum = 0;
  return levels.slice(0, LEVELS).map((level) => (sum += level[1])).map((each) => Number(each.toPrecision(12)));
}
