// The board moves by itself: rows are fetched when the sequence number grows, live numbers come with the event.
import { follow } from "./socket.js";

const root = document.querySelector("[data-board]");
const MOVED_MS = 30000;
let fetching = null;
let again = false;

async function refresh() {
  if (fetching) { again = true; return; }
  fetching = fetch("?fragment=1", { headers: { "X-Requested-With": "fetch" } });
  try {
    const answer = await fetching;
    if (answer.ok) swap(await answer.text());
  } catch { /* the socket's own return asks again */ }
  fetching = null;
  if (again) { again = false; refresh(); }
}

function swap(html) {
  const fresh = new DOMParser().parseFromString(html, "text/html");
  const places = (of) => new Map([...of.querySelectorAll("tr[id]")].map((row) => [row.id, row.querySelector(".rank").textContent]));
  const before = places(document);
  const focused = document.activeElement?.closest("[id]")?.id;
  for (const id of ["answer", "board", "margin"]) {
    document.getElementById(id).replaceWith(document.adoptNode(fresh.getElementById(id)));
  }
  for (const [id, rank] of places(document)) {
    if (before.get(id) === rank) continue;
    const row = document.getElementById(id);
    row.classList.add("moved");
    setTimeout(() => row.classList.remove("moved"), MOVED_MS);
  }
  if (focused) document.getElementById(focused)?.focus();
  const answer = document.getElementById("answer").textContent.trim();
  const said = document.getElementById("said");
  if (said.textContent !== answer) said.textContent = answer;
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

follow(`/ws/board/${root.dataset.board}/`, (message) => {
  const seq = Number(document.getElementById("board").dataset.seq);
  if (message.type === "board.live") live(message.points);
  else if (message.type === "snapshot" ? message.seq !== seq : message.seq > seq) refresh();
}, show);
