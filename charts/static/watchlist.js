// All symbols, in an order that never changes, with what they did lately.

import { $, element, flash, reconcile, tone, write } from "./dom.js";
import { change, decimals, price, rounded } from "./format.js";

const SVG = "http://www.w3.org/2000/svg";

export class Watchlist {
  constructor(store, choose) {
    this.store = store;
    this.choose = choose;
    this.wanted = "";
    $("find").addEventListener("input", () => {
      this.wanted = $("find").value.trim().toLowerCase();
      this.draw();
    });
    $("find").addEventListener("keydown", (event) => {
      const first = this.symbols()[0];
      if (event.key === "Enter" && first !== undefined) {
        choose(first);
        $("find").blur();
      }
    });
  }

  symbols() {
    const named = (symbol) => `${symbol} ${this.store.instrument.get(symbol)?.name ?? ""}`.toLowerCase();
    return this.store.symbols().filter((symbol) => named(symbol).includes(this.wanted));
  }

  draw(chosen = this.chosen) {
    this.chosen = chosen;
    const symbols = this.symbols();
    reconcile($("watch"), symbols, (symbol) => symbol, (symbol) => this.make(symbol), (node, symbol) => this.update(node, symbol));
    const empty = $("watch-empty");
    empty.hidden = symbols.length > 0;
    write(empty, this.wanted ? "No symbol has that name." : "Waiting for the first prices.");
  }

  make(symbol) {
    const button = element("button", { type: "button" }, symbol);
    const tag = element("span", { className: "tag", hidden: true });
    const line = document.createElementNS(SVG, "polyline");
    const spark = document.createElementNS(SVG, "svg");
    spark.setAttribute("viewBox", "0 0 100 20");
    spark.setAttribute("preserveAspectRatio", "none");
    spark.setAttribute("aria-hidden", "true");
    spark.append(line);
    const node = element(
      "tr", {},
      element("th", { scope: "row" }, button, tag),
      element("td", { className: "num last-price" }),
      element("td", { className: "num" }),
      element("td", {}, spark),
    );
    node.addEventListener("click", () => this.choose(symbol));
    Object.assign(node, { button, tag, line, last: null });
    return node;
  }

  update(node, symbol) {
    const tick = this.store.tick.get(symbol);
    const isChosen = symbol === this.chosen;
    if (node.classList.contains("chosen") !== isChosen) {
      node.classList.toggle("chosen", isChosen);
      node.button.setAttribute("aria-pressed", String(isChosen));
    }
    const tag = this.store.fault(symbol) ? "STALE" : this.store.halt(symbol);
    node.tag.hidden = tag === "";
    write(node.tag, tag);
    const digits = decimals(this.store.instrument.get(symbol)?.tick_size);
    const moved = this.store.moved(symbol);
    write(node.cells[1], price(tick?.price, digits));
    write(node.cells[2], change(moved));
    tone(node.cells[2], rounded(100 * moved, 2));
    const last = tick?.price ?? null;
    if (last !== null && node.last !== null && node.last !== last) flash(node.cells[1], last > node.last);
    node.last = last;
    this.trace(node.line, this.store.spark.get(symbol) ?? [], moved);
  }

  trace(line, values, moved) {
    const least = Math.min(...values);
    const span = Math.max(...values) - least || 1;
    const points = values.map((value, index) => {
      const x = (100 * index) / Math.max(1, values.length - 1);
      return `${x.toFixed(1)},${(18 - (16 * (value - least)) / span).toFixed(1)}`;
    }).join(" ");
    if (line.getAttribute("points") !== points) line.setAttribute("points", points);
    tone(line, moved);
  }
}
