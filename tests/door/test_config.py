"""The rendered configuration: the whole file, and what may not stand in it."""

import dataclasses
import subprocess
from pathlib import Path

import pytest

from launcher.door.config import DoorSettings, Server, frame_of, render, server_words
from launcher.door.key_maps import write_maps
from launcher.door.keys import KeyTable
from launcher.door.messages import GatewayServer
from tests.support.decoded import JsonDict
from tests.support.haproxies import program

SETTINGS = DoorSettings("chat", certificate="/etc/ernie/chat.pem", replica_connections=64)
SERVERS = (
    Server("chat-a", "127.0.0.1", 8001, 8101),
    Server("chat-b", "::1", 8002, 8102, weight=5),
)
NO_KEYS = KeyTable("/", "5a" * 16)
GOLDEN = Path(__file__).with_name("golden.cfg")


def test_the_whole_file() -> None:
    assert render(SETTINGS, SERVERS) == GOLDEN.read_text()


@pytest.mark.parametrize(
    ("settings", "servers"),
    [
        (DoorSettings("chat"), SERVERS),
        (DoorSettings("chat", exporter=False, replica_connections=4), SERVERS),
        (DoorSettings("chat", gateway=GatewayServer(8003, 8103)), SERVERS),
        (DoorSettings("chat", gateway=GatewayServer(8003, 8103, "ab" * 32)), SERVERS),
        (DoorSettings("chat", gateway=GatewayServer(8003, 8103), keys=NO_KEYS), SERVERS),
        (DoorSettings("chat", retry_buffer=16384, max_connections=1, retry_after=60), ()),
    ],
)
def test_haproxy_takes_it_without_a_warning(
    tmp_path: Path, settings: DoorSettings, servers: tuple[Server, ...]
) -> None:
    config = tmp_path / "haproxy.cfg"
    if settings.keys is not None:
        settings = dataclasses.replace(settings, keys=KeyTable(str(tmp_path), NO_KEYS.salt))
        write_maps(settings.keys)
    config.write_text(render(settings, servers))
    env = {
        "TMPDIR": "/tmp/x", "DOOR_BIND": "127.0.0.1:8080", "DOOR_STATS_BIND": "127.0.0.1:8081",
        "DOOR_INNER_BIND": "127.0.0.1:8082",
    }  # fmt: skip
    argv = [program(), "-c", "-dW", "-f", str(config)]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr


def test_an_ipv6_address_is_taken(tmp_path: Path) -> None:
    config = tmp_path / "haproxy.cfg"
    config.write_text(render(DoorSettings("chat", address="::1"), SERVERS))
    env = {"TMPDIR": "/tmp/x", "DOOR_BIND": "[::1]:8080",
           "DOOR_STATS_BIND": "127.0.0.1:8081", "DOOR_INNER_BIND": "127.0.0.1:8082"}  # fmt: skip
    argv = [program(), "-c", "-f", str(config)]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_servers_do_not_change_the_frame_and_everything_else_does() -> None:
    frame = frame_of(render(SETTINGS, SERVERS))
    assert len(frame) == 16
    assert frame == frame_of(render(SETTINGS, SERVERS[:1])) == frame_of(render(SETTINGS, ()))
    changes: tuple[JsonDict, ...] = (
        {"retry_after": 6}, {"response_timeout": 60.0}, {"certificate": None}, {"name": "talk"},
        {"max_connections": 10}, {"exporter": False},
    )  # fmt: skip
    frames = {frame_of(render(dataclasses.replace(SETTINGS, **change), ())) for change in changes}
    assert len(frames) == len(changes)
    assert frame not in frames
    assert frame_of("global\n    description mine\n") == ""


def test_a_bound_of_each_server_changes_its_words_only_where_it_is_set() -> None:
    bounded, free = (server_words(one, SERVERS[0]) for one in (SETTINGS, DoorSettings("chat")))
    assert bounded[: len(free)] == free
    assert bounded[len(free) :] == ("maxconn", "64")


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "chat\n    maxconn 1"},
        {"certificate": "/etc/x.pem ssl-min-ver SSLv3"},
        {"certificate": "relative.pem"},
        {"response_timeout": 0.0},
        {"response_timeout": float("inf")},
        {"connect_timeout": -1.0},
        {"max_connections": 0},
        {"retry_buffer": 1000},
    ],
)
def test_what_a_configuration_cannot_hold_is_refused(changes: JsonDict) -> None:
    with pytest.raises(ValueError, match=r"cannot be|at least"):
        render(dataclasses.replace(SETTINGS, **changes), SERVERS)


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "a b"}, {"name": "A;shutdown"}, {"address": "127.0.0.1:1 backup"}, {"port": 0},
        {"ready_port": 70000}, {"weight": 257}, {"weight": -1},
    ],
)  # fmt: skip
def test_a_server_that_cannot_be_is_refused(changes: JsonDict) -> None:
    with pytest.raises(ValueError, match=r"cannot be|not a port|not between"):
        dataclasses.replace(SERVERS[0], **changes)


def test_a_server_named_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        render(SETTINGS, (SERVERS[0], SERVERS[0]))


def test_answers_with_which_a_request_goes_to_another_replica() -> None:
    plain = render(DoorSettings("shop"), [])
    groups = render(DoorSettings("shop", retry_statuses=(500, 503)), [])
    assert "    retry-on conn-failure empty-response\n" in plain
    assert "    retry-on conn-failure empty-response 500 503\n" in groups
