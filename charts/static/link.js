// The one connection of the page: it resumes by itself, heals without a reload, and rests while hidden.

const SILENCE_MS = 4000; // the server is heard at least once a second
const LONGEST_WAIT_MS = 5000;

export class Link {
  /** Handlers: onMessage(message, isSnapshot), onState("live" | "lost"), onUnknown() when there is no such symbol. */
  constructor({ onMessage, onState, onUnknown }) {
    this.onMessage = onMessage;
    this.onState = onState;
    this.onUnknown = onUnknown;
    this.query = new URLSearchParams();
    this.lastId = "";
    this.failures = 0;
    this.source = null;
    this.heard = performance.now();
    this.watched = Date.now();
    document.addEventListener("visibilitychange", () => (document.hidden ? this.close() : this.look(this.query)));
    setInterval(() => this.watch(), 1000);
  }

  /** Look at something else: a new connection, which begins with a snapshot. */
  look(query) {
    this.query = query;
    this.lastId = "";
    this.failures = 0;
    if (!document.hidden) this.open();
  }

  open() {
    this.close();
    const query = new URLSearchParams(this.query);
    if (this.lastId) query.set("last_event_id", this.lastId);
    const source = new EventSource(`/live?${query}`);
    this.source = source;
    this.heard = performance.now();
    this.watched = Date.now(); // what was slept before does not count against this one
    const take = (event, isSnapshot) => {
      if (source !== this.source) return;
      this.heard = performance.now();
      this.failures = 0;
      this.lastId = event.lastEventId;
      this.onMessage(JSON.parse(event.data), isSnapshot);
      this.onState("live");
    };
    source.addEventListener("snapshot", (event) => take(event, true));
    source.addEventListener("update", (event) => take(event, false));
    source.addEventListener("error", () => {
      if (source !== this.source) return;
      this.onState("lost");
      if (source.readyState !== EventSource.CLOSED) return;
      this.again();
      this.askWhy();
    });
  }

  /** An EventSource does not tell why it was refused, and what there is not will not come by waiting. */
  async askWhy() {
    const { query } = this;
    const answer = await fetch(`/live?${query}`, { method: "HEAD" }).catch(() => null);
    const isOurs = answer?.headers.get("content-type")?.startsWith("application/problem+json"); // not a proxy's
    if (answer?.status === 404 && isOurs && query === this.query) this.onUnknown();
  }

  close() {
    clearTimeout(this.timer);
    this.source?.close();
    this.source = null;
  }

  again() {
    this.close();
    this.failures += 1;
    const wait = Math.min(LONGEST_WAIT_MS, 500 * 2 ** this.failures) * (0.5 + Math.random() / 2);
    this.timer = setTimeout(() => this.open(), wait);
  }

  /** Notice a line that is dead though nobody said so, as after a sleep, which the page's own clock may not count. */
  watch() {
    const hasSlept = Date.now() - this.watched > SILENCE_MS;
    this.watched = Date.now();
    if (this.source === null || (!hasSlept && performance.now() - this.heard < SILENCE_MS)) return;
    this.onState("lost");
    if (hasSlept) {
      this.open();
      return;
    }
    if (this.source.readyState === EventSource.OPEN) this.again();
    else if (performance.now() - this.heard > 3 * SILENCE_MS) this.again();
  }
}
