// One WebSocket that comes back by itself. `hear` gets each message; `link` is told "up" or "down".
export function follow(path, hear, link) {
  let wait = 250;
  const open = () => {
    const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}${path}`);
    socket.onopen = () => { wait = 250; link("up"); };
    socket.onmessage = (event) => hear(JSON.parse(event.data));
    socket.onclose = (event) => {
      link("down");
      if (event.code === 4404) return; // not for us (any more)
      setTimeout(open, wait * (0.5 + Math.random()));
      wait = Math.min(10000, wait * 2);
    };
  };
  open();
}
