// Candles of the past, to look at for longer: zoom, span, indicators.

import { $, element, reconcile, write } from "./dom.js";
import { quantity } from "./format.js";

const INTERVALS = ["1s", "5s", "15s", "1m", "5m", "15m", "1h", "4h", "1d"];
const LINES = {
  sma: [["sma", "SMA 20", "#f0b90b", "y"]],
  ema: [["ema", "EMA 20", "#6ea8fe", "y"]],
  bb: [["bb_upper", "BB upper", "#7d8496", "y"], ["bb_middle", "BB middle", "#565d70", "y"], ["bb_lower", "BB lower", "#7d8496", "y"]],
  vwap: [["vwap", "VWAP", "#c77dff", "y"]],
  rsi: [["rsi", "RSI 14", "#c77dff", "y3"]],
  macd: [["macd", "MACD", "#6ea8fe", "y4"], ["macd_signal", "MACD signal", "#f0b90b", "y4"]],
  atr: [["atr", "ATR 14", "#8bd3c7", "y5"]],
};
const EVERY_MS = 5000;
const SOON_MS = 1000; // as long as there is nothing to see

try { // the colors that were chosen on the live page
  const { palette } = JSON.parse(localStorage.getItem("sandpit") ?? "{}");
  document.documentElement.dataset.palette = palette === "safe" ? "safe" : "classic";
} catch {
  // a browser that keeps nothing shows the first ones
}

const chosen = new Set(["ema", "bb", "rsi", "macd"]);
const form = $("controls");
const asked = new URLSearchParams(location.search);
let isListed = false;
let wanted = "";
let shown = "";
let tag = "";
let data = null;

function layout() {
  const isNarrow = $("figure").clientWidth < 700;
  const panes = ["rsi", "macd", "atr"].filter((name) => chosen.has(name));
  const height = 0.15;
  const bottom = panes.length * height;
  const axis = (from, to) => ({ domain: [from, to], side: "right", gridcolor: "#1f2535", zerolinecolor: "#2c344a", tickfont: { size: 10 } });
  const found = {
    paper_bgcolor: "#131722", plot_bgcolor: "#131722", font: { color: "#979dab", family: "Inter, system-ui, sans-serif", size: 11 },
    margin: { l: 12, r: 64, t: 42, b: 28 }, showlegend: true,
    legend: { orientation: "h", x: 0, font: { size: 11 }, ...(isNarrow ? { y: -0.1, yanchor: "top" } : { y: 1.015, yanchor: "bottom" }) }, hovermode: "x unified", dragmode: "pan",
    hoverlabel: { bgcolor: "#1b2130", bordercolor: "#242a3a" }, uirevision: shown,
    xaxis: { rangeslider: { visible: false }, gridcolor: "#1f2535", type: "date", anchor: "y2", rangeselector: selector() },
    yaxis: axis(bottom + 0.14, 1),
    yaxis2: axis(bottom + 0.02, bottom + 0.12),
  };
  const names = { rsi: "yaxis3", macd: "yaxis4", atr: "yaxis5" };
  panes.forEach((name, index) => {
    const top = bottom - index * height;
    found[names[name]] = axis(top - height + 0.02, top);
    found.xaxis.anchor = names[name].replace("axis", "");
  });
  found.yaxis.tickformat = ",";
  return found;
}

function selector() {
  const steps = [[5, "minute", "5m"], [30, "minute", "30m"], [4, "hour", "4h"], [1, "day", "1d"]];
  return {
    buttons: [...steps.map(([count, step, label]) => ({ count, step, label, stepmode: "backward" })), { step: "all", label: "all" }],
    bgcolor: "#1b2130", activecolor: "#26304a", font: { color: "#d6d9e0" }, x: 1, xanchor: "right", y: 1.015, yanchor: "bottom",
  };
}

function traces() {
  const style = getComputedStyle(document.documentElement);
  const up = style.getPropertyValue("--up").trim();
  const down = style.getPropertyValue("--down").trim();
  const isHollow = document.documentElement.dataset.palette === "safe";
  const x = data.time.map((time) => new Date(1000 * time).toISOString());
  const found = [
    { type: "candlestick", name: data.symbol, x, open: data.open, high: data.high, low: data.low, close: data.close, increasing: { line: { color: up, width: 1 }, ...(isHollow ? { fillcolor: "rgba(0, 0, 0, 0)" } : {}) }, decreasing: { line: { color: down, width: 1 } } },
    { type: "bar", name: "volume", x, y: data.volume, yaxis: "y2", marker: { color: data.close.map((close, index) => (close >= data.open[index] ? up : down)), opacity: 0.55 }, showlegend: false },
  ];
  for (const name of chosen) {
    if (name === "macd") found.push({ type: "bar", name: "histogram", x, y: data.macd_histogram, yaxis: "y4", marker: { color: "#56607a" }, showlegend: false });
    for (const [output, label, color, axis] of LINES[name]) {
      found.push({ type: "scatter", mode: "lines", name: label, x, y: data[output], yaxis: axis, line: { color, width: 1.3 } });
    }
  }
  return found;
}

function draw() {
  if (data === null) return;
  const empty = data.time.length === 0;
  write($("note"), empty ? "There are no candles in this span yet." : "");
  if (empty) globalThis.Plotly.purge($("figure"));
  else globalThis.Plotly.react($("figure"), traces(), layout(), { responsive: true, displaylogo: false, scrollZoom: true, modeBarButtonsToRemove: ["lasso2d", "select2d"] });
  const rows = data.time.map((_, index) => index).slice(-200).reverse();
  reconcile(
    $("table"), rows, (index) => data.time[index],
    () => element("tr", {}, element("td"), ...Array.from({ length: 5 }, () => element("td", { className: "num" }))),
    (node, index) => {
      write(node.cells[0], new Date(1000 * data.time[index]).toISOString().slice(0, 19).replace("T", " "));
      ["open", "high", "low", "close", "volume"].forEach((name, at) => write(node.cells[at + 1], quantity(data[name][index])));
    },
  );
}

const ask = (address, options) => fetch(address, options).catch(() => {
  throw new Error("The charts do not answer; they are asked again.");
});

async function load() {
  let address = "";
  try {
    if (!isListed) await list();
    if (!form.symbol.value) throw new Error("The exchange has told of no symbol yet.");
    const query = new URLSearchParams({ symbol: form.symbol.value, interval: form.interval.value, limit: form.limit.value });
    if (form.to.value) query.set("to", `${form.to.value.length === 16 ? `${form.to.value}:00` : form.to.value}Z`);
    address = wanted = `/study/data?${query}`;
    const answer = await ask(address, { headers: address === shown && tag ? { "If-None-Match": tag } : {} });
    if (answer.status === 304) return;
    const body = await answer.json();
    if (!answer.ok) throw new Error(body.detail);
    if (address !== wanted) return; // something else was chosen meanwhile
    shown = address;
    tag = answer.headers.get("ETag") ?? "";
    data = body;
    draw();
  } catch (error) {
    if (address && address !== wanted) return;
    tag = ""; // what comes next is drawn, and takes the note away
    write($("note"), error.message);
  }
}

/** Offer the symbols; right after a start there may be none, and they are asked for again. */
async function list() {
  const { sources } = await (await ask("/health")).json();
  const names = Object.keys(sources);
  isListed = names.length > 0;
  const first = asked.get("symbol");
  if (first && !names.includes(first)) names.push(first);
  const known = [...form.symbol.options].map((option) => option.value);
  for (const name of names) if (!known.includes(name)) form.symbol.append(element("option", { value: name }, name));
  if (first && !known.length) form.symbol.value = first;
}

async function refresh() {
  if (!document.hidden && !form.to.value) await load();
  setTimeout(refresh, data?.time.length > 1 ? EVERY_MS : SOON_MS);
}

for (const interval of INTERVALS) form.interval.append(element("option", { value: interval }, interval));
form.interval.value = INTERVALS.includes(asked.get("interval")) ? asked.get("interval") : "5s";
for (const name of Object.keys(LINES)) {
  const button = element("button", { type: "button", "aria-pressed": String(chosen.has(name)) }, name.toUpperCase());
  button.addEventListener("click", () => {
    if (!chosen.delete(name)) chosen.add(name);
    button.setAttribute("aria-pressed", String(chosen.has(name)));
    draw();
  });
  $("indicators").append(button);
}
form.addEventListener("change", load);
form.addEventListener("submit", (event) => event.preventDefault());
refresh();
