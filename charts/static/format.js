// Numbers as they are read: aligned, signed, and never longer than they need to be.

const cache = new Map();

function fixed(digits) {
  let format = cache.get(digits);
  if (format === undefined) {
    format = new Intl.NumberFormat("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
    cache.set(digits, format);
  }
  return format;
}

const plain = new Intl.NumberFormat("en-US", { maximumFractionDigits: 8 });
const known = (value) => value !== null && value !== undefined && Number.isFinite(Number(value));

/** How many decimals a grid has. */
export function decimals(step) {
  const [, fraction = "", exponent = "0"] = String(step ?? "0.01").match(/^\d+(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/) ?? [];
  return Math.max(0, Math.min(10, fraction.replace(/0+$/, "").length - Number(exponent)));
}

export const price = (value, digits) => (known(value) ? fixed(digits).format(value) : "–").replace("-", "−");
const short = new Intl.NumberFormat("en-US", { maximumSignificantDigits: 5 });

/** A quantity where there is little room; the whole one belongs into a title. */
export const brief = (value) => (known(value) ? short.format(value) : "–");
export const quantity = (value) => (known(value) ? plain.format(value) : "–");
export const money = (value, digits = 0) => (known(value) ? fixed(digits).format(value) : "–").replace("-", "−");

/** A number with its sign; zero has none. */
export function signed(value, digits = 0) {
  if (!known(value)) return "–";
  const text = fixed(digits).format(Math.abs(value));
  if (Number(text.replaceAll(",", "")) === 0) return text;
  return (value < 0 ? "−" : "+") + text;
}

/** A fraction as percent, with its arrow. */
export function change(fraction) {
  if (!known(fraction)) return "–";
  const mark = fraction > 0 ? "▲ " : fraction < 0 ? "▼ " : "";
  return `${mark}${signed(100 * fraction, 2)}%`;
}

export const percent = (fraction, digits = 1) => (known(fraction) ? `${fixed(digits).format(100 * fraction)}%` : "–");

/** The time of day, UTC, of seconds since 1970 or of RFC 3339 words. */
export function clock(time) {
  if (typeof time === "string") return time.slice(11, 19);
  return new Date(1000 * time).toISOString().slice(11, 19);
}

/** An age in the largest unit that says enough. */
export function age(seconds) {
  if (!known(seconds)) return "–";
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 100) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${Math.round(seconds / 3600)} h`;
}
