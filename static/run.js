// A run as it happens: its state, its log, its curves. Each part reads anew only what the message speaks of.
import { follow } from "./socket.js";
import { Charts } from "./run/charts.js";
import { Log } from "./run/log.js";

const root = document.querySelector("[data-run]");
const link = document.getElementById("link");
const words = {
  up: root.dataset.wordLive, down: root.dataset.wordDown, done: root.dataset.wordDone, step: root.dataset.wordStep,
  gap: root.dataset.wordGap,
};
let complete = false;
const log = new Log(root.dataset.run, document.getElementById("lines"), words, () => { complete = true; show("done"); });
const charts = new Charts(root.dataset.run, document.getElementById("charts"), words);

async function refresh() {
  const answer = await fetch("?fragment=1");
  if (!answer.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("moving");
  const old = document.getElementById("moving");
  const ended = old.dataset.state !== fresh.dataset.state && fresh.querySelector("form[action$='/submit/']");
  old.replaceWith(fresh);
  if (ended) location.reload(); // checkpoints, outputs and the whole timeline are there now
}

function show(state) {
  const now = complete ? "done" : state;
  link.dataset.link = now;
  link.textContent = words[now];
}

function readAll() {
  log.read();
  charts.read();
}

// What is not named here is of no concern to this page.
const hear = {
  "run.points": (message) => charts.add(message.points),
  "run.log": () => log.read(),
  "run.changed": () => { readAll(); refresh(); },
  snapshot: (message) => {
    readAll();
    if (message.state !== document.getElementById("moving").dataset.state) refresh();
  },
};
readAll();
follow(`/ws/run/${root.dataset.run}/`, (message) => hear[message.type]?.(message), show);
