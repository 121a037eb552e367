"""Anthropic's dialect at the front door: which requests go to the gateway, and who may send them.

`/v1/messages` and what lies below it go to the gateway, everything else to the replicas. What the
gateway asks comes back by the inner port, so that its requests find replicas, are retried and are
counted as those of other clients are.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from launcher.json_values import JsonObject

GATEWAY_BACKEND = "gateway"
INNER_FRONTEND = "inner"
_ERRORS = {
    502: ("api_error", "the gateway closed the connection without an answer"),
    503: ("overloaded_error", "the gateway is not ready; try again later"),
    504: ("timeout_error", "the gateway did not answer in time"),
}
"""Status of an answer that HAProxy makes instead of the gateway: type and message of the body."""


@dataclass(frozen=True)
class GatewayServer:
    """Where the gateway listens on loopback, and its keeper.

    `key_digest` is the SHA-256, in hex, of the key that clients must send; None: they need none.
    """

    port: int
    ready_port: int
    key_digest: str | None = None


def rules(gateway: GatewayServer | None, *, keyed: bool = False) -> tuple[str, ...]:
    """Lines of the public frontend, before its default backend.

    `keyed`: the rules of the service's keys come before them. Those have looked at the client's
    key and put that of the replicas, which is the gateway's too, in its place.
    """
    if gateway is None:
        return ()
    lines = [
        "    # Anthropic's dialect goes to the gateway.",
        "    acl messages path /v1/messages",
        "    acl messages path_beg /v1/messages/",
    ]
    if keyed:
        lines.append(f"    use_backend {GATEWAY_BACKEND} if messages")
        return tuple(lines)
    if gateway.key_digest is None:
        lines.append("    # The replicas have no key, and clients have to send something.")
        lines.append("    http-request del-header Authorization if messages")
    else:
        digest = f"sha2(256),hex -m str -i {gateway.key_digest}"
        refused = _body("authentication_error", "the API key is missing or wrong")
        lines += [
            "    # The gateway answers a wrong key with 400 or 500: it is looked at here.",
            f"    acl key_header req.hdr(x-api-key),{digest}",
            f"    acl key_bearer http_auth_bearer,{digest}",
            "    http-request return status 401 content-type application/json"
            f" string '{refused}' if messages !key_header !key_bearer",
            '    http-request set-header Authorization "Bearer %[req.hdr(x-api-key)]"'
            " if messages key_header",
        ]
    lines.append("    http-request del-header x-api-key if messages")
    lines.append(f"    use_backend {GATEWAY_BACKEND} if messages")
    return tuple(lines)


def inner_frontend(max_connections: int, backend: str) -> tuple[str, ...]:
    """The frontend on loopback by which the gateway reaches the replicas.

    Its connections are not those of clients: with one limit for both, clients of the gateway could
    take every connection and wait for answers that need one more.
    """
    return (
        f"frontend {INNER_FRONTEND}",
        '    bind "${DOOR_INNER_BIND}"',
        f"    maxconn {max_connections}",
        "    # Its requests stand in the log as those of clients.",
        "    no log",
        "    option http-buffer-request",
        f"    default_backend {backend}",
        "",
    )


def backend(
    gateway: GatewayServer | None, interval: str, retry_after: int, counted: Sequence[str] = ()
) -> tuple[str, ...]:
    """The backend with the gateway as its only server; `interval` is that of its checks.

    `counted` are the rules that count tokens of its answers.
    """
    if gateway is None:
        return ()
    server = (
        f"server gateway 127.0.0.1:{gateway.port} check port {gateway.ready_port}"
        f" inter {interval} fall 2 rise 1 observe layer4 error-limit 1 on-error mark-down"
    )
    return (
        f"backend {GATEWAY_BACKEND}",
        "    option http-server-close",
        "    # Only while no byte of an answer has come.",
        "    retries 2",
        "    retry-on conn-failure empty-response",
        *counted,
        "    option httpchk",
        "    http-check send meth GET uri /readyz ver HTTP/1.1 hdr Host localhost",
        "    http-check expect status 200",
        *(_error(status, retry_after) for status in _ERRORS),
        f"    {server}",
        "",
    )


def _error(status: int, retry_after: int) -> str:
    header = f" hdr Retry-After {retry_after}" if status == 503 else ""
    body = _body(*_ERRORS[status])
    return f"    http-error status {status} content-type application/json string '{body}'{header}"


def _body(kind: str, message: str) -> str:
    """An error in Anthropic's shape: docs.anthropic.com/en/api/errors."""
    error: JsonObject = {"type": "error", "error": {"type": kind, "message": message}}
    return json.dumps(error)
