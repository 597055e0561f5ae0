// Everything the page knows, in one place; messages go in, panels read.

const BY_KEY = ["instrument", "tick", "spark", "source", "trading", "account", "risk", "link", "book", "orders"];
const COLORS = ["#6ea8fe", "#f0b90b", "#c77dff", "#8bd3c7", "#ff9e64", "#e5c1ff", "#9ece6a", "#f7768e"];
const KEPT = { trade: 60, fill: 300, event: 200 };

export class Store {
  constructor() {
    this.colors = new Map();
    this.clear();
  }

  clear() {
    for (const kind of BY_KEY) this[kind] = new Map();
    this.trade = [];
    this.fill = [];
    this.event = [];
    this.equity = new Map();
    this.candles = null;
    this.status = { ages: {}, stale_after_s: Infinity };
    this.heard = performance.now();
  }

  /** Take in a message; return the kinds that changed. */
  apply(message, isSnapshot) {
    const changed = new Set(["status"]);
    if (isSnapshot) {
      this.clear();
      for (const kind of [...BY_KEY, ...Object.keys(KEPT), "equity", "candles"]) changed.add(kind);
    }
    this.status = message.status;
    this.time = Date.parse(message.time) / 1000;
    this.heard = performance.now();
    for (const kind of BY_KEY) {
      if (message[kind] === undefined) continue;
      for (const [key, value] of Object.entries(message[kind])) this[kind].set(key, value);
      changed.add(kind);
    }
    for (const name of Object.keys(message.account ?? {}).sort()) this.color(name);
    for (const [kind, most] of Object.entries(KEPT)) {
      if (message[kind] === undefined) continue;
      this[kind] = extended(this[kind], message[kind], most);
      changed.add(kind);
    }
    for (const [account, news] of Object.entries(message.equity ?? {})) {
      this.equity.set(account, extended(this.equity.get(account) ?? [], news, 400));
      changed.add("equity");
    }
    if (message.candles !== undefined) {
      this.candles = joined(this.candles, message.candles);
      changed.add("candles");
    }
    return changed;
  }

  /** The accounts by name. */
  accounts() {
    return [...this.account.values()].sort((a, b) => (a.account < b.account ? -1 : 1));
  }

  /** An account's equity over time, and as it is now. */
  curve(name) {
    const points = this.equity.get(name) ?? [];
    const now = this.account.get(name)?.equity;
    const isNewer = now !== undefined && this.time > (points[points.length - 1]?.[0] ?? 0) + 1;
    return isNewer ? [...points, [this.time, now]] : points;
  }

  /** The color of an account, its own for as long as the page is open. */
  color(name) {
    if (!this.colors.has(name)) this.colors.set(name, COLORS[this.colors.size % COLORS.length]);
    return this.colors.get(name);
  }

  /** The time by the charts' clock, in seconds since 1970; it goes on while nothing is heard. */
  now() {
    return this.time + (performance.now() - this.heard) / 1000;
  }

  /** How old the last price of a symbol is, in seconds. */
  age(symbol) {
    const age = this.status.ages[symbol];
    return age === undefined ? null : age + (performance.now() - this.heard) / 1000;
  }

  /** By which fraction a symbol's price has moved since its reference, undefined without a price. */
  moved(symbol) {
    const tick = this.tick.get(symbol);
    if (tick === undefined) return undefined;
    return tick.reference ? tick.price / tick.reference - 1 : 0;
  }

  /** Why a symbol's price is not to be trusted, "" when it is. */
  fault(symbol) {
    const source = this.source.get(symbol)?.state;
    if (source === "down") return "source down";
    if (source === "stale") return "source silent";
    const age = this.age(symbol);
    return age !== null && age > this.status.stale_after_s ? "no price" : "";
  }

  /** What a symbol allows when that is not all, "" when it trades. */
  halt(symbol) {
    const trading = this.trading.get(symbol) ?? "trading";
    return trading === "trading" ? "" : trading.replaceAll("_", " ").toUpperCase();
  }

  /** Whether a symbol can be looked at, as far as is known. */
  offers(symbol) {
    return this.instrument.size ? this.instrument.has(symbol) : symbol !== "" || this.tick.size === 0;
  }

  /** Forget what there is of one symbol or one chart alone: another is looked at. */
  leave(kinds) {
    for (const kind of kinds) this[kind] = kind === "candles" ? null : [];
  }

  symbols() {
    const names = [...this.instrument.keys()];
    for (const name of this.tick.keys()) if (!this.instrument.has(name)) names.push(name);
    return names;
  }
}

function extended(list, news, most) {
  return (news.all ? news.entries : list.concat(news.entries)).slice(-most);
}

/** Join news of a series to what waits to be drawn. */
function joined(known, news) {
  const goesOn = known !== null && !news.all && known.symbol === news.symbol && known.interval === news.interval;
  if (!goesOn) return news;
  let rows = known.rows.concat(news.rows);
  if (rows.length > 1500) rows = [...new Map(rows.map((row) => [row[0], row])).values()].slice(-700);
  return { ...news, all: known.all, rows };
}
