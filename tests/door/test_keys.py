"""Keys at the front door: who is let in, how often, how many at once, and what is counted."""

import http.client
import itertools
import json
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from launcher.door.config import DoorSettings, render
from launcher.door.key_maps import differs, read_maps, restore_maps, update_running, write_maps
from launcher.door.keys import KeyRow, KeyTable, digest_key
from launcher.errors import DeployError
from tests.door.conftest import MakeReplica, RunDoor
from tests.support.haproxies import HAProxy
from tests.support.waiting import wait_for

SALT = "5a" * 16
FIRST, SECOND, OTHER = "sk-first-0123456789", "sk-second-0123456789", "sk-other-0123456789"
ENGINE_KEY = 'engine key; with "blanks" and %[env(HOME)]'


class Reply(NamedTuple):
    """What a client got."""

    status: int
    headers: Mapping[str, str]
    body: str

    @property
    def code(self) -> str:
        """The code of an error."""
        return str(json.loads(self.body)["error"]["code"])


def row(key: str, name: str, **limits: int) -> KeyRow:
    return KeyRow(digest_key(SALT, key), name, **limits)


def table(folder: Path, *rows: KeyRow, engine_key: str = ENGINE_KEY) -> KeyTable:
    return KeyTable(str(folder), SALT, rows, engine_key)


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def ask(door: HAProxy, headers: Mapping[str, str], path: str = "/v1/chat/completions") -> Reply:
    connection = http.client.HTTPConnection("127.0.0.1", door.port, timeout=60)
    try:
        connection.request("POST", path, b"{}", dict(headers))
        response = connection.getresponse()
        named = {name.lower(): value for name, value in response.getheaders()}
        return Reply(response.status, named, response.read().decode())
    finally:
        connection.close()


def test_without_a_key_or_with_a_wrong_one_nothing_passes(
    haproxy: RunDoor, replica: MakeReplica, tmp_path: Path
) -> None:
    one = replica("a")
    door = haproxy(one.server(), keys=table(tmp_path, row(FIRST, "team-a")))
    wrong: list[dict[str, str]] = [
        {}, bearer(OTHER), bearer(""), bearer(FIRST + "x"), bearer(digest_key(SALT, FIRST)),
        {"Authorization": FIRST}, {"Authorization": f"Basic {FIRST}"}, {"x-api-key": OTHER},
        {**bearer(OTHER), "x-api-key": FIRST},
    ]  # fmt: skip
    for headers in wrong:
        reply = ask(door, headers)
        assert (reply.status, reply.code) == (401, "invalid_api_key"), headers
        assert reply.headers["www-authenticate"] == "Bearer"
        assert json.loads(reply.body)["error"]["type"] == "authentication_error"
    assert one.requests == []
    for path in ("/health", "/ping"):
        assert ask(door, {}, path).status == 200
    assert ask(door, {}, "/health/x").status == 401
    assert ask(door, {}, "/metrics").status == 401
    assert not {"[WARNING]", "[ALERT]"} & set(door.log().split())


def test_the_replica_gets_its_own_key_and_never_the_client_s(
    haproxy: RunDoor, replica: MakeReplica, tmp_path: Path
) -> None:
    one = replica("a")
    door = haproxy(one.server(), keys=table(tmp_path, row(FIRST, "team-a")))
    for headers in (bearer(FIRST), {"authorization": f"bearer {FIRST}"}, {"x-api-key": FIRST}):
        assert ask(door, headers).status == 200, headers
    assert ask(door, {}, "/health").status == 200
    assert [observed["authorization"] for observed in one.requests] == [f"Bearer {ENGINE_KEY}"] * 4
    assert FIRST not in json.dumps(one.requests)


def test_a_replica_without_a_key_gets_none(
    haproxy: RunDoor, replica: MakeReplica, tmp_path: Path
) -> None:
    one = replica("a")
    door = haproxy(one.server(), keys=table(tmp_path, row(FIRST, "team-a"), engine_key=""))
    assert ask(door, bearer(FIRST)).status == 200
    assert not {"authorization", "x-api-key"} & one.requests[0].keys()


def test_the_rate_of_a_name_is_limited_and_that_of_others_is_not(
    haproxy: RunDoor, replica: MakeReplica, tmp_path: Path
) -> None:
    keys = table(
        tmp_path, row(FIRST, "team-a", requests=5, period=3), row(SECOND, "team-b"),
        row(OTHER, "team-a", requests=5, period=3),
    )  # fmt: skip
    door = haproxy(replica("a").server(), keys=keys)
    replies = [ask(door, bearer(key)) for key in (FIRST, OTHER, FIRST, OTHER, FIRST, FIRST, OTHER)]
    assert [one.status for one in replies] == [200] * 5 + [429] * 2
    refused = replies[-1]
    assert (refused.code, refused.headers["retry-after"]) == ("rate_limit_exceeded", "3")
    assert json.loads(refused.body)["error"]["type"] == "rate_limit_error"
    assert ask(door, bearer(SECOND)).status == 200
    time.sleep(int(refused.headers["retry-after"]))
    assert ask(door, bearer(FIRST)).status == 200, "after Retry-After"


def test_the_requests_of_a_name_that_run_at_once_are_limited(
    haproxy: RunDoor, replica: MakeReplica, tmp_path: Path
) -> None:
    one = replica("a")
    one.behaviour = "stream"
    keys = table(tmp_path, row(FIRST, "team-a", concurrency=2), row(SECOND, "team-b"))
    door = haproxy(one.server(), keys=keys)
    running = [threading.Thread(target=ask, args=(door, bearer(FIRST))) for _ in range(2)]
    for thread in running:
        thread.start()
        assert one.begun.acquire(timeout=60)
    refused = ask(door, bearer(FIRST))
    assert (refused.status, refused.code) == (429, "concurrency_limit_exceeded")
    assert refused.headers["retry-after"] == "1"
    one.behaviour = "answer"
    assert ask(door, bearer(SECOND)).status == 200
    one.release.set()
    for thread in running:
        thread.join()
    wait_for(lambda: ask(door, bearer(FIRST)).status == 200, "a free place")


def fields(door: HAProxy, count: int) -> list[dict[str, str]]:
    """What the access log says of the first `count` requests."""

    def lines() -> list[str]:
        return [line for line in door.log().splitlines() if line.startswith("access ")]

    wait_for(lambda: len(lines()) >= count, f"{count} lines of the log")
    pairs = [dict(word.partition("=")[::2] for word in line.split(" ")) for line in lines()]
    names = ("key", "refused", "prompt_tokens", "completion_tokens")
    return [{name: one[name] for name in names} for one in pairs]


def test_the_log_has_the_name_and_the_tokens_and_no_key(
    haproxy: RunDoor, replica: MakeReplica, tmp_path: Path
) -> None:
    one = replica("a")
    keys = table(tmp_path, row(FIRST, "team-a", requests=3, period=60))
    door = haproxy(one.server(), keys=keys)
    one.usage = {"prompt_tokens": 12, "completion_tokens": 345}
    ask(door, bearer(FIRST))
    fields(door, 1)  # HAProxy's threads write the end of each request when they come to it
    one.usage = {"input_tokens": 7, "output_tokens": 8}
    ask(door, bearer(FIRST), f"/v1/messages?api_key={FIRST}")
    fields(door, 2)
    one.behaviour = "stream"
    one.release.set()
    ask(door, bearer(FIRST))
    fields(door, 3)
    ask(door, bearer(FIRST))
    fields(door, 4)
    ask(door, bearer(OTHER))
    assert fields(door, 5) == [
        {"key": "team-a", "refused": "-", "prompt_tokens": "12", "completion_tokens": "345"},
        {"key": "team-a", "refused": "-", "prompt_tokens": "7", "completion_tokens": "8"},
        {"key": "team-a", "refused": "-", "prompt_tokens": "-", "completion_tokens": "-"},
        {"key": "team-a", "refused": "rate", "prompt_tokens": "-", "completion_tokens": "-"},
        {"key": "-", "refused": "key", "prompt_tokens": "-", "completion_tokens": "-"},
    ]
    texts = [
        door.log(),
        door.config.read_text(),
        *(text or "" for text in read_maps(keys).values()),
    ]
    for key, text in itertools.product((FIRST, OTHER, ENGINE_KEY), texts):
        assert key not in text


def test_an_answer_that_streams_is_not_held_back(
    haproxy: RunDoor, replica: MakeReplica, tmp_path: Path
) -> None:
    one = replica("a")
    one.behaviour = "stream"
    door = haproxy(one.server(), keys=table(tmp_path, row(FIRST, "team-a")))
    connection = door.connection()
    connection.request("POST", "/v1/chat/completions", b"{}", bearer(FIRST))
    assert connection.getresponse().read1(100) == b"data: a\n\n"
    one.release.set()


def test_keys_change_while_requests_run(
    haproxy: RunDoor, replica: MakeReplica, tmp_path: Path
) -> None:
    """The maps of the running process are replaced: others do not notice, on open connections."""
    before = table(tmp_path, row(FIRST, "team-a"), row(OTHER, "team-b"))
    door = haproxy(replica("a").server(), keys=before)
    stats = door.folder / "stats.sock"
    both = table(tmp_path, row(FIRST, "team-a"), row(SECOND, "team-a"), row(OTHER, "team-b"))
    after = table(tmp_path, row(SECOND, "team-a"), row(OTHER, "team-b"), engine_key="new engine")
    stop, statuses = threading.Event(), list[int]()

    def go_on() -> None:
        connection = door.connection()
        while not stop.is_set():
            connection.request("POST", "/v1/x", b"{}", bearer(OTHER))
            response = connection.getresponse()
            response.read()
            statuses.append(response.status)

    threads = [threading.Thread(target=go_on) for _ in range(3)]
    for thread in threads:
        thread.start()
    steps = ((before, (200, 401)), (both, (200, 200)), (after, (401, 200)))
    for _ in range(20):
        for keys, expected in steps:
            update_running(stats, keys)
            assert tuple(ask(door, bearer(key)).status for key in (FIRST, SECOND)) == expected
            assert not update_running(stats, keys)
    stop.set()
    for thread in threads:
        thread.join()
    assert len(statuses) > 20
    assert set(statuses) == {200}


def test_a_worker_without_keys_is_left_as_it_is(
    haproxy: RunDoor, replica: MakeReplica, tmp_path: Path
) -> None:
    door = haproxy(replica("a").server())
    assert not update_running(door.folder / "stats.sock", table(tmp_path, row(FIRST, "a")))
    assert ask(door, {}).status == 200


def test_a_refusal_does_not_repeat_the_replicas_key(
    haproxy: RunDoor, replica: MakeReplica, tmp_path: Path
) -> None:
    door = haproxy(replica("a").server(), keys=table(tmp_path, row(FIRST, "a")))
    door.process.terminate()
    door.process.wait()
    with pytest.raises(DeployError) as caught:
        update_running(door.folder / "stats.sock", table(tmp_path, engine_key="other-engine-key"))
    assert "engine-key" not in str(caught.value)


def test_the_files_are_private_and_can_be_restored(tmp_path: Path) -> None:
    folder = tmp_path / "service"
    keys = table(folder, row(FIRST, "a"))
    nothing = read_maps(keys)
    assert differs(keys)
    write_maps(keys)
    assert not differs(keys)
    assert differs(replace(keys, engine_key="x"))
    for path in keys.maps:
        assert path.stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    written = read_maps(keys)
    write_maps(table(folder))
    restore_maps(written)
    assert not differs(keys)
    restore_maps(nothing)
    assert not list(folder.iterdir())
    assert read_maps(None) == {}
    assert not differs(None)


def test_only_periods_are_in_the_configuration(tmp_path: Path) -> None:
    """Names, keys and limits change without a reload; a new period is another table."""

    def text(*rows: KeyRow, salt: str = SALT) -> str:
        keys = KeyTable(str(tmp_path), salt, rows, ENGINE_KEY)
        return render(DoorSettings("chat", keys=keys), ())

    first = text(row(FIRST, "a", requests=5, period=60))
    assert text(row(SECOND, "b", requests=9, period=60, concurrency=3), row(OTHER, "c")) == first
    assert text(row(FIRST, "a", requests=5, period=61)) != first
    assert text(row(FIRST, "a", requests=5, period=60), salt="5b" * 16) != first
    assert render(DoorSettings("chat"), ()) != first


@pytest.mark.parametrize(
    "make",
    [
        lambda: KeyRow("0" * 64, "a b"),
        lambda: KeyRow("0" * 64, "a:b"),
        lambda: KeyRow("0" * 63, "a"),
        lambda: KeyRow("0" * 64, "a", requests=-1),
        lambda: KeyTable("/x", "salt"),
        lambda: KeyTable("/x", SALT, engine_key="a\nb"),
        lambda: KeyTable("/x", SALT, engine_key="é"),
        lambda: KeyTable("/x", SALT, engine_key="x" * 2049),
        lambda: render(DoorSettings("chat", keys=KeyTable("/a b", SALT)), ()),
    ],
)
def test_what_haproxy_could_not_take_is_refused(make: object) -> None:
    assert callable(make)
    with pytest.raises(ValueError, match=r"cannot be|below|salt|printable"):
        make()
    assert ENGINE_KEY not in repr(KeyTable("/x", SALT, engine_key=ENGINE_KEY))
