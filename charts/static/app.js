// Wires the page: one connection, one store, panels that draw at their own pace.

import { INDICATORS, PriceChart } from "./chart.js";
import { $, element, reconcile, tone, write } from "./dom.js";
import { EquityPanel } from "./equity.js";
import { change, clock, decimals, price, quantity, rounded, signed } from "./format.js";
import { listen } from "./keys.js";
import { Ladder } from "./ladder.js";
import { Link } from "./link.js";
import { Painter } from "./painter.js";
import { RiskPanel } from "./risk.js";
import { drawFigures, drawState, standing } from "./status.js";
import { Store } from "./store.js";
import { drawAccounts, drawEvents, drawTape } from "./tables.js";
import { Ticket } from "./ticket.js";
import { Watchlist } from "./watchlist.js";

const TABLES = 4; // paints a second, at most
const CHARTS = 10;
const SUMMARY_MS = 10_000;
const INTERVALS = { "1s": 1, "5s": 5, "15s": 15, "1m": 60, "5m": 300, "15m": 900, "1h": 3600, "4h": 14400, "1d": 86400 };

/** What the reader chose, kept by the browser; what it kept of somebody else's is passed over. */
const wishes = { symbol: "", interval: "5s", account: "me", palette: "classic", indicators: ["ema", "bb", "rsi", "macd"] };
for (const [name, value] of Object.entries(saved())) {
  if (typeof value === typeof wishes[name] && Array.isArray(value) === Array.isArray(wishes[name])) wishes[name] = value;
}

function saved() {
  try {
    return JSON.parse(localStorage.getItem("sandpit") ?? "{}") ?? {};
  } catch {
    return {};
  }
}

function keep() {
  try {
    localStorage.setItem("sandpit", JSON.stringify(wishes));
  } catch {
    // a browser that keeps nothing shows the page all the same
  }
}

if (!(wishes.interval in INTERVALS)) wishes.interval = "5s";
wishes.indicators = INDICATORS.map(([name]) => name).filter((name) => wishes.indicators.includes(name));
document.documentElement.dataset.palette = wishes.palette === "safe" ? "safe" : "classic";

const store = new Store();
const painter = new Painter();
const chart = new PriceChart($("chart"), (at) => drawLegend(at));
const equity = new EquityPanel(store);
const risk = new RiskPanel(store);
const watchlist = new Watchlist(store, (symbol) => choose(symbol));
const ticket = new Ticket(store, wishes.account, (account) => {
  wishes.account = account;
  look();
});
const ladder = new Ladder(store, (at, side) => ticket.fill(side, at));
let state = "wait";
let level = "all";
let grid = "";

const link = new Link({
  onMessage(message, isSnapshot) {
    const changed = store.apply(message, isSnapshot);
    if (!store.offers(wishes.symbol)) choose(store.symbols()[0]);
    painter.mark(changed);
  },
  onState(now) {
    if (now === state) return;
    state = now;
    painter.mark(["status"]);
  },
  onUnknown: () => wishes.symbol && choose(""), // the first one that there is
});

function look() {
  keep();
  const query = new URLSearchParams({ interval: wishes.interval, account: wishes.account });
  if (wishes.symbol) query.set("symbol", wishes.symbol);
  link.look(query);
  const study = new URLSearchParams({ symbol: wishes.symbol, interval: wishes.interval });
  $("study-link").href = `/study?${study}`;
  $("png-link").href = `/chart.png?${study}&indicators=${wishes.indicators.join(",")}`;
}

function choose(symbol) {
  if (symbol === wishes.symbol && store.candles !== null) return;
  wishes.symbol = symbol;
  ticket.label(symbol);
  leave(["candles", "trade", "fill"]);
  painter.mark(["tick", "book"]);
  look();
}

/** Nothing of what was chosen before may stand under another name until the next snapshot comes. */
function leave(kinds) {
  store.leave(kinds);
  painter.mark(kinds);
}

function step(by) {
  const symbols = store.symbols();
  if (!symbols.length) return;
  const at = symbols.indexOf(wishes.symbol);
  choose(symbols[(at + by + symbols.length) % symbols.length]);
}

function chooseInterval(interval) {
  if (interval !== wishes.interval) leave(["candles"]);
  wishes.interval = interval;
  for (const button of $("intervals").children) button.setAttribute("aria-pressed", String(button.value === interval));
  look();
}

// -- panels -----------------------------------------------------------------------------------

painter.add(["status", "clock", "link", "source", "tick"], TABLES, () => drawState(store, state, wishes.symbol, painter.paused));
painter.add(["account", "status"], 2, () => drawFigures(store));
painter.add(["tick", "spark", "source", "instrument", "trading", "clock"], TABLES, () => watchlist.draw(wishes.symbol));
painter.add(["tick", "source", "instrument", "trading", "clock"], TABLES, drawHead);
painter.add(["book", "orders", "instrument"], TABLES, () => ladder.draw(wishes.symbol, ticket.account));
painter.add(["trade"], TABLES, () => drawTape(store, wishes.symbol));
painter.add(["account", "link"], 2, () => drawAccounts(store));
painter.add(["equity", "account"], 1, () => equity.draw());
painter.add(["risk", "link", "clock"], 2, () => risk.draw());
painter.add(["event"], TABLES, () => drawEvents(store, level));
painter.add(["orders", "account", "instrument"], TABLES, () => ticket.draw());
painter.add(["candles", "instrument"], CHARTS, drawChart);
painter.add(["fill", "orders"], 2, drawMarks);

function drawHead() {
  const tick = store.tick.get(wishes.symbol);
  const symbols = store.symbols();
  reconcile(
    $("symbol"), symbols, (symbol) => symbol, (symbol) => element("option", { value: symbol }),
    (node, symbol) => {
      const name = store.instrument.get(symbol)?.name;
      write(node, name && name !== symbol ? `${symbol} · ${name}` : symbol);
    },
  );
  if ($("symbol").value !== wishes.symbol) $("symbol").value = wishes.symbol;
  const badge = [store.fault(wishes.symbol) && "STALE", store.halt(wishes.symbol)].filter(Boolean).join(" · ");
  $("chart-badge").hidden = badge === "";
  write($("chart-badge"), badge);
  const last = price(tick?.price, decimals(store.instrument.get(wishes.symbol)?.tick_size));
  const moved = store.moved(wishes.symbol);
  write($("last"), last);
  write($("last-change"), change(moved));
  tone($("last-change"), rounded(100 * moved, 2));
  const name = [tick && last, wishes.symbol].filter(Boolean).join(" ");
  const title = name ? `${name} · Sandpit` : "Sandpit · live";
  if (document.title !== title) document.title = title;
}

function drawChart() {
  const news = store.candles;
  if (news === null || news.symbol !== wishes.symbol || news.interval !== wishes.interval) {
    clearChart();
    return;
  }
  const digits = decimals(store.instrument.get(news.symbol)?.tick_size);
  if (grid !== `${news.symbol} ${news.interval} ${digits}`) {
    grid = `${news.symbol} ${news.interval} ${digits}`;
    chart.setGrid(digits, INTERVALS[news.interval]);
  }
  if (news.all) {
    chart.setAll(news.columns, news.rows);
    drawMarks();
  } else if (news.rows.length) {
    chart.update(news.rows);
  }
  store.candles = { ...news, all: false, rows: [] };
  sayEmpty("There are no candles yet.");
  drawLegend(null);
}

/** What is drawn of this symbol and interval stays while they are filled anew; anything else goes. */
function clearChart() {
  if (grid.startsWith(`${wishes.symbol} ${wishes.interval} `)) return;
  grid = "";
  chart.setAll([], []);
  chart.setFills([], () => "");
  chart.setOrders([]);
  sayEmpty("Loading candles.");
  drawLegend(null);
}

function sayEmpty(why) {
  $("chart-empty").hidden = chart.rows.length > 0;
  write($("chart-empty"), why);
}

function drawMarks() {
  if (store.candles?.symbol !== wishes.symbol) return;
  chart.setFills(store.fill, (account) => store.color(account));
  chart.setOrders((store.orders.get(ticket.account) ?? []).filter((order) => order.symbol === wishes.symbol));
}

function drawLegend(at) {
  const pairs = legend(at ?? chart.at());
  reconcile(
    $("legend"), pairs, (pair) => pair[0],
    () => element("span", {}, element("i"), " ", element("b")),
    (node, [name, value, color]) => {
      write(node.firstChild, name);
      write(node.lastChild, value);
      node.firstChild.style.color = color;
    },
  );
}

function legend(shown) {
  if (shown === null) return [];
  const digits = decimals(store.instrument.get(wishes.symbol)?.tick_size);
  const pairs = [
    ["O", shown.open], ["H", shown.high], ["L", shown.low], ["C", shown.close],
  ].map(([name, value]) => [name, price(value, digits), ""]);
  pairs.push(["V", quantity(Number(shown.volume.toPrecision(6))), ""]);
  for (const [name, color, lines] of chart.legend()) {
    const places = ["rsi", "macd", "atr"].includes(name) ? Math.max(2, digits) : digits;
    pairs.push([name.toUpperCase(), together(lines.map((line) => price(shown[line], places))), color]);
  }
  return pairs;
}

const together = (texts) => (texts.every((text) => text === "–") ? "–" : texts.join(" · "));

// -- words for those who do not see the chart ---------------------------------------------------

function summarize() {
  const tick = store.tick.get(wishes.symbol);
  if (tick === undefined || document.hidden || painter.paused) return;
  const digits = decimals(store.instrument.get(wishes.symbol)?.tick_size);
  const [, word, why] = standing(store, state, wishes.symbol, painter.paused);
  const moved = signed(100 * store.moved(wishes.symbol), 2);
  const calm = word === "LIVE" ? "live" : `${word}, ${why}`;
  write($("summary"), `${wishes.symbol} ${price(tick.price, digits)}, ${moved} percent, ${calm}.`);
  const last = chart.at();
  if (last === null) return;
  const values = Object.entries(last).filter(([name, value]) => name !== "time" && value !== null);
  write($("chart-text"), `${wishes.symbol}, candles of ${wishes.interval}, the newest: ${values.map(([name, value]) => `${name.replaceAll("_", " ")} ${value}`).join(", ")}.`);
  const rows = chart.rows.slice(-10).reverse();
  reconcile(
    $("chart-table"), rows, (row) => row[0],
    () => element("tr", {}, ...Array.from({ length: 6 }, () => element("td"))),
    (node, row) => row.slice(0, 6).forEach((value, index) => write(node.cells[index], index === 0 ? clock(value) : String(value))),
  );
}

// -- controls ---------------------------------------------------------------------------------

function pause() {
  painter.setPaused(!painter.paused);
  $("pause").setAttribute("aria-pressed", String(painter.paused));
  write($("pause-word"), painter.paused ? "Resume" : "Pause");
  drawState(store, state, wishes.symbol, painter.paused);
}

function recolor() {
  wishes.palette = wishes.palette === "safe" ? "classic" : "safe";
  document.documentElement.dataset.palette = wishes.palette;
  keep();
  chart.recolor();
  equity.recolor();
  drawMarks();
}

function toggle(name) {
  const chosen = new Set(wishes.indicators);
  if (!chosen.delete(name)) chosen.add(name);
  wishes.indicators = [...chosen];
  keep();
  showIndicators();
}

function showIndicators() {
  for (const button of $("indicators").children) button.setAttribute("aria-pressed", String(wishes.indicators.includes(button.value)));
  chart.setIndicators(wishes.indicators);
  drawLegend(null);
}

for (const interval of Object.keys(INTERVALS)) {
  const button = element("button", { type: "button", value: interval, "aria-pressed": String(interval === wishes.interval) }, interval);
  button.addEventListener("click", () => chooseInterval(interval));
  $("intervals").append(button);
}
for (const [name, label] of INDICATORS) {
  const button = element("button", { type: "button", value: name, title: label }, label.split(" ")[0]);
  button.addEventListener("click", () => toggle(name));
  $("indicators").append(button);
}
for (const button of document.querySelectorAll("[data-level]")) {
  if (button.tagName !== "BUTTON") continue;
  button.addEventListener("click", () => {
    level = button.dataset.level;
    for (const each of button.parentNode.children) each.setAttribute("aria-pressed", String(each === button));
    drawEvents(store, level);
  });
}
$("symbol").addEventListener("change", () => choose($("symbol").value));
$("pause").addEventListener("click", pause);
$("palette").addEventListener("click", recolor);
$("help-open").addEventListener("click", () => $("help").showModal());
listen({
  j: () => step(1), arrowdown: () => step(1), k: () => step(-1), arrowup: () => step(-1),
  "/": () => $("find").focus(), p: pause, c: recolor, "?": () => $("help").showModal(),
  b: () => ticket.fill("buy"), s: () => ticket.fill("sell"),
  digit: (number) => {
    const interval = Object.keys(INTERVALS)[number - 1];
    if (interval !== undefined) chooseInterval(interval);
  },
});

write($("top-host"), location.host);
showIndicators();
ticket.label(wishes.symbol);
look();
painter.plan();
setInterval(() => painter.mark(["clock"]), 500);
setInterval(summarize, SUMMARY_MS);
setTimeout(summarize, 1500);
globalThis.sandpit = { store, painter, chart, link }; // for the console, and for tests
