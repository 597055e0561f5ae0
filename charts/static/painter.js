// When what is drawn: each panel at its own pace, on an animation frame, and not at all while paused.

export class Painter {
  constructor() {
    this.panels = [];
    this.paused = false;
    this.waiting = false;
  }

  /** Draw a panel after changes of these kinds, at most so many times a second. */
  add(kinds, rate, draw) {
    this.panels.push({ kinds: new Set(kinds), pause: 1000 / rate, drawn: -1e9, due: true, draw });
  }

  /** Note what changed. */
  mark(kinds) {
    for (const panel of this.panels) {
      if (panel.due) continue;
      for (const kind of kinds) {
        if (panel.kinds.has(kind)) {
          panel.due = true;
          break;
        }
      }
    }
    this.plan();
  }

  setPaused(paused) {
    this.paused = paused;
    this.plan();
  }

  plan() {
    if (this.waiting || this.paused) return;
    let next = Infinity;
    for (const panel of this.panels) if (panel.due) next = Math.min(next, panel.drawn + panel.pause);
    if (next === Infinity) return;
    this.waiting = true;
    setTimeout(() => requestAnimationFrame((now) => this.paint(now)), Math.max(0, next - performance.now()));
  }

  paint(now) {
    this.waiting = false;
    if (this.paused) return;
    for (const panel of this.panels) {
      if (!panel.due || now - panel.drawn < panel.pause - 4) continue;
      panel.due = false;
      panel.drawn = now;
      try {
        panel.draw();
      } catch (error) {
        reportError(error); // the other panels go on
      }
    }
    this.plan();
  }
}
