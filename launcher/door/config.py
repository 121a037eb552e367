"""HAProxy's configuration as a pure function of settings and servers.

What was measured with HAProxy 2.6.12 and decides some lines is said beside them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

BACKEND = "replicas"
FRONTEND = "door"
RETRIES = 2
"""Further tries of a request of which no byte of an answer has come.

One more would lose a request where two replicas die together; with five, a prompt that crashes its
server would take all replicas with it.
"""
FALL, RISE, CHECK_SECONDS = 2, 1, 1
HEALTH_PATH = "/healthz"
METRICS_PATH = "/metrics"
STATS_SOCKET = "stats.sock"


@dataclass(frozen=True)
class DoorSettings:
    """What the front door is, apart from its servers; times in seconds, sizes in bytes.

    `certificate` is the path of a PEM file with certificate, chain and key. `exporter`: this
    HAProxy has the Prometheus exporter. `queue_timeout` is the longest wait for a free connection
    to a replica, `response_timeout` the longest silence of a replica.
    """

    name: str
    address: str
    port: int
    stats_port: int
    certificate: str | None = None
    connect_timeout: float = 5.0
    request_timeout: float = 30.0
    response_timeout: float = 1800.0
    client_timeout: float = 1800.0
    queue_timeout: float = 60.0
    retry_buffer: int = 2 * 1024 * 1024
    max_connections: int = 2000
    retry_after: int = 5
    exporter: bool = True


@dataclass(frozen=True)
class Server:
    """One replica: `ready_port` is its keeper's, which is asked GET /readyz."""

    name: str
    address: str
    port: int
    ready_port: int
    weight: int


def server_words(server: Server) -> str:
    """What follows the server's name, for the file and for `add server` alike."""
    return (
        f"{_host_port(server.address, server.port)} weight {server.weight}"
        f" check port {server.ready_port} inter {CHECK_SECONDS}s fastinter 500ms"
        f" fall {FALL} rise {RISE}"
    )


def render(settings: DoorSettings, servers: Sequence[Server]) -> str:
    """The whole configuration file; the same input gives the same text."""
    lines = [
        f"# The front door of {settings.name}, written by ernie-deploy: changes here are lost.",
        "global",
        f"    maxconn {settings.max_connections}",
        "    # Requests to stdout, which the keeper records with mode 0600 and rotates.",
        "    log stdout format raw local0 info",
        "    # In the working directory, which the keeper makes anew for each start.",
        f"    stats socket unix@{STATS_SOCKET} mode 600 level admin expose-fd listeners",
        "    stats timeout 1m",
        "    # A request is kept whole until its answer begins, so that it can be sent again.",
        f"    tune.bufsize {settings.retry_buffer}",
        f"    hard-stop-after {_time(max(settings.response_timeout, settings.client_timeout) * 2)}",
        *(["    ssl-default-bind-options ssl-min-ver TLSv1.2"] if settings.certificate else []),
        "",
        "defaults",
        "    mode http",
        "    log global",
        "    option dontlognull",
        "    # A client that leaves ends its request at the engine too.",
        "    option abortonclose",
        "    option redispatch 1",
        f"    retries {RETRIES}",
        "    # Only what was not answered at all: an answer that has begun is never repeated.",
        "    retry-on conn-failure empty-response",
        f"    timeout connect {_time(settings.connect_timeout)}",
        f"    timeout http-request {_time(settings.request_timeout)}",
        f"    timeout http-keep-alive {_time(settings.request_timeout)}",
        f"    timeout client {_time(settings.client_timeout)}",
        f"    timeout server {_time(settings.response_timeout)}",
        f"    timeout queue {_time(settings.queue_timeout)}",
        *_errors(settings),
        "",
        f"frontend {FRONTEND}",
        f"    bind {_host_port(settings.address, settings.port)}{_tls(settings)}",
        "    # No path's query, no header and no body is logged: they hold keys and prompts.",
        "    log-format \"%ci:%cp [%tr] %s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %ts"
        " %ac/%fc/%bc/%sc/%rc %[var(txn.method)] %[var(txn.path)] id=%[var(txn.id),json]\"",
        "    http-request set-var(txn.method) method",
        "    http-request set-var(txn.path) path,bytes(0,200)",
        "    http-request set-header X-Request-ID %[uuid()]"
        " unless { req.hdr(X-Request-ID) -m reg ^[A-Za-z0-9._-]{1,128}$ }",
        "    http-request set-var(txn.id) req.hdr(X-Request-ID)",
        "    http-response set-header X-Request-ID %[var(txn.id)]",
        "    option forwardfor",
        "    option http-no-delay",
        f"    default_backend {BACKEND}",
        "",
        f"backend {BACKEND}",
        "    # Two are drawn by their weights and the one with fewer requests is taken: a canary's",
        "    # share is right when there is little traffic too, which least connections is not.",
        "    balance random(2)",
        "    option httpchk",
        "    # The keeper's word, not the engine's /health: it knows paused and stalled servers.",
        "    http-check send meth GET uri /readyz ver HTTP/1.1 hdr Host 127.0.0.1",
        "    http-check expect status 200",
        *(f"    server {server.name} {server_words(server)}" for server in servers),
        "",
        "frontend stats",
        f"    bind 127.0.0.1:{settings.stats_port}",
        "    no log",
        f"    http-request return status 200 content-type text/plain string ok"
        f" if {{ path {HEALTH_PATH} }}",
        *([f"    http-request use-service prometheus-exporter if {{ path {METRICS_PATH} }}"]
          if settings.exporter else []),
        "    http-request return status 404",
        "",
    ]  # fmt: skip
    return "\n".join(lines)


def _errors(settings: DoorSettings) -> list[str]:
    """The door's own answers, in the form that OpenAI's clients read."""
    texts = (
        (503, "no replica can take the request now", "service_unavailable"),
        (502, "the replica's answer could not be read", "bad_gateway"),
        (504, "the replica did not answer in time", "gateway_timeout"),
        (408, "the request was not sent in time", "request_timeout"),
        (400, "the request cannot be read", "bad_request"),
    )
    lines = []
    for status, message, code in texts:
        error = {"error": {"message": message, "type": "front_door_error", "code": code}}
        body = json.dumps(error).replace("\\", "\\\\").replace('"', '\\"')
        retry = f" hdr Retry-After {settings.retry_after}" if status in (502, 503) else ""
        lines.append(
            f'    http-error status {status} content-type application/json string "{body}"{retry}'
        )
    return lines


def _tls(settings: DoorSettings) -> str:
    return f" ssl crt {settings.certificate} alpn http/1.1" if settings.certificate else ""


def _host_port(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _time(seconds: float) -> str:
    return f"{max(1, round(seconds * 1000))}ms"
