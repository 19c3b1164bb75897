// What the run uses, drawn from its samples as they come: [seconds, cores, bytes, GPU %, GPU bytes].
const SAMPLES_MAX = 60;
const UNITS = ["bytes", "KB", "MB", "GB", "TB"];
const WARN = 90; // percent of a limit whose reaching ends the run

export function fileSize(bytes) {
  let size = bytes, unit = 0;
  while (size >= 1024 && unit < UNITS.length - 1) { size /= 1024; unit += 1; }
  return `${unit ? size.toFixed(1) : size} ${UNITS[unit]}`;
}

const WRITTEN = { cpu: (value) => value.toFixed(1), gpu: (value) => value.toFixed(0), memory: fileSize, gpu_memory: fileSize };
const line = (shares) => "M" + shares.map((share, place) => (
  `${(88 * place / Math.max(1, shares.length - 1)).toFixed(1)},${(20 - share / 5).toFixed(1)}`
)).join(" ");

export class Usage {
  // `anew` is asked for the panel when the first sample comes.
  constructor(anew) {
    this.anew = anew;
    this.reload();
  }

  // After the panel was swapped its samples are in it.
  reload() {
    this.panel = document.getElementById("use");
    const kept = document.getElementById("samples");
    this.samples = kept ? JSON.parse(kept.textContent) : [];
  }

  add(sample) {
    if (!this.samples.length) { this.anew(); return; }
    this.samples = [...this.samples, sample].slice(-SAMPLES_MAX);
    for (const one of this.panel.querySelectorAll("[data-meter]")) this.draw(one);
  }

  draw(one) {
    const { meter, place, limit, template } = one.dataset;
    const values = this.samples.map((sample) => sample[place] ?? 0), newest = values.at(-1);
    const shares = values.map((value) => Math.min(100, 100 * value / limit)), share = shares.at(-1);
    const text = template.replace("{used}", WRITTEN[meter](newest));
    one.querySelector("dd").textContent = text;
    one.querySelector(".spark path").setAttribute("d", line(shares));
    const bar = one.querySelector(".meter");
    bar.setAttribute("aria-label", `${one.querySelector("dt").textContent.trim()}: ${text}`);
    bar.firstElementChild.setAttribute("width", `${share}%`);
    const warns = "warns" in one.dataset;
    bar.dataset.level = warns && share >= 100 ? "over" : warns && share >= WARN ? "warn" : "busy";
    if (warns) document.getElementById("full").hidden = share < WARN;
  }
}
