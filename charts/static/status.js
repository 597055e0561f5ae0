// The strip: is what the page shows true right now, and what is it all worth?

import { $, tone, write } from "./dom.js";
import { age, money, moved, rounded } from "./format.js";

const MARKS = { wait: "○", live: "●", stale: "▲", lost: "■", pause: "‖" };

/** Return the state of the data: which, the word for it, and why. */
export function standing(store, link, symbol, paused) {
  const exchange = store.link.get("exchange");
  if (link === "lost") return ["lost", "DISCONNECTED", `reconnecting · ${lastHeard(store)}`];
  if (link === "wait" || exchange === undefined) return ["wait", "CONNECTING", ""];
  if (exchange.state !== "live") return ["lost", "STALE", "the exchange does not answer · reconnecting"];
  const faults = store.symbols().map((name) => [name, store.fault(name)]).filter(([, fault]) => fault);
  if (faults.length) {
    const [name, fault] = faults.find(([each]) => each === symbol) ?? faults[0];
    const more = faults.length > 1 ? ` · and ${faults.length - 1} more` : "";
    const old = store.age(name) === null ? "no price yet" : `${age(store.age(name))} old`;
    return ["stale", "STALE", `${name}: ${fault}, ${old}${more}`];
  }
  if (store.age(symbol) === null) return ["wait", "WAITING", "for the first price"];
  if (paused) return ["stale", "PAUSED", "the market goes on"];
  return ["live", "LIVE", `age ${age(store.age(symbol))}`];
}

function lastHeard(store) {
  if (store.time === undefined) return "nothing was heard yet";
  return `last heard ${age((performance.now() - store.heard) / 1000)} ago`;
}

export function drawState(store, link, symbol, paused) {
  const [state, word, why] = standing(store, link, symbol, paused);
  const node = $("state");
  if (node.dataset.state !== state) node.dataset.state = state;
  write($("state-mark"), word === "PAUSED" ? MARKS.pause : MARKS[state]);
  write($("state-word"), word);
  write($("state-why"), why);
}

export function drawFigures(store) {
  let equity = 0;
  let profit = 0;
  for (const account of store.account.values()) {
    equity += account.equity;
    profit += account.realized_pnl + account.unrealized_pnl;
  }
  const any = store.account.size > 0;
  write($("total-equity"), any ? money(equity) : "–");
  write($("total-profit"), any ? moved(profit) : "–");
  tone($("total-profit"), rounded(profit));
  const { lag_ms: lag, rate, missed } = store.status;
  write($("strip-lag"), lag === null || lag === undefined ? "–" : `${money(lag, lag < 10 ? 1 : 0)} ms`);
  write($("strip-rate"), money(rate ?? 0, rate < 10 ? 1 : 0));
  write($("strip-missed"), money(missed ?? 0));
}
