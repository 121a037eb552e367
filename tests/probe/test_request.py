"""One question to a server: what is sent with it, and what its answer becomes."""

from __future__ import annotations

import gzip

import pytest

from launcher.probe.http import NotHttpError
from launcher.probe.request import ask
from tests.probe.test_http import answer, answering

SECONDS = 20.0


@pytest.mark.parametrize(
    ("body", "encoding", "expected"),
    [
        (b"plain", "identity", b"plain"),
        (b"plain", "", b"plain"),
        (gzip.compress(b"packed", mtime=0), "gzip", b"packed"),
        (b"", "br", b""),
        (b"", "gzip", b""),
    ],
)
def test_a_body_comes_without_its_compression(body: bytes, encoding: str, expected: bytes) -> None:
    with answering(answer(body, content_encoding=encoding)) as port:
        assert ask("127.0.0.1", port, "/", timeout=SECONDS).body == expected


@pytest.mark.parametrize(("body", "encoding"), [(b"x", "br"), (b"no gzip", "gzip")])
def test_a_body_that_cannot_be_unpacked_is_no_answer(body: bytes, encoding: str) -> None:
    with answering(answer(body, content_encoding=encoding)) as port, pytest.raises(NotHttpError):
        ask("127.0.0.1", port, "/", timeout=SECONDS)


def test_an_answer_that_is_late_is_told_with_the_deadline() -> None:
    silent = (b"HTTP/1.1 200 OK\r\n", b"a: b\r\n")
    with (
        answering(*silent, pause=0.05, forever=True) as port,
        pytest.raises(TimeoutError, match=r"^no whole answer within 0\.2 s$"),
    ):
        ask("127.0.0.1", port, "/", timeout=0.2)


def test_the_json_of_an_answer_may_say_a_key_twice_but_not_be_endless() -> None:
    with answering(b'HTTP/1.1 200 OK\r\n\r\n{"a": 1, "a": 2}') as port:
        assert ask("127.0.0.1", port, "/", timeout=SECONDS).json() == {"a": 2}
    with answering(b"HTTP/1.1 200 OK\r\n\r\n" + b"[" * 5000) as port:
        answered = ask("127.0.0.1", port, "/", timeout=SECONDS)
        with pytest.raises(ValueError, match="levels deep"):
            answered.json()
