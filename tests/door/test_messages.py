"""Anthropic's dialect at a real HAProxy: its way to a gateway, its keys, and what else stays."""

import hashlib
import http.client
import json
from pathlib import Path
from typing import Any

import pytest

from launcher.door.keys import KeyRow, KeyTable, digest_key
from launcher.door.messages import GatewayServer
from tests.door.conftest import MakeReplica, RunDoor
from tests.support.haproxies import HAProxy
from tests.support.waiting import wait_for

KEY = 'a key: with %{blanks} and "quotes"'
DIGEST = hashlib.sha256(KEY.encode()).hexdigest()
CLIENT_KEY = "sk-client-0123456789"
SALT = "5a" * 16
MESSAGES = "/v1/messages"


def ask(
    door: HAProxy, path: str, port: int | None = None, headers: dict[str, str] | None = None
) -> tuple[int, Any]:
    """Status and body of the answer."""
    client = http.client.HTTPConnection("127.0.0.1", port or door.port, timeout=30)
    try:
        client.request("POST", path, b"{}", headers or {})
        answer = client.getresponse()
        return answer.status, answer.read()
    finally:
        client.close()


@pytest.mark.parametrize("path", [MESSAGES, f"{MESSAGES}/count_tokens", f"{MESSAGES}?beta=true"])
def test_the_dialect_goes_to_the_gateway(replica: MakeReplica, haproxy: RunDoor, path: str) -> None:
    one, gateway = replica("a"), replica("gateway")
    to = gateway.server()
    door = haproxy(one.server(), gateway=GatewayServer(to.port, to.ready_port))
    assert ask(door, path)[0] == 200
    assert (len(gateway.requests), len(one.requests)) == (1, 0)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messagesx", "/messages"])
def test_everything_else_goes_to_the_replicas(
    replica: MakeReplica, haproxy: RunDoor, path: str
) -> None:
    one, gateway = replica("a"), replica("gateway")
    to = gateway.server()
    door = haproxy(one.server(), gateway=GatewayServer(to.port, to.ready_port))
    ask(door, path)
    assert (len(gateway.requests), len(one.requests)) == (0, 1)


def test_without_a_gateway_the_replicas_get_the_dialect(
    replica: MakeReplica, haproxy: RunDoor
) -> None:
    one = replica("a")
    ask(haproxy(one.server()), MESSAGES)
    assert len(one.requests) == 1


def test_the_inner_port_leads_to_the_replicas(replica: MakeReplica, haproxy: RunDoor) -> None:
    one = replica("a")
    door = haproxy(one.server())
    assert ask(door, "/v1/chat/completions", door.inner_port)[0] == 200
    assert len(one.requests) == 1


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"x-api-key": KEY}, 200),
        ({"Authorization": f"Bearer {KEY}"}, 200),
        ({"x-api-key": KEY, "Authorization": "Bearer other"}, 200),
        ({}, 401),
        ({"x-api-key": "other"}, 401),
        ({"x-api-key": KEY + "x"}, 401),
        ({"Authorization": f"Basic {KEY}"}, 401),
    ],
)
def test_keys(replica: MakeReplica, haproxy: RunDoor, headers: dict[str, str], status: int) -> None:
    one, gateway = replica("a"), replica("gateway")
    to = gateway.server()
    door = haproxy(one.server(), gateway=GatewayServer(to.port, to.ready_port, DIGEST))
    answer = ask(door, MESSAGES, None, headers)
    assert answer[0] == status
    if status == 401:
        assert json.loads(answer[1])["error"]["type"] == "authentication_error"
        assert not gateway.requests
    else:
        assert len(gateway.requests) == 1
    assert KEY not in door.config.read_text() + door.log()
    # The other dialect's key is the replicas' business.
    assert ask(door, "/v1/chat/completions")[0] == 200


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"x-api-key": CLIENT_KEY}, 200),
        ({"Authorization": f"Bearer {CLIENT_KEY}"}, 200),
        ({}, 401),
        ({"x-api-key": KEY}, 401),
        ({"Authorization": f"Bearer {KEY}"}, 401),
    ],
)
def test_keys_of_clients_hold_in_both_dialects(
    replica: MakeReplica, haproxy: RunDoor, tmp_path: Path, headers: dict[str, str], status: int
) -> None:
    one, gateway = replica("a"), replica("gateway")
    to = gateway.server()
    row = KeyRow(digest_key(SALT, CLIENT_KEY), "team-a")
    door = haproxy(
        one.server(),
        gateway=GatewayServer(to.port, to.ready_port, DIGEST),
        keys=KeyTable(str(tmp_path), SALT, (row,), KEY),
    )
    for path, upstream in ((MESSAGES, gateway), ("/v1/chat/completions", one)):
        answer = ask(door, path, None, headers)
        assert answer[0] == status
        if status == 401:
            body = json.loads(answer[1])
            assert (body["type"], body["error"]["type"]) == ("error", "authentication_error")
            assert upstream.requests == []
        else:
            assert len(upstream.requests) == 1
            assert f"Bearer {KEY}" in str(upstream.requests[0])
            assert CLIENT_KEY not in str(upstream.requests[0])


def test_a_gateway_that_is_away_takes_nothing_else_down(
    replica: MakeReplica, haproxy: RunDoor
) -> None:
    one, gateway = replica("a"), replica("gateway")
    to = gateway.server()
    door = haproxy(one.server(), gateway=GatewayServer(to.port, to.ready_port), retry_after=3)
    gateway.stop()
    wait_for(lambda: ask(door, MESSAGES)[0] == 503, "the gateway is taken out")
    status, body = ask(door, MESSAGES)
    assert status == 503
    assert json.loads(body)["error"]["type"] == "overloaded_error"
    assert ask(door, "/v1/chat/completions")[0] == 200
