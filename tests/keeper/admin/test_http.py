"""The requests that the endpoint takes, and how it refuses the others."""

from __future__ import annotations

import email.utils

import pytest

from launcher.keeper.admin.http import LONGEST_HEAD, BadRequest, Request, Response, encode, take


def taken(text: str) -> Request:
    """The only request in `text`."""
    request = take(text.encode("latin-1"))
    assert request is not None
    assert request[1] == b""
    return request[0]


def refused(text: str) -> tuple[int, str]:
    with pytest.raises(BadRequest) as caught:
        take(text.encode("latin-1"))
    response = caught.value.response
    assert response.body.endswith("\n")
    assert response.body.count("\n") == 1, "one line"
    return response.status, response.body


def test_a_request_is_read() -> None:
    request = taken("GET /readyz?verbose HTTP/1.1\r\nHost: localhost:80\r\nUser-Agent: x\r\n\r\n")
    assert request == Request("GET", "/readyz", "localhost:80", keep_alive=True)


@pytest.mark.parametrize(
    ("head", "keep_alive"),
    [
        ("HTTP/1.1\r\nHost: a", True),
        ("HTTP/1.1\r\nHost: a\r\nConnection: close", False),
        ("HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, Close", False),
        ("HTTP/1.0", False),
        ("HTTP/1.0\r\nConnection: Keep-Alive", True),
    ],
)
def test_a_connection_is_kept_as_the_version_says(head: str, keep_alive: bool) -> None:
    assert taken(f"GET / {head}\r\n\r\n").keep_alive is keep_alive


def test_a_request_by_hand_and_by_a_proxy_is_taken() -> None:
    assert taken("\r\n\nGET /livez HTTP/1.0\n\n").path == "/livez"
    by_proxy = taken("GET http://evil.example/status HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert (by_proxy.host, by_proxy.path) == ("evil.example", "/status")
    assert taken("GET http://localhost HTTP/1.1\r\nHost: localhost\r\n\r\n").path == "/"


def test_what_follows_a_request_stays() -> None:
    one = b"GET /livez HTTP/1.0\r\n\r\n"
    request = take(one + one[:9])
    assert request is not None
    assert request[1] == one[:9]


@pytest.mark.parametrize("cut", range(1, 38))
def test_a_part_of_a_request_is_waited_for(cut: int) -> None:
    text = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
    assert len(text) > 38
    assert take(text[:cut]) is None


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("GET\r\n\r\n", 400),
        ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET / HTTP/1.1 x\r\nHost: a\r\n\r\n", 400),
        ("G(T / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\n folded: b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 4\r\n\r\nbody", 400),
        ("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        ("\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400),
        ("\0" * LONGEST_HEAD, 431),
        ("\r\n" * LONGEST_HEAD, 431),
        ("GET / HTTP/1.1\r\nX: " + "x" * LONGEST_HEAD, 431),
        ("GET / HTTP/1.1\r\nX: " + "x" * LONGEST_HEAD + "\r\n\r\n", 431),
    ],
)
def test_what_is_no_request_is_refused(text: str, status: int) -> None:
    assert refused(text)[0] == status


def test_a_method_with_a_body_is_taken_so_that_it_can_be_refused_by_its_name() -> None:
    text = b"POST /livez HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"
    request = take(text)
    assert request is not None
    assert request[0].method == "POST"


def test_a_response_has_its_length_and_a_date() -> None:
    response = Response(503, "stalled: é\n", headers={"Allow": "GET"})
    head, _, body = encode(response, head=False, keep_alive=False).partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines[1:])
    assert lines[0] == "HTTP/1.1 503 Service Unavailable"
    assert (headers["Content-Length"], body) == ("12", "stalled: é\n".encode())
    assert headers["Connection"] == "close"
    assert headers["Allow"] == "GET"
    assert email.utils.parsedate_to_datetime(headers["Date"]).tzinfo is not None
    assert encode(response, head=True, keep_alive=False) == head + b"\r\n\r\n"
