"""Every request and response of a run, kept as evidence, with secrets taken out."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote

from launcher.json_values import JsonValue, is_list
from launcher.probe.bounded_json import loads
from launcher.redact import is_secret_name

TEXT_LIMIT = 16_000
"""Characters of a body that are kept; the rest is counted, not stored."""
PARSED_LIMIT = 256_000
"""Bytes of a body up to which fields with secrets are looked for; many larger ones are not kept."""
HEADER_LIMIT = 2_000
"""Characters of one header that are kept."""
HEADERS = 60
"""Headers of an answer that are kept."""
EVENT_LIMIT = 400
"""Events of a stream that are kept."""

HIDDEN = "***"
WRONG_KEY = "ernie-deploy-wrong-key"
"""Sent to be refused, and no secret: a request that has it can only be repeated with it."""


@dataclass
class Exchange:
    """One request and what came back; the writer fills it in while it happens."""

    number: int
    check: str
    client: str
    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    request: JsonValue | bytes = None
    status: int | None = None
    response_headers: Mapping[str, str] = field(default_factory=dict)
    response: str | None = None
    events: list[tuple[float, str]] = field(default_factory=list)
    seconds: float | None = None
    error: str | None = None


@dataclass(frozen=True)
class StreamEvent:
    """An event of a stream, `at` in seconds after the request."""

    at: float
    data: str


@dataclass(frozen=True)
class ExchangeRecord:
    """A recorded request with its answer, redacted and cut to size; `status` None: none came."""

    number: int
    client: str
    method: str
    url: str
    headers: Mapping[str, str]
    request: JsonValue
    status: int | None
    response_headers: Mapping[str, str]
    response: str | None
    events: tuple[StreamEvent, ...]
    events_total: int
    seconds: float | None
    error: str | None


class Redactor:
    """Takes known secrets, and fields and headers that hold secrets, out of what is kept."""

    def __init__(self, secrets: Iterable[str]) -> None:
        """Know the secrets in the spellings in which they can appear."""
        spellings: set[str] = set()
        for secret in secrets:
            if secret:
                spellings |= {secret, quote(secret, safe=""), json.dumps(secret)[1:-1]}
        self._spellings = sorted(spellings, key=len, reverse=True)

    def text(self, value: str) -> str:
        """`value` with every known secret replaced."""
        for spelling in self._spellings:
            value = value.replace(spelling, HIDDEN)
        return value

    def json(self, value: JsonValue) -> JsonValue:
        """A JSON value with known secrets and fields named like secrets replaced."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {
                self.text(str(k)): HIDDEN if _is_secret(str(k), v) else self.json(v)
                for k, v in value.items()
            }
        if is_list(value):
            return [self.json(v) for v in value]
        return value

    def headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Headers without keys and cookies."""
        return {
            _cut(name, HEADER_LIMIT): HIDDEN
            if is_secret_name(name) and not _is_wrong_key(str(value))
            else _cut(self.text(str(value)), HEADER_LIMIT)
            for name, value in list(headers.items())[:HEADERS]
        }


def _is_secret(name: str, value: JsonValue) -> bool:
    return isinstance(value, str) and is_secret_name(name) and value != "" and value != WRONG_KEY


def _is_wrong_key(value: str) -> bool:
    return value.removeprefix("Bearer ") == WRONG_KEY


class Transcript:
    """The exchanges of a run; safe to fill from several threads."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        """Start an empty transcript that never shows `secrets`."""
        self.redactor = Redactor(secrets)
        self._exchanges: list[Exchange] = []
        self._lock = threading.Lock()

    def begin(
        self,
        check: str,
        client: str,
        method: str,
        url: str,
        headers: Mapping[str, str],
        request: JsonValue | bytes,
    ) -> Exchange:
        """Open the entry of a request that is about to be sent."""
        with self._lock:
            entry = Exchange(len(self._exchanges) + 1, check, client, method, url, headers, request)
            self._exchanges.append(entry)
        return entry

    def answered(self, entry: Exchange, body: bytes) -> None:
        """Keep an answer's body; of a large one only what is shown."""
        text = body[: 4 * PARSED_LIMIT].decode("utf-8", "replace")
        if len(body) > PARSED_LIMIT:
            more = len(body) - TEXT_LIMIT
            text = f"{self.redactor.text(text)[:TEXT_LIMIT]} ... ({more} more bytes)"
        entry.response = text

    def progress(self) -> tuple[int, int]:
        """A mark that changes with everything that comes from the server: statuses and events."""
        with self._lock:
            answered = sum(e.status is not None for e in self._exchanges)
            return answered, sum(len(e.events) for e in self._exchanges)

    def waiting(self) -> bool:
        """True where a request has neither ended nor failed."""
        with self._lock:
            return any(e.seconds is None and e.error is None for e in self._exchanges)

    def of(self, check: str, client: str, since: int = 0) -> tuple[ExchangeRecord, ...]:
        """The records of one check."""
        with self._lock:
            chosen = [
                e
                for e in self._exchanges[since:]
                if e.check == check and e.client in (client, "http")
            ]
        return tuple(self._record(entry) for entry in chosen)

    def _record(self, entry: Exchange) -> ExchangeRecord:
        redact = self.redactor
        return ExchangeRecord(
            number=entry.number,
            client=entry.client,
            method=entry.method,
            url=redact.text(entry.url),
            headers=redact.headers(entry.headers),
            request=self._body(entry.request),
            status=entry.status,
            response_headers=redact.headers(entry.response_headers),
            response=None if entry.response is None else self._response(entry.response),
            events=tuple(
                StreamEvent(round(at, 4), _cut(redact.text(text)))
                for at, text in entry.events[:EVENT_LIMIT]
            ),
            events_total=len(entry.events),
            seconds=None if entry.seconds is None else round(entry.seconds, 4),
            error=None if entry.error is None else redact.text(entry.error),
        )

    def _body(self, body: JsonValue | bytes) -> JsonValue:
        if isinstance(body, bytes):
            body = body.decode("utf-8", "replace")
        if isinstance(body, str):
            return _cut(self.redactor.text(body))
        body_json = self.redactor.json(body)
        text = json.dumps(body_json, ensure_ascii=False)
        return body_json if len(text) <= TEXT_LIMIT else _cut(text)

    def _response(self, text: str) -> str:
        try:
            parsed = loads(text, strict=False)
        except ValueError:
            return _cut(self.redactor.text(text))
        return _cut(json.dumps(self.redactor.json(parsed), ensure_ascii=False))


def _cut(text: str, limit: int = TEXT_LIMIT) -> str:
    if len(text) <= limit:
        return text
    return f"{text[:limit]} ... ({len(text) - limit} more characters)"
