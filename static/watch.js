// A page that is read anew when what it shows has moved. Its sockets only say that something did.
import { follow } from "./socket.js";
import { swap } from "./swap.js";

const SPREAD = 1500; // ms: a class's pages do not all ask at once
const CHANGES = ["run.changed", "queue.changed", "snapshot"]; // a snapshot: what moved before it was not told
const place = () => document.getElementById("moving");
const followed = new Set();
let waiting = 0;

function soon() {
  waiting ||= setTimeout(async () => {
    waiting = 0;
    try {
      const answer = await fetch(location.href);
      if (answer.ok && !answer.redirected) { swap(await answer.text(), ["moving"]); followAll(); }
    } catch { /* the socket's own return asks again */ }
  }, 300 + SPREAD * Math.random());
}

// A run that was pushed meanwhile is followed from then on.
function followAll() {
  for (const path of place().dataset.watch.split(" ").filter((one) => one && !followed.has(one))) {
    followed.add(path);
    follow(`/ws/${path}/`, (message) => { if (CHANGES.includes(message.type)) soon(); }, () => {});
  }
}
followAll();
setInterval(() => { if (!document.hidden) soon(); }, 1000 * Number(place().dataset.every));
