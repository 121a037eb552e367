"""The program that sends one notification: its tries, and the way through a proxy."""

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

from launcher.keeper import notification_sender
from tests.support import ROOT
from tests.support.decoded import JsonDict
from tests.support.webhook import Webhook, status

TIMED = """
import json, sys, time
pauses = []
time.sleep = pauses.append
from launcher.keeper import notification_sender
notification_sender.main()
print(json.dumps(pauses))
"""
"""The program with a clock that does not wait; the second line of its output are the pauses."""


def send(env: dict[str, str] | None = None, **task: object) -> tuple[JsonDict, list[float]]:
    """How a sender ends, and its pauses between the tries in seconds."""
    document: JsonDict = {
        "message": {"state": "died"}, "variables": {}, "command": None, "env": {},
        "webhook": None, "headers": {}, "timeout": 60, "retries": 0, **task,
    }  # fmt: skip
    ran = subprocess.run(
        [sys.executable, "-c", TIMED], input=json.dumps(document), text=True, capture_output=True,
        timeout=600, env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", **(env or {})},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    end, pauses = map(json.loads, ran.stdout.splitlines())
    return end, pauses


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    """A server on loopback."""
    receiver = Webhook()
    yield receiver
    receiver.close()


def test_the_pauses_between_tries_begin_with_a_second_and_double() -> None:
    end, pauses = send(command=["false"], retries=3)
    assert (end["ok"], end["tries"]) == (False, 4)
    assert end["message"] == "the command ended with exit code 1"
    assert pauses == [pytest.approx(seconds, rel=0.11) for seconds in (1.0, 2.0, 4.0)]


def test_what_is_sent_at_once_needs_no_pause() -> None:
    assert send(command=["true"], retries=3) == ({"ok": True, "message": "", "tries": 1}, [])


def test_a_refusal_that_stays_is_not_tried_again(webhook: Webhook) -> None:
    webhook.answers = [status(404)]
    end, pauses = send(webhook=webhook.url, retries=3)
    assert (end["message"], end["tries"], pauses) == ("it answered 404 Not Found", 1, [])


def test_a_webhook_is_reached_through_a_proxy_at_its_own_port(webhook: Webhook) -> None:
    """The test's server stands in for the proxy: it is asked for the whole URL."""
    port = webhook.server.server_port
    proxy = {"http_proxy": f"http://user:a%20key@127.0.0.1:{port}"}
    end, _ = send(proxy, webhook="http://pager.invalid/hook?x=1")
    assert end["ok"], end
    ((path, headers, body),) = webhook.requests
    assert path == "http://pager.invalid/hook?x=1"
    assert headers["Host"] == "pager.invalid"
    assert headers["Proxy-Authorization"] == "Basic dXNlcjphIGtleQ=="
    assert body == {"state": "died"}


@pytest.mark.parametrize(
    ("url", "proxy", "address"),
    [("http://pager.invalid/hook", "http://proxy.invalid", ("proxy.invalid", 80)),
     ("http://pager.invalid/hook", "proxy.invalid:3128", ("proxy.invalid", 3128)),
     ("https://pager.invalid/hook", "http://proxy.invalid:3128", ("proxy.invalid", 3128)),
     ("http://127.0.0.1:9/hook", "http://proxy.invalid", ("127.0.0.1", 9))],
)  # fmt: skip
def test_the_proxy_of_the_environment_is_used_but_for_this_host(
    monkeypatch: pytest.MonkeyPatch, url: str, proxy: str, address: tuple[str, int]
) -> None:
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, proxy)
    for name in ("no_proxy", "NO_PROXY", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    connection, _, _ = notification_sender._connect(url, 60)
    assert (connection.host, connection.port) == address
