"""The running front door: its servers, its counters, and changes without a reload.

Everything goes through the two sockets of HAProxy: that of the worker (`show`, `add server`, ...)
and that of the master, by which workers that still finish requests after a reload are reached.
"""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from launcher.door.config import BACKEND, FRONTEND, DoorSettings, Server, server_words
from launcher.door.master import old_workers, worker_command
from launcher.door.socket_client import exchange
from launcher.errors import DeadlineError, DeployError, PreconditionError

IDLE_POLL = 0.05
"""Seconds between two looks at a server that ends its requests: HAProxy tells of no end."""
State = Literal["up", "down", "drain", "maint"]
OnProgress = Callable[["ServerState"], None]


@dataclass(frozen=True)
class ServerState:
    """A server as the running HAProxy has it.

    `state` is `up` (it gets requests), `down` (its check fails), `drain` (no new requests) or
    `maint` (no requests, no checks). `sessions` are the requests at work, those of workers before
    a reload included; `queued` wait for it.
    """

    name: str
    address: str
    port: int
    ready_port: int
    weight: int
    state: State
    sessions: int
    queued: int

    @property
    def is_idle(self) -> bool:
        """True where no request is at work or waits."""
        return self.sessions == 0 and self.queued == 0


@dataclass(frozen=True)
class Counters:
    """Requests since the worker's start, of the frontend or of one server.

    `classes` are answers by the first digit of their status. `connect_errors` are connections that
    a server refused, `response_errors` answers that broke off or never began, `retries` requests
    sent again, `redispatches` those sent to another server, `client_aborts` transfers that the
    client broke off, `server_aborts` those that a server did. Times are in milliseconds over the
    last 1024 requests: `first_byte` until an answer began, `total` for the whole of it.
    """

    name: str
    requests: int
    classes: Mapping[str, int]
    connect_errors: int
    response_errors: int
    retries: int
    redispatches: int
    client_aborts: int
    server_aborts: int
    sessions: int
    queued: int
    first_byte_average: int
    total_average: int


@dataclass(frozen=True)
class Totals:
    """The counters of the whole door, of all servers together, and of each server by name.

    An answer that HAProxy made itself (503 without a replica) is in `frontend` only.
    """

    frontend: Counters
    backend: Counters
    servers: Mapping[str, Counters]


class Door:
    """The commands of one running front door."""

    def __init__(self, stats_socket: Path, master_socket: Path, backend: str = BACKEND) -> None:
        """Speak to the HAProxy whose sockets these are; nothing is asked yet."""
        self._stats = stats_socket
        self._master = master_socket
        self._backend = backend

    # -- questions --------------------------------------------------------------------------------

    def servers(self) -> tuple[ServerState, ...]:
        """Every server, in the order of HAProxy.

        Raises:
            PreconditionError: HAProxy does not answer as it should.
        """
        places = {row["srv_name"]: row for row in self._addresses()}
        sessions = self._sessions_of_old_workers()
        states = []
        for row in self._rows():
            name = row.get("svname", "")
            if row.get("pxname") != self._backend or name not in places:
                continue
            address = places[name]
            weight = _number(address, "srv_uweight")
            states.append(
                ServerState(
                    name=name,
                    address=address["srv_addr"],
                    port=_number(address, "srv_port"),
                    ready_port=_number(address, "srv_check_port"),
                    weight=weight,
                    state=_state(row.get("status", ""), weight),
                    sessions=_number(row, "scur") + sessions.get(name, 0),
                    queued=_number(row, "qcur"),
                )
            )
        return tuple(states)

    def server(self, name: str) -> ServerState:
        """The server called `name`.

        Raises:
            PreconditionError: there is none, or HAProxy does not answer as it should.
        """
        for state in self.servers():
            if state.name == name:
                return state
        raise PreconditionError.of("unknown-server", f"the front door has no server {name!r}")

    def totals(self) -> Totals:
        """The counters since the start of the worker: a reload begins at 0.

        Raises:
            PreconditionError: HAProxy does not answer as it should.
        """
        rows = self._rows()
        mine = [row for row in rows if row.get("pxname") == self._backend]
        fronts = [row for row in rows if row.get("pxname") == FRONTEND]
        front = [row for row in fronts if row.get("svname") == "FRONTEND"]
        back = [row for row in mine if row.get("svname") == "BACKEND"]
        if not front or not back:
            raise _strange("show stat", "it lists no frontend")
        servers = [row for row in mine if row.get("svname") not in ("BACKEND", "FRONTEND")]
        return Totals(
            _counters(front[0]),
            _counters(back[0]),
            {row["svname"]: _counters(row) for row in servers},
        )

    def frame(self) -> str:
        """The digest of the configuration that runs, see `launcher.door.config.frame_of`.

        Raises:
            PreconditionError: HAProxy does not answer.
        """
        for line in self._ask("show info").splitlines():
            key, _, value = line.partition(":")
            if key.strip().lower() == "description":
                return value.strip().removeprefix("frame ")
        return ""

    # -- changes ----------------------------------------------------------------------------------

    def add(self, settings: DoorSettings, server: Server) -> None:
        """Add a server, with checks. It counts as up at once: prove the replica before.

        Raises:
            PreconditionError: HAProxy refuses it; it is not there then.
        """
        arguments = " ".join(server_words(settings, server))
        target = f"{self._backend}/{server.name}"
        self._order(f"add server {target} {arguments}", "New server registered")
        try:
            self._order(f"enable health {target}")
            self._order(f"enable server {target}")
            if self.server(server.name).state not in ("up", "drain"):
                raise _strange("enable server", f"{server.name} is not in use")
        except DeployError:
            self._ask(f"set server {target} state maint")
            self._ask(f"del server {target}")
            raise

    def move(self, server: Server) -> None:
        """Send the next requests of a server to another address; running ones are not touched.

        Raises:
            PreconditionError: HAProxy refuses it.
        """
        target = f"{self._backend}/{server.name}"
        self._ask(f"set server {target} addr {server.address} port {server.port}")
        self._ask(f"set server {target} check-port {server.ready_port}")
        now = self.server(server.name)
        if (now.address, now.port, now.ready_port) != (
            server.address, server.port, server.ready_port
        ):  # fmt: skip
            raise _strange("set server addr", f"{server.name} is at {now.address}:{now.port}")

    def set_weight(self, name: str, weight: int) -> None:
        """Change a server's share of the new requests, 0 to 256.

        Raises:
            PreconditionError: HAProxy refuses it.
        """
        self._order(f"set server {self._backend}/{self.server(name).name} weight {weight}")

    def drain(self, name: str) -> None:
        """Give a server no new requests; it ends those it has, and is checked on.

        Raises:
            PreconditionError: HAProxy refuses it.
        """
        self._order(f"set server {self._backend}/{self.server(name).name} state drain")

    def resume(self, name: str) -> None:
        """Give a server requests again, after `drain` or where it is in maintenance.

        Raises:
            PreconditionError: HAProxy refuses it.
        """
        self._order(f"set server {self._backend}/{self.server(name).name} state ready")

    def wait_until_idle(
        self, name: str, deadline: float, on_progress: OnProgress | None = None
    ) -> None:
        """Return when no request is at work on a server; `deadline` in seconds from now.

        `on_progress` is called at each change of the number of requests.

        Raises:
            DeadlineError: some still are.
            PreconditionError: the server does not exist, or HAProxy does not answer.
        """
        end = time.monotonic() + deadline
        before: tuple[int, int] | None = None
        while True:
            now = self.server(name)
            if (now.sessions, now.queued) != before and on_progress is not None:
                on_progress(now)
            before = (now.sessions, now.queued)
            if now.is_idle:
                return
            if time.monotonic() >= end:
                raise DeadlineError.of(
                    "requests-running",
                    f"{name} still works on {now.sessions} requests after {deadline:g} s",
                    remedy="give it more time to drain",
                )
            time.sleep(min(IDLE_POLL, max(0.0, end - time.monotonic())))

    def remove(
        self, name: str, deadline: float = 30.0, on_progress: OnProgress | None = None
    ) -> None:
        """Take a server out: maintenance, wait until it is idle, delete.

        Raises:
            DeadlineError: requests still run after `deadline` seconds; it is in maintenance then.
            PreconditionError: HAProxy refuses it.
        """
        target = f"{self._backend}/{self.server(name).name}"
        self._order(f"set server {target} state maint")
        self.wait_until_idle(name, deadline, on_progress)
        self._order(f"del server {target}", "Server deleted")

    # -- words ------------------------------------------------------------------------------------

    def _ask(self, command: str) -> str:
        return exchange(self._stats, command)

    def _order(self, command: str, expected: str = "") -> None:
        """A command whose answer is known: `expected`, or nothing."""
        answer = self._ask(command).strip()
        if answer != expected.strip() and not (expected and answer.startswith(expected)):
            raise PreconditionError.of(
                "door-refused", f"HAProxy refuses `{command}`: {answer or 'no answer'}"
            )

    def _rows(self) -> list[dict[str, str]]:
        return _table("show stat", self._ask("show stat"))

    def _addresses(self) -> list[dict[str, str]]:
        command = f"show servers state {self._backend}"
        lines = self._ask(command).splitlines()
        if len(lines) < 2 or lines[0].strip() != "1" or not lines[1].startswith("# "):
            raise _strange(command, "its form is not known")
        keys = lines[1].removeprefix("# ").split()
        rows = [dict(zip(keys, line.split(), strict=False)) for line in lines[2:] if line.strip()]
        if any(len(row) < len(keys) for row in rows):
            raise _strange(command, "a line is short")
        return rows

    def _sessions_of_old_workers(self) -> dict[str, int]:
        """Requests that workers of before a reload still finish, by server."""
        counts: dict[str, int] = {}
        for pid in old_workers(self._master):
            answer = worker_command(self._master, pid, "show stat")
            if answer is None:
                continue  # it has ended since it was listed
            for row in _table("show stat", answer):
                if row.get("pxname") == self._backend:
                    name = row.get("svname", "")
                    counts[name] = counts.get(name, 0) + _number(row, "scur")
        return counts


def _table(command: str, text: str) -> list[dict[str, str]]:
    """An answer in CSV, whose first line begins with `# `."""
    if not text.startswith("# "):
        raise _strange(command, "its form is not known")
    return [
        {key: value or "" for key, value in row.items() if key}
        for row in csv.DictReader(io.StringIO(text.removeprefix("# ").strip()))
    ]


def _counters(row: Mapping[str, str]) -> Counters:
    frontend = row.get("svname") == "FRONTEND"
    return Counters(
        name=row.get("svname", ""),
        requests=_number(row, "req_tot" if frontend else "stot"),
        classes={digit: _number(row, f"hrsp_{digit}") for digit in ("1xx", "2xx", "3xx", "4xx",
                                                                   "5xx", "other")},
        connect_errors=_number(row, "econ"),
        response_errors=_number(row, "eresp"),
        retries=_number(row, "wretr"),
        redispatches=_number(row, "wredis"),
        client_aborts=_number(row, "cli_abrt"),
        server_aborts=_number(row, "srv_abrt"),
        sessions=_number(row, "scur"),
        queued=_number(row, "qcur"),
        first_byte_average=_number(row, "rtime"),
        total_average=_number(row, "ttime"),
    )  # fmt: skip


def _state(status: str, weight: int) -> State:
    """HAProxy calls a server with weight 0 up, although it gets nothing."""
    word = status.partition(" ")[0]
    if word == "UP" and weight == 0:
        return "drain"
    states: Mapping[str, State] = {"UP": "up", "DRAIN": "drain", "MAINT": "maint"}
    return states.get(word, "down")


def _number(row: Mapping[str, str], key: str) -> int:
    """A field that holds a whole number; 0 where HAProxy has nothing to count."""
    text = row.get(key, "")
    if text and not (text.isascii() and text.isdigit() and len(text) <= 20):
        raise _strange("show stat", f"{key} is {text[:40]!r}")
    return int(text or 0)


def _strange(command: str, what: str) -> DeployError:
    return PreconditionError.of(
        "door-answer", f"HAProxy's answer to `{command}` cannot be used: {what}"
    )
