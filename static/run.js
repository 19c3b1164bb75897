// A run as it happens: its state, its log, its curves, its use. Each part reads anew only what the message speaks of.
import { follow } from "./socket.js";
import { swap } from "./swap.js";
import { Charts } from "./run/charts.js";
import { Log } from "./run/log.js";
import { Usage } from "./run/usage.js";

const PARTS = ["moving", "checkpoints", "outputs", "happened", "use"];
const root = document.querySelector("[data-run]");
const link = document.getElementById("link");
const words = {
  up: root.dataset.wordLive, down: root.dataset.wordDown, done: root.dataset.wordDone, step: root.dataset.wordStep,
  size: root.dataset.wordSize, gap: root.dataset.wordGap,
};
let complete = false, refreshing = false, again = false;
const log = new Log(root.dataset.run, document.getElementById("lines"), words, () => { complete = true; show("done"); });
const charts = new Charts(root.dataset.run, document.getElementById("charts"), words);
const usage = new Usage(refresh);

async function refresh() {
  if (refreshing) { again = true; return; }
  refreshing = true;
  try {
    const answer = await fetch("?fragment=1");
    if (answer.ok) { swap(await answer.text(), PARTS); usage.reload(); }
  } catch { /* the socket's own return asks again */ }
  refreshing = false;
  if (again) { again = false; refresh(); }
}

function show(state) {
  const now = complete ? "done" : state;
  link.dataset.link = now;
  link.textContent = words[now];
}

// The newest numbers in the page's first line.
function tell(points) {
  for (const place of document.querySelectorAll("[data-newest]")) {
    const newest = points[place.dataset.newest]?.at(-1);
    if (newest) place.textContent = newest[1].toFixed(4);
  }
  const step = document.querySelector("[data-step]");
  const furthest = Math.max(...Object.values(points).flatMap((rows) => rows.map((row) => row[0])));
  if (step && furthest > Number(step.dataset.step)) {
    step.textContent = step.textContent.replace(step.dataset.step, furthest);
    step.dataset.step = furthest;
  }
}

function readAll() {
  log.read();
  charts.read();
}

// What is not named here is of no concern to this page.
const hear = {
  "run.points": (message) => { charts.add(message.points); tell(message.points); },
  "run.log": () => log.read(),
  "run.usage": (message) => usage.add(message.sample),
  "run.changed": () => { readAll(); refresh(); },
  snapshot: (message) => {
    readAll();
    if (message.state !== document.getElementById("moving").dataset.state) refresh();
  },
};
readAll();
follow(`/ws/run/${root.dataset.run}/`, (message) => hear[message.type]?.(message), show);
