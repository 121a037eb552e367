"""HAProxy's runtime socket: one command a connection, a bounded answer, every answer judged."""

from __future__ import annotations

import csv
import io
import re
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from launcher.door.config import BACKEND, Server, server_words
from launcher.errors import PreconditionError

TIMEOUT = 5.0
LONGEST_ANSWER = 4 * 1024 * 1024
REMOVE_DEADLINE = 10.0
"""Seconds until a server in maintenance has no idle connection any more."""
REMOVE_POLL = 0.02
_WORKER = re.compile(r"^(\d+)\s+worker\s", re.MULTILINE)


class RuntimeRefused(Exception):  # noqa: N818 - what happened to a command
    """HAProxy did not do what it was told; the text is its answer."""


@dataclass(frozen=True)
class ServerState:
    """One server as HAProxy sees it now.

    `state` is `up`, `down`, `drain` or `maint`. `sessions` are requests it works on, `answers` the
    responses it has given, `failed` those with a status of 5xx, and connections and answers that
    broke. `mean_total` is the mean duration of its newest 1,024 answers, in seconds.
    """

    name: str
    address: str
    port: int
    weight: int
    state: str
    sessions: int
    queued: int
    answers: int
    failed: int
    cut: int
    mean_total: float


@dataclass(frozen=True)
class Totals:
    """What the door counted as a whole: requests, answers by class, retries."""

    requests: int
    answers_2xx: int
    answers_4xx: int
    answers_5xx: int
    retries: int
    redispatches: int
    sessions: int


def command(path: str, text: str, timeout: float = TIMEOUT) -> str:
    """Send one command and return the whole answer.

    Raises:
        OSError: nothing listens there, or it did not answer in time.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout)
        connection.connect(path)
        connection.sendall(text.encode() + b"\n")
        connection.shutdown(socket.SHUT_WR)
        parts, size = [], 0
        end = time.monotonic() + timeout
        while data := connection.recv(65536):
            parts.append(data)
            size += len(data)
            if size > LONGEST_ANSWER or time.monotonic() > end:
                raise TimeoutError("the answer does not end")
    return b"".join(parts).decode("utf-8", errors="replace")


class Door:
    """A running HAProxy by its runtime socket."""

    def __init__(self, path: str | Path) -> None:
        """`path` is the socket's; nothing is connected yet."""
        self._path = str(path)

    def _do(self, text: str, *expected: str) -> str:
        """Carry out a command whose answer is empty, or has one of `expected` in it.

        Raises:
            RuntimeRefused: HAProxy answered something else.
            OSError: it cannot be reached.
        """
        answer = command(self._path, text).strip()
        if answer and not any(word in answer for word in expected):
            raise RuntimeRefused(f"`{text.split(' weight ')[0]}`: {' '.join(answer.split())[:300]}")
        return answer

    def _rows(self) -> list[dict[str, str]]:
        text = command(self._path, "show stat").lstrip("# ")
        return list(csv.DictReader(io.StringIO(text)))

    def servers(self) -> dict[str, ServerState]:
        """Every server of the door, by name.

        Raises:
            OSError: HAProxy cannot be reached.
        """
        addresses = self._addresses()
        states = {}
        for row in self._rows():
            name = row.get("svname", "")
            if row.get("pxname") != BACKEND or name in ("BACKEND", "FRONTEND"):
                continue
            address, port = addresses.get(name, ("", 0))
            states[name] = ServerState(
                name=name,
                address=address,
                port=port,
                weight=_number(row, "weight"),
                state=_state(row.get("status", "")),
                sessions=_number(row, "scur"),
                queued=_number(row, "qcur"),
                answers=sum(_number(row, f"hrsp_{kind}") for kind in ("2xx", "3xx", "4xx", "5xx")),
                failed=_number(row, "hrsp_5xx") + _number(row, "econ") + _number(row, "eresp"),
                cut=_number(row, "srv_abrt") + _number(row, "eresp"),
                mean_total=_number(row, "ttime") / 1000,
            )
        return states

    def totals(self) -> Totals:
        """What the door counted as a whole since its worker started.

        Raises:
            OSError: HAProxy cannot be reached.
        """
        rows = {(row.get("pxname"), row.get("svname")): row for row in self._rows()}
        front = rows.get(("door", "FRONTEND"), {})
        back = rows.get((BACKEND, "BACKEND"), {})
        return Totals(
            requests=_number(front, "req_tot"),
            answers_2xx=_number(front, "hrsp_2xx"),
            answers_4xx=_number(front, "hrsp_4xx"),
            answers_5xx=_number(front, "hrsp_5xx"),
            retries=_number(back, "wretr"),
            redispatches=_number(back, "wredis"),
            sessions=_number(front, "scur"),
        )

    def _addresses(self) -> Mapping[str, tuple[str, int]]:
        """Address and port of every server, from `show servers state`."""
        lines = command(self._path, f"show servers state {BACKEND}").splitlines()
        names: list[str] = []
        addresses = {}
        for line in lines:
            if line.startswith("# "):
                names = line[2:].split()
            elif names and len(values := line.split()) >= len(names):
                row = dict(zip(names, values, strict=False))
                addresses[row["srv_name"]] = (row["srv_addr"], int(row["srv_port"]))
        return addresses

    def add(self, server: Server) -> None:
        """Add a server that was proved to work; it gets requests at once.

        Raises:
            RuntimeRefused, OSError: it was not added.
        """
        at = f"{BACKEND}/{server.name}"
        self._do(f"add server {at} {server_words(server)}", "New server registered")
        self._do(f"enable health {at}")
        self._do(f"enable server {at}")

    def set_weight(self, name: str, weight: int) -> None:
        """Give a server a weight of 0 (no new requests) to 256.

        Raises:
            RuntimeRefused, OSError: it was not changed.
        """
        self._do(f"set server {BACKEND}/{name} weight {weight}")

    def remove(self, name: str) -> None:
        """Take a server away; requests that it still works on are cut.

        Raises:
            RuntimeRefused, OSError: it is still there.
        """
        at = f"{BACKEND}/{name}"
        self._do(f"set server {at} state maint")
        self._do(f"shutdown sessions server {at}")
        end = time.monotonic() + REMOVE_DEADLINE
        while True:
            try:
                self._do(f"del server {at}", "Server deleted")
            except RuntimeRefused:
                # Idle connections are closed soon; the kernel and HAProxy tell nobody when.
                if time.monotonic() > end:
                    raise
                time.sleep(REMOVE_POLL)
            else:
                return


def workers(master: str | Path) -> tuple[int, ...]:
    """The pids of the workers that are no old ones, by the master's socket.

    Raises:
        OSError: the master cannot be reached.
    """
    text = command(str(master), "show proc").partition("# old workers")[0]
    return tuple(int(pid) for pid in _WORKER.findall(text))


def reload(master: str | Path, deadline: float = 30.0) -> None:
    """Let a new worker take over with the configuration on disk; running requests end in the old.

    Raises:
        PreconditionError: the new configuration was refused; the old worker goes on.
        OSError: the master cannot be reached.
    """
    before = workers(master)
    command(str(master), "reload")
    end = time.monotonic() + deadline
    while time.monotonic() < end:
        try:
            now = workers(master)
        except OSError:
            now = ()  # the master executes itself anew, which takes a moment
        if now and not set(now) & set(before):
            return
        time.sleep(REMOVE_POLL)
    raise PreconditionError.of(
        "door-reload-refused", "HAProxy did not take over the new configuration; the one before"
        " is in force", None, "`ernie-deploy logs` of the front door's instance shows why",
    )  # fmt: skip


def _number(row: Mapping[str, str], name: str) -> int:
    value = row.get(name) or "0"
    return int(value) if value.lstrip("-").isdigit() else 0


def _state(status: str) -> str:
    """`UP 1/2` and `no check` are up; `DRAIN` and `MAINT` may have more behind them."""
    word = status.split(" ")[0].upper()
    return {"UP": "up", "NO": "up", "DRAIN": "drain", "MAINT": "maint"}.get(word, "down")
