// The one place that writes into the document, and always as text: nothing from outside is markup.

export const $ = (id) => document.getElementById(id);

/** Return a new element; properties are set, children are appended as text or nodes. */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("data-") || name.startsWith("aria-") || name === "role" || name === "scope") {
      made.setAttribute(name, value);
    } else {
      made[name] = value;
    }
  }
  made.append(...children);
  return made;
}

/** Write text where it differs, so that nothing is laid out again for nothing. */
export function write(node, text) {
  const known = node.firstChild;
  if (known !== null && known.nodeType === Node.TEXT_NODE && node.childNodes.length === 1) {
    if (known.data !== text) known.data = text;
  } else if (node.textContent !== text) {
    node.textContent = text;
  }
}

/** Set the class that gives a number its color, by its sign. */
export function tone(node, value) {
  const up = value > 0;
  const down = value < 0;
  if (node.classList.contains("up") !== up) node.classList.toggle("up", up);
  if (node.classList.contains("down") !== down) node.classList.toggle("down", down);
}

/** Let the children of a node be those of the items, each made once and updated after that. */
export function reconcile(parent, items, keyOf, make, update) {
  const known = parent.known ?? (parent.known = new Map());
  const wanted = new Set();
  let place = parent.firstChild;
  for (const item of items) {
    const key = keyOf(item);
    wanted.add(key);
    let node = known.get(key);
    if (node === undefined) {
      node = make(item);
      known.set(key, node);
    }
    update(node, item);
    if (node === place) {
      place = place.nextSibling;
    } else {
      parent.insertBefore(node, place);
    }
  }
  for (const [key, node] of known) {
    if (!wanted.has(key)) {
      node.remove();
      known.delete(key);
    }
  }
}

/** Return a table row of cells; the classes go to the cells in turn. */
export function row(classes, head = false) {
  const made = element("tr");
  classes.forEach((name, index) => {
    const cell = element(head && index === 0 ? "th" : "td", { className: name });
    if (head && index === 0) cell.scope = "row";
    made.append(cell);
  });
  return made;
}

/** Light a cell up for a moment; at most twice a second, and never under reduced motion. */
const calm = window.matchMedia("(prefers-reduced-motion: reduce)");
export function flash(node, up) {
  const now = performance.now();
  if (calm.matches || now - (node.flashed ?? -1e9) < 600) return;
  node.flashed = now;
  const color = `var(${up ? "--up-soft" : "--down-soft"})`;
  node.animate([{ backgroundColor: color }, { backgroundColor: "transparent" }], 450);
}
