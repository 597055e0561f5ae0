// Numbers as they are read: aligned, signed, and never longer than they need to be.

const cache = new Map();

function fixed(digits) {
  let format = cache.get(digits);
  if (format === undefined) {
    const places = { minimumFractionDigits: digits, maximumFractionDigits: digits };
    const written = new Intl.NumberFormat("en-US", { ...places, signDisplay: "negative" }); // what rounds to zero has no sign
    format = (value) => written.format(value).replace("-", "−");
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

export const price = (value, digits) => (known(value) ? fixed(digits)(value) : "–");
const short = new Intl.NumberFormat("en-US", { maximumSignificantDigits: 5 });

/** A quantity where there is little room; the whole one belongs into a title. */
export const brief = (value) => (known(value) ? short.format(value) : "–");
export const quantity = (value) => (known(value) ? plain.format(value) : "–");
export const money = (value, digits = 0) => price(value, digits);

const compact = new Intl.NumberFormat("en-US", { notation: "compact", maximumSignificantDigits: 3 });

/** A whole number where there is room for so many digits: 12,345 in four is 12.3K. */
export function cramped(value, digits) {
  const isLong = known(value) && Math.abs(Math.round(value)) >= 10 ** digits;
  return isLong ? compact.format(value).replace("-", "−") : money(value);
}

/** A number as far as it is shown: what rounds to zero is zero. */
export const rounded = (value, digits = 0) => (known(value) ? Number(Number(value).toFixed(digits)) : 0);

/** A number with its sign; zero has none. */
export function signed(value, digits = 0) {
  return (rounded(value, digits) > 0 ? "+" : "") + price(value, digits);
}

/** A number with its sign and its arrow. */
export function moved(value, digits = 0) {
  const shown = rounded(value, digits);
  return `${shown > 0 ? "▲ " : shown < 0 ? "▼ " : ""}${signed(value, digits)}`;
}

/** A fraction as percent, with its arrow. */
export const change = (fraction) => (known(fraction) ? `${moved(100 * fraction, 2)}%` : "–");

export const percent = (fraction, digits = 1) => (known(fraction) ? `${fixed(digits)(100 * fraction)}%` : "–");

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
