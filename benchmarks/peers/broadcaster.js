// A broadcaster on node's http: the same frames, written per event, or joined once a burst.
//
//     node broadcaster.js each|batched
"use strict";
const http = require("http");
const readline = require("readline");

const batched = process.argv[2] === "batched";
const clients = new Set();
const symbols = ["BTC", "TCS", "MTA"];
let seq = 1000000000;
let pending = [];

const server = http.createServer((request, response) => {
  response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-store" });
  response.write("retry: 1000\n\n");
  clients.add(response);
  response.on("close", () => clients.delete(response));
});
server.on("connection", (socket) => socket.setNoDelay(true));
server.keepAliveTimeout = server.requestTimeout = 0;
server.listen(0, "127.0.0.1", 4096, () => say({ port: server.address().port }));

function say(facts) {
  process.stdout.write(JSON.stringify(facts) + "\n");
}

let origin = 0;

function calibrate() {
  // the wall clock that node shows has milliseconds only: wait for its next one
  const before = Date.now();
  let wall = before;
  while (wall === before) wall = Date.now();
  origin = wall - performance.now();
}

function now() {
  return (origin + performance.now()) / 1000;
}

function time(at) {
  const us = Math.floor(at * 1e6);
  const whole = new Date(Math.floor(us / 1000)).toISOString();
  return whole.slice(0, 23) + String(us % 1000).padStart(3, "0") + "Z";
}

function publish(at) {
  seq += 1;
  const price = (70400.11 + (seq % 1000) / 10).toFixed(2);
  const volume = ((10001 + 2 * (seq % 997)) / 1e5).toFixed(5);
  const data = `{"symbol":"${symbols[seq % 3]}","price":${price},"volume":${volume},"time":"${time(at)}","seq":${seq}}`;
  const frame = `id: 0badcafe-${seq}\nevent: tick\ndata: ${data}\n\n`;
  if (batched) {
    pending.push(frame);
    return;
  }
  const bytes = Buffer.from(frame);
  for (const client of clients) client.write(bytes);
}

function flush() {
  if (!pending.length) return;
  const bytes = Buffer.from(pending.join(""));
  pending = [];
  for (const client of clients) client.write(bytes);
}

function carryOut(order) {
  calibrate();
  const started = now();
  say({ begins: started });
  let done = 0;
  let worst = 0;
  (function burst() {
    const elapsed = now() - started;
    worst = Math.max(worst, elapsed - done / order.rate);
    const due = Math.min(order.count, Math.floor(elapsed * order.rate) + 1);
    for (; done < due; done += 1) publish(order.scheduled ? started + done / order.rate : now());
    flush();
    if (done === order.count) say({ published: done, late_ms: Math.round(worst * 1e4) / 10 });
    else setTimeout(burst, Math.max(1, 1000 * (done / order.rate - (now() - started))));
  })();
}

readline
  .createInterface({ input: process.stdin })
  .on("line", (line) => carryOut(JSON.parse(line)))
  .on("close", () => process.exit(0));
