"""What a client is: the way a user's program would ask the server.

A client sends a chat request written in OpenAI's form and returns an `Answer`; for other dialects
it translates. It never retries and never waits longer than its deadline.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol
from urllib.parse import urlsplit

from launcher.json_values import JsonObject, JsonValue
from launcher.smoke.answers.answer import Answer
from launcher.smoke.clients.transcript import Transcript


class TransportError(Exception):
    """No whole answer came: `kind` is refused, timeout, stalled, closed, redirected or garbled."""

    def __init__(self, kind: str, message: str) -> None:
        """Say what happened in words for the report."""
        super().__init__(message)
        self.kind = kind
        self.message = message


def not_connected(url: str, error: BaseException, through: str = "") -> TransportError:
    """The error that `url` takes no connections, and why; `through` names what stands between."""
    parts = urlsplit(url)
    reason = innermost(error)
    detail = reason.strerror if isinstance(reason, OSError) and reason.strerror else str(reason)
    text = f"cannot connect to {parts.scheme}://{parts.netloc}: {through}"
    text += detail[:1].lower() + detail[1:]
    return TransportError("refused", text)


def innermost(error: BaseException) -> BaseException:
    """The first reason, without what libraries wrapped around it."""
    current = error
    while (inner := current.__cause__ or current.__context__) is not None and inner is not current:
        current = inner
    return current


class UnsupportedError(Exception):
    """The dialect or the client has no way to ask for this."""


@dataclass(frozen=True)
class Endpoint:
    """Where and how to ask.

    `base_url` has no slash at its end and includes the API's root (`.../v1`). `dialect` is
    `openai` or `anthropic`. `fields` are sent in every body (ModelsLab wants `model_id` there);
    `secret_fields` are those of them that hold a key.
    """

    base_url: str
    model: str
    key: str | None = None
    dialect: str = "openai"
    headers: Mapping[str, str] = field(default_factory=dict)
    fields: JsonObject = field(default_factory=dict)
    secret_fields: Mapping[str, str] = field(default_factory=dict)

    @property
    def chat_url(self) -> str:
        """The address of the dialect's chat route."""
        route = "/messages" if self.dialect == "anthropic" else "/chat/completions"
        return self.base_url + route

    @property
    def root_url(self) -> str:
        """The server's root, where `/health` lies: the address without the API's version."""
        return self.base_url[: -len("/v1")] if self.base_url.endswith("/v1") else self.base_url

    def auth_headers(self) -> dict[str, str]:
        """The headers that carry the key in this dialect."""
        if self.key is None:
            return {}
        if self.dialect == "anthropic":
            return {"x-api-key": self.key, "Authorization": f"Bearer {self.key}"}
        return {"Authorization": f"Bearer {self.key}"}

    def all_headers(self) -> dict[str, str]:
        """Every header of a request: the host's own, the key's, the dialect's version."""
        version = {"anthropic-version": "2023-06-01"} if self.dialect == "anthropic" else {}
        return {**version, **self.headers, **self.auth_headers()}

    def addressed(self, body: JsonObject) -> dict[str, JsonValue]:
        """`body` with the fields that this host wants in every body."""
        return {**body, **self.fields, **self.secret_fields}

    @property
    def guarded(self) -> bool:
        """True where a key is sent in some way."""
        return self.key is not None or bool(self.secret_fields)

    def with_key(self, key: str | None) -> Endpoint:
        """The same place asked with another key, or with none."""
        other_secrets = {} if key is None else dict.fromkeys(self.secret_fields, key)
        mine = key if self.key is not None else None
        return replace(self, key=mine, secret_fields=other_secrets)


@dataclass(frozen=True)
class Deadline:
    """An absolute moment of the monotonic clock, and the longest silence allowed before it."""

    end: float
    silence: float

    @classmethod
    def after(cls, seconds: float, silence: float | None = None) -> Deadline:
        """The deadline `seconds` from now."""
        return cls(time.monotonic() + seconds, silence if silence is not None else seconds)

    @property
    def left(self) -> float:
        """Seconds left, never below a millisecond: 0 would mean no limit to a socket."""
        return max(0.001, self.end - time.monotonic())

    @property
    def read(self) -> float:
        """How long a single read may take."""
        return min(self.left, self.silence)


class Client(Protocol):
    """One way to ask; `name` is what `--client` calls it."""

    name: str

    def chat(
        self, endpoint: Endpoint, body: JsonObject, deadline: Deadline, log: CheckLog
    ) -> Answer:
        """Ask and return the whole answer, joined from the stream where `body` asks for one.

        Raises:
            TransportError: no whole answer came in time.
            UnsupportedError: this client or dialect has no such request.
        """
        ...


@dataclass(frozen=True)
class CheckLog:
    """Where a client writes what it sends and gets: the transcript, under one check's name."""

    transcript: Transcript
    check: str
