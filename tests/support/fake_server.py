r"""A scripted engine: a small server that behaves, or misbehaves, exactly as it is told.

    python fake_server.py PORT SCRIPT        SCRIPT is JSON, see `DEFAULTS`

Steps, run in order before the port opens (`before`) and after it (`after`):

    {"sleep": 0.5}                      {"print": "text"}  {"error": "text"}  {"raw": "no newline"}
    {"exit": 3}  {"signal": "KILL"}     to itself; {"signal": "STOP"} stops it
    {"spawn": {"session": true, "ignore": ["TERM"], "double": true, "port": 1234, "bare": true}}
    {"touch": path}  {"wait": path}     meeting points with a test; no test has to guess a time
    {"remove": path}                    so that the next run waits there again
    {"env": path}                       its environment as JSON
    {"signals": path}                   which signals are ignored and blocked
    {"shm": name}  {"queue": [path, project]}  {"folder": path}
    {"log": [file, text]}               appends a line to a file
    {"spin": 0.3}                       uses a core
    {"count-down": path}                while the file holds a number above 0: one less, and exit 7
    {"allocate": 200}                   takes this many MiB of memory, and keeps them
    {"flood": [lines, text]}            prints many lines at once; 0 lines: endless, in a thread
    {"run": [program, argument]}        a child that writes where it writes; it is not waited for

Starts in some 50 ms: only the standard library's cheapest modules are imported.
"""

import json
import os
import signal
import socket
import sys
import threading
import time

TYPE_CHECKING = False
if TYPE_CHECKING:  # `typing` costs more than the rest of the start
    from typing import Any, TypeAlias

    Script: TypeAlias = dict[str, Any]
    Reply: TypeAlias = tuple[int, object]

DEFAULTS: "Script" = {
    "before": [],
    "after": [],
    "serve": True,
    "host": "127.0.0.1",
    "model": "tiny",
    "models": None,  # another list of names, or a status
    "health": 200,  # a status, "hang", or a list of statuses given one after the other
    # ok, reasoning, empty, hang, garbage, slow:SECONDS, compile:FILE (helpers compute until it is
    # there), or a status
    "completion": "ok",
    # [chunks, seconds between two of them]: how a streamed completion is answered; None: at once
    "stream": None,
    "health_text": None,  # the body of its answer
    "later": None,  # a JSON file: once it is there, what it holds replaces this script's
    "settings": None,
    "exposition": None,  # a file whose text /metrics answers, or "hang"
    "paused": None,  # the path of the question for a pause, and its answer
    "key": None,
    "sigterm": "exit",  # exit, ignore, slow:SECONDS, code:N
    "stamp": None,  # a file that gets monotonic times of requests and answers
    "drill": False,  # declares the faults of `PLANTED`, see launcher/drill/planted.py
}
PLANTED: "dict[str, Script]" = {
    "health-304": {"health": 304},
    "health-404": {"health": 404},
    "chat-hangs": {"completion": "hang"},
    "chat-slow": {"completion": "slow:1"},
    "answer-empty": {"completion": "empty"},
}


def main() -> None:
    """Do as told."""
    port, script = int(sys.argv[1]), {**DEFAULTS, **json.loads(sys.argv[2])}
    _on_sigterm(str(script["sigterm"]))
    if script["drill"]:
        _write(os.path.join(os.environ["TMPDIR"], "drill-faults"), "\n".join(PLANTED))
    for step in script["before"]:
        do(step)
    if script["serve"]:
        server = Server(port, script)
        threading.Thread(target=server.run, daemon=True).start()
    for step in script["after"]:
        do(step)
    # Not `signal.pause`: the kernel may give a signal to any thread, and it would only end in this
    # one. A handler runs here at the latest when the sleep is over.
    while True:
        time.sleep(0.2)


def _on_sigterm(how: str) -> None:
    def end(number: int, frame: object) -> None:
        kind, _, value = how.partition(":")
        if kind == "slow":
            time.sleep(float(value))
        os._exit(int(value) if kind == "code" else 0)

    signal.signal(signal.SIGTERM, signal.SIG_IGN if how == "ignore" else end)


def do(step: "Script") -> None:
    """One step of a script."""
    ((what, value),) = step.items()
    if what == "sleep":
        time.sleep(value)
    elif what in ("print", "raw"):
        sys.stdout.write(value + ("\n" if what == "print" else ""))
        sys.stdout.flush()
    elif what == "error":
        sys.stderr.write(value + "\n")
        sys.stderr.flush()
    elif what == "flood":
        sys.stdout.write((value[1] + "\n") * value[0])
        sys.stdout.flush()
        if not value[0]:
            threading.Thread(target=_flood, args=(value[1],), daemon=True).start()
    elif what == "run":
        os.posix_spawn(value[0], value, dict(os.environ))
    elif what == "exit":
        os._exit(value)
    elif what == "signal":
        os.kill(os.getpid(), getattr(signal, "SIG" + value))
    elif what == "spawn":
        _spawn(value)
    elif what == "touch":
        open(value, "w").close()
    elif what == "wait":
        while not os.path.exists(value):
            time.sleep(0.01)
    elif what == "remove":
        os.unlink(value)
    elif what == "env":
        _write(value, json.dumps(dict(os.environ)))
    elif what == "signals":
        with open("/proc/self/status") as file:
            lines = [line for line in file if line.startswith(("SigBlk", "SigIgn"))]
        _write(value, "".join(lines))
    elif what == "shm":
        open("/dev/shm/" + value, "w").close()
    elif what == "queue":
        _make_queue(*value)
    elif what == "folder":
        os.mkdir(value)
        # An open file in it is what proves whose it is.
        globals()["_kept"] = open(os.path.join(value, "in-use"), "w")  # noqa: SIM115
    elif what == "log":
        with open(value[0], "a") as file:
            file.write(value[1] + "\n")
    elif what == "count-down":
        if os.path.exists(value):
            with open(value) as file:
                left = int(file.read())
            if left:
                _write(value, str(left - 1))
                os._exit(7)
    elif what == "allocate":
        globals()["_memory"] = b"x" * (value << 20)
    elif what == "spin":
        end = time.monotonic() + value
        while time.monotonic() < end:
            pass
    else:
        raise ValueError(what)


def _planted() -> "Script":
    """The changes that a planted fault makes; none without one."""
    try:
        with open(os.path.join(os.environ["TMPDIR"], "drill-fault")) as file:
            return PLANTED[file.read().strip()]
    except FileNotFoundError:
        return {}


def _write(path: str, text: str) -> None:
    with open(path + ".part", "w") as file:
        file.write(text)
    os.rename(path + ".part", path)


def _flood(text: str) -> None:
    data = ((text + "\n") * (65536 // (len(text) + 1) + 1)).encode()
    while True:
        os.write(1, data)


def _spawn(how: "Script") -> None:
    """A process that outlives this one unless it is ended; returns once it is set up."""
    read, write = os.pipe()
    if os.fork() == 0:
        os.close(read)
        if how.get("session"):
            os.setsid()
        if how.get("double") and os.fork():
            os._exit(0)
        for name in how.get("ignore", ()):
            signal.signal(getattr(signal, "SIG" + name), signal.SIG_IGN)
        if "TERM" not in how.get("ignore", ()):
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if how.get("port"):
            listener = socket.socket()
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", how["port"]))
            listener.listen()
        if how.get("bare"):
            # Exactly what setproctitle does to a process: no token in its environment any more.
            os.write(write, str(os.getpid()).encode())
            os.execve("/bin/sleep", ["sleep", str(how.get("seconds", 600))], {})
        os.write(write, str(os.getpid()).encode())
        time.sleep(how.get("seconds", 600))
        os._exit(0)
    os.close(write)
    pid = os.read(read, 32).decode()
    os.close(read)
    if how.get("pid"):
        _write(how["pid"], pid)


def _make_queue(path: str, project: int) -> None:
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    key = libc.ftok(path.encode(), project)
    if libc.msgget(key, 0o1600) < 0:
        raise OSError(ctypes.get_errno(), "msgget")


class Server:
    """HTTP enough for a readiness probe and a smoke of it."""

    def __init__(self, port: int, script: "Script") -> None:
        self._script = script
        self._healths = 0
        self._compiler = threading.Lock()
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((script["host"], port))
        except OSError as error:
            sys.stderr.write(f"ERROR: [Errno {error.errno}] cannot bind port {port}\n")
            sys.stderr.flush()
            os._exit(1)
        self._socket.listen(64)
        self._stamp("open", "")

    def run(self) -> None:
        """Answer until the end, each connection in a thread."""
        while True:
            connection, _ = self._socket.accept()
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        data = b""
        while b"\r\n\r\n" not in data:
            more = connection.recv(65536)
            if not more:
                connection.close()
                return
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        method, path, _ = lines[0].split(" ", 2)
        headers = {k.lower(): v.strip() for k, _, v in (x.partition(":") for x in lines[1:])}
        while len(body) < int(headers.get("content-length", 0)):
            body += connection.recv(65536)
        self._stamp("asked", path)
        if self._script["stream"] and b'"stream"' in body and json.loads(body).get("stream"):
            self._stream(connection, *self._script["stream"])
            return
        status, answer = self._answer(method, path, headers)
        text = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        connection.sendall(
            b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\nConnection: close\r\n"
            b"Content-Length: %d\r\n\r\n" % (status, len(text)) + text
        )
        self._stamp("answered", path)
        connection.close()

    def _stream(self, connection: socket.socket, count: int, interval: float) -> None:
        """A streamed completion: the head at once, as engines send it, then chunk after chunk."""
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n"
        connection.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n")
        try:
            for number in range(count):
                time.sleep(interval)
                choice = {"index": 0, "delta": {"content": f"{number} "}}
                text = b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n"
                connection.sendall(b"%x\r\n" % len(text) + text + b"\r\n")
            text = b"data: [DONE]\n\n"
            connection.sendall(b"%x\r\n" % len(text) + text + b"\r\n0\r\n\r\n")
        except OSError:
            self._stamp("left", "")  # the client did not wait for the end
        connection.close()

    def _stamp(self, what: str, path: str) -> None:
        if self._script["stamp"]:
            now = time.clock_gettime(time.CLOCK_MONOTONIC)
            with open(self._script["stamp"], "a") as file:
                file.write(f"{now} {what} {path}\n")

    def _answer(self, method: str, path: str, headers: "dict[str, str]") -> "Reply":
        if self._script["later"] and os.path.exists(self._script["later"]):
            with open(self._script["later"]) as file:
                self._script = {**self._script, **json.load(file)}
        script = self._script
        if script["drill"]:
            script = {**script, **_planted()}
        if path == "/health":
            return self._health(script)
        if path == "/metrics" and script["exposition"] is not None:
            if script["exposition"] == "hang":
                time.sleep(3600)
            if not os.path.exists(script["exposition"]):
                return 500, {"error": "no metrics"}
            with open(script["exposition"], "rb") as file:
                return 200, file.read()
        if script["key"] and headers.get("authorization") != f"Bearer {script['key']}":
            return 401, {"error": "no key"}
        if path in (script["paused"] or {}):
            return 200, {"result": {"is_paused": script["paused"][path]}}
        if path == "/v1/models":
            if isinstance(script["models"], int):
                return script["models"], {"error": "told so"}
            names = [script["model"]] if script["models"] is None else script["models"]
            return 200, {"object": "list", "data": [{"id": name} for name in names]}
        if path == "/settings" and script["settings"] is not None:
            return 200, script["settings"]
        if path == "/v1/chat/completions" and method == "POST":
            return self._completion(script)
        return 404, {"error": "not found"}

    def _health(self, script: "Script") -> "Reply":
        health = script["health"]
        if isinstance(health, list):
            self._healths += 1
            health = health[min(self._healths, len(health)) - 1]
        if health == "hang":
            time.sleep(3600)
        if script["health_text"] is not None:
            return health, script["health_text"].encode()
        return (304, b"") if health == 304 else (health, {"status": health})

    def _compile(self, until: str) -> None:
        """One compilation for all requests, each step of it a process of its own."""
        import subprocess

        with self._compiler:
            step = ["sh", "-c", "i=0; while [ $i -lt 40000 ]; do i=$((i+1)); done"]
            while not os.path.exists(until):
                for process in [subprocess.Popen(step) for _ in range(4)]:
                    process.wait()

    def _completion(self, script: "Script") -> "Reply":
        completion = str(script["completion"])
        if completion.isdigit():
            return int(completion), {"error": {"message": "told so"}}
        if completion == "hang":
            time.sleep(3600)
        if completion.startswith("slow:"):
            time.sleep(float(completion[5:]))
        if completion.startswith("compile:"):
            self._compile(completion.partition(":")[2])
        if completion == "garbage":
            return 200, b"<html>not what was asked for</html>"
        content = {"empty": "", "reasoning": ""}.get(completion, "Hello!")
        message = {"role": "assistant", "content": content}
        if completion == "reasoning":
            message["reasoning_content"] = "Hm"
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        return 200, {"object": "chat.completion", "choices": [choice], "usage": usage}


if __name__ == "__main__":
    main()
