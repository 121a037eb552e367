"""The rules by which HAProxy asks for a key, limits its use and counts its tokens."""

from __future__ import annotations

import json
import re

from launcher.door.keys import KeyTable, salt_in_base64

OPEN_PATHS = ("/health", "/ping")
"""Paths without a key: load balancers ask them, and they tell nothing of the model."""
CONCURRENCY_RETRY = 1
"""Seconds after which a client may try again where too many of its requests run."""
WHOLE_ANSWER = 2.0
"""Seconds that the rest of a plain JSON answer may take to be counted; engines send it at once."""
LOG_FIELDS = (
    "key=%[var(txn.key)] refused=%[var(txn.refused)]"
    " prompt_tokens=%[var(txn.prompt_tokens)] completion_tokens=%[var(txn.completion_tokens)]"
)
"""What a line of the access log says of the key: its name, never its text."""
_FOLDER = re.compile(r"/[A-Za-z0-9._/@+=,:~-]{0,400}")
_SIZE = 1000
"""Names that a table holds; a profile has fewer."""
_TOKENS = {
    "prompt_tokens": ("prompt_tokens", "input_tokens"),
    "completion_tokens": ("completion_tokens", "output_tokens"),
}
"""What is counted, and its names in the answers of both dialects."""


def is_usable_folder(folder: str) -> bool:
    """Whether the path can stand in a configuration."""
    return _FOLDER.fullmatch(folder) is not None


def tables(keys: KeyTable) -> tuple[str, ...]:
    """Where HAProxy counts requests by the name of their key, in sections of their own."""
    lines = [
        "backend key-concurrency",
        f"    stick-table type string len 64 size {_SIZE} expire 1h store conn_cur",
        "",
    ]
    for period in keys.periods:
        lines += [
            f"backend key-rate-{period}s",
            f"    stick-table type string len 64 size {_SIZE} expire {2 * period + 60}s"
            f" store gpc0,gpc0_rate({period}s)",
            "",
        ]
    return tuple(lines)


def request_rules(keys: KeyTable) -> tuple[str, ...]:
    """The rules of the frontend.

    Raises:
        ValueError: the folder of the maps cannot stand in a configuration.
    """
    if not is_usable_folder(keys.folder):
        raise ValueError(f"{keys.folder!r} cannot be the folder of the keys here")
    look_up = f"hmac(sha256,{salt_in_base64(keys.salt)}),hex,lower,map({keys.keys_path})"
    engine = f"str(engine),map({keys.engine_path})"
    name, has_key = "var(txn.key)", "{ var(txn.key) -m found }"
    rules = [
        "# `Authorization: Bearer`, else `x-api-key`; the map has name, rate, period, concurrency.",
        f"http-request set-var(txn.row) http_auth_bearer,{look_up}",
        f"http-request set-var(txn.row) req.hdr(x-api-key),{look_up}"
        " if !{ req.hdr(authorization) -m found }",
        "http-request set-var(txn.key) var(txn.row),field(1,:) if { var(txn.row) -m found }",
        "http-request set-var(txn.requests) var(txn.row),field(2,:)",
        "http-request set-var(txn.period) var(txn.row),field(3,:)",
        "http-request set-var(txn.concurrency) var(txn.row),field(4,:)",
        f"acl without_key path {' '.join(OPEN_PATHS)}",
        f"http-request set-var(txn.refused) str(key) if !without_key !{has_key}",
        _deny("key", 401, "authentication_error", "invalid_api_key",
                "the API key is missing or not known", "WWW-Authenticate Bearer"),
        "# The replicas have a key of their own; the client's goes no further.",
        "http-request del-header x-api-key",
        "http-request del-header authorization",
        f'http-request set-header Authorization "Bearer %[{engine},b64dec]"'
        f" if {{ {engine} -m found }}",
        f"http-request track-sc1 {name} table key-concurrency if {has_key}",
        *(f"http-request track-sc0 {name} table key-rate-{period}s"
          f" if {has_key} {{ var(txn.period) -m str {period} }}" for period in keys.periods),
        "http-request set-var(txn.refused) str(concurrency)"
        f" if {has_key} {{ var(txn.concurrency) -m int gt 0 }}"
        " { sc1_conn_cur,sub(txn.concurrency) gt 0 }",
        _deny("concurrency", 429, "rate_limit_error", "concurrency_limit_exceeded",
                "too many requests of this API key run at the same time",
                f"Retry-After {CONCURRENCY_RETRY}"),
    ]  # fmt: skip
    if keys.periods:
        rules += [
            "# Only requests that are let in count.",
            "http-request set-var(txn.refused) str(rate)"
            f" if {has_key} {{ var(txn.requests) -m int gt 0 }}"
            " { sc0_gpc0_rate,sub(txn.requests) ge 0 }",
            _deny("rate", 429, "rate_limit_error", "rate_limit_exceeded",
                    "the request rate of this API key is used up",
                    "Retry-After %[var(txn.period)]"),
            f"http-request sc-inc-gpc0(0) if {has_key} {{ var(txn.requests) -m int gt 0 }}",
        ]  # fmt: skip
    return tuple(f"    {rule}" for rule in rules)


def response_rules() -> tuple[str, ...]:
    """The rules of the backend: tokens of plain JSON answers, which come at once.

    A stream is not waited for, and not counted: its tokens may be in its last event or nowhere.
    """
    plain = "{ status 200 } { res.hdr(content-type) -m beg application/json }"
    rules = [
        "# Tokens of plain answers; a stream is passed on as it comes and is not counted.",
        f"http-response wait-for-body time {round(WHOLE_ANSWER * 1000)}ms if {plain}",
    ]
    for counted, names in _TOKENS.items():
        for name in names:
            rules.append(
                f"http-response set-var(txn.{counted}) res.body,json_query('$.usage.{name}','int')"
                f" if {plain} !{{ var(txn.{counted}) -m found }}"
            )
    return tuple(f"    {rule}" for rule in rules)


def _deny(reason: str, status: int, kind: str, error_code: str, message: str, header: str) -> str:
    # OpenAI's shape and Anthropic's in one: each client reads the fields that it knows.
    error = {"message": message, "type": kind, "param": None, "code": error_code}
    body = json.dumps({"type": "error", "error": error})
    return (
        f"http-request return status {status} content-type application/json string '{body}'"
        f" hdr {header} if {{ var(txn.refused) -m str {reason} }}"
    )
