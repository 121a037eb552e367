"""Pictures and videos: they are seen, in their order, and not fetched from the inner network."""

from __future__ import annotations

import contextlib
import ipaddress
import re
import tempfile
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from launcher.json_values import JsonObject
from launcher.smoke.answers.answer import Answer
from launcher.smoke.check import check
from launcher.smoke.checks import pictures
from launcher.smoke.clients.base import TransportError
from launcher.smoke.outcome import Outcome, could_not_check
from launcher.smoke.session import Messages, Session

ONE = "Which number is in the picture? Answer with the digits only."
SEVERAL = (
    "Each picture shows one number. Write the numbers in the order of the pictures, separated by "
    "commas, and nothing else."
)
VIDEO = (
    "The video shows one number and then another one. Write the two numbers in the order in which "
    "they appear, separated by a comma, and nothing else."
)


def _question(text: str, parts: Sequence[JsonObject]) -> Messages:
    return [{"role": "user", "content": [*parts, {"type": "text", "text": text}]}]


def _read(session: Session, text: str, parts: Sequence[JsonObject]) -> list[str]:
    """The numbers in the answer to a question about pictures.

    Raises:
        Stop: the dialect has other parts, or the server takes no pictures and promises none.
    """
    if session.target.endpoint.dialect != "openai":
        raise could_not_check("pictures are sent in OpenAI's dialect only")
    answer = session.answered(_question(text, parts))
    return re.findall(r"\d+", session.speaks(answer))


def _judge(
    session: Session, read: list[str], numbers: list[str], unseen: str, swapped: str
) -> None:
    """All numbers that were shown were read, in their order.

    Raises:
        Stop: nothing that was shown was read, and pictures are not promised.
    """
    if not set(read) & set(numbers) and not session.promised():
        raise could_not_check(
            f"{', '.join(numbers)} was shown and not read: the model sees no pictures, or not well"
        )
    expected, got = ", ".join(numbers), ", ".join(read) or "no number"
    if sorted(read) == sorted(numbers):
        session.expect(read == numbers, swapped, f"{expected} in this order", got)
    else:
        session.expect(False, unseen, f"the numbers that are shown: {expected}", got)


@check(
    "image",
    "a picture is seen, and each request has its own",
    tags="quick vision",
    needs="vision",
)
def image(session: Session) -> Outcome:
    """Two requests, two numbers that cannot be guessed."""
    numbers = pictures.numbers(2)
    read = [_read(session, ONE, [pictures.image_part(number)]) for number in numbers]
    _judge(session, [n for one in read for n in one], numbers, "image-not-seen", "image-of-another")
    return session.outcome(f"read {', '.join(numbers)} from two pictures")


@check(
    "images",
    "several pictures of one request are seen in their order",
    tags="vision",
    needs="vision vision-several",
)
def images(session: Session) -> Outcome:
    """Three numbers in one request."""
    numbers = pictures.numbers(3)
    read = _read(session, SEVERAL, [pictures.image_part(number) for number in numbers])
    _judge(session, read, numbers, "image-missing", "images-swapped")
    return session.outcome(f"read {', '.join(numbers)} from three pictures of one request")


@check(
    "video",
    "a video is seen from its beginning to its end",
    tags="vision",
    needs="video",
)
def video(session: Session) -> Outcome:
    """One number in the first half, another one in the second."""
    numbers = pictures.numbers(2, digits=2)
    read = _read(session, VIDEO, [pictures.video_part(numbers)])
    _judge(session, read, numbers, "video-not-seen", "video-out-of-order")
    return session.outcome(f"read {' and then '.join(numbers)} from a video of 4 s")


@check(
    "image-url",
    "an image URL reads neither the inner network nor a file",
    tags="security vision",
    needs="vision",
    via="http",
)
def image_url(session: Session) -> Outcome:
    """A picture behind several spellings of this host's loopback address, and in a file."""
    if session.target.endpoint.dialect != "openai":
        raise could_not_check("pictures are sent in OpenAI's dialect only")
    if not _is_loopback(session.target.endpoint.base_url):
        raise could_not_check("the server is on another machine, whose network is not seen here")
    # Where a guard was requested, a fetch is not a known deviation of the engine.
    guard = session.promised("media-guard")
    code = "guarded-url-fetched" if guard else "inner-url-fetched"
    with _picture_server() as (port, requests):
        for host in ("127.0.0.1", "localhost", "2130706433"):
            requests.clear()
            url = f"http://{host}:{port}/internal.png"
            status = _ask(session, url)
            session.expect(
                not requests, code, f"no request to {url}", f"{len(requests)} requests ({status})"
            )
    _file(session)
    return session.outcome("no request came to the loopback address, and no file was read")


def _file(session: Session) -> None:
    """A picture on the server's disk: the answer shows whether it was read."""
    (number,) = pictures.numbers(1, digits=6)
    with tempfile.TemporaryDirectory(prefix="ed-smoke-") as folder:
        path = Path(folder) / "private.png"
        path.write_bytes(pictures.png(number))
        part = pictures.image_url_part(path.as_uri())
        answer = _chat(session, _question(ONE, [part]))
    text = answer.choice.text if answer is not None and answer.status == 200 else ""
    session.expect(number not in text, "local-file-read", "no file read by file://", text)


def _ask(session: Session, url: str) -> str:
    answer = _chat(session, _question(ONE, [pictures.image_url_part(url)]))
    return f"HTTP {answer.status}" if answer is not None else "no answer"


def _chat(session: Session, messages: Messages) -> Answer | None:
    """The answer, whatever it is; a connection that ends is a refusal too."""
    try:
        return session.chat(messages, max_tokens=64)
    except TransportError:
        return None


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


@contextlib.contextmanager
def _picture_server() -> Iterator[tuple[int, list[str]]]:
    """A picture on a free loopback port, and the paths that were asked for."""
    requests: list[str] = []
    data = pictures.png(pictures.numbers(1)[0])

    class Handler(BaseHTTPRequestHandler):
        timeout = 10

        def do_GET(self) -> None:
            requests.append(self.path)
            self.send_response(200)
            self.send_header("Content-Type", "image/png")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_HEAD(self) -> None:
            requests.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Nothing is printed."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(
            target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )
        thread.start()
        try:
            yield server.server_address[1], requests
        finally:
            server.shutdown()
            thread.join()
