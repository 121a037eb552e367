"""The front door of replicas that a folder lists: what files say, and what the door does."""

import contextlib
import http.client
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from launcher import profile as profiles
from launcher.door.config import Server
from launcher.door.endpoints import Doorway, Published, follow, open_door, read_endpoints
from launcher.door.profile import door_name
from launcher.errors import PreconditionError
from launcher.instance.store import instance_dir
from launcher.instance.teardown import down
from launcher.profile.model import Profile
from tests.door.conftest import MakeReplica
from tests.support.replicas import Replica
from tests.support.waiting import wait_for


def publish(folder: Path, text: str, name: str = "") -> None:
    (folder / (name or text.split(" ")[0])).write_text(f"{text}\n")


def test_a_file_is_a_replica(tmp_path: Path) -> None:
    publish(tmp_path, "chat-1 127.0.0.1:9001 9101")
    publish(tmp_path, "chat-0 localhost:9000 9100")
    publish(tmp_path, "chat-2 127.0.0.1:9002 9102", "chat-2.new")
    published = read_endpoints(tmp_path)
    assert [one.name for one in published.servers] == ["chat-0", "chat-1"]
    assert published.servers[1] == Server("chat-1", "127.0.0.1", 9001, 9101)
    assert published.servers[0].address in ("127.0.0.1", "::1"), "HAProxy resolves no name"
    assert published.refused == ()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not one line"),
        ("chat-0 gpu7:9000", "not one line"),
        ("chat-0 gpu7:9000 9100\nchat-1 gpu7:9001 9101", "not one line"),
        ("chat-0 127.0.0.1:99999 9100", "not a port"),
        ("chat_0; 127.0.0.1:9000 9100", "cannot be the name"),
        ("chat-0 no.such.host.invalid:9000 9100", "has no address"),
        ("x" * 5000, "chat-0"),
    ],
    ids=["empty", "short", "two", "port", "name", "host", "long"],
)
def test_what_names_no_replica_is_left_out_with_its_reason(
    text: str, reason: str, tmp_path: Path
) -> None:
    (tmp_path / "chat-0").write_text(text)
    publish(tmp_path, "chat-9 127.0.0.1:9009 9109")
    published = read_endpoints(tmp_path)
    assert [one.name for one in published.servers] == ["chat-9"]
    (refused,) = published.refused
    assert reason in refused


def test_two_files_are_not_one_replica(tmp_path: Path) -> None:
    publish(tmp_path, "chat-0 127.0.0.1:9000 9100", "a")
    publish(tmp_path, "chat-0 127.0.0.1:9001 9101", "b")
    published = read_endpoints(tmp_path)
    assert [one.port for one in published.servers] == [9000]
    assert published.refused == ("b: chat-0 is named twice",)


def test_a_folder_that_is_not_there_is_one_message(tmp_path: Path) -> None:
    with pytest.raises(PreconditionError, match="cannot be read"):
        read_endpoints(tmp_path / "gone")
    assert read_endpoints(tmp_path) == Published(()), "an empty one is a service without replicas"


@pytest.fixture
def profile(home: Path, tmp_path: Path) -> Iterator[Profile]:
    """Its front door is stopped before `home` looks for processes."""
    path = tmp_path / "chat.yaml"
    path.write_text("name: chat\nengine: vllm\nmodel: a/b\nports: {api: auto}\n")
    yield profiles.load(path, environ={}, need_model=False)
    down(instance_dir(door_name("chat")), drain=0.0)


def publish_replica(folder: Path, one: Replica) -> None:
    server = one.server()
    publish(folder, f"{server.name} {server.address}:{server.port} {server.ready_port}")


def ask(doorway: Doorway) -> str:
    """Which replica answers; empty where none does."""
    port = int(doorway.url.split(":")[2].partition("/")[0])
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as one:
        one.request("POST", "/v1/chat/completions", b"{}")
        answer: Any = json.loads(one.getresponse().read())
        return str(answer.get("replica", ""))


def test_the_door_follows_the_folder(
    profile: Profile, replica: MakeReplica, tmp_path: Path
) -> None:
    folder = tmp_path / "endpoints"
    folder.mkdir()
    first, second = replica("chat-0"), replica("chat-1")
    publish_replica(folder, first)
    result = open_door(profile, folder)
    doorway = result.payload
    assert list(doorway.replicas) == ["chat-0"], result.errors
    wait_for(lambda: ask(doorway) == "chat-0", "an answer of the first replica")
    assert open_door(profile, folder).payload == doorway, "doing it again changes nothing"

    steps: Iterator[Callable[[], object]] = iter(
        [
            lambda: publish_replica(folder, second),
            lambda: (folder / "chat-0").unlink(),
            lambda: folder.rename(tmp_path / "away"),
            lambda: (tmp_path / "away").rename(folder),
            lambda: publish(folder, "chat-1", "chat-7"),
        ]
    )

    def take_step(_: float) -> None:
        next(steps)()

    changes = follow(profile, folder, doorway, sleep=take_step)
    assert list(next(changes).replicas) == ["chat-0", "chat-1"]
    assert list(next(changes).replicas) == ["chat-1"]
    wait_for(lambda: ask(doorway) == "chat-1", "an answer of the second replica")
    # A folder that is away, as behind a file server that restarts, takes no replica out.
    assert next(changes).refused == ("chat-7: not one line `NAME HOST:PORT ADMIN_PORT`",)
    assert ask(doorway) == "chat-1"


@pytest.mark.parametrize(
    "section",
    [
        {"keys": {"team": "env:KEY"}},
        {"dialects": ["openai", "anthropic"]},
        {"front-door": {"certificate": "file:/a", "key": "file:/b"}},
    ],
    ids=lambda section: str(next(iter(section))),
)
def test_what_only_a_service_has_is_refused(section: Any, tmp_path: Path) -> None:
    path = tmp_path / "chat.yaml"
    path.write_text(
        json.dumps({"name": "chat", "engine": "vllm", "model": "a/b", "service": section})
    )
    loaded = profiles.load(path, environ={}, need_model=False)
    with pytest.raises(PreconditionError) as refused:
        open_door(loaded, tmp_path)
    assert refused.value.problems[0].code == "not-a-door"
