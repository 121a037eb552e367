"""One HTTP request to a server on this machine, bounded in time and size as a whole.

The keeper asks with it for months, and `status` in a moment: see `launcher.probe.http`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from launcher.host.sockets import reachable
from launcher.probe import http
from launcher.probe.bounded_json import loads

LARGEST_ANSWER = 4 << 20
"""Bytes of an answer that are read at most; more is an error."""


@dataclass(frozen=True)
class Answer:
    """An HTTP answer; `seconds` from sending to the last byte, `at` is monotonic time then."""

    status: int
    body: bytes
    seconds: float
    at: float

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            ValueError: it is not, or it is nested too deeply or too large.
        """
        return loads(self.body, strict=False)


def ask(
    address: str,
    port: int,
    path: str,
    *,
    body: Mapping[str, Any] | None = None,
    key: str | None = None,
    timeout: float = 10.0,
) -> Answer:
    """Send one HTTP request and read its answer, all of it within `timeout` seconds.

    Raises:
        OSError: no connection, or an answer that is not HTTP, cut off or too large;
            TimeoutError, a kind of it: no whole answer in time.
    """
    headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
    data = b""
    if body is not None:
        data = json.dumps(body).encode()
        headers["Content-Type"] = "application/json"
    if key:
        headers["Authorization"] = f"Bearer {key}"
    method = "GET" if body is None else "POST"
    started = time.monotonic()
    try:
        status, fields, content = http.request(
            reachable(address), port, method, path, headers, data,
            timeout=timeout, limit=LARGEST_ANSWER,
        )  # fmt: skip
    except TimeoutError:
        raise TimeoutError(f"no whole answer within {timeout:g} s") from None
    content = _decoded(content, fields.get("content-encoding", ""))
    ended = time.monotonic()
    return Answer(status, content, ended - started, ended)


def _decoded(content: bytes, encoding: str) -> bytes:
    if not content or encoding.strip().lower() in ("", "identity"):
        return content
    # Not asked for, and rare: the keeper does without zlib until then.
    from launcher.probe.decoding import decoded

    try:
        return b"".join(decoded(iter((content,)), encoding, LARGEST_ANSWER))
    except ValueError as error:
        raise http.NotHttpError(str(error)) from error
