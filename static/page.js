// Relative times and countdowns, once a second; the page reads well without it.
const unit = (seconds) => {
  const d = Math.floor(seconds / 86400), h = Math.floor(seconds / 3600) % 24, m = Math.floor(seconds / 60) % 60;
  return d ? [[d, "d"], [h, "h"]] : [[h, "h"], [m, "min"], [Math.floor(seconds) % 60, "s"]];
};
const ko = document.documentElement.lang === "ko";
const words = ko ? { d: "일", h: "시간", min: "분", s: "초" } : { d: "d", h: "h", min: "min", s: "s" };

function tick() {
  const now = Date.now();
  for (const time of document.querySelectorAll("time[data-countdown]")) {
    const left = (new Date(time.dateTime) - now) / 1000;
    if (left <= 0) continue;
    time.dataset.near = left < 3600 ? "hour" : left < 86400 ? "day" : "";
    time.replaceChildren(...unit(left).flatMap(([number, name]) => {
      const small = document.createElement("small");
      small.textContent = words[name];
      return [String(number), small];
    }));
  }
  const relative = new Intl.RelativeTimeFormat(document.documentElement.lang, { style: "short" });
  for (const time of document.querySelectorAll("time[data-ago]")) {
    const gone = (now - new Date(time.dateTime)) / 1000;
    const [size, name] = gone < 60 ? [1, "second"] : gone < 3600 ? [60, "minute"] : gone < 86400 ? [3600, "hour"] : [86400, "day"];
    time.textContent = relative.format(-Math.max(0, Math.floor(gone / size)), name);
  }
}
tick();
setInterval(tick, 1000);
