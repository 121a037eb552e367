"""Addresses where no ERNIE answers: the cause is named, in bounded time, and no secret is said."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import Message

import pytest

from launcher.errors import UsageError
from launcher.report import html, junit, markdown, smoke_text
from launcher.smoke.clients.base import Endpoint
from launcher.smoke.run.suite import smoke
from launcher.smoke.target import Target
from launcher.smoke.targets.resolve import of_url, resolve
from tests.smoke.rows import rows
from tests.smoke.servers import Defect, RouteAnswer, Server, serve
from tests.smoke.targets import target_of

SECRET = "sk-a-key-that-must-not-show"


@contextmanager
def deaf() -> Iterator[str]:
    """Takes every connection and never says a word."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(128)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def test_a_key_that_the_server_repeats_is_in_no_report() -> None:
    def tells(
        server: Server, method: str, path: str, data: bytes, headers: Message
    ) -> RouteAnswer | None:
        message = f"Incorrect API key provided: {headers.get('Authorization')}"
        return (401, {"error": {"message": message}}) if method == "POST" else None

    with serve(Defect("tells", "chat", route=tells), key=SECRET) as server:
        result = smoke(target_of(server), names=["chat", "tool-call"], clients=["all"])
    assert {c["verdict"] for c in rows(result)} == {"fail"}
    assert "Incorrect API key" in rows(result)[0]["message"]
    assert SECRET not in json.dumps(result.envelope())
    for render in (smoke_text.smoke, junit.render, markdown.render, html.render):
        assert SECRET not in render(result)


@pytest.mark.parametrize(
    "url", ["http://me:pass-word@127.0.0.1:1/v1", "http://127.0.0.1:1/v1?key=pass-word"]
)
def test_an_address_that_holds_a_secret_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        resolve(url)
    assert "pass-word" not in str(caught.value)


def test_a_redirection_is_named_and_not_followed() -> None:
    def elsewhere(
        server: Server, method: str, path: str, data: bytes, headers: Message
    ) -> RouteAnswer | None:
        return (307, "") if path != "/health" else None

    with serve(Defect("moved", "chat", route=elsewhere)) as server:
        where = f"{server.url}/new"
        server.memory["location"] = where
        result = smoke(target_of(server), names=["chat"], clients=["requests"])
    (check,) = rows(result)
    assert check["verdict"] == "fail"
    assert f"HTTP 307 sends to {where}" in check["message"]


def test_of_a_server_that_never_answers_only_the_first_checks_wait() -> None:
    with deaf() as url:
        endpoint = Endpoint(f"{url}/v1", "m")
        target = Target(url, "url", endpoint, "m", request_timeout=0.5)
        result = smoke(target, tags=["full"])
    verdicts = [c["verdict"] for c in rows(result)]
    # At most those that ran side by side when it became plain.
    assert 3 <= verdicts.count("fail") <= 8
    assert "pass" not in verdicts
    spared = [c["message"] for c in rows(result) if "waited in vain" in c["message"]]
    assert len(spared) > 30
    assert "no answer for" in spared[0]
    assert result.exit_code == 1


def test_what_the_model_list_said_instead_is_in_the_note() -> None:
    def closed(
        server: Server, method: str, path: str, data: bytes, headers: Message
    ) -> RouteAnswer | None:
        return (401, {"error": "no"}) if path == "/v1/models" else None

    with serve(Defect("closed", "models", route=closed)) as server:
        assert "the server answers HTTP 401" in resolve(server.url).notes[0]


def test_a_refused_stream_is_a_failure_unless_the_server_says_that_it_cannot() -> None:
    def breaks(status: int) -> Defect:
        def route(
            server: Server, method: str, path: str, data: bytes, headers: Message
        ) -> RouteAnswer | None:
            return (status, {"error": "no"}) if b'"stream": true' in data else None

        return Defect("no-streams", "stream-end", route=route)

    results = {}
    for status in (500, 400):
        with serve(breaks(status)) as server:
            result = smoke(of_url(server.url, model="tiny-ernie"), names=["stream-end"])
        results[status] = rows(result)[0]["verdict"]
    assert results == {500: "fail", 400: "could not check"}


@pytest.mark.parametrize("client", ["requests", "openai"])
def test_no_proxy_comes_between_us_and_a_server_here(
    client: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as nowhere:
        nowhere.bind(("127.0.0.1", 0))
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{nowhere.getsockname()[1]}")
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
        with serve() as server:
            result = smoke(target_of(server), names=["chat"], clients=[client])
    assert rows(result)[0]["verdict"] == "pass", rows(result)[0]["message"]


def test_a_plain_answer_may_be_silent_as_long_as_the_request_may_take() -> None:
    with serve() as server:
        assert of_url(server.url).silence_timeout is None
