"""The command line that repeats a request: really run, and safe to paste whatever it holds."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from launcher.report.curl import curl as curl_of
from launcher.report.escape import visible
from launcher.smoke.clients.transcript import WRONG_KEY, ExchangeRecord
from launcher.smoke.run.suite import smoke
from tests.report.results import exchange
from tests.smoke.servers import Defect, serve
from tests.smoke.targets import target_of
from tests.support.as_json import as_json
from tests.support.decoded import JsonDict
from tests.support.payloads import made


def curl(recorded: JsonDict) -> str | None:
    return curl_of(made(ExchangeRecord, recorded))


HOSTILE = (
    "plain",
    "it's",
    "'; touch pwned; '",
    "$(touch pwned) `touch pwned` ${HOME}",
    '" && touch pwned; "',
    "a\nb\r\n\ttouch pwned",
    "@/etc/passwd",
    "--output pwned",
    "!! \\ %s %d {a,b} [1-3] #",
    "\x00\x1b]52;c;eA==\x07\x7f\x9b",
    "中文 🎉 é \u202e \ud83d",
    "***",
)


class _Recorder(BaseHTTPRequestHandler):
    def answer(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        body = self.rfile.read(length)
        self.server.seen.append((self.command, self.path, dict(self.headers), body))  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("content-length", "3")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(b"ok\n")

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_OPTIONS = answer  # noqa: N815

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def recorder() -> Iterator[Any]:
    """A server that notes what it is sent."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Recorder)
    server.seen = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def repeat(line: str, folder: Path, key: str = "sk-1") -> str:
    """Run the line as a reader would, in a shell; what it printed."""
    done = run_line(line, folder, key)
    assert done.returncode == 0, done.stderr
    assert not list(folder.iterdir())
    return done.stdout


def run_line(line: str, folder: Path, key: str) -> subprocess.CompletedProcess[str]:
    """The line in a shell, the key in the variable that it names."""
    return subprocess.run(
        ["sh", "-c", line],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "ERNIE_API_KEY": key},
        capture_output=True,
        text=True,
        errors="replace",
        timeout=600,
    )


needs_curl = pytest.mark.skipif(not shutil.which("curl"), reason="curl is not installed")


@needs_curl
@pytest.mark.parametrize("text", HOSTILE)
def test_the_line_sends_the_same_request_and_runs_nothing_else(text: str, tmp_path: Path) -> None:
    body = {"model": text, "messages": [{"role": "user", "content": text}], text: [text]}
    with recorder() as server:
        url = f"http://127.0.0.1:{server.server_port}/v1/chat/completions?a[]={{b,c}}&d='$(x)"
        line = curl(exchange(url=url, request=body))
        assert line is not None
        assert repeat(line, tmp_path) == "ok\n"
    ((method, path, headers, sent),) = server.seen
    assert (method, path) == ("POST", "/v1/chat/completions?a[]={b,c}&d='$(x)")
    assert headers["Content-Type"] == "application/json"
    assert json.loads(sent) == body


@pytest.mark.parametrize("text", HOSTILE)
def test_every_value_is_one_word_for_a_shell_and_steers_no_terminal(text: str) -> None:
    """What can be said without curl: the words are those that were meant."""
    line = curl(exchange(request={"model": text}))
    assert line is not None
    assert visible(line) == line
    argv = shlex.split(line)
    assert argv[:4] == ["curl", "--silent", "--show-error", "--globoff"]
    assert json.loads(argv[argv.index("--data-raw") + 1]) == {"model": text}
    assert argv[-2:] == ["--url", "http://127.0.0.1:1/v1/chat/completions"]
    assert len(argv) == 10


@needs_curl
@pytest.mark.parametrize("key", ["sk-1", 'it\'s $(touch pwned) %s \\n "x"'])
def test_the_key_comes_from_the_environment_and_is_no_argument(key: str, tmp_path: Path) -> None:
    with recorder() as server:
        url = f"http://127.0.0.1:{server.server_port}/v1/messages"
        headers = {"Authorization": "***", "x-api-key": "***", "X-100%": "50%s \\ ***"}
        line = curl(exchange(url=url, headers=headers))
        assert line is not None
        # Only the shell's own printf gets the key: no process has it among its arguments.
        first, _, second = line.partition(" | ")
        assert first.startswith("printf ")
        assert "$" not in second
        repeat(line, tmp_path, key)
    ((_, _, received_headers, _),) = server.seen
    assert received_headers["Authorization"] == f"Bearer {key}"
    assert received_headers["x-api-key"] == key
    assert received_headers["X-100%"] == f"50%s \\ {key}"


@needs_curl
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "POST"])
def test_the_method_is_kept(method: str, tmp_path: Path) -> None:
    with recorder() as server:
        url = f"http://127.0.0.1:{server.server_port}/health"
        line = curl(exchange(method=method, url=url, request=None, headers={}))
        assert line is not None
        repeat(line, tmp_path)
    assert [(m, p, b) for m, p, _, b in server.seen] == [(method, "/health", b"")]


@needs_curl
def test_headers_are_kept_but_for_those_of_the_connection(tmp_path: Path) -> None:
    headers = {
        "Accept": "text/event-stream",
        "User-Agent": "it's",
        "X-Empty": "",
        "@/etc/passwd": "x",
        "Content-Length": "4711",
        "Accept-Encoding": "gzip",
        "Host": "elsewhere",
    }
    with recorder() as server:
        url = f"http://127.0.0.1:{server.server_port}/"
        line = curl(exchange(url=url, headers=headers))
        assert line is not None
        repeat(line, tmp_path)
    ((_, _, received_headers, body),) = server.seen
    assert (
        received_headers["Accept"],
        received_headers["User-Agent"],
        received_headers["X-Empty"],
    ) == (
        "text/event-stream",
        "it's",
        "",
    )
    assert json.loads(body) == {"model": "tiny-ernie"}
    assert "Accept-Encoding" not in received_headers
    assert "passwd" not in line


@needs_curl
def test_bytes_that_are_no_json_are_sent_as_they_were(tmp_path: Path) -> None:
    with recorder() as server:
        url = f"http://127.0.0.1:{server.server_port}/"
        line = curl(exchange(url=url, request='{"model": \n\t"it\'s'))
        assert line is not None
        repeat(line, tmp_path)
    assert server.seen[0][3] == b'{"model": \n\t"it\'s'


@pytest.mark.parametrize(
    "changes",
    [
        {"request": "\x1b[2J"},
        {"request": "not UTF-8: \ufffd"},
        {"request": "x" * 16_000 + " ... (5 more characters)"},
        {"url": "file:///etc/passwd"},
        {"url": "-o pwned"},
        {"url": "http://h/\x1b"},
        {"url": "http://h/a b"},
        {"method": "-X"},
        {"headers": {"X-A": "a\r\nb"}},
    ],
)
def test_what_cannot_be_repeated_exactly_has_no_line(changes: dict[str, object]) -> None:
    assert curl(exchange(**changes)) is None


@pytest.mark.parametrize(
    ("changes", "streams"),
    [
        ({"request": {"stream": True}}, True),
        ({"events_total": 3}, True),
        ({"request": {"stream": False}}, False),
        ({}, False),
    ],
)
def test_a_stream_is_shown_as_it_comes(changes: dict[str, object], streams: bool) -> None:
    line = curl(exchange(**changes))
    assert line is not None
    assert ("--no-buffer" in shlex.split(line)) is streams


def normalized(data: bytes) -> Any:
    """A body as it is compared: JSON by its meaning."""
    try:
        return json.loads(data)
    except ValueError:
        return data


@needs_curl
def test_the_line_of_each_check_sends_what_the_check_sent(tmp_path: Path) -> None:
    """The wrong and the missing key of `auth` among them."""
    requests_sent: list[tuple[Any, ...]] = []

    def note(server: object, method: str, path: str, data: bytes, headers: Any) -> None:
        keys = [headers.get(name) for name in ("Authorization", "x-api-key", "anthropic-version")]
        requests_sent.append((method, path, *keys, normalized(data)))

    with serve(Defect("note", "", route=note), key="sk-secret") as server:
        checks = as_json(smoke(target_of(server), tags=["full"]).payload)["checks"]
        sent = list(requests_sent)
        for check in checks:
            evidence = check["evidence"]
            chosen = evidence if check["name"] == "auth" else [*evidence[:1], *evidence[-1:]]
            for line in {line for one in chosen if (line := curl(one))}:
                requests_sent.clear()
                done = run_line(line, tmp_path, "sk-secret")
                assert done.returncode in (0, 18, 52, 56), (line, done.stderr)
                assert len(requests_sent) == 1, (check["name"], line)
                assert requests_sent[0] in sent, (check["name"], line, requests_sent[0])
    assert {one[2] for one in sent} >= {None, "Bearer sk-secret", f"Bearer {WRONG_KEY}"}


@needs_curl
def test_a_key_in_the_body_is_sent_and_is_not_in_the_line(tmp_path: Path) -> None:
    odd = "*** 100 %s \\ \" ' $HOME `id` \n é"
    body = {"key": "***", "messages": [{"role": "user", "content": odd}], "deep": {"token": "***"}}
    with recorder() as server:
        url = f"http://127.0.0.1:{server.server_port}/v1"
        line = curl(exchange(url=url, request=body, headers={"x-api-key": "***"}))
        assert line is not None
        assert repeat(line, tmp_path, "sk-1") == "ok\n"
    ((_, _, headers, sent),) = server.seen
    assert headers["x-api-key"] == "sk-1"
    assert json.loads(sent) == {
        "key": "sk-1",
        "messages": [{"role": "user", "content": odd}],
        "deep": {"token": "sk-1"},
    }


@needs_curl
def test_the_requests_of_a_real_run_can_be_repeated(tmp_path: Path) -> None:
    with serve(key="sk-secret") as server:
        run = smoke(target_of(server), names=["chat", "stream-order", "health", "auth"])
        recorded = [e for one in as_json(run.payload)["checks"] for e in one["evidence"]]
        assert len(recorded) >= 4
        for one in recorded:
            line = curl(one)
            assert line is not None
            assert "sk-secret" not in line
            if one["status"] != 200:
                continue
            answer = repeat(line, tmp_path, "sk-secret")
            if one["events"]:
                assert answer.rstrip().endswith("data: [DONE]")
            elif one["method"] == "POST":
                assert json.loads(answer)["choices"]
