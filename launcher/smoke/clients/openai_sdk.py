"""The official `openai` client, as users' programs have it: what its models do not keep is lost."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from typing import Any

import openai

from launcher.smoke.answers import Answer, Chunk, from_chunks, from_json, with_exchange
from launcher.smoke.clients.base import (
    CheckLog,
    Deadline,
    Endpoint,
    TransportError,
    UnsupportedError,
    not_connected,
)
from launcher.smoke.clients.wire import CONNECT_SECONDS, is_local
from launcher.smoke.transcript import Exchange

NO_KEY = "none"
"""The client wants a key even where the server has none."""
BEYOND = frozenset({"chat_template_kwargs"})
"""Parameters of our servers that the client only takes as `extra_body`."""


class OpenAIClient:
    """`openai.OpenAI`, without its retries."""

    name = "openai"

    def chat(
        self, endpoint: Endpoint, body: Mapping[str, Any], deadline: Deadline, log: CheckLog
    ) -> Answer:
        """See `Client.chat`."""
        if endpoint.dialect != "openai":
            raise UnsupportedError("the openai client does not speak this dialect")
        sent = {k: v for k, v in body.items() if k not in BEYOND}
        extra = {k: v for k, v in body.items() if k in BEYOND}
        extra.update(endpoint.addressed({}))
        entry = log.transcript.begin(
            log.check,
            self.name,
            "POST",
            endpoint.chat_url,
            endpoint.all_headers(),
            {**sent, **extra},
        )
        begun = time.monotonic()
        # A session of its own per request: a shared pool would hide what a new user meets.
        with openai.OpenAI(
            base_url=endpoint.base_url,
            api_key=endpoint.key or NO_KEY,
            max_retries=0,
            timeout=openai.Timeout(deadline.read, connect=min(CONNECT_SECONDS, deadline.left)),
            http_client=openai.DefaultHttpxClient(trust_env=not is_local(endpoint.base_url)),
            default_headers=dict(endpoint.headers),
        ) as client:
            try:
                return with_exchange(
                    self._ask(client, sent, extra, deadline, entry, begun), entry.number
                )
            except openai.APIStatusError as error:
                return with_exchange(refused(error, entry, begun), entry.number)
            except openai.APIError as error:
                raise broken(error, entry, begun) from error

    def _ask(
        self,
        client: openai.OpenAI,
        sent: Mapping[str, Any],
        extra: Mapping[str, Any],
        deadline: Deadline,
        entry: Exchange,
        begun: float,
    ) -> Answer:
        made: Any = client.chat.completions.create(**sent, extra_body=extra or None)
        entry.status = 200
        if not sent.get("stream"):
            seconds = time.monotonic() - begun
            raw = made.model_dump(exclude_unset=True, warnings=False)
            entry.response, entry.seconds = json.dumps(raw, ensure_ascii=False), seconds
            return from_json(raw, 200, seconds)
        chunks = tuple(timed(made, deadline, entry, begun))
        entry.seconds = time.monotonic() - begun
        return from_chunks(chunks, entry.seconds, None)


def timed(stream: Any, deadline: Deadline, entry: Exchange, begun: float) -> Iterator[Chunk]:
    """The chunks of an SDK's stream with their time.

    Raises:
        TransportError: the deadline passed, or an event the SDK cannot read.
    """
    try:
        for item in stream:
            at = time.monotonic() - begun
            raw = item.model_dump(exclude_unset=True, warnings=False)
            entry.events.append((at, json.dumps(raw, ensure_ascii=False)))
            yield Chunk(at, raw)
            if time.monotonic() > deadline.end:
                entry.error = f"the answer had not ended after {at:.1f} s"
                raise TransportError("timeout", entry.error)
    except (ValueError, TypeError, AttributeError) as error:
        entry.error = f"the client cannot read the stream: {error}"
        raise TransportError("garbled", entry.error) from error


def refused(error: Any, entry: Exchange, begun: float) -> Answer:
    """The answer that an SDK's status error stands for."""
    seconds = time.monotonic() - begun
    entry.status, entry.seconds = error.status_code, seconds
    entry.response = error.response.text
    raw = error.body if isinstance(error.body, dict) else {"error": error.body or error.message}
    return Answer(error.status_code, seconds, error=str(error.message), raw=raw)


def broken(error: Any, entry: Exchange, begun: float) -> TransportError:
    """The transport error that an SDK's other errors stand for."""
    seconds = time.monotonic() - begun
    cause = error.__cause__
    said = f"{type(error).__name__}: {cause or error}"
    kind = "closed"
    if "Timeout" in type(error).__name__ or "Timeout" in type(cause).__name__:
        kind, said = "timeout", f"no whole answer for {seconds:.1f} s"
    elif "Connection refused" in said or "ConnectError" in type(cause).__name__:
        kind, said = "refused", not_connected(entry.url, error).message
    entry.error, entry.seconds = said, seconds
    return TransportError(kind, said)
