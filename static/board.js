// The board moves by itself: rows are fetched when the sequence number grows, live numbers come with the event.
import { follow } from "./socket.js";
import { swap } from "./swap.js";

const root = document.querySelector("[data-board]");
const PARTS = ["answer", "board", "margin"];
const MOVED_MS = 30000;
const movedUntil = new Map(); // row's id → when its highlight ends; it outlives the rows, which are swapped
let fetching = false, again = false;

async function refresh() {
  if (fetching) { again = true; return; }
  fetching = true;
  try {
    const asked = new URLSearchParams(location.search);
    asked.set("fragment", "1");
    const answer = await fetch(`?${asked}`);
    if (answer.ok) take(await answer.text());
  } catch { /* the socket's own return asks again */ }
  fetching = false;
  if (again) { again = false; refresh(); }
}

const places = () => new Map([...document.querySelectorAll("#board tr[id]")].map(
  (row) => [row.id, row.querySelector(".rank").textContent],
));

function take(html) {
  const before = places();
  swap(html, PARTS);
  const now = Date.now();
  for (const [id, rank] of places()) {
    const row = document.getElementById(id);
    if (before.get(id) !== rank || (row.classList.contains("moved") && !movedUntil.has(id))) movedUntil.set(id, now + MOVED_MS);
  }
  mark();
  const answer = document.getElementById("answer").textContent.replace(/\s+/g, " ").trim();
  const said = document.getElementById("said");
  if (said.textContent !== answer) said.textContent = answer;
}

// Each row that moved is marked for its 30 s, whatever was swapped meanwhile.
function mark() {
  const now = Date.now();
  for (const row of document.querySelectorAll("#board tr[id]")) {
    row.classList.toggle("moved", (movedUntil.get(row.id) ?? 0) > now);
  }
  const next = Math.min(...[...movedUntil.values()].filter((until) => until > now));
  if (Number.isFinite(next)) setTimeout(mark, next - now + 20);
}

function live(points) {
  for (const [team, point] of Object.entries(points)) {
    for (const cell of document.querySelectorAll(`[data-live="${CSS.escape(team)}"]`)) {
      const outer = document.createElement("span");
      outer.className = "live unofficial";
      const key = document.createElement("span");
      key.className = "mono";
      key.textContent = point.key;
      const value = document.createElement("b");
      value.textContent = Number(point.value).toFixed(4);
      const inner = document.createElement("span");
      inner.append(`${root.dataset.wordRun.replace("%d", point.number)} `, key, " ", value);
      outer.append(inner);
      cell.replaceChildren(outer);
    }
  }
}

function show(state) {
  const link = document.getElementById("link");
  link.dataset.link = state;
  link.textContent = state === "up" ? root.dataset.wordLive : root.dataset.wordDown;
}

for (const row of document.querySelectorAll("#board tr.moved")) movedUntil.set(row.id, Date.now() + MOVED_MS);
mark();
follow(`/ws/board/${root.dataset.board}/`, (message) => {
  const seq = Number(document.getElementById("board").dataset.seq);
  if (message.type === "board.live") live(message.points);
  else if (message.type === "snapshot" && message.seq !== seq) refresh();
  else if (message.type === "board.changed" && message.seq > seq) refresh();
}, show);
