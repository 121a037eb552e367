"""Every reader of the smoke suite against every hostile server: a verdict, bounded in all."""

from __future__ import annotations

import contextlib
import json
import time
import tracemalloc
from pathlib import Path

import pytest

from launcher.codec import encode
from launcher.json_values import JsonObject, at
from launcher.report import emit
from launcher.report.files import write_reports
from launcher.smoke.clients import client
from launcher.smoke.clients.base import CheckLog, Deadline, Endpoint, TransportError
from launcher.smoke.clients.connection import Connection
from launcher.smoke.clients.transcript import Transcript
from launcher.smoke.clients.wire import ask
from launcher.smoke.run.suite import smoke
from launcher.smoke.target import Target
from launcher.smoke.targets.resolve import of_url
from tests.smoke.rows import rows
from tests.support.hostile import encodings, hostile, interim, shapes, streams
from tests.support.hostile.mechanisms import every, unbounded
from tests.support.hostile.visit import Visit

SECONDS = 0.5
"""The deadline of one request."""
LATE = 6.0
"""Seconds beyond it on a slow machine; a server that is not bounded never ends."""
ENDED = 30.0
MEMORY = 200 << 20

BODY: JsonObject = {
    "model": "m",
    "messages": [{"role": "user", "content": "Hello!"}],
    "max_tokens": 8,
}
CLIENTS = [("requests", False), ("requests", True), ("openai", False), ("openai", True)]
CLIENTS += [("anthropic", False), ("anthropic", True)]


@pytest.mark.parametrize(("name", "stream"), CLIENTS)
@pytest.mark.parametrize("behaviour", every())
def test_a_client_ends_in_time_with_an_answer_or_a_reason(
    behaviour: str, name: str, stream: bool
) -> None:
    log = CheckLog(Transcript(), "x")
    asking = client(name)
    # What ends by itself is waited for, however slow the machine is.
    seconds = ENDED if behaviour.startswith(("body: ", "event: ", "error: ")) else SECONDS
    with hostile(behaviour) as server:
        dialect = "anthropic" if name == "anthropic" else "openai"
        endpoint = Endpoint(f"{server.url}/v1", "m", "key", dialect)
        begun = time.monotonic()
        try:
            deadline = Deadline.after(seconds)
            answer = asking.chat(endpoint, {**BODY, "stream": stream}, deadline, log)
            message = answer.error or ""
        except TransportError as error:
            message = error.message
        assert time.monotonic() - begun < seconds + LATE
    assert len(message) < 5000
    assert server.visits <= 1, "no redirect is followed, nothing is tried twice"
    assert server.visits or seconds == SECONDS, "a busy machine may send nothing within it"
    (entry,) = log.transcript.of("x", name)
    assert len(json.dumps(encode(entry))) < 1_000_000
    assert entry.status is not None or entry.error


@pytest.mark.parametrize("behaviour", unbounded())
@pytest.mark.parametrize(("name", "stream"), CLIENTS[:4])
def test_a_body_without_an_end_costs_little_memory(behaviour: str, name: str, stream: bool) -> None:
    client(name)  # its import is not what is measured
    log = CheckLog(Transcript(), "x")
    with hostile(behaviour) as server:
        dialect = "anthropic" if name == "anthropic" else "openai"
        endpoint = Endpoint(f"{server.url}/v1", "m", "key", dialect)
        tracemalloc.start()
        try:
            client(name).chat(endpoint, {**BODY, "stream": stream}, Deadline.after(1.0), log)
        except TransportError:
            pass
        finally:
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
    assert peak < MEMORY


@pytest.mark.parametrize("behaviour", every())
def test_the_whole_command_gives_a_verdict_and_reports(
    behaviour: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("launcher.smoke.targets.model_list.ASK_SECONDS", SECONDS)
    monkeypatch.setattr("launcher.smoke.session.GET_SECONDS", SECONDS)
    paths = {kind: tmp_path / kind for kind in ("junit", "html", "markdown")}
    with hostile(behaviour) as server:
        begun = time.monotonic()
        smoke_target = of_url(server.url)
        target = Target(**{**smoke_target.__dict__, "request_timeout": SECONDS})
        names = ["health", "models", "chat", "stream-end", "metrics", "tool-call", "count-tokens"]
        names += ["keep-alive", "auth", "logprobs"]
        result = smoke(target, names=names)
        assert time.monotonic() - begun < 60
    assert result.exit_code in (0, 1, 3)
    messages = [c["message"] for c in rows(result)]
    assert not [m for m in messages if "the check itself broke" in m]
    written = write_reports(result, **paths)
    assert "report-not-written" not in [e.code for e in written.errors]
    emit(written, as_json=True)
    emit(written, as_json=False)


RARE = [*interim.HONEST, "a 103 that comes in parts", *encodings.HONEST, *shapes.HONEST]
RARE += ["chunks with extensions and trailers", "body: a byte order mark"]


@pytest.mark.parametrize("name", ["requests", "openai"])
@pytest.mark.parametrize("behaviour", RARE)
def test_what_is_allowed_and_rare_is_read(behaviour: str, name: str) -> None:
    log = CheckLog(Transcript(), "x")
    with hostile(behaviour) as server:
        endpoint = Endpoint(f"{server.url}/v1", "m", "key", "openai")
        answer = client(name).chat(endpoint, BODY, Deadline.after(20), log)
    assert (answer.status, answer.choice.content) == (200, "Hello!")


@pytest.mark.parametrize("behaviour", RARE)
def test_what_is_allowed_and_rare_is_read_on_a_kept_connection(behaviour: str) -> None:
    log = CheckLog(Transcript(), "x")
    with hostile(behaviour) as server, Connection(f"{server.url}/v1/x", log) as connection:
        response = connection.post({}, {}, Deadline.after(20))
    assert response.status == 200
    assert at(response.objects[0], "choices", 0, "message", "content") == "Hello!"


SDK_CANNOT = {"events with a byte order mark", "events with comments and ids"}
"""What the official client's own reader of events stumbles over, and so do users' programs."""


@pytest.mark.parametrize(
    ("behaviour", "name"),
    [(one, "requests") for one in streams.HONEST]
    + [(one, "openai") for one in streams.HONEST if one not in SDK_CANNOT],
)
def test_a_stream_that_is_written_in_a_rare_way_is_read(behaviour: str, name: str) -> None:
    log = CheckLog(Transcript(), "x")
    with hostile(behaviour) as server:
        endpoint = Endpoint(f"{server.url}/v1", "m", "key", "openai")
        answer = client(name).chat(endpoint, {**BODY, "stream": True}, Deadline.after(20), log)
    assert (answer.choice.content, answer.choice.finish_reason) == ("Hello!", "stop")


@pytest.mark.parametrize("behaviour", every())
def test_a_kept_connection_ends_in_time_with_an_answer_or_a_reason(behaviour: str) -> None:
    log = CheckLog(Transcript(), "x")
    with hostile(behaviour) as server, Connection(f"{server.url}/v1/x", log) as connection:
        begun = time.monotonic()
        with contextlib.suppress(TransportError):
            response = connection.post({}, {}, Deadline.after(SECONDS))
            assert all(isinstance(one, dict) for one in response.objects)
        assert time.monotonic() - begun < SECONDS + LATE


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(("name", "stream"), CLIENTS)
def test_no_client_takes_the_key_to_another_host(name: str, stream: bool, status: int) -> None:
    log = CheckLog(Transcript(("sk-1",)), "x")
    with hostile("a body longer than its length") as second:

        def send_there(visit: Visit) -> None:
            visit.send_response(
                b"",
                b"Location: %s/v1/chat/completions\r\n" % second.url.encode(),
                status=b"HTTP/1.1 %d There\r\n" % status,
            )

        with hostile(send_there) as server:
            dialect = "anthropic" if name == "anthropic" else "openai"
            endpoint = Endpoint(f"{server.url}/v1", "m", "sk-1", dialect)
            with pytest.raises(TransportError) as caught:
                client(name).chat(endpoint, {**BODY, "stream": stream}, Deadline.after(20), log)
        assert caught.value.kind == "redirected"
        assert second.visits == 0


def test_a_redirect_with_a_key_goes_nowhere_else() -> None:
    log = CheckLog(Transcript(("sk-1",)), "x")
    with hostile("a redirect to itself") as server:
        with pytest.raises(TransportError, match="307 sends to") as caught:
            ask(
                "GET",
                f"{server.url}/v1/models",
                headers={"Authorization": "Bearer sk-1"},
                body=None,
                deadline=Deadline.after(5),
                log=log,
            )
        assert caught.value.kind == "redirected"
        assert server.visits == 1
