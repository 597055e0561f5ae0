// The adapter to the chart library: no other module knows it.

import { price } from "./format.js";

const SHOWN = 500;
const SPARE = 200;
const DAY_S = 86400;

const OVERLAYS = {
  sma: [["sma", "#f0b90b", 1]],
  ema: [["ema", "#6ea8fe", 1]],
  vwap: [["vwap", "#c77dff", 1]],
  bb: [["bb_upper", "#8b92a3", 1], ["bb_middle", "#8b92a3", 1, 3], ["bb_lower", "#8b92a3", 1]],
};
const PANES = {
  rsi: [["rsi", "#c77dff"]],
  macd: [["macd", "#6ea8fe"], ["macd_signal", "#f0b90b"]],
  atr: [["atr", "#8bd3c7"]],
};

export const INDICATORS = [
  ["sma", "SMA 20"], ["ema", "EMA 20"], ["bb", "BB 20"], ["vwap", "VWAP"],
  ["rsi", "RSI 14"], ["macd", "MACD"], ["atr", "ATR 14"],
];

export const version = () => globalThis.LightweightCharts.version();

function color(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function options() {
  return {
    autoSize: true,
    layout: {
      background: { color: color("--panel") },
      textColor: color("--muted"),
      fontFamily: "Inter, system-ui, sans-serif",
      fontSize: 11,
      attributionLogo: false, // the link is in the footer
      panes: { separatorColor: color("--line"), separatorHoverColor: "#30384d", enableResize: true },
    },
    grid: { vertLines: { color: "#1a1f2d" }, horzLines: { color: "#1a1f2d" } },
    crosshair: { mode: 0, vertLine: { labelBackgroundColor: "#30384d" }, horzLine: { labelBackgroundColor: "#30384d" } },
    rightPriceScale: { borderColor: color("--line"), minimumWidth: 68 },
    timeScale: { borderColor: color("--line"), timeVisible: true, rightOffset: 4, minBarSpacing: 1 },
    handleScale: { axisPressedMouseMove: true },
  };
}

function candleColors() {
  const up = color("--up");
  const down = color("--down");
  const hollow = document.documentElement.dataset.palette === "safe";
  return {
    upColor: hollow ? "rgba(86, 180, 233, 0.01)" : up, // a label takes this color, opaque
    downColor: down,
    borderUpColor: up, borderDownColor: down, wickUpColor: up, wickDownColor: down,
  };
}

/** Candles, volume and indicators of one symbol. */
export class PriceChart {
  constructor(container, onHover) {
    this.lib = globalThis.LightweightCharts;
    this.container = container;
    this.chart = this.lib.createChart(container, options());
    this.rows = [];
    this.columns = {};
    this.shown = new Set();
    this.lines = [];
    this.orderLines = new Map();
    this.interval = 1;
    this.mix();
    this.candles = this.chart.addSeries(this.lib.CandlestickSeries, { ...candleColors(), priceLineStyle: 1 }, 0);
    this.markers = this.lib.createSeriesMarkers(this.candles, []);
    this.volume = this.chart.addSeries(
      this.lib.HistogramSeries,
      { priceScaleId: "volume", priceFormat: { type: "volume" }, lastValueVisible: false, priceLineVisible: false },
      0,
    );
    this.volume.priceScale().applyOptions({ scaleMargins: { top: 0.84, bottom: 0 } });
    const top = container.clientWidth < 600 ? 0.22 : 0.12; // below the legend
    this.candles.priceScale().applyOptions({ scaleMargins: { top, bottom: 0.18 } });
    this.chart.subscribeCrosshairMove((at) => onHover(at.time === undefined ? null : this.at(at.time)));
  }

  /** Say on which grid prices are, and whether seconds matter. */
  setGrid(digits, interval) {
    this.interval = interval;
    const format = { type: "custom", formatter: (value) => price(value, digits), minMove: 10 ** -digits };
    this.candles.applyOptions({ priceFormat: format });
    for (const line of this.lines) if (line.pane === 0) line.series.applyOptions({ priceFormat: format });
    this.format = format;
    this.chart.applyOptions({ timeScale: { secondsVisible: interval < 60, timeVisible: interval < DAY_S } });
  }

  /** Choose the indicators; each oscillator has a pane of its own. */
  setIndicators(names) {
    for (const line of this.lines) this.chart.removeSeries(line.series);
    this.lines = [];
    this.shown = new Set(names);
    for (const name of names) for (const line of OVERLAYS[name] ?? []) this.addLine(line, 0);
    let pane = 0;
    for (const [name, parts] of Object.entries(PANES)) {
      if (!this.shown.has(name)) continue;
      pane += 1;
      if (name === "macd") this.addHistogram("macd_histogram", pane);
      for (const line of parts) this.addLine([...line, 1.5], pane);
      if (name === "rsi") this.addLevels(70, 30);
    }
    this.chart.panes().forEach((each, index) => each.setStretchFactor(index === 0 ? 4 : 1));
    for (const line of this.lines) this.fill(line);
  }

  addLine([name, lineColor, lineWidth, lineStyle = 0], pane) {
    const series = this.chart.addSeries(
      this.lib.LineSeries,
      {
        color: lineColor, lineWidth: lineWidth > 1 ? 2 : 1, lineStyle, lastValueVisible: pane > 0, priceLineVisible: false,
        crosshairMarkerVisible: false, priceFormat: pane === 0 && this.format ? this.format : { type: "price", precision: 2, minMove: 0.01 },
      },
      pane,
    );
    this.lines.push({ name, series, pane, color: lineColor });
  }

  addHistogram(name, pane) {
    const series = this.chart.addSeries(this.lib.HistogramSeries, { lastValueVisible: false, priceLineVisible: false }, pane);
    this.lines.push({ name, series, pane, color: null });
  }

  /** Give the newest line a scale from 0 to 100, and levels on it. */
  addLevels(...prices) {
    const { series } = this.lines[this.lines.length - 1];
    series.applyOptions({ autoscaleInfoProvider: (own) => own() && { priceRange: { minValue: 0, maxValue: 100 } } });
    for (const price of prices) series.createPriceLine({ price, color: "#3a4358", lineWidth: 1, lineStyle: 2, axisLabelVisible: false });
  }

  /** Show a series from its beginning. */
  setAll(columns, rows) {
    this.columns = Object.fromEntries(columns.map((name, index) => [name, index]));
    this.rows = [];
    for (const row of rows) if (isSound(row)) this.join(row); // news may have come on top of the first
    this.rows = this.rows.slice(-SHOWN);
    this.redraw();
    const most = Math.min(130, this.container.clientWidth / 6);
    const count = this.rows.length;
    this.chart.timeScale().setVisibleLogicalRange({ from: count - Math.max(40, Math.min(most, count)), to: count + 3 });
  }

  /** Take in rows that are new, or newer than what is shown of them; older ones are not drawn. */
  update(rows) {
    for (const row of rows) if (isSound(row) && this.join(row)) this.draw(row);
    if (this.rows.length > SHOWN + SPARE) {
      this.rows = this.rows.slice(-SHOWN);
      this.redraw();
    }
  }

  /** Put a row behind the others, or in place of the last; tell whether it had a place. */
  join(row) {
    const last = this.rows[this.rows.length - 1];
    if (last !== undefined && row[0] < last[0]) return false;
    if (last !== undefined && row[0] === last[0]) this.rows[this.rows.length - 1] = row;
    else this.rows.push(row);
    return true;
  }

  draw(row) {
    this.candles.update(this.candle(row));
    this.volume.update(this.bar(row));
    for (const line of this.lines) line.series.update(this.point(line, row));
  }

  redraw() {
    this.candles.setData(this.rows.map((row) => this.candle(row)));
    this.volume.setData(this.rows.map((row) => this.bar(row)));
    for (const line of this.lines) this.fill(line);
  }

  fill(line) {
    line.series.setData(this.rows.map((row) => this.point(line, row)));
  }

  mix() {
    this.rise = color4(color("--up"));
    this.fall = color4(color("--down"));
  }

  candle(row) {
    return { time: row[0], open: row[1], high: row[2], low: row[3], close: row[4] };
  }

  bar(row) {
    return { time: row[0], value: row[5], color: row[4] >= row[1] ? this.rise : this.fall };
  }

  point(line, row) {
    const value = row[this.columns[line.name]];
    if (value === null || value === undefined) return { time: row[0] };
    if (line.color !== null) return { time: row[0], value };
    return { time: row[0], value, color: value >= 0 ? this.rise : this.fall };
  }

  /** Mark the fills of everyone: an arrow a candle, side and account, in the color of the account. */
  setFills(fills, colorOf) {
    const first = this.rows[0]?.[0];
    if (first === undefined) return this.markers.setMarkers([]);
    const found = new Map();
    for (const fill of fills) {
      const time = Math.floor(fill.time / this.interval) * this.interval;
      if (time < first) continue;
      const key = `${time} ${fill.side} ${fill.account}`;
      const known = found.get(key);
      if (known === undefined) found.set(key, { time, side: fill.side, account: fill.account });
    }
    const marks = [...found.values()].sort((a, b) => a.time - b.time).slice(-200);
    this.markers.setMarkers(marks.map((mark) => ({
      time: mark.time,
      position: mark.side === "buy" ? "belowBar" : "aboveBar",
      shape: mark.side === "buy" ? "arrowUp" : "arrowDown",
      color: colorOf(mark.account),
      size: 0.9,
    })));
  }

  /** Draw a line at the price of each of one's own orders. */
  setOrders(orders) {
    const wanted = new Map(orders.filter((each) => each.price !== null).map((each) => [each.order_id, each]));
    for (const [id, line] of this.orderLines) {
      if (wanted.has(id)) continue;
      this.candles.removePriceLine(line);
      this.orderLines.delete(id);
    }
    for (const [id, order] of wanted) {
      const shown = {
        price: order.price, color: color("--accent"), lineWidth: 1, lineStyle: 2, axisLabelVisible: true,
        title: `${order.side === "buy" ? "▲" : "▼"} ${order.quantity - order.filled_quantity}`,
      };
      const line = this.orderLines.get(id);
      if (line === undefined) this.orderLines.set(id, this.candles.createPriceLine(shown));
      else line.applyOptions(shown);
    }
  }

  /** Take the colors of the page as they are now. */
  recolor() {
    this.mix();
    this.candles.applyOptions(candleColors());
    this.redraw();
  }

  /** Return the numbers at a time, those of the last candle without one. */
  at(time = null) {
    const row = time === null ? this.rows[this.rows.length - 1] : this.rows.find((each) => each[0] === time);
    if (row === undefined) return null;
    return Object.fromEntries(Object.entries(this.columns).map(([name, index]) => [name, row[index]]));
  }

  /** Return the indicators that are shown, for a legend: name, color, the names of their lines. */
  legend() {
    return [...this.shown].map((name) => {
      const lines = [...(OVERLAYS[name] ?? []), ...(PANES[name] ?? [])];
      return [name, lines[0][1], lines.map((line) => line[0])];
    });
  }
}

/** Curves over time above one area that hangs below zero. */
export class EquityChart {
  constructor(container) {
    this.lib = globalThis.LightweightCharts;
    const format = { type: "custom", minMove: 0.001, formatter: (value) => `${price(value, this.digits)}%` };
    this.digits = 2;
    this.format = format;
    this.chart = this.lib.createChart(container, {
      ...options(),
      rightPriceScale: { borderVisible: false, minimumWidth: 60, scaleMargins: { top: container.clientWidth < 240 ? 0.46 : 0.34, bottom: 0.06 } },
      timeScale: { borderColor: color("--line"), timeVisible: true, secondsVisible: false, fixLeftEdge: true, fixRightEdge: true },
      handleScroll: false,
      handleScale: false,
      grid: { vertLines: { visible: false }, horzLines: { color: "#1a1f2d" } },
    });
    this.curves = new Map();
    this.under = this.chart.addSeries(
      this.lib.BaselineSeries,
      {
        baseValue: { type: "price", price: 0 }, priceFormat: format, lineWidth: 1, priceLineVisible: false,
        topLineColor: "rgba(151, 157, 171, 0.01)", topFillColor1: "transparent", topFillColor2: "transparent", lastValueVisible: true,
      },
      1,
    );
    this.recolor();
  }

  /** Show curves, each { name, color, width, points: [[time, percent], ...] }, and a drawdown. */
  setCurves(curves, drawdown) {
    const most = Math.max(0, ...curves.flatMap((curve) => curve.points.map(([, value]) => Math.abs(value))));
    this.digits = most < 0.05 ? 3 : 2;
    const wanted = new Set(curves.map((curve) => curve.name));
    for (const [name, series] of this.curves) {
      if (wanted.has(name)) continue;
      this.chart.removeSeries(series);
      this.curves.delete(name);
    }
    for (const curve of curves) {
      let series = this.curves.get(curve.name);
      if (series === undefined) {
        series = this.chart.addSeries(this.lib.LineSeries, { priceFormat: this.format, priceLineVisible: false, lastValueVisible: false, crosshairMarkerVisible: false }, 0);
        this.curves.set(curve.name, series);
      }
      series.applyOptions({ color: curve.color, lineWidth: curve.width });
      series.setData(ascending(curve.points));
    }
    this.under.setData(ascending(drawdown));
    const span = drawdown.length ? drawdown[drawdown.length - 1][0] - drawdown[0][0] : 0;
    this.chart.applyOptions({ timeScale: { secondsVisible: span < 600 } });
    this.chart.panes().forEach((pane, index) => pane.setStretchFactor(index === 0 ? 3 : 1));
    this.chart.timeScale().fitContent();
  }

  recolor() {
    const down = color("--down");
    this.under.applyOptions({ bottomLineColor: down, bottomFillColor1: color4(down), bottomFillColor2: color4(down) });
  }
}

function ascending(points) {
  const found = new Map();
  for (const [time, value] of points) if (Number.isFinite(value)) found.set(Math.floor(time), value);
  return [...found].sort((a, b) => a[0] - b[0]).map(([time, value]) => ({ time, value }));
}

/** A row can be drawn when its numbers are numbers; the library itself takes NaN in silence. */
function isSound(row) {
  return row.slice(0, 6).every(Number.isFinite);
}

/** A color, mostly transparent. */
function color4(text) {
  return /^#[0-9a-f]{6}$/i.test(text) ? `${text}66` : text;
}
