// Equity of every account, their total, and how far the total is below its peak.

import { EquityChart } from "./chart.js";
import { $, element, reconcile, tone, write } from "./dom.js";
import { clock, rounded, signed } from "./format.js";

const MOST = 8;

export class EquityPanel {
  constructor(store) {
    this.store = store;
    this.chart = new EquityChart($("equity"));
  }

  recolor() {
    this.chart.recolor();
    this.draw();
  }

  draw() {
    const names = this.store.accounts().map((each) => each.account);
    const curves = names.slice(0, MOST).map((name) => {
      const points = this.store.curve(name);
      const first = points[0]?.[1] || 1;
      return { name: ` ${name}`, label: name, color: this.store.color(name), width: 1, points: points.map(([time, value]) => [time, 100 * (value / first - 1)]) };
    });
    const total = this.total(names);
    const start = total[0]?.[1] || 1;
    const all = { name: "total", label: "All", color: "#f2f4f8", width: 3, points: total.map(([time, value]) => [time, 100 * (value / start - 1)]) };
    const shown = names.length > 1 ? [...curves, all] : curves;
    this.chart.setCurves(shown, underwater(total));
    this.legend(shown);
    $("equity-empty").hidden = total.length > 0;
    write($("equity-span"), total.length ? `since ${since(total[0][0], this.store.time)}` : "");
  }

  /** Add the accounts up; before it was known, an account had what it was first seen with. */
  total(names) {
    const lists = names.map((name) => this.store.curve(name)).filter((list) => list.length);
    if (!lists.length) return [];
    const times = [...new Set(lists.flatMap((list) => list.map(([time]) => Math.floor(time))))].sort((a, b) => a - b);
    const places = lists.map(() => 0);
    const found = [];
    for (const time of times) {
      let sum = 0;
      lists.forEach((list, index) => {
        while (places[index] + 1 < list.length && Math.floor(list[places[index] + 1][0]) <= time) places[index] += 1;
        sum += list[places[index]][1];
      });
      found.push([time, sum]);
    }
    return found;
  }

  legend(curves) {
    const last = (curve) => curve.points[curve.points.length - 1]?.[1] ?? 0;
    reconcile(
      $("equity-keys"), curves.slice(-6), (curve) => curve.name,
      (curve) => {
        const node = element("li", {}, element("i", { "aria-hidden": "true" }), element("span", {}, curve.label), element("b"));
        return node;
      },
      (node, curve) => {
        node.firstChild.style.backgroundColor = curve.color;
        write(node.lastChild, `${signed(last(curve), 2)}%`);
        tone(node.lastChild, rounded(last(curve), 2));
      },
    );
    write($("equity-text"), curves.map((curve) => `${curve.label} ${signed(last(curve), 2)} percent`).join(", "));
  }
}

/** A time of day, with its date when that is not within a day. */
function since(time, now) {
  return now - time < 86400 ? clock(time) : new Date(1000 * time).toISOString().slice(0, 16).replace("T", " ");
}

function underwater(points) {
  let peak = -Infinity;
  return points.map(([time, value]) => {
    peak = Math.max(peak, value);
    return [time, peak > 0 ? 100 * (value / peak - 1) : 0];
  });
}
