// Orders out, answers back in the exchange's own words.

import { $, element, reconcile, row, tone, write } from "./dom.js";
import { decimals, money, price, quantity } from "./format.js";

export class Ticket {
  /** `onAccount` is told when another account is looked at. */
  constructor(store, account, onAccount) {
    this.store = store;
    this.form = $("ticket");
    this.symbol = "";
    this.form.account.value = account;
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.send();
    });
    this.form.addEventListener("change", (event) => {
      if (event.target === this.form.account) onAccount(this.account);
      this.label();
    });
    this.form.addEventListener("input", () => this.label());
  }

  get account() {
    return this.form.account.value.trim();
  }

  get side() {
    return this.form.side.value;
  }

  /** Put a side, and perhaps a price, into the ticket. */
  fill(side, at = null) {
    this.form.side.value = side;
    if (at !== null) {
      this.form.type.value = "limit";
      this.form.price.value = String(at);
    }
    this.label();
    this.form.quantity.focus();
    this.form.quantity.select();
  }

  label(symbol = this.symbol) {
    this.symbol = symbol;
    const isLimit = this.form.type.value === "limit";
    this.form.price.disabled = !isLimit;
    const button = $("send");
    button.dataset.side = this.side;
    const word = this.side === "buy" ? "Buy" : "Sell";
    const at = isLimit ? `at ${this.form.price.value || "…"}` : "at the market";
    write(button, `${word} ${this.form.quantity.value || "…"} ${symbol} ${at}`);
  }

  async send() {
    if (this.isSending) return;
    const order = {
      account: this.account,
      symbol: this.symbol,
      side: this.side,
      type: this.form.type.value,
      quantity: asNumber(this.form.quantity.value),
      client_order_id: crypto.randomUUID?.() ?? `page-${Date.now()}-${Math.random()}`,
    };
    if (order.type === "limit") order.price = asNumber(this.form.price.value);
    this.busy(true);
    this.say("", "");
    try {
      const answer = await this.ask("POST", "/orders", order);
      this.say(...answered(answer, decimals(this.store.instrument.get(answer.symbol)?.tick_size)));
    } catch (error) {
      this.say("bad", error.message);
    }
    this.busy(false);
  }

  /** Take no second order while one is on its way; the button keeps the focus, so it is not disabled. */
  busy(isSending) {
    this.isSending = isSending;
    $("send").setAttribute("aria-disabled", String(isSending));
  }

  async cancel(order, button) {
    if (button.getAttribute("aria-disabled") === "true") return;
    button.setAttribute("aria-disabled", "true");
    try {
      await this.ask("DELETE", `/orders/${order.order_id}`);
      this.say("good", `Order ${order.order_id} is cancelled.`);
      if (document.activeElement === button) neighbor(button).focus(); // it goes with its row
    } catch (error) {
      this.say("bad", error.message);
      button.setAttribute("aria-disabled", "false");
    }
  }

  /** Return what the exchange answers; throw its own words when it refuses. */
  async ask(method, path, body) {
    const headers = { "Content-Type": "application/json" };
    if (this.form.key.value) headers["X-API-Key"] = this.form.key.value;
    let response;
    try {
      response = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
    } catch {
      throw new Error("Nobody answers: was it sent? The open orders will tell.");
    }
    const answer = await response.json().catch(() => ({}));
    if (!response.ok) throw new Error(`${answer.title ?? response.status}: ${answer.detail ?? response.statusText}`);
    return answer;
  }

  say(kind, text) {
    const node = $("answer");
    node.dataset.tone = kind;
    write(node, text);
  }

  draw() {
    const account = this.store.account.get(this.account);
    write($("ticket-cash"), account ? `cash ${money(account.cash)}` : "a new account");
    const orders = this.store.orders.get(this.account) ?? [];
    write($("orders-count"), orders.length ? String(orders.length) : "");
    $("orders-empty").hidden = orders.length > 0;
    reconcile(
      $("orders"), orders.slice(-50).reverse(), (order) => order.order_id,
      (order) => {
        const node = row(["", "num", "num", ""]);
        const button = element("button", { type: "button", "aria-label": `Cancel order ${order.order_id}` }, "Cancel");
        button.addEventListener("click", () => this.cancel(order, button));
        node.cells[3].append(button);
        return node;
      },
      (node, order) => {
        const sign = order.side === "buy" ? 1 : -1;
        write(node.cells[0], `${sign > 0 ? "▲" : "▼"} ${order.symbol}`);
        tone(node.cells[0], sign);
        write(node.cells[1], quantity(order.quantity - order.filled_quantity));
        write(node.cells[2], price(order.price, decimals(this.store.instrument.get(order.symbol)?.tick_size)));
      },
    );
  }
}

/** Return where the focus goes when a row is taken away. */
function neighbor(button) {
  const row = button.closest("tr");
  return (row.nextElementSibling ?? row.previousElementSibling)?.querySelector("button") ?? button.closest(".scroll");
}

/** Return a number as the wire wants it; what is none goes as it is, for the exchange to refuse. */
function asNumber(text) {
  const trimmed = text.trim();
  return /^-?\d+(\.\d+)?$/.test(trimmed) ? Number(trimmed) : trimmed;
}

function answered(order, digits) {
  const filled = order.filled_quantity;
  const at = order.average_price === null ? "" : ` at ${price(order.average_price, digits)}`;
  const done = filled > 0 ? `${order.side === "buy" ? "Bought" : "Sold"} ${quantity(filled)} ${order.symbol}${at}. ` : "";
  const left = { open: "Open.", partially_filled: "The rest is open.", filled: "", cancelled: "The rest was cancelled.", expired: "The rest has expired." };
  const why = order.reason ? ` ${order.reason}` : "";
  const text = `${done}${left[order.status] ?? order.status}${why} Order ${order.order_id}.`;
  return [filled > 0 || order.status === "open" ? "good" : "bad", text];
}
