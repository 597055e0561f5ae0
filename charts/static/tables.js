// The tables that follow what happens: trades, accounts, events.

import { $, element, reconcile, row, tone, write } from "./dom.js";
import { clock, decimals, money, percent, price, quantity, signed } from "./format.js";

export const CURVES = ["#6ea8fe", "#f0b90b", "#c77dff", "#8bd3c7", "#ff9e64", "#e5c1ff", "#9ece6a", "#f7768e"];

export function drawTape(store, symbol) {
  const digits = decimals(store.instrument.get(symbol)?.tick_size);
  const trades = [...new Map(store.trade.map((trade) => [trade.trade_id, trade])).values()]
    .sort((a, b) => b.trade_id - a.trade_id)
    .slice(0, 50);
  reconcile(
    $("tape"), trades, (trade) => trade.trade_id,
    () => row(["", "", "num", "num"]),
    (node, trade) => {
      if (node.drawn) return;
      node.drawn = true;
      const sign = trade.side === "buy" ? 1 : -1;
      write(node.cells[0], clock(trade.time));
      write(node.cells[1], sign > 0 ? "▲ B" : "▼ S");
      write(node.cells[2], price(trade.price, digits));
      write(node.cells[3], quantity(trade.quantity));
      tone(node.cells[1], sign);
      tone(node.cells[2], sign);
    },
  );
  $("tape-empty").hidden = trades.length > 0;
}

export function drawAccounts(store) {
  const accounts = [...store.account.values()].sort((a, b) => (a.account < b.account ? -1 : 1));
  accounts.forEach((account, index) => (account.color = CURVES[index % CURVES.length]));
  reconcile(
    $("bots"), accounts, (account) => account.account,
    () => {
      const node = row(["", "muted", "num", "num", "num", "num", "num", "num"], true);
      node.dot = element("span", { className: "dot", "aria-hidden": "true" });
      node.name = element("span");
      node.cells[0].append(node.dot, node.name);
      return node;
    },
    drawAccount,
  );
  $("bots-empty").hidden = accounts.length > 0;
  drawTotal(accounts);
  write($("bots-aside"), accounts.length ? `${accounts.length} by name` : "");
}

function drawAccount(node, account) {
  node.dot.style.backgroundColor = account.color;
  write(node.name, account.account);
  node.cells[0].title = account.account;
  const held = account.positions.filter((each) => each.quantity !== 0);
  const position = held.map((each) => `${each.symbol} ${quantity(each.quantity)}`).join(" · ") || "flat";
  write(node.cells[1], position);
  node.cells[1].title = position;
  write(node.cells[2], signed(account.unrealized_pnl));
  tone(node.cells[2], account.unrealized_pnl);
  write(node.cells[3], signed(account.realized_pnl));
  tone(node.cells[3], account.realized_pnl);
  write(node.cells[4], money(account.fees));
  write(node.cells[5], percent(account.max_drawdown, 2));
  write(node.cells[6], account.fills === undefined ? "–" : money(account.fills));
  write(node.cells[7], account.rejected === undefined ? "–" : account.rejected ? `▲ ${money(account.rejected)}` : "0");
  node.cells[7].classList.toggle("warned", account.rejected > 0);
}

function drawTotal(accounts) {
  const foot = $("bots-total");
  if (foot.firstChild === null) foot.append(row(["", "", "num", "num", "num", "num", "num", "num"], true));
  const node = foot.firstChild;
  foot.hidden = accounts.length === 0;
  const sum = (name) => accounts.reduce((total, account) => total + (account[name] ?? 0), 0);
  write(node.cells[0], "Total");
  for (const [index, name] of [[2, "unrealized_pnl"], [3, "realized_pnl"]]) {
    write(node.cells[index], signed(sum(name)));
    tone(node.cells[index], sum(name));
  }
  write(node.cells[4], money(sum("fees")));
  write(node.cells[5], percent(Math.max(0, ...accounts.map((account) => account.max_drawdown)), 2));
  write(node.cells[6], money(sum("fills")));
  write(node.cells[7], money(sum("rejected")));
}

let made = 0;
export function drawEvents(store, level) {
  const wanted = store.event.filter((each) => level === "all" || each.level !== "info");
  for (const each of wanted) each.key ??= ++made;
  const newest = wanted.slice(-100).reverse();
  reconcile(
    $("events"), newest, (each) => each.key,
    (each) => element(
      "li", { "data-level": each.level },
      element("time", { dateTime: each.time }, clock(each.time)),
      element("p", {}, element("span", { className: "sr-only" }, `${each.level}: `), element("b", {}, each.what), ` ${each.text}`),
    ),
    () => {},
  );
  const empty = $("events-empty");
  empty.hidden = newest.length > 0;
  write(empty, level === "all" ? "Nothing has happened yet." : "No faults.");
}
