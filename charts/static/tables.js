// The tables that follow what happens: trades, accounts, events.

import { $, element, reconcile, row, tone, write } from "./dom.js";
import { brief, clock, cramped, decimals, money, percent, price, quantity, rounded, signed } from "./format.js";

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

const ACCOUNT_CELLS = ["", "", "muted lines", "num", "num", "num", "num", "num", "num"];
const LINES = 2;
const STATES = {
  active: ["● active", "its orders changed within a minute"],
  refused: ["▲ refused", "the exchange refused the newest, less than a minute ago"],
  quiet: ["○ quiet", "no order of it changed for a minute"],
  unread: ["■ unread", "its stream can not be read"],
};

export function drawAccounts(store) {
  const accounts = store.accounts();
  reconcile(
    $("bots"), accounts, (account) => account.account,
    () => {
      const node = row(ACCOUNT_CELLS, true);
      node.dot = element("span", { className: "dot", "aria-hidden": "true" });
      node.name = element("span");
      node.cells[0].append(node.dot, node.name);
      return node;
    },
    (node, account) => drawAccount(node, account, store.color(account.account)),
  );
  $("bots-empty").hidden = accounts.length > 0;
  drawTotal(accounts);
  const isOld = store.link.get("accounts")?.state === "lost";
  write($("bots-aside"), isOld ? "old: the exchange does not answer" : accounts.length ? `${accounts.length} by name` : "");
}

function drawAccount(node, account, color) {
  node.dot.style.backgroundColor = color;
  write(node.name, account.account);
  node.cells[0].title = account.account;
  const [, state, position, open, realized, fees, drawdown, fills, refused] = node.cells;
  const [word, why] = STATES[account.state] ?? ["–", "not followed: a page that looks at it changes that"];
  write(state, word);
  entitle(state, why);
  state.dataset.state = account.state ?? "";
  drawPosition(position, account.positions.filter((each) => each.quantity !== 0));
  drawProfit(open, account.unrealized_pnl);
  drawProfit(realized, account.realized_pnl);
  drawCount(fees, account.fees);
  write(drawdown, percent(account.max_drawdown, 2));
  drawCount(fills, account.fills);
  drawCount(refused, account.rejected);
  refused.classList.toggle("warned", account.rejected > 0);
}

/** A number without its sign, and the whole of it in the title. */
function drawCount(cell, value) {
  write(cell, cramped(value, 4));
  entitle(cell, money(value));
}

function drawProfit(cell, value) {
  write(cell, (rounded(value) > 0 ? "+" : "") + cramped(value, 5));
  entitle(cell, signed(value));
  tone(cell, rounded(value));
}

function entitle(cell, title) {
  if (cell.title !== title) cell.title = title;
}

/** A line a holding, the largest first; what has no room is in the title. */
function drawPosition(cell, held) {
  const lines = held
    .sort((a, b) => Math.abs(b.quantity * b.mark) - Math.abs(a.quantity * a.mark))
    .map((each) => [each.symbol, brief(each.quantity), quantity(each.quantity)].map((text) => text.replace("-", "−")));
  const more = lines.length > LINES ? ` +${lines.length - LINES}` : "";
  write(cell, (lines.slice(0, LINES).map(([symbol, short]) => `${symbol} ${short}`).join("\n") || "flat") + more);
  const title = lines.map(([symbol, , whole]) => `${symbol} ${whole}`).join(", ");
  entitle(cell, title);
}

function drawTotal(accounts) {
  const foot = $("bots-total");
  if (foot.firstChild === null) foot.append(row(ACCOUNT_CELLS, true));
  const node = foot.firstChild;
  foot.hidden = accounts.length === 0;
  const sum = (name) => accounts.reduce((total, account) => total + (account[name] ?? 0), 0);
  write(node.cells[0], "Total");
  for (const [index, name] of [[3, "unrealized_pnl"], [4, "realized_pnl"]]) {
    drawProfit(node.cells[index], sum(name));
  }
  drawCount(node.cells[5], sum("fees"));
  write(node.cells[6], percent(Math.max(0, ...accounts.map((account) => account.max_drawdown)), 2));
  drawCount(node.cells[7], sum("fills"));
  drawCount(node.cells[8], sum("rejected"));
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
