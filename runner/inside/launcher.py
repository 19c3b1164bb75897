"""Process 1 of every container: starts the command, keeps its log, relays to the gateway, holds the time limit.

Standard library only, Python 3.8+. It runs as the same unprivileged user as the command, so nothing here is secret
and nothing it writes is believed without a check.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

IO = os.environ.get("SEODANG_IO", "/seodang/io")
BLOCK = 65536
CONNECT_SECONDS = 30  # the gateway may still be opening its socket, or be restarting


def write_whole(name, content):
    """Replace a file of the io folder in one step."""
    fresh = os.path.join(IO, name + ".new")
    try:
        with open(fresh, "wb") as sink:
            sink.write(content)
        os.replace(fresh, os.path.join(IO, name))
    except OSError:
        pass  # the command may have filled the folder; its log is then its own loss


class Log:
    """The first ``head_bytes`` as they come, then the last ``tail_bytes``."""

    def __init__(self, head_bytes, tail_bytes):
        self.head_bytes, self.tail_bytes = head_bytes, tail_bytes
        self.total = self.head = 0
        self.tail = bytearray()
        self.sink = open(os.path.join(IO, "log.head"), "ab", buffering=0)
        self.saved = 0.0
        self.lock = threading.Lock()

    def add(self, block):
        with self.lock:
            room = max(0, self.head_bytes - self.head)
            if room:
                try:
                    self.sink.write(block[:room])
                except OSError:
                    pass
                self.head += len(block[:room])
            rest = block[room:]
            if rest:
                self.tail += rest
                if len(self.tail) > 2 * self.tail_bytes:
                    del self.tail[: len(self.tail) - self.tail_bytes]
            self.total += len(block)
        self.save()

    def save(self, done=False):
        """The state at most ten times a second, the tail at most once; both at the end."""
        now = time.monotonic()
        with self.lock:
            if not done and now - self.saved < (1.0 if self.tail else 0.1):
                return
            self.saved = now
            tail = bytes(self.tail[-self.tail_bytes :])
            if tail:
                write_whole("log.tail", tail)
            state = {"total": self.total, "head": self.head, "tail_start": self.total - len(tail), "done": done}
            write_whole("log.json", json.dumps(state).encode())


def connect(path):
    end = time.monotonic() + CONNECT_SECONDS
    wait = 0.01
    while True:
        upstream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            upstream.connect(path)
            return upstream
        except OSError:
            upstream.close()
            if time.monotonic() > end:
                raise
            time.sleep(wait)
            wait = min(0.5, wait * 2)


def pump(source, sink):
    try:
        while True:
            block = source.recv(BLOCK)
            if not block:
                break
            sink.sendall(block)
    except OSError:
        pass
    try:
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def serve_one(client, path):
    try:
        upstream = connect(path)
    except OSError:
        client.close()
        return
    back = threading.Thread(target=pump, args=(upstream, client), daemon=True)
    back.start()
    pump(client, upstream)
    back.join()
    client.close()
    upstream.close()


def relay(port, path):
    """127.0.0.1:port to the attempt's own socket: the container has no other way out."""
    listener = socket.create_server(("127.0.0.1", port), backlog=64)

    def accept():
        while True:
            client, _ = listener.accept()
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=serve_one, args=(client, path), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()


def oom_kills():
    """How often the kernel killed for memory in this container, by whichever cgroup version is here."""
    for path in ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control"):
        try:
            with open(path) as source:
                for line in source:
                    if line.startswith("oom_kill "):
                        return int(line.split()[1])
        except (OSError, ValueError):
            continue
    return 0


class Command:
    def __init__(self, launch, log):
        self.log = log
        self.grace = launch["kill_grace_seconds"]
        self.timed_out = False
        self.asked = False
        self.ending = threading.Event()
        environment = {key: value for key, value in os.environ.items() if key != "SEODANG_LAUNCH"}
        os.makedirs("/tmp/home", exist_ok=True)
        environment.update(HOME="/tmp/home", USER="student", LOGNAME="student")
        self.process = subprocess.Popen(
            launch["command"],
            cwd=launch["cwd"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def signal(self, number):
        try:
            os.killpg(self.process.pid, number)
        except OSError:
            pass

    def end(self):
        """Ask, then insist."""
        if not self.ending.is_set():
            self.ending.set()
            self.signal(signal.SIGTERM)
            timer = threading.Timer(self.grace, self.signal, (signal.SIGKILL,))
            timer.daemon = True
            timer.start()

    def ask(self):
        """The engine wants it to end: because the platform asked, or because the engine itself goes down."""
        self.asked = True
        self.end()

    def expire(self):
        self.timed_out = True
        self.log.add(b"\n[seodang] The time limit is reached; the command is stopped.\n")
        self.end()

    def read(self):
        while True:
            block = self.process.stdout.read1(BLOCK)
            if not block:
                return
            self.log.add(block)


def reap_until(pid):
    """Wait for the command; bury the orphans that process 1 inherits."""
    while True:
        found, status = os.waitpid(-1, 0)
        if found == pid:
            return status


def main():
    launch = json.loads(os.environ["SEODANG_LAUNCH"])
    log = Log(launch["head_bytes"], launch["tail_bytes"])
    started = time.monotonic()
    if launch.get("relay"):
        relay(launch["relay"]["listen_port"], launch["relay"]["socket"])
    try:
        command = Command(launch, log)
    except OSError as error:
        log.add(("[seodang] The command cannot start: %s\n" % error).encode())
        log.save(done=True)
        write_whole("status.json", json.dumps({"exit_code": 125, "timed_out": False}).encode())
        return 125
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: command.ask())
    limit = threading.Timer(launch["wall_seconds_max"], command.expire)
    limit.daemon = True
    limit.start()
    reader = threading.Thread(target=command.read, daemon=True)
    reader.start()
    status = reap_until(command.process.pid)
    command.signal(signal.SIGKILL)  # what it left behind in its session
    reader.join(2)  # a grandchild of another session may hold the pipe open; it ends with this process
    log.save(done=True)
    killed_by = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
    code = 128 + killed_by if killed_by else os.WEXITSTATUS(status)
    report = {
        "exit_code": code,
        "signal": killed_by,
        "timed_out": command.timed_out,
        "asked_to_end": command.asked,
        "oom_suspected": oom_kills() > 0,
        "wall_seconds": time.monotonic() - started,
    }
    write_whole("status.json", json.dumps(report).encode())
    return code


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # threads that relay must not hold the exit up
