"""Targets are told of changes: a real HTTP server and real commands, kind and hostile ones."""

import json
import os
import signal
import socket
import stat
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from launcher.keeper.events import read_events
from tests.support import processes
from tests.support.decoded import JsonDict
from tests.support.rig import NEVER, Rig
from tests.support.waiting import wait_for
from tests.support.webhook import Webhook, status

RESTARTS = {"policy": "on-failure", "max-restarts": 3, "first-delay": 0}
EVERY = ["ready", "stalled", "failed", "died", "restarting", "stopped", "recovered"]


def huge(handler: BaseHTTPRequestHandler) -> None:
    """An answer without an end."""
    handler.send_response(200)
    handler.end_headers()
    try:
        while True:
            handler.wfile.write(b"x" * 65536)
    except OSError:
        return


def garbage(handler: BaseHTTPRequestHandler) -> None:
    """No HTTP at all."""
    handler.wfile.write(b"220 mail.example.com ESMTP\r\n")


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    """A server on loopback."""
    receiver_made = Webhook()
    yield receiver_made
    receiver_made.close()


def hangs(webhook: Webhook) -> Callable[[BaseHTTPRequestHandler], None]:
    """No answer until the test ends."""
    return lambda handler: (webhook.ended.wait(600), None)[1]


def deliveries(rig: Rig) -> list[JsonDict]:
    """The `notification` events."""
    return [dict(one) for one in read_events(rig.instance()) if one["event"] == "notification"]


def wait_for_told(rig: Rig, count: int = 1) -> list[JsonDict]:
    """The first `count` of them."""
    wait_for(lambda: len(deliveries(rig)) >= count, f"{count} notifications")
    return deliveries(rig)


def script(rig: Rig, text: str, name: str = "page") -> str:
    """A command's path."""
    path = Path(rig.path(name))
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o700)
    return str(path)


def test_a_webhook_is_told_of_a_death_and_of_the_recovery(rig: Rig, webhook: Webhook) -> None:
    rig.env["HOOK_AUTH"] = "Bearer the-secret-of-the-hook"
    headers = {"Authorization": "env:HOOK_AUTH", "X-Team": "serving"}
    rig.up(restart=RESTARTS, notify=[{"webhook": webhook.url, "headers": headers}])
    first = rig.engine()
    rig.kill(first)
    wait_for(lambda: len(webhook.requests) == 2, "both messages")
    wait_for_told(rig, 2)

    died, recovered = webhook.messages
    assert (died["state"], died["instance"], died["code"]) == ("died", "one", "engine-died")
    assert died["schema"] == "ernie-deploy/notification/1"
    assert died["message"].startswith("the engine was ready and was killed by SIGKILL")
    assert died["incident"]["kind"] == "failure"
    assert Path(died["incident"]["folder"], "incident.json").exists()
    assert (recovered["state"], recovered["incident"]) == ("recovered", died["incident"])
    assert recovered["message"].startswith("service is back after ")
    path, sent, _ = webhook.requests[0]
    assert path == "/hook"
    assert (sent["Authorization"], sent["X-Team"]) == ("Bearer the-secret-of-the-hook", "serving")
    assert [(e["target"], e["state"], e["ok"], e["message"]) for e in deliveries(rig)] == [
        ("webhook-1", "died", True, "sent"), ("webhook-1", "recovered", True, "sent"),
    ]  # fmt: skip
    rig.down()
    assert len(webhook.requests) == 2, "an ordered stop is not among the defaults"
    for path_on_disk in rig.instance().rglob("*"):
        if path_on_disk.is_file():
            assert b"the-secret-of-the-hook" not in path_on_disk.read_bytes(), path_on_disk


def test_each_change_reaches_a_command_as_json_and_variables(rig: Rig) -> None:
    log = rig.path("log")
    command = script(rig, f'cat >> {log}; echo "$ERNIE_DEPLOY_STATE $TOKEN $1" >> {log}.env')
    rig.env["PAGER"] = "the-token-of-the-pager"
    target = {"command": [command, "urgent"], "env": {"TOKEN": "env:PAGER"}, "on": EVERY}
    rig.up(restart=RESTARTS, notify=[target])
    first = rig.engine()
    rig.kill(first)
    wait_for(lambda: rig.stored()["state"] == "ready" and rig.engine() != first, "the restart")
    wait_for_told(rig, 4)
    rig.down()
    messages = [json.loads(line) for line in Path(log).read_text().splitlines()]
    states = ["ready", "died", "restarting", "recovered", "stopped"]
    assert [message["state"] for message in messages] == states
    expected = [f"{state} the-token-of-the-pager urgent" for state in states]
    assert Path(f"{log}.env").read_text().splitlines() == expected
    assert len({message["id"] for message in messages}) == 5


def test_one_that_is_given_up_is_told_before_the_keeper_ends(rig: Rig, webhook: Webhook) -> None:
    rig.up(restart=NEVER, notify=[{"webhook": webhook.url}])
    keeper = rig.keeper()
    rig.kill(rig.engine())
    wait_for(lambda: not processes.alive(keeper), "the end of the keeper")
    assert [message["state"] for message in webhook.messages] == ["died"]
    assert [event["ok"] for event in deliveries(rig)] == [True]
    rig.down()


def test_an_error_is_tried_again_and_the_same_message_is_sent(rig: Rig, webhook: Webhook) -> None:
    webhook.answers = [status(500), status(429), status(200)]
    rig.up(notify=[{"webhook": webhook.url, "on": "ready"}])
    (event,) = wait_for_told(rig)
    assert (event["ok"], event["message"]) == (True, "sent with try 3")
    assert len({message["id"] for message in webhook.messages}) == 1
    rig.down()


@pytest.mark.parametrize(
    ("answer", "requests", "message"),
    [
        (status(404), 1, "it answered 404 Not Found"),
        (status(503), 2, "it answered 503 Service Unavailable, 2 times"),
        (status(302, Location="/other"), 1, "it answered 302, a redirect that is not followed"),
        (status(307, Location="http://localhost:1/x"), 1,
         "it answered 307, a redirect to another host"),
        (status(308, Location="https://127.0.0.1/x"), 1,
         "it answered 308, a redirect to another host"),
        (status(307, Location="/again"), 4, "it redirects without end"),
        (garbage, 2, "its answer is not HTTP (BadStatusLine), 2 times"),
    ],
    ids=["404", "503", "302", "other host", "other scheme", "loop", "garbage"],
)  # fmt: skip
def test_what_is_not_taken_is_told_and_counted(
    rig: Rig, webhook: Webhook, answer: Any, requests: int, message: str
) -> None:
    webhook.answers = [answer]
    rig.up(notify=[{"webhook": webhook.url, "on": ["ready"], "retries": 1}])
    (event,) = wait_for_told(rig)
    assert (event["ok"], event["message"], event["failures"]) == (False, message, 1)
    assert len(webhook.requests) == requests
    rig.down()


def test_a_redirect_on_the_same_host_is_followed(rig: Rig, webhook: Webhook) -> None:
    webhook.answers = [status(307, Location="/moved"), status(200)]
    rig.up(notify=[{"webhook": webhook.url, "on": "ready"}])
    (event,) = wait_for_told(rig)
    assert event["ok"] is True
    assert [path for path, _, _ in webhook.requests] == ["/hook", "/moved"]
    rig.down()


def test_an_answer_without_an_end_is_read_no_further(rig: Rig, webhook: Webhook) -> None:
    webhook.answers = [huge]
    rig.up(notify=[{"webhook": webhook.url, "on": "ready"}])
    (event,) = wait_for_told(rig)
    assert event["ok"] is True
    rig.down()


def test_a_webhook_that_hangs_delays_neither_restart_nor_end(rig: Rig, webhook: Webhook) -> None:
    webhook.answers = [hangs(webhook)]
    target = {"webhook": webhook.url, "on": EVERY, "timeout": 300, "retries": 0}
    log = rig.path("log")
    command = {"command": [script(rig, f"cat >> {log}")], "on": EVERY}
    rig.up(restart=RESTARTS, notify=[target, command])
    first = rig.engine()
    rig.kill(first)
    wait_for(lambda: rig.stored()["state"] == "ready" and rig.engine() != first, "the restart")
    wait_for(lambda: len(deliveries(rig)) == 4, "the other target's messages")
    assert {event["target"] for event in deliveries(rig)} == {"command-2"}
    keeper = rig.keeper()
    begun = time.monotonic()
    rig.down()
    wait_for(lambda: not processes.alive(keeper), "the end of the keeper")
    assert time.monotonic() - begun < 120, "300 s were allowed for a try, but not at the end"
    lost = [event for event in deliveries(rig) if not event["ok"]]
    assert [event["state"] for event in lost].count("ready") == 1
    assert len(lost) == 5, "none is passed over in silence"


def test_a_command_that_hangs_is_ended_with_all_it_has_started(rig: Rig) -> None:
    pids = rig.path("pids")
    text = f"""
setsid sh -c 'echo $$ >> {pids}; trap "" TERM HUP; sleep 1000' &
echo $$ >> {pids}
trap "" TERM HUP
sleep 1000"""
    target = {"command": [script(rig, text)], "on": "ready", "timeout": 2, "retries": 0}
    rig.up(notify=[target])
    (event,) = wait_for_told(rig)
    assert (event["ok"], event["message"]) == (False, "it did not end in time")
    started = [int(word) for word in Path(pids).read_text().split()]
    wait_for(lambda: not any(map(processes.alive, started)), "the end of what it has started")
    assert [process["pid"] for process in rig.stored()["processes"]] == [rig.engine()]
    assert rig.down().json["data"]["receipt"]["left"] == []


def test_what_a_command_leaves_running_is_no_process_of_the_instance(rig: Rig) -> None:
    gate, pid_file = rig.path("gate"), rig.path("pid")
    text = f"""
setsid sh -c 'echo $$ > {pid_file}; sleep 1000' > /dev/null 2>&1 &
while [ ! -s {pid_file} ]; do sleep 0.1; done
while [ ! -e {gate} ]; do sleep 0.1; done"""
    rig.up(notify=[{"command": [script(rig, text)], "on": "ready", "timeout": 300}])
    wait_for(lambda: os.path.exists(pid_file) and Path(pid_file).read_text(), "the daemon")
    pid = int(Path(pid_file).read_text())
    before = rig.stored()["started_at"]
    os.kill(rig.keeper(), signal.SIGCHLD)  # it looks around
    assert rig.stored()["started_at"] == before
    Path(gate).touch()
    assert wait_for_told(rig)[0]["ok"] is True
    wait_for(lambda: not processes.alive(pid), "the end of what the command left")
    assert [process["pid"] for process in rig.stored()["processes"]] == [rig.engine()]
    rig.down()


def test_a_command_that_fails_is_told(rig: Rig) -> None:
    target = {"command": [script(rig, "exit 3")], "on": "ready", "retries": 1}
    rig.up(notify=[target])
    (event,) = wait_for_told(rig)
    assert (event["ok"], event["message"]) == (False, "the command ended with exit code 3, 2 times")
    rig.down()


def test_a_secret_in_what_goes_wrong_is_taken_out(rig: Rig) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    rig.env["HOOK"] = f"http://127.0.0.1:{port}/the-secret-path-of-it"
    rig.up(notify=[{"webhook": "env:HOOK", "on": "ready", "retries": 0}])
    (event,) = wait_for_told(rig)
    assert (event["ok"], event["message"]) == (False, "Connection refused")
    rig.down()
    for path in rig.instance().rglob("*"):
        if path.is_file():
            assert b"the-secret-path-of-it" not in path.read_bytes(), path


@pytest.mark.parametrize("value", ["ftp://x/y", "http://[::1", "http://host:port/x", "x\x7fy"])
def test_a_reference_that_holds_no_url_harms_nothing(rig: Rig, value: str) -> None:
    Path(rig.path("url")).write_text(value)
    target = {"webhook": f"file:{rig.path('url')}", "on": "ready", "retries": 0}
    ran = rig.run("up", rig.profile(notify=[target]), "--json")
    if ran.rc == 3:
        assert rig.errors(ran) == ["missing-secret"]
        return
    assert ran.rc == 0, ran.output()
    (event,) = wait_for_told(rig)
    assert event["ok"] is False
    rig.down()


def test_a_missing_secret_or_program_is_found_before_anything_starts(rig: Rig) -> None:
    hook = {"webhook": "http://127.0.0.1:1/x", "headers": {"Authorization": "env:NOT_SET_AT_ALL"}}
    ran = rig.run("up", rig.profile(notify=[hook]), "--json")
    assert (ran.rc, rig.errors(ran)) == (3, ["missing-secret"])
    ran = rig.run("up", rig.profile(notify=[{"command": ["/no/such/program"]}]), "--json")
    assert (ran.rc, rig.errors(ran)) == (3, ["missing-program"])


def test_the_engine_does_not_see_the_secrets_of_notify(rig: Rig) -> None:
    env = rig.path("env")
    rig.env["HOOK_AUTH"] = "the-secret-of-the-hook"
    hook = {"webhook": "http://127.0.0.1:1/x", "headers": {"Authorization": "env:HOOK_AUTH"}}
    rig.up(notify=[hook], script={"before": [{"env": env}]})
    assert "the-secret-of-the-hook" not in Path(env).read_text()
    rig.down()
    assert stat.S_IMODE((rig.instance() / "plan.json").stat().st_mode) == 0o600


def test_a_message_on_its_way_ends_with_a_killed_keeper(rig: Rig) -> None:
    pid_file = rig.path("pid")
    text = f'echo $$ > {pid_file}; trap "" TERM HUP; while :; do sleep 1; done'
    rig.up(notify=[{"command": [script(rig, text)], "on": "ready", "timeout": 300}])
    wait_for(lambda: os.path.exists(pid_file) and Path(pid_file).read_text(), "the command")
    pid = int(Path(pid_file).read_text())
    rig.lose()
    wait_for(lambda: not processes.alive(pid), "the end of the command", deadline=120)
    rig.down()
