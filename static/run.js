// A run as it happens: its state, its log by byte offset, its curves.
import { follow } from "./socket.js";
import uPlot from "./vendor/uPlot.esm.js";

const root = document.querySelector("[data-run]");
const id = root.dataset.run;
const lines = document.getElementById("lines");
const charts = document.getElementById("charts");
const LINES_BYTES_MAX = 2_000_000;
lines.textContent = ""; // what the page brought is for readers without a script
let offset = 0, reading = false, more = false;
let points = {};
let other = {};
const drawn = new Map();

async function readLog() {
  if (reading) { more = true; return; }
  reading = true;
  try {
    for (;;) {
      const answer = await fetch(`/api/v1/runs/${id}/log?offset=${offset}`);
      if (!answer.ok) break;
      const part = await answer.json();
      const bottom = lines.scrollTop + lines.clientHeight >= lines.scrollHeight - 8;
      if (part.gap) lines.append(`\n[… ${root.dataset.wordGap.replace("%d", part.gap[1] - part.gap[0])} …]\n`);
      if (part.text) lines.append(part.text);
      if (lines.textContent.length > LINES_BYTES_MAX) lines.textContent = lines.textContent.slice(-LINES_BYTES_MAX);
      if (bottom) lines.scrollTop = lines.scrollHeight;
      const moved = part.offset > offset;
      offset = part.offset;
      if (part.done) { done = true; show("done"); }
      if (!moved) break;
    }
  } catch { /* the socket's own return asks again */ }
  reading = false;
  if (more) { more = false; readLog(); }
}
let done = false;

async function refresh() {
  const answer = await fetch("?fragment=1");
  if (!answer.ok) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById("moving");
  const old = document.getElementById("moving");
  const ended = old.dataset.state !== fresh.dataset.state && fresh.querySelector("form[action$='/submit/']");
  old.replaceWith(fresh);
  if (ended) location.reload(); // checkpoints, outputs and the whole timeline are there now
}

async function readPoints() {
  const answer = await fetch(`/api/v1/runs/${id}/metrics`);
  if (!answer.ok) return;
  points = await answer.json();
  draw();
}

const smoothed = (values) => {
  let last = values[0];
  return values.map((value) => (last = last * 0.8 + value * 0.2));
};

function colour(name) {
  const probe = document.createElement("span");
  probe.className = name;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

function draw() {
  const keys = Object.keys(points).sort();
  if (!keys.length) return;
  if (!drawn.size) charts.replaceChildren();
  const smooth = document.getElementById("smooth").checked, log = document.getElementById("logscale").checked;
  for (const key of keys) {
    const rows = [...points[key]].sort((a, b) => a[0] - b[0]);
    const values = rows.map((row) => row[1]);
    const shown = smooth ? smoothed(values) : values;
    const positive = (list) => (log ? list.map((value) => (value > 0 ? value : null)) : list);
    const reference = [...(other[key] ?? [])].sort((a, b) => a[0] - b[0]);
    const against = reference.map((row) => row[1]);
    const data = uPlot.join([
      [rows.map((row) => row[0]), positive(shown)],
      ...(reference.length ? [[reference.map((row) => row[0]), positive(smooth ? smoothed(against) : against)]] : []),
    ]);
    drawn.get(key)?.remove();
    const panel = document.createElement("div");
    panel.className = "panel chart-box";
    const head = document.createElement("div");
    head.className = "panel-head";
    const title = document.createElement("h2");
    title.className = "mono";
    title.textContent = key;
    const last = document.createElement("span");
    last.className = "end legend";
    last.innerHTML = "<b></b>";
    last.firstChild.textContent = values.at(-1).toPrecision(4);
    head.append(title, last);
    const body = document.createElement("div");
    body.className = "panel-body";
    body.setAttribute("role", "img");
    body.setAttribute("aria-label", `${key}: ${values.at(-1)}, ${root.dataset.wordStep} ${rows.at(-1)[0]}`);
    panel.append(head, body);
    charts.append(panel);
    const stroke = colour("series-1"), ink = colour("faint");
    const axis = { stroke: ink, grid: { stroke: "rgb(128 128 128 / 0.16)", width: 1 }, ticks: { show: false }, size: 48 };
    const series = [{}, { stroke, width: 1.75, spanGaps: true, points: { show: rows.length < 3 } }];
    if (reference.length) series.push({ stroke: colour("series-ref"), width: 1.25, dash: [2, 3], spanGaps: true, points: { show: false } });
    new uPlot({
      width: Math.max(200, body.clientWidth - 32), height: 200, legend: { show: false }, cursor: { show: false },
      scales: { x: { time: false }, y: log ? { distr: 3 } : {} },
      series,
      axes: [{ ...axis, grid: { show: false }, size: 28 }, axis],
    }, data, body);
    drawn.set(key, panel);
  }
}

function show(state) {
  const link = document.getElementById("link");
  if (done) state = "done";
  link.dataset.link = state;
  link.textContent = { up: root.dataset.wordLive, down: root.dataset.wordDown, done: root.dataset.wordDone }[state];
}

async function compare() {
  const chosen = document.getElementById("against").value;
  const answer = chosen ? await fetch(`/api/v1/runs/${chosen}/metrics`) : null;
  other = answer?.ok ? await answer.json() : {};
  draw();
}
document.getElementById("against")?.addEventListener("change", compare);
document.getElementById("tools").hidden = false;
for (const name of ["smooth", "logscale"]) document.getElementById(name).addEventListener("change", draw);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
readLog();
readPoints();
follow(`/ws/run/${id}/`, (message) => {
  if (message.type === "run.points") {
    for (const [key, rows] of Object.entries(message.points)) (points[key] ??= []).push(...rows);
    draw();
  } else if (message.type === "run.log") readLog();
  else {
    readLog();
    readPoints();
    if (message.type === "run.changed" || message.state !== document.getElementById("moving").dataset.state) refresh();
  }
}, show);
