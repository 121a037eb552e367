"""Plain HTTP, as curl or a program without an SDK would ask; sees everything on the wire."""

from __future__ import annotations

import json

from launcher.json_values import JsonObject
from launcher.probe.bounded_json import loads
from launcher.smoke.answers.answer import (
    Answer,
    Chunk,
    from_chunks,
    from_json,
    with_exchange,
)
from launcher.smoke.clients import messages_dialect
from launcher.smoke.clients.base import CheckLog, Deadline, Endpoint, TransportError
from launcher.smoke.clients.wire import EventStream, ask, listen

DONE = "[DONE]"


class PlainClient:
    """`requests`, in OpenAI's or Anthropic's dialect."""

    name = "requests"

    def chat(
        self, endpoint: Endpoint, body: JsonObject, deadline: Deadline, log: CheckLog
    ) -> Answer:
        """See `Client.chat`."""
        anthropic = endpoint.dialect == "anthropic"
        sent = endpoint.addressed(messages_dialect.request(body) if anthropic else body)
        headers = endpoint.all_headers()
        if body.get("stream"):
            stream = listen(
                endpoint.chat_url,
                headers={**headers, "Accept": "text/event-stream"},
                body=sent,
                deadline=deadline,
                log=log,
                client=self.name,
            )
            return with_exchange(streamed(stream, anthropic), stream.exchange)
        reply = ask(
            "POST",
            endpoint.chat_url,
            headers=headers,
            body=sent,
            deadline=deadline,
            log=log,
            client=self.name,
        )
        answer = plain(reply.status, reply.body, reply.seconds, anthropic)
        return with_exchange(answer, reply.exchange)


def plain(status: int, body: bytes, seconds: float, anthropic: bool) -> Answer:
    """The answer in a response that is not a stream.

    Raises:
        TransportError: a 200 whose body is not a JSON object.
    """
    why = ""
    try:
        raw = loads(body)
    except ValueError as error:
        raw, why = None, _why(error)
    if not isinstance(raw, dict):
        text = body[:4000].decode("utf-8", "replace")
        if status == 200:
            raise TransportError(
                "garbled", f"200 with a body that is not a JSON object{why}: {text[:200]!r}"
            )
        return Answer(status, seconds, error=text[:500].strip() or "an empty body")
    if anthropic and status == 200:
        raw = messages_dialect.response(raw)
    return from_json(raw, status, seconds)


def streamed(stream: EventStream, anthropic: bool) -> Answer:
    """The answer in a stream of events; a response that is not a stream is taken as it is.

    Raises:
        TransportError: an event that is not a JSON object.
    """
    if stream.status != 200 or "text/event-stream" not in stream.headers.get("content-type", ""):
        answer = plain(stream.status, stream.body, stream.seconds, anthropic)
        if stream.status != 200 and not answer.error and stream.events:
            return Answer(stream.status, stream.seconds, error=stream.events[0][1])
        return answer
    chunks: list[Chunk] = []
    done = False
    for at, data in stream.events:
        if data == DONE:
            done = True
            continue
        why = ""
        try:
            raw = loads(data)
        except ValueError as error:
            raw, why = None, _why(error)
        if not isinstance(raw, dict):
            raise TransportError(
                "garbled", f"an event that is not a JSON object{why}: {data[:200]!r}"
            )
        chunks.append(Chunk(at, raw))
    if anthropic:
        chunks, done = messages_dialect.chunks(chunks)
    return from_chunks(tuple(chunks), stream.seconds, done)


def _why(error: ValueError) -> str:
    """The reason where it is a bound; the text shows that it is not JSON."""
    return "" if isinstance(error, (json.JSONDecodeError, UnicodeError)) else f" ({error})"
