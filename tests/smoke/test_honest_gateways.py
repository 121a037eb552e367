"""Honest servers behind gateways and in other shapes: the whole suite finds nothing wrong."""

from __future__ import annotations

import gzip
import io
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from email.message import Message
from typing import TYPE_CHECKING, Protocol

import pytest

from launcher.json_values import object_at
from launcher.smoke.check import all_checks
from launcher.smoke.clients.messages_dialect import response
from launcher.smoke.run.suite import smoke
from tests.smoke.defects.planting import Route, choice_of, deltas, pieces
from tests.smoke.gateways import GATEWAYS
from tests.smoke.rows import data_of, doubts, only, rows
from tests.smoke.servers import Body, Defect, Event, Handler, RouteAnswer, Server, serve
from tests.smoke.targets import target_of
from tests.support.matrix import some

if TYPE_CHECKING:
    from typing_extensions import Buffer

KEY = "right"


@contextmanager
def served_by(handler: type[Handler], defect: Defect | None = None) -> Iterator[Server]:
    server = Server(defect, KEY)
    server.RequestHandlerClass = handler
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.hang.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Packer(Protocol):
    """What `zlib.compressobj` gives."""

    def compress(self, data: bytes, /) -> bytes: ...

    def flush(self, mode: int = ..., /) -> bytes: ...


class Compressing(Handler):
    """Compresses everything, asked or not, streams piece by piece."""

    encoding = "gzip"
    packer: _Packer | None = None
    only_where_accepted = False

    def end_headers(self) -> None:
        self.packer = None
        accepted = self.encoding in self.headers.get("Accept-Encoding", "")
        if accepted or not self.only_where_accepted:
            self.send_header("Content-Encoding", self.encoding)
            self.packer = zlib.compressobj(wbits=31 if self.encoding == "gzip" else 15)
        super().end_headers()

    def _send(self, status: int, body: Body | str) -> None:
        hook = self.server.defect
        self.server.defect = None
        try:
            self._send_whole(status, body)
        finally:
            self.server.defect = hook

    def _send_whole(self, status: int, body: Body | str) -> None:
        import json

        text = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
        accepted = self.encoding in self.headers.get("Accept-Encoding", "")
        data = text.encode()
        if accepted or not self.only_where_accepted:
            data = gzip.compress(data) if self.encoding == "gzip" else zlib.compress(data)
        self.send_response(status)
        self.send_header("Content-Type", "application/json" if text[:1] in "{[" else "text/plain")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _send_events(self, events: list[Event]) -> None:
        plain, self.wfile = self.wfile, _Packed(self, self.wfile)
        try:
            super()._send_events(events)
        finally:
            self.wfile = plain


class _Packed(io.BufferedIOBase):
    """Compresses the chunks of a stream, each at once, as nginx with `gzip on` does."""

    def __init__(self, handler: Compressing, wire: io.BufferedIOBase) -> None:
        self.handler, self.wire = handler, wire
        self.head = False

    def write(self, data: Buffer) -> int:
        self._write(bytes(data))
        return len(bytes(data))

    def _write(self, data: bytes) -> None:
        packer = self.handler.packer if self.head else None
        if not self.head:
            self.head = True
            self.wire.write(data)
        elif packer is None:
            self.wire.write(data)
        elif data == b"0\r\n\r\n":
            self._chunk(packer.flush())
            self.wire.write(data)
        else:
            _, _, body = data.partition(b"\r\n")
            packed = packer.compress(body[:-2]) + packer.flush(zlib.Z_SYNC_FLUSH)
            self._chunk(packed)

    def flush(self) -> None:
        self.wire.flush()

    def close(self) -> None:
        """The connection stays open."""

    def _chunk(self, data: bytes) -> None:
        if data:
            self.wire.write(b"%x\r\n" % len(data) + data + b"\r\n")


class Deflating(Compressing):
    encoding = "deflate"


class Polite(Compressing):
    only_where_accepted = True


@pytest.mark.parametrize(
    ("handler", "tag"),
    [
        (Compressing, "quick"),
        pytest.param(Compressing, "full", marks=pytest.mark.soak),
        (Deflating, "quick"),
        (Polite, "quick"),
    ],
)
@pytest.mark.parametrize("client", ["requests", "openai"])
def test_a_gateway_that_compresses(handler: type[Handler], tag: str, client: str) -> None:
    with served_by(handler) as server:
        result = smoke(target_of(server), tags=[tag], clients=[client])
    assert doubts(result) == {}
    assert result.exit_code == 0


def test_the_transcript_has_every_header_that_was_sent() -> None:
    with serve(key=KEY) as server:
        result = smoke(target_of(server), names=["chat"], clients=["all"])
    for check in rows(result):
        for exchange in check["evidence"]:
            sent = {name.lower() for name in exchange["headers"]}
            assert {"accept-encoding", "user-agent", "content-type", "authorization"} <= sent


def join_thought_and_answer(events: list[Event], body: Body) -> list[Event]:
    """The last thought and the first text in one delta, as parsers do that cut at a tag."""
    thoughts, texts = pieces(events, "reasoning_content"), pieces(events, "content")
    if (body.get("n") or 1) == 1 and thoughts and texts:
        last, first = choice_of(events[thoughts[-1]]), choice_of(events[texts[0]])
        first["delta"].update(last["delta"])
        if first.get("logprobs"):
            before = last["logprobs"]["content"]
            first["logprobs"]["content"][:0] = before
        del events[thoughts[-1]]
    return events


@pytest.mark.parametrize("tag", some(["quick", "full"], ["quick"]))
def test_the_last_thought_and_the_first_text_in_one_delta(tag: str) -> None:
    with serve(Defect("joined", "", events=deltas(join_thought_and_answer)), key=KEY) as server:
        result = smoke(target_of(server), tags=[tag], clients=["all"])
    assert doubts(result) == {}


def test_a_thought_after_the_answer_is_still_late() -> None:
    def late(events: list[Event], body: Body) -> list[Event]:
        thoughts, texts = pieces(events, "reasoning_content"), pieces(events, "content")
        if thoughts and texts:
            event = events.pop(thoughts[-1])
            events.insert(texts[-1], event)
        return events

    with serve(Defect("late", "", events=deltas(late)), key=KEY) as server:
        result = smoke(target_of(server), names=["stream-order"])
    assert "reasoning before the answer" in rows(result)[0]["message"]


@pytest.mark.parametrize(
    ("usage", "prompt"),
    [
        ({"input_tokens": 5, "output_tokens": 2}, 5),
        ({"input_tokens": 5, "cache_read_input_tokens": 100, "output_tokens": 2}, 105),
        ({"input_tokens": 5, "cache_creation_input_tokens": 30, "output_tokens": 2}, 35),
        ({"input_tokens": 5, "cache_read_input_tokens": None, "output_tokens": 2}, 5),
        ({"input_tokens": 5, "cache_read_input_tokens": "x", "output_tokens": 2}, 5),
        ({"input_tokens": None, "cache_read_input_tokens": 7, "output_tokens": 2}, None),
    ],
)
def test_anthropics_input_tokens_leave_out_the_cache(usage: Body, prompt: int | None) -> None:
    translated = object_at(response({"usage": usage}), "usage")
    assert translated["prompt_tokens"] == prompt
    assert translated["total_tokens"] == (None if prompt is None else prompt + 2)


class Caching(Handler):
    """Anthropic's usage with prompt caching: most of the prompt is in the cache."""

    def messages_usage(self, usage: Body) -> Body:
        kept = usage["input_tokens"] - 2
        return {**usage, "input_tokens": 2, "cache_read_input_tokens": kept // 2} | {
            "cache_creation_input_tokens": kept - kept // 2
        }

    def _send(self, status: int, body: Body | str) -> None:
        if status == 200 and isinstance(body, dict) and body.get("type") == "message":
            body["usage"] = self.messages_usage(body["usage"])
        super()._send(status, body)


def test_an_anthropic_server_with_prompt_caching() -> None:
    names = [c.name for c in all_checks() if "dialect" in c.tags]
    with served_by(Caching) as server:
        result = smoke(target_of(server), names=names)
    assert doubts(result) == {}


@pytest.mark.parametrize("name", some(list(GATEWAYS), list(GATEWAYS)[:1]))
def test_a_well_known_server_or_gateway(name: str) -> None:
    """The whole suite through `requests` and `openai`, the Messages routes among its checks."""
    with serve(GATEWAYS[name], key=KEY) as server:
        result = smoke(target_of(server), tags=["full"], clients=["all"])
    assert doubts(result) == {}
    assert [d for d in data_of(result)["differences"] if not d["known"]] == []


SPOKEN = ["chat", "stream-end", "usage", "keep-alive", "auth"]
"""Checks of what the loopback server does in the Messages dialect."""


@pytest.mark.parametrize("name", GATEWAYS)
def test_a_gateway_of_the_messages_dialect(name: str) -> None:
    names = SPOKEN + [c.name for c in all_checks() if "dialect" in c.tags]
    with serve(GATEWAYS[name], key=KEY) as server:
        target = target_of(server)
        target = replace(target, endpoint=replace(target.endpoint, dialect="anthropic"))
        result = smoke(target, names=names, clients=["all"])
    assert doubts(result) == {}
    assert data_of(result)["clients"] == ["requests", "anthropic"]


# --- refusals of a key ----------------------------------------------------------------------


def refusing(status: int, body: Body | str) -> Route:
    def route(
        server: Server, method: str, path: str, data: bytes, headers: Message
    ) -> RouteAnswer | None:
        wrong = headers.get("Authorization") != f"Bearer {KEY}"
        return (status, body) if method == "POST" and wrong else None

    return route


NGINX = "<html><head><title>500 Internal Server Error</title></head></html>"


@pytest.mark.parametrize("body", [{"error": {"message": "bad key"}}, "", NGINX])
@pytest.mark.parametrize("status", [400, 401, 403, 404, 407, 418, 422, 500, 501])
def test_any_refusal_that_only_the_key_explains_will_do(status: int, body: Body | str) -> None:
    with serve(Defect("gateway", "", route=refusing(status, body)), key=KEY) as server:
        result = smoke(target_of(server), names=["auth"])
    assert doubts(result) == {}
    assert f"HTTP {status}" in rows(result)[0]["message"]


def test_a_refusal_in_the_body_of_a_200() -> None:
    body = {"status": "error", "message": "Invalid API key"}
    with serve(Defect("gateway", "", route=refusing(200, body)), key=KEY) as server:
        result = smoke(target_of(server), names=["auth"])
    assert doubts(result) == {}


def test_a_redirect_to_a_login_is_a_refusal() -> None:
    with serve(Defect("gateway", "", route=refusing(302, "")), key=KEY) as server:
        server.memory["location"] = "/login"
        result = smoke(target_of(server), names=["auth"])
    assert doubts(result) == {}


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_says_nothing_of_keys(status: int) -> None:
    with serve(Defect("gateway", "", route=refusing(status, "")), key=KEY) as server:
        check = only(smoke(target_of(server), names=["auth"]))
    assert (check["verdict"], "overloaded" in check["message"]) == ("inconclusive", True)


def by_turns(*answers: RouteAnswer | None) -> Route:
    """A route whose POST answers come in this order, the last one again and again."""
    left = list(answers)

    def route(
        server: Server, method: str, path: str, data: bytes, headers: Message
    ) -> RouteAnswer | None:
        return (left.pop(0) if left[1:] else left[0]) if method == "POST" else None

    return route


OK: RouteAnswer = (200, {"id": "1", "choices": [{"index": 0, "message": {"content": "Hello!"}}]})
BROKEN: RouteAnswer = (500, {"error": {"message": "internal error"}})


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        # right, without a key, without a key again, right again
        ((OK, BROKEN, OK, OK), "with a missing key: HTTP 500, then an answer"),
        ((OK, BROKEN, (501, ""), OK), "with a missing key: HTTP 500, then HTTP 501"),
        ((OK, BROKEN, BROKEN, BROKEN), "with the *** key: HTTP 500"),
        # (the right key of these tests is "right", which no report shows)
        # the same for a wrong key, after a missing one was refused as it should be
        ((OK, (401, ""), BROKEN, OK, OK), "with a wrong key: HTTP 500, then an answer"),
        ((OK, (401, ""), BROKEN, BROKEN, BROKEN), "with the *** key: HTTP 500"),
    ],
)
def test_a_refusal_by_chance_is_a_doubt(answers: tuple[RouteAnswer, ...], expected: str) -> None:
    with serve(Defect("chance", "", route=by_turns(*answers)), key=KEY) as server:
        check = only(smoke(target_of(server), names=["auth"]))
    assert (check["verdict"], check["findings"]) == ("inconclusive", [])
    assert expected in check["message"]


def test_a_key_that_is_not_looked_at_is_a_failure() -> None:
    with serve(key=None) as server:
        target = target_of(server)
        endpoint = type(target.endpoint)(**{**target.endpoint.__dict__, "key": KEY})
        result = smoke(type(target)(**{**target.__dict__, "endpoint": endpoint}), names=["auth"])
    (check,) = rows(result)
    assert [f["code"] for f in check["findings"]] == ["missing-key-accepted", "wrong-key-accepted"]


# --- busy servers ---------------------------------------------------------------------------

SUBJECTS = ("temperature", "tool-call", "reasoning", "chinese", "json-mode", "echo-unicode")


@pytest.mark.parametrize("status", [429, 502, 503, 504, 529])
def test_a_busy_server_fails_no_check_of_a_feature(status: int) -> None:
    def route(
        server: Server, method: str, path: str, data: bytes, headers: Message
    ) -> RouteAnswer | None:
        return (status, {"error": {"message": "try later"}}) if method == "POST" else None

    with serve(Defect("busy", "", route=route), key=KEY) as server:
        result = smoke(target_of(server), names=["chat", *SUBJECTS])
    verdicts = {c["name"]: c["verdict"] for c in rows(result)}
    assert verdicts.pop("chat") == ("inconclusive" if status == 429 else "fail")
    assert set(verdicts.values()) == {"inconclusive"}
    assert all(f"HTTP {status}" in c["message"] for c in rows(result))
    assert result.exit_code == 1


@pytest.mark.parametrize("client", ["requests", "openai"])
def test_a_time_out_under_load_is_told_as_that(client: str) -> None:
    def hot(server: Server, body: Body) -> None:
        if body.get("temperature"):
            server.hang.wait(600)

    with serve(Defect("slow", "", request=hot), key=KEY) as server:
        target = target_of(server, request_timeout=1.5)
        result = smoke(target, names=["chat", "temperature"], clients=[client])
    verdicts = {c["name"]: c["verdict"] for c in rows(result)}
    assert verdicts == {"chat": "pass", "temperature": "inconclusive"}
    message = rows(result)[1]["message"]
    assert "overloaded, slow, or hangs" in message
    assert "nothing was seen of 'temperature'" in message
