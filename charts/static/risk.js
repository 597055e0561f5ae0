// What could be lost, how much of the limits that is, and where it comes from.

import { $, element, reconcile, write } from "./dom.js";
import { age, money, percent } from "./format.js";

const OLD_S = 60; // risk tells of a portfolio once a second, unless it was set to less often

export class RiskPanel {
  constructor(store) {
    this.store = store;
    this.chosen = "default";
    $("portfolio").addEventListener("change", () => {
      this.chosen = $("portfolio").value;
      this.draw();
    });
  }

  draw() {
    this.choices();
    this.strip();
    const report = this.store.risk.get(this.chosen);
    const link = this.store.link.get("risk");
    write($("risk-note"), note(report, link, this.store.now()));
    for (const [id, figure] of [["var", "value_at_risk"], ["es", "expected_shortfall"]]) {
      for (const level of ["95", "99"]) write($(`${id}-${level}`), loss(report, report?.[figure][`0.${level}`]));
    }
    write($("risk-horizon"), report ? age(report.horizon_s).replace(".0", "") : "–");
    this.limits(report);
    const shares = Object.entries(report?.contributions ?? {}).sort((a, b) => (a[0] < b[0] ? -1 : 1));
    bars($("contributions"), shares.map(([symbol, share]) => ({ name: symbol, share, text: percent(share) })));
  }

  /** The strip has the default portfolio's; drawn with the panel, so that the two never differ. */
  strip() {
    const report = this.store.risk.get("default");
    write($("strip-var"), ofValue(report, report?.value_at_risk["0.99"]));
    write($("strip-es"), ofValue(report, report?.expected_shortfall["0.99"]));
  }

  choices() {
    const names = [...this.store.risk.keys()].sort((a, b) => Number(b === "default") - Number(a === "default") || (a < b ? -1 : 1));
    if (!names.includes(this.chosen) && names.length) this.chosen = names[0];
    reconcile(
      $("portfolio"), names, (name) => name,
      (name) => element("option", { value: name }, name.replace(/^account:/, "account ")),
      () => {},
    );
    if ($("portfolio").value !== this.chosen) $("portfolio").value = this.chosen;
  }

  limits(report) {
    const { var_limit_pct: most, drawdown_limit_pct: deepest } = this.store.status;
    const share = report?.value ? report.value_at_risk["0.99"] / report.value : null;
    const found = [];
    if (share !== null && most) found.push(limit("VaR 99", share, most));
    if (report && report.drawdown !== null && deepest) found.push(limit("Drawdown", report.drawdown, deepest));
    bars($("limits"), found);
  }
}

function note(report, link, now) {
  if (link !== undefined && link.state !== "live") return "Risk does not answer; these figures are old.";
  if (report === undefined) return "Waiting for a report.";
  if (now - report.heard > OLD_S) return `Old: the last report of it came ${age(now - report.heard)} ago`;
  const words = { live: "Live", warming: "Warming up: too few returns yet", stale: "STALE: a price it needs is old" };
  return `${words[report.state] ?? report.state} · ${money(report.samples)} returns`;
}

function ofValue(report, amount) {
  return report?.value && amount ? loss(report, amount) : "–";
}

function loss(report, amount) {
  if (amount === null || amount === undefined) return "–";
  return report.value ? `${money(amount)} · ${percent(amount / report.value)}` : money(amount);
}

function limit(name, share, most) {
  const used = (100 * share) / most;
  return { name, share: used, text: `${percent(share, 2)} of ${most}%`, tone: used >= 1 ? "over" : used >= 0.75 ? "near" : "" };
}

function bars(list, items) {
  reconcile(
    list, items, (item) => item.name,
    (item) => element(
      "li", {},
      element("span", { className: "name", title: item.name }, item.name),
      element("span", { className: "bar", "aria-hidden": "true" }, element("i")),
      element("span"),
    ),
    (node, item) => {
      node.children[1].dataset.tone = item.tone ?? "";
      node.children[1].firstChild.style.transform = `scaleX(${Math.max(0, Math.min(1, item.share)).toFixed(3)})`;
      write(node.children[2], item.text);
    },
  );
}
