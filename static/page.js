// Relative times, countdowns and copy buttons; the page reads well without them. Words come from the server.
const words = JSON.parse(document.documentElement.dataset.words);
const SIZES = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]]; // seconds

const parts = (seconds) => {
  const d = Math.floor(seconds / 86400), h = Math.floor(seconds / 3600) % 24, m = Math.floor(seconds / 60) % 60;
  return d ? [[d, "d"], [h, "h"]] : [[h, "h"], [m, "min"], [Math.floor(seconds) % 60, "s"]];
};

// As the server's `lasted`: 1 h 6 min, 19 min, 9 s.
const lasting = (seconds) => {
  const all = parts(Math.max(0, seconds));
  const shown = seconds < 60 ? all.slice(-1) : all.filter(([count, name]) => count && name !== "s");
  const space = document.documentElement.lang === "ko" ? "" : " ";
  return shown.map(([count, name]) => `${count}${space}${words.units[name]}`).join(" ");
};

function tick() {
  const now = Date.now();
  for (const time of document.querySelectorAll("time[data-countdown]")) {
    const left = (new Date(time.dateTime) - now) / 1000;
    if (left <= 0) {
      time.dataset.near = "";
      time.textContent = words.closed;
      continue;
    }
    time.dataset.near = left < 3600 ? "hour" : left < 86400 ? "day" : "";
    time.replaceChildren(...parts(left).flatMap(([number, name]) => {
      const small = document.createElement("small");
      small.textContent = words.units[name];
      return [String(number), small];
    }));
  }
  for (const time of document.querySelectorAll("time[data-left]")) {
    time.textContent = lasting((new Date(time.dateTime) - now) / 1000);
  }
  for (const time of document.querySelectorAll("time[data-ago]")) {
    const gone = Math.max(0, Math.floor((now - new Date(time.dateTime)) / 1000));
    const [name, size] = SIZES.find(([, seconds]) => gone >= seconds) ?? SIZES.at(-1);
    time.textContent = words.ago[name].replace("%d", Math.floor(gone / size));
  }
}
tick();
setInterval(tick, 1000);

// Without a script, or where the browser forbids it, there is no button: the command can be selected.
function showCopy() {
  if (!navigator.clipboard) return;
  for (const button of document.querySelectorAll("[data-copy][hidden]")) button.hidden = false;
}
showCopy();
new MutationObserver(showCopy).observe(document.getElementById("main"), { childList: true, subtree: true });
document.addEventListener("click", async (event) => {
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  await navigator.clipboard.writeText(button.parentElement.querySelector("code").textContent);
  const before = button.textContent;
  button.textContent = button.dataset.copy;
  setTimeout(() => { button.textContent = before; }, 1500);
});
