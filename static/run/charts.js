// The curves of what a run logs, one panel a key; another run's beside them where one is chosen.
import uPlot from "../vendor/uPlot.esm.js";

const HEIGHT = 200; // pixels
const SMOOTHING = 0.8; // the share of what came before

const smoothed = (values) => {
  let last = values[0];
  return values.map((value) => (last = last * SMOOTHING + value * (1 - SMOOTHING)));
};
const byStep = (rows) => [...(rows ?? [])].sort((a, b) => a[0] - b[0]);

function colour(name) {
  const probe = document.createElement("span");
  probe.className = name;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

// A panel with its key and its newest value in words; what the curve says is the drawing's label.
function panel(key, value, step, words) {
  const made = document.createElement("div");
  made.className = "panel chart-box";
  made.innerHTML = `<div class="panel-head"><h2 class="mono"></h2><span class="end legend"><b></b></span></div>
    <div class="panel-body" role="img"></div>`;
  made.querySelector("h2").textContent = key;
  made.querySelector("b").textContent = value.toPrecision(4);
  made.lastElementChild.setAttribute("aria-label", `${key}: ${value}, ${words.step} ${step}`);
  return made;
}

export class Charts {
  constructor(run, place, words) {
    Object.assign(this, { run, place, words, points: {}, other: {}, drawn: new Map() });
    this.smooth = document.getElementById("smooth");
    this.logarithmic = document.getElementById("logscale");
    const against = document.getElementById("against");
    against?.addEventListener("change", () => this.compare(against.value));
    for (const box of [this.smooth, this.logarithmic]) box.addEventListener("change", () => this.draw());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
    document.getElementById("tools").hidden = false;
  }

  async read() {
    const found = await this.metrics(this.run);
    if (found) { this.points = found; this.draw(); }
  }

  async compare(run) {
    this.other = (run && (await this.metrics(run))) || {};
    this.draw();
  }

  async metrics(run) {
    const answer = await fetch(`/api/v1/runs/${run}/metrics`);
    return answer.ok ? answer.json() : null;
  }

  add(points) {
    for (const [key, rows] of Object.entries(points)) (this.points[key] ??= []).push(...rows);
    this.draw();
  }

  draw() {
    const keys = Object.keys(this.points).sort();
    if (keys.length && !this.drawn.size) this.place.replaceChildren();
    for (const key of keys) this.drawOne(key);
  }

  drawOne(key) {
    const rows = byStep(this.points[key]), reference = byStep(this.other[key]);
    const last = rows.at(-1);
    const made = panel(key, last[1], last[0], this.words);
    const old = this.drawn.get(key);
    if (old) old.replaceWith(made);
    else this.place.append(made);
    this.drawn.set(key, made);
    const axis = { stroke: colour("faint"), grid: { stroke: "rgb(128 128 128 / 0.16)", width: 1 }, ticks: { show: false }, size: 48 };
    const series = [{}, { stroke: colour("series-1"), width: 1.75, spanGaps: true, points: { show: rows.length < 3 } }];
    if (reference.length) {
      series.push({ stroke: colour("series-ref"), width: 1.25, dash: [2, 3], spanGaps: true, points: { show: false } });
    }
    const body = made.lastElementChild;
    new uPlot({
      width: Math.max(200, body.clientWidth - 32), height: HEIGHT, legend: { show: false }, cursor: { show: false },
      scales: { x: { time: false }, y: this.logarithmic.checked ? { distr: 3 } : {} },
      series,
      axes: [{ ...axis, grid: { show: false }, size: 28 }, axis],
    }, uPlot.join([rows, ...(reference.length ? [reference] : [])].map((one) => this.columns(one))), body);
  }

  columns(rows) {
    const values = rows.map((row) => row[1]);
    const shown = this.smooth.checked ? smoothed(values) : values;
    return [rows.map((row) => row[0]), this.logarithmic.checked ? shown.map((one) => (one > 0 ? one : null)) : shown];
  }
}
