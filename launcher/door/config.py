"""The front door's whole configuration, rendered from values; nothing is read or started here.

What each line is for stands beside it in the file, because the file is what an operator reads.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from launcher.door import messages
from launcher.door.key_rules import LOG_FIELDS, request_rules, response_rules, tables
from launcher.door.keys import KeyTable
from launcher.door.messages import GatewayServer
from launcher.engines.haproxy.engine import STATS_SOCKET

BACKEND = "replicas"
FRONTEND = "door"
REQUEST_RETRIES = 2
"""Times a request is sent again, to another replica, while no byte of an answer has come."""
CHECK_INTERVAL = 1.0
"""Seconds between two checks of a replica; two failures take it out, one success takes it in."""
CHECK_FALL, CHECK_RISE = 2, 1
STATS_CONNECTIONS = 50
"""Connections of the keeper and of scrapers of metrics, beside those of clients."""
MOST_WEIGHT = 256
"""The largest weight HAProxy takes."""
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,60}")
_PATH = re.compile(r"/[A-Za-z0-9._/@+=,:~-]{0,400}")
_HOST = re.compile(r"[A-Za-z0-9.:-]{1,100}")
_FRAME = "description frame "


@dataclass(frozen=True)
class DoorSettings:
    """What the front door of the service `name` is; times are seconds.

    `address` and `port` are public, `stats_port` is on 127.0.0.1: they are part of the instance's
    plan and change only by a restart. `certificate` is the path of a PEM file with certificate,
    chain and key; with one, clients use https. `connect_timeout` bounds a connection to a
    replica, `request_timeout` the arrival of a whole request, `queue_timeout` the wait for a
    replica where `replica_connections` bounds the requests each works on. `response_timeout` is
    the longest silence of a replica, before and within an answer: a reasoning model may think for
    minutes. `client_timeout` is the longest time in which a client takes nothing. `keep_alive` is
    how long an idle client's connection is kept: longer than the pools of clients keep theirs
    (httpx 5 s, aiohttp 15 s), and the longest time that a door without requests takes to stop.
    `retry_buffer` are the bytes up to which a request can be sent to another replica.
    `max_connections` are open at the same time; more wait in the kernel. `retry_after` is what
    clients are told where no replica is ready. `exporter` is false for a HAProxy that was built
    without Prometheus. `retry_statuses` are answers of a replica with which a request goes to
    another one: it says that it could not serve it. With `keys` a request needs one of them;
    None: every request is served.
    """

    name: str
    address: str = "127.0.0.1"
    port: int | Literal["auto"] = "auto"
    stats_port: int | Literal["auto"] = "auto"
    certificate: str | None = None
    connect_timeout: float = 5.0
    request_timeout: float = 60.0
    response_timeout: float = 1800.0
    queue_timeout: float = 60.0
    client_timeout: float = 1800.0
    keep_alive: float = 20.0
    retry_buffer: int = 2 * 1024 * 1024
    max_connections: int = 2000
    replica_connections: int | None = None
    retry_after: int = 5
    retry_statuses: tuple[int, ...] = ()
    exporter: bool = True
    keys: KeyTable | None = None
    gateway: GatewayServer | None = None


@dataclass(frozen=True)
class Server:
    """A replica: the instance's name, where its API listens, and where its keeper does.

    `ready_port` is the keeper's port, whose `/readyz` is checked. `weight` is its share of the new
    requests (0 to 256): with 0 it gets none and ends those it has.
    """

    name: str
    address: str
    port: int
    ready_port: int
    weight: int = 100

    def __post_init__(self) -> None:
        """Refuse what the configuration could not hold.

        Raises:
            ValueError: a value is outside its range.
        """
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"{self.name!r} cannot be the name of a server")
        if not _HOST.fullmatch(self.address):
            raise ValueError(f"{self.address!r} cannot be an address")
        for port in (self.port, self.ready_port):
            if not 0 < port < 65536:
                raise ValueError(f"{port} is not a port")
        if not 0 <= self.weight <= MOST_WEIGHT:
            raise ValueError(f"the weight {self.weight} is not between 0 and {MOST_WEIGHT}")


def render(settings: DoorSettings, servers: Sequence[Server]) -> str:
    """The whole configuration; the servers come last, in the order given.

    Raises:
        ValueError: a value cannot stand in a configuration, or a server is named twice.
    """
    names = [server.name for server in servers]
    if len(set(names)) < len(names):
        raise ValueError(f"a server is named twice: {', '.join(sorted(names))}")
    sections = (_global, _defaults, _stats, _key_tables, _frontend, _gateway, _backend)
    body = "\n".join(line for section in sections for line in section(settings))
    text = body.replace(_FRAME, f"{_FRAME}{_digest(body)}", 1)
    lines = [f"    server {server.name} {' '.join(server_words(settings, server))}"
             for server in servers]  # fmt: skip
    return "\n".join((text, *lines, ""))


def frame_of(text: str) -> str:
    """What stands in a configuration beside its servers, as a digest; empty where it has none.

    A running HAProxy tells it by `show info` (its description), so file and process can be
    compared.
    """
    match = re.search(rf"^ *{_FRAME}([0-9a-f]+)$", text, re.MULTILINE)
    return match[1] if match else ""


def server_words(settings: DoorSettings, server: Server) -> tuple[str, ...]:
    """What follows a server's name, in the file and in `add server`: one place for both.

    A server that is added while HAProxy runs takes nothing from `default-server`.
    """
    address = f"[{server.address}]" if ":" in server.address else server.address
    arguments = [
        f"{address}:{server.port}", "weight", str(server.weight),
        "check", "port", str(server.ready_port), "inter", _milliseconds(CHECK_INTERVAL),
        "fall", str(CHECK_FALL), "rise", str(CHECK_RISE),
        # A refused connection takes it out at once, until a check passes: the check alone would
        # see a dead replica after 2 s, and each request in between would use up its retries.
        "observe", "layer4", "error-limit", "1", "on-error", "mark-down",
    ]  # fmt: skip
    if settings.replica_connections is not None:
        arguments += ["maxconn", str(settings.replica_connections)]
    return tuple(arguments)


def open_connections(settings: DoorSettings) -> int:
    """Connections that may be open on this side: the clients', and the gateway's for them."""
    return settings.max_connections * (1 if settings.gateway is None else 2)


def _digest(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()[:16]


def _global(settings: DoorSettings) -> tuple[str, ...]:
    if not _NAME.fullmatch(settings.name):
        raise ValueError(f"{settings.name!r} cannot be the name of a service")
    if settings.max_connections < 1 or settings.retry_buffer < 16 * 1024:
        raise ValueError("max_connections is at least 1 and retry_buffer at least 16384")
    return (
        f"# The front door of {settings.name}. Written by ernie-deploy: changes by hand are lost.",
        "global",
        f"    {_FRAME}",
        "    # More than clients may open: at their limit the keeper must still reach /healthz.",
        f"    maxconn {open_connections(settings) + STATS_CONNECTIONS}",
        "    # The keeper records what is printed: private, rotated.",
        "    log stdout format raw local0 info",
        f'    stats socket "${{TMPDIR}}/{STATS_SOCKET}" mode 600 level admin expose-fd listeners',
        "    stats timeout 1m",
        "    # After a reload the old worker closes no connection between two requests: a client",
        "    # that sends at that moment would see an error. Its next answer closes it (frontend).",
        "    close-spread-time infinite",
        "    # A request is sent again only if one buffer holds the whole of it.",
        f"    tune.bufsize {settings.retry_buffer}",
        "    ssl-default-bind-options ssl-min-ver TLSv1.2",
        "",
    )


def _defaults(settings: DoorSettings) -> tuple[str, ...]:
    response = _milliseconds(settings.response_timeout)
    return (
        "defaults",
        "    mode http",
        "    log global",
        "    # Each chunk of a stream is sent at once: the kernel would keep the first for 200 ms.",
        "    option http-no-delay",
        "    # A client that has gone stops its request. Not in the backend: the frontend reads a",
        "    # whole request before there is a backend, and would look for no end after it.",
        "    option abortonclose",
        f"    timeout connect {_milliseconds(settings.connect_timeout)}",
        f"    timeout http-request {_milliseconds(settings.request_timeout)}",
        f"    timeout http-keep-alive {_milliseconds(settings.keep_alive)}",
        f"    timeout queue {_milliseconds(settings.queue_timeout)}",
        f"    timeout client {_milliseconds(settings.client_timeout)}",
        "    # The longest silence of a replica: a reasoning model may think for minutes.",
        f"    timeout server {response}",
        *(_error(status, settings) for status in _ERRORS),
        "",
    )


_ERRORS = {
    400: ("invalid_request_error", "bad_request", "the request is not valid HTTP"),
    408: ("invalid_request_error", "request_timeout", "the request did not arrive in time"),
    500: ("server_error", "internal_error", "the front door has failed"),
    502: ("server_error", "bad_replica", "the replica closed the connection without an answer"),
    503: ("server_error", "no_replica", "no replica is ready; try again later"),
    504: ("server_error", "replica_timeout", "the replica did not answer in time"),
}
"""Status of an answer that HAProxy makes itself: type, code and message of the body."""


def _error(status: int, settings: DoorSettings) -> str:
    kind, code, message = _ERRORS[status]
    error = {"message": message, "type": kind, "param": None, "code": code}
    body = json.dumps({"error": error})
    header = f" hdr Retry-After {settings.retry_after}" if status == 503 else ""
    return f"    http-error status {status} content-type application/json string '{body}'{header}"


def _stats(settings: DoorSettings) -> tuple[str, ...]:
    metrics = "    http-request use-service prometheus-exporter if { path /metrics }"
    return (
        "frontend stats",
        '    bind "${DOOR_STATS_BIND}"',
        f"    maxconn {STATS_CONNECTIONS}",
        "    no log",
        "    monitor-uri /healthz",
        *((metrics,) if settings.exporter else ()),
        "    http-request return status 404",
        "",
    )


def _key_tables(settings: DoorSettings) -> tuple[str, ...]:
    return tables(settings.keys) if settings.keys is not None else ()


def _frontend(settings: DoorSettings) -> tuple[str, ...]:
    tls = ""
    if settings.certificate is not None:
        if not _PATH.fullmatch(settings.certificate):
            raise ValueError(f"{settings.certificate!r} cannot be the path of a certificate here")
        tls = f" ssl crt {settings.certificate} alpn h2,http/1.1"
    scheme = "https" if tls else "http"
    return (
        f"frontend {FRONTEND}",
        f'    bind "${{DOOR_BIND}}"{tls}',
        f"    maxconn {settings.max_connections}",
        "    option dontlognull",
        "    # A retry needs the whole request, and a slow client must not hold a replica.",
        "    option http-buffer-request",
        "    option forwardfor",
        f"    http-request set-header X-Forwarded-Proto {scheme}",
        "    # Judged whole: a part of it could write fields of the log otherwise.",
        "    http-request set-var(txn.id) req.fhdr(x-request-id)",
        "    acl has_id var(txn.id) -m reg ^[A-Za-z0-9._:=+/@-]{1,128}$",
        "    http-request set-var(txn.id) uuid() unless has_id",
        "    http-request set-header X-Request-ID %[var(txn.id)]",
        "    http-after-response set-header X-Request-ID %[var(txn.id)]",
        "    http-after-response set-header Connection close if { stopping }",
        *(request_rules(settings.keys) if settings.keys is not None else ()),
        *messages.rules(settings.gateway, keyed=settings.keys is not None),
        f'    log-format "{_log_format(settings)}"',
        f"    default_backend {BACKEND}",
        "",
    )


def _log_format(settings: DoorSettings) -> str:
    fields = f" {LOG_FIELDS}" if settings.keys is not None else ""
    return _LOG_FORMAT.replace(" method=", f"{fields} method=")


_LOG_FORMAT = (
    "access id=%[var(txn.id)] time=%Ts.%ms client=%ci:%cp status=%ST server=%s retries=%rc"
    " request_ms=%TR queue_ms=%Tw connect_ms=%Tc first_byte_ms=%Tr total_ms=%Ta"
    " received=%U sent=%B end=%tsc active=%ac queued=%bq method=%HM path=%HPO"
)
"""No query string, header or body: they hold keys and prompts. A long path is cut at the end."""


def _gateway(settings: DoorSettings) -> tuple[str, ...]:
    counted = response_rules() if settings.keys is not None else ()
    return (
        *messages.inner_frontend(settings.max_connections, BACKEND),
        *messages.backend(
            settings.gateway, _milliseconds(CHECK_INTERVAL), settings.retry_after, counted
        ),
    )


def _backend(settings: DoorSettings) -> tuple[str, ...]:
    statuses = "".join(f" {status}" for status in settings.retry_statuses)
    return (
        f"backend {BACKEND}",
        "    # Exact shares by weight while idle, and the less busy of two when loaded.",
        "    balance random(2)",
        "    # A connection for each request: none that a replica has just closed is used again,",
        "    # and a replica without requests can be removed at once.",
        "    option http-server-close",
        f"    retries {REQUEST_RETRIES}",
        "    option redispatch 1",
        "    # Only while no byte of an answer has come.",
        f"    retry-on conn-failure empty-response{statuses}",
        *(response_rules() if settings.keys is not None else ()),
        "    # The keeper's judgement: the engine is proved, and not stalled.",
        "    option httpchk",
        "    http-check send meth GET uri /readyz ver HTTP/1.1 hdr Host localhost",
        "    http-check expect status 200",
    )


def _milliseconds(seconds: float) -> str:
    """A time in HAProxy's form.

    Raises:
        ValueError: it is not above 0, or more than 24 days (HAProxy's limit).
    """
    if not (math.isfinite(seconds) and 0.001 <= seconds <= 2_000_000):
        raise ValueError(f"{seconds} cannot be a time-out")
    return f"{round(seconds * 1000)}ms"
