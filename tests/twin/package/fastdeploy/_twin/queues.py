"""The processes behind Q and C.

The real ones are multiprocessing managers with hard-coded keys that unpickle what they are sent.
These relay JSON lines on loopback and never unpickle anything; a peer that does not greet in the
right way is dropped.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import sys
import time

from fastdeploy._twin import clock, logs, ports, release

GREETING = b'{"hello": '


def task_path(queue_port: int) -> str | None:
    """The unix socket of Q, if this release has it and it is asked for (2.6: by default)."""
    default = "1" if release.at_least("2.6") else "0"
    if release.at_least("2.3") and int(os.environ.get("FD_ENGINE_TASK_QUEUE_WITH_SHM", default)):
        return f"/dev/shm/fd_task_queue_{queue_port}.sock"
    return None


def cache_path(cache_port: int) -> str | None:
    """The unix socket of C: from 2.6 on (common_engine.py:472)."""
    return task_path(cache_port) if release.at_least("2.6") else None


def is_live(port: int) -> bool:
    """utils.py:669 of 2.6: a dead socket file counts as free."""
    path = cache_path(port)
    if path is None:
        return False
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(path)
        except OSError:
            return False
    return True


def connect(queue_port: int, who: str) -> socket.socket:
    """Join Q as ``engine`` or ``worker<rank>``; waits until it listens."""
    path = task_path(queue_port)
    while True:
        peer = socket.socket(socket.AF_UNIX if path else socket.AF_INET)
        try:
            peer.connect(path or ("127.0.0.1", queue_port))
        except OSError:
            peer.close()
            time.sleep(0.02)
            continue
        peer.sendall(json.dumps({"hello": who}).encode() + b"\n")
        return peer


def fork_server(port: int, *, relay: bool) -> int:
    """Fork a queue process that keeps the command line of its parent.

    Raises:
        EOFError: it could not bind; its own traceback says why (multiprocessing/managers.py).
    """
    reader, writer = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writer)
        answer = os.read(reader, 200).decode()
        os.close(reader)
        if answer != "ok":
            os.waitpid(pid, 0)
            raise EOFError
        return pid
    os.close(reader)
    clock.arm_lifetime()
    # BaseManager._run_server ignores SIGINT; SIGTERM keeps its default.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        listener = _listen(port, task_path(port) if relay else cache_path(port))
    except OSError as error:
        logs.stderr(
            "Process QueueManager-1:\nTraceback (most recent call last):\n"
            '  File "/usr/lib/python3.11/multiprocessing/connection.py", line 607, in __init__\n'
            f"    self._socket.bind(address)\nOSError: {error}\n"
        )
        os.write(writer, b"no")
        os._exit(1)
    os.write(writer, b"ok")
    os.close(writer)
    try:
        _serve(listener, relay)
    finally:
        os._exit(1)
    sys.exit(1)


def _listen(port: int, path: str | None) -> socket.socket:
    if path:
        if os.path.exists(path) and not release.at_least("2.6"):
            os.unlink(path)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
    else:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        ports.note("0.0.0.0", port)
    listener.listen(16)
    return listener


def _serve(listener: socket.socket, relay: bool) -> None:
    poller = selectors.DefaultSelector()
    poller.register(listener, selectors.EVENT_READ)
    pending: dict[socket.socket, bytes] = {}
    names: dict[socket.socket, str] = {}
    waiting: list[bytes] = []
    burning = clock.Waiting(0.025)
    if relay:
        burning.begin()

    def drop(peer: socket.socket) -> None:
        poller.unregister(peer)
        pending.pop(peer, None)
        names.pop(peer, None)
        peer.close()

    while True:
        for ready, _ in poller.select():
            peer = ready.fileobj
            assert isinstance(peer, socket.socket)
            if peer is listener:
                fresh, _ = listener.accept()
                pending[fresh] = b""
                poller.register(fresh, selectors.EVENT_READ)
                continue
            try:
                block = peer.recv(65536)
            except OSError:
                block = b""
            buffer = pending.get(peer, b"") + block
            greeted = peer in names
            if not block or (not greeted and not buffer.startswith(GREETING[: len(buffer)])):
                drop(peer)
                continue
            *lines, pending[peer] = buffer.split(b"\n")
            for line in lines:
                if peer not in names:
                    names[peer] = str(json.loads(line).get("hello"))
                    if names[peer] == "engine":  # the scheduler: the load is over
                        burning.end()
                elif relay and names[peer] == "engine":
                    waiting.append(line + b"\n")
            for target in [identity for identity, name in names.items() if name == "worker0"]:
                try:
                    while waiting:
                        target.sendall(waiting[0])
                        waiting.pop(0)
                except OSError:
                    drop(target)
