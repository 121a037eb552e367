"""Keys of a service, by the command line: limits, rotation, usage, and where no key may be."""

import http.client
import itertools
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import openai
import pytest

from tests.support import processes
from tests.support.decoded import JsonDict
from tests.support.service_rig import ServiceRig
from tests.support.waiting import wait_for

ENGINE_KEY = "engine-key-8d1c60f1a2b3"


class Answer(NamedTuple):
    """What a client got."""

    status: int
    headers: Mapping[str, str]
    body: JsonDict


class Keys:
    """A service with keys in files, and clients that have them."""

    def __init__(self, shop: ServiceRig) -> None:
        self.shop = shop
        self.folder = shop.folder / "secrets"
        self.folder.mkdir(mode=0o700)
        self.texts: set[str] = set()
        """Every key that ever was."""
        self.section: JsonDict = {}

    def make(self, file: str) -> str:
        """A new key in a file; returns its text."""
        text = f"sk-{file}-{os.urandom(12).hex()}"
        self.texts.add(text)
        self.write(file, text)
        return text

    def write(self, file: str, text: str) -> None:
        """A file with this text."""
        path = self.folder / file
        path.write_text(text + "\n")
        path.chmod(0o600)

    def reference(self, file: str) -> str:
        """How a profile refers to it."""
        return f"file:{self.folder / file}"

    def key(self, file: str, **more: object) -> JsonDict:
        """An entry of `service.keys`."""
        return {"key": self.reference(file), **more}

    def profile(self, *, fresh: bool = False, **options: Any) -> str:
        """The path of a profile with the keys of `section`."""
        self.write("engine", ENGINE_KEY)
        return self.shop.write(
            {"key": ENGINE_KEY}, fresh=fresh, service={"keys": self.section},
            api_key=self.reference("engine"), **options,
        )  # fmt: skip

    def deploy(self, **options: Any) -> JsonDict:
        """`deploy`, which has to succeed."""
        ran = self.shop.run("deploy", self.profile(**options), "--json")
        assert ran.rc == 0, ran.output()
        data: JsonDict = ran.json["data"]
        return data

    def ask(
        self, key: str, *, header: str = "Authorization", path: str = "/v1/chat/completions"
    ) -> Answer:
        """One request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.shop.port, timeout=60)
        value = f"Bearer {key}" if header == "Authorization" else key
        try:
            connection.request("POST", path, b"{}", {header: value} if key else {})
            response = connection.getresponse()
            headers = {name.lower(): text for name, text in response.getheaders()}
            return Answer(response.status, headers, json.loads(response.read()))
        finally:
            connection.close()

    def status(self, key: str) -> int:
        """The status of one request."""
        return self.ask(key).status

    def usage(self, *arguments: str) -> JsonDict:
        """`usage` by key."""
        ran = self.shop.run("usage", "shop", "--json", *arguments)
        assert ran.rc == 0, ran.output()
        keys: JsonDict = ran.json["data"]["keys"]
        return keys

    def requests(self, name: str) -> int:
        """Requests that `usage` knows of a key."""
        return int(self.usage().get(name, {"requests": 0})["requests"])


@pytest.fixture
def keys(shop: ServiceRig) -> Keys:
    return Keys(shop)


def test_none_wrong_right_and_over_the_limits(keys: Keys) -> None:
    first, second = keys.make("a"), keys.make("b")
    keys.section = {"team-a": keys.key("a", rate="4/1h"), "team-b": keys.reference("b")}
    keys.deploy(fresh=True)
    none, wrong = keys.ask(""), keys.ask("sk-wrong-0123456789")
    for refused in (none, wrong):
        assert refused.status == 401
        assert refused.body["error"]["code"] == "invalid_api_key"
        assert refused.headers["www-authenticate"] == "Bearer"
    assert keys.ask(first).status == 200
    assert keys.ask(first, header="x-api-key").status == 200
    assert [keys.status(first) for _ in range(3)] == [200, 200, 429]
    over = keys.ask(first)
    assert over.body["error"]["code"] == "rate_limit_exceeded"
    assert over.headers["retry-after"] == "3600"
    assert keys.status(second) == 200
    assert keys.status(ENGINE_KEY) == 401, "the replicas' key is none of a client"

    # The official client, with retries of its own switched off.
    with openai.OpenAI(
        base_url=f"http://127.0.0.1:{keys.shop.port}/v1", api_key=second, max_retries=0
    ) as client:
        answer = client.chat.completions.create(
            model="tiny", messages=[{"role": "user", "content": "Hello"}]
        )
        assert answer.choices[0].message.content == "Hello!"
        stream = client.chat.completions.create(
            model="tiny", messages=[{"role": "user", "content": "Hello"}], stream=True
        )
        assert len(list(stream)) > 1
        with pytest.raises(openai.RateLimitError) as limited:
            client.with_options(api_key=first).models.list()
        assert limited.value.code == "rate_limit_exceeded"
        with pytest.raises(openai.AuthenticationError):
            client.with_options(api_key="sk-wrong-0123456789").models.list()

    # What the tool itself asks through the door has a key.
    smoke = keys.shop.run("smoke", "shop", "--check", "models", "--json")
    assert smoke.rc == 0, smoke.output()


def test_a_key_is_rotated_under_load_without_a_failed_request_of_the_others(keys: Keys) -> None:
    old, second = keys.make("a"), keys.make("b")
    keys.section = {"team-a": keys.key("a"), "team-b": keys.key("b", concurrency=64)}
    revision = keys.deploy(fresh=True)["revision"]
    workers = pids_of_workers(keys)
    with keys.shop.load(4, key=second) as load:
        load.wait_for(10)
        new = keys.make("a-next")
        keys.section["team-a"] = keys.key("a", next=keys.reference("a-next"))
        data = keys.deploy()
        assert (data["revision"], data["kind"]) == (revision, "scale")
        assert [keys.status(one) for one in (old, new)] == [200, 200], "the overlap"
        load.wait_for(10)
        keys.write("a", new)
        rotated = keys.shop.run("keys", "rotate", "shop", "--json", "-m", "monthly").json["data"]
        assert (rotated["added"], rotated["removed"]) == ([], ["team-a"])
        assert rotated["accepted"] == {"team-a": 1, "team-b": 1}
        assert [keys.status(one) for one in (old, new)] == [401, 200]
        for _ in range(5):
            before = keys.make("a")
            assert keys.shop.run("keys", "rotate", "shop", "--json").rc == 0
            assert keys.status(before) == 200
        load.wait_for(10)
    assert (load.tally.failed, load.tally.cut) == (0, 0), load.tally.text()
    assert load.tally.completed > 30
    assert pids_of_workers(keys) == workers, "nothing was restarted or reloaded"
    entry = next(one for one in keys.shop.history() if one["kind"] == "keys")
    assert (entry["message"], entry["outcome"]) == ("monthly", "serving")


def pids_of_workers(keys: Keys) -> list[int]:
    master = keys.shop.engine("shop-door")
    return processes.children(master)


def test_deploy_of_the_same_content_applies_a_key_that_was_changed(keys: Keys) -> None:
    old = keys.make("a")
    keys.section = {"team-a": keys.key("a")}
    keys.deploy(fresh=True)
    assert keys.deploy()["outcome"] is None
    new = keys.make("a")
    assert listed(keys) == {"team-a.key": "changed"}
    assert keys.status(old) == 200
    assert keys.deploy()["outcome"] == "serving"
    assert [keys.status(one) for one in (old, new)] == [401, 200]
    assert listed(keys) == {"team-a.key": "accepted"}


def listed(keys: Keys) -> dict[str, str]:
    ran = keys.shop.run("keys", "list", "shop", "--json")
    assert ran.rc == 0, ran.output()
    return {f"{one['name']}.{one['slot']}": one["state"] for one in ran.json["data"]["keys"]}


def test_names_limits_and_the_whole_section_come_and_go(keys: Keys) -> None:
    """By `deploy`, without another revision: no replica is touched."""
    keys.section = {"team-a": keys.key("a", rate="1000/1s", concurrency=9)}
    first = keys.make("a")
    revision = keys.deploy(fresh=True)["revision"]
    members = keys.shop.members()
    assert keys.status(first) == 200
    second = keys.make("b")
    keys.section = {"team-b": keys.key("b", rate="1/1h")}
    assert keys.deploy()["revision"] == revision
    assert [keys.status(one) for one in (first, second, second)] == [401, 200, 429]
    folder = keys.shop.home / "services" / "shop"
    assert {"keys.map", "engine.map", "keys.json"} <= {one.name for one in folder.iterdir()}
    opened = keys.shop.run(
        "deploy", keys.shop.write({"key": ENGINE_KEY}, fresh=False,
                                  api_key=keys.reference("engine")), "--json",
    )  # fmt: skip
    assert opened.rc == 0, opened.output()
    assert keys.status(ENGINE_KEY) == 200, "without keys the door passes on what a client sends"
    assert keys.shop.members() == members
    assert not {"keys.map", "engine.map", "keys.json"} & {one.name for one in folder.iterdir()}


def test_usage_survives_a_reload_and_a_restart_of_haproxy(keys: Keys) -> None:
    first, second = keys.make("a"), keys.make("b")
    keys.section = {"team-a": keys.key("a"), "team-b": keys.key("b", rate="2/1h")}
    keys.deploy(fresh=True)
    for _ in range(3):
        keys.status(first)
    assert [keys.status(second) for _ in range(3)] == [200, 200, 429]
    keys.status("")
    keys.ask(first, path="/nothing")
    wait_for(lambda: sum(one["requests"] for one in keys.usage().values()) == 8, "eight requests")
    used = keys.usage()
    assert used["team-a"]["requests"] == 4
    assert used["team-a"]["errors"] == 1
    assert (used["team-a"]["counted"], used["team-a"]["prompt_tokens"]) == (3, 3)
    assert used["team-a"]["completion_tokens"] == 3
    assert used["team-b"]["refused_rate"] == 1
    assert used["-"]["refused_key"] == 1
    assert all(one["received"] > 0 and one["sent"] > 0 for one in used.values())

    with keys.shop.load(3, key=first) as load:
        load.wait_for(5)
        keys.section["team-c"] = {**keys.key("c"), "rate": "5/7s"}
        keys.make("c")
        keys.deploy()  # a period that no key had: a reload, while streams run
        load.wait_for(5)
    expected = 4 + load.tally.requests
    assert (load.tally.failed, load.tally.cut) == (0, 0), load.tally.text()
    wait_for(lambda: keys.requests("team-a") == expected, "every request of before and after")

    worker = pids_of_workers(keys)[-1]
    keys.shop.kill(worker)
    wait_for(lambda: answers(keys, first), "the front door again")
    count = keys.requests("team-a")
    assert count >= expected
    text = keys.shop.run("usage", "shop").stdout
    assert "team-a" in text
    assert "(no key)" in text
    hour = keys.usage("--since", "1h")
    assert hour["team-b"]["requests"] == 3
    metrics = door_metrics(keys)
    assert 'ernie_deploy_key_requests_total{instance="shop-door",key="team-b"} 3' in metrics
    assert 'key="team-b",reason="rate"} 1' in metrics


def answers(keys: Keys, key: str) -> bool:
    try:
        return keys.status(key) == 200
    except (OSError, http.client.HTTPException):
        return False


def door_metrics(keys: Keys) -> str:
    port = keys.shop.stored("shop-door")["ports"]["admin"]
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", "/metrics", headers={"Host": "localhost"})
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def test_no_key_is_anywhere(keys: Keys) -> None:
    """In no argument, environment, log, rendered file, state, metric or report; nor a wrong one."""
    first = keys.make("a")
    keys.make("a-next")
    keys.section = {"team-a": keys.key("a", next=keys.reference("a-next"), rate="3/1h")}
    keys.deploy(fresh=True)
    wrong = "sk-wrong-0f1e2d3c4b5a"
    keys.texts.add(wrong)
    outputs = []
    for header, key in itertools.product(("Authorization", "x-api-key"), (first, wrong)):
        keys.ask(key, header=header)
        keys.ask(key, header=header, path=f"/v1/models?key={key}")
    keys.make("a")
    for arguments in (
        ("keys", "rotate", "shop"), ("keys", "list", "shop"), ("usage", "shop"),
        ("status", "shop"), ("history", "shop"), ("logs", "shop"), ("events", "shop"),
        ("doctor", keys.profile()), ("plan", keys.profile()), ("validate", keys.profile()),
        ("diagnose", "shop"), ("smoke", "shop", "--check", "models"),
    ):  # fmt: skip
        for more in ((), ("--json",)):
            outputs.append(keys.shop.run(*arguments, *more).output())
    outputs.append(door_metrics(keys))
    wait_for(lambda: keys.requests("team-a") > 0, "the usage on disk")
    where = dict(enumerate(outputs))
    leaks = [f"output {n}" for n, text in where.items() if holds(keys, text.encode())]
    files = [path for path in keys.shop.home.rglob("*") if path.is_file()]
    assert any(path.name == "keys.map" for path in files)
    leaks += [str(path) for path in files if holds(keys, path.read_bytes())]
    pids = {leak.pid for leak in processes.of_home(keys.shop.home)}
    assert len(pids) > 5
    leaks += [f"{pid} {name}" for pid, name, data in of_processes(pids) if holds(keys, data)]
    assert leaks == []
    folder = keys.shop.home / "services" / "shop"
    assert {path.stat().st_mode & 0o077 for path in folder.rglob("*")} == {0}


def holds(keys: Keys, data: bytes) -> bool:
    return any(text.encode() in data for text in keys.texts)


def of_processes(pids: set[int]) -> Iterator[tuple[int, str, bytes]]:
    for pid, name in itertools.product(pids, ("cmdline", "environ")):
        try:
            yield pid, name, Path(f"/proc/{pid}/{name}").read_bytes()
        except OSError:
            continue


def test_what_cannot_be_used_is_refused_before_anything_changes(keys: Keys) -> None:
    working = keys.make("a")
    keys.section = {"team-a": keys.key("a")}
    keys.deploy(fresh=True)
    for file, text, code in (
        ("b", "short", "bad-api-key"),
        ("b", "sk with blanks 0123456789", "bad-api-key"),
        ("b", working, "duplicate-api-key"),
        ("missing", None, "missing-secret"),
    ):
        if text is not None:
            keys.write(file, text)
        keys.section = {"team-a": keys.key("a"), "team-b": keys.key(file)}
        path = keys.profile()
        ran = keys.shop.run("deploy", path, "--json")
        assert (ran.rc, keys.shop.errors(ran)) == (3, [code])
        assert working not in ran.output()
        doctor = keys.shop.run("doctor", path, "--json")
        finding = next(one for one in doctor.json["data"]["findings"]
                       if one["check"] == "service-keys")  # fmt: skip
        assert finding["status"] == "FAIL", finding
        assert keys.status(working) == 200
    keys.write("a", "short")
    ran = keys.shop.run("keys", "rotate", "shop", "--json")
    assert (ran.rc, keys.shop.errors(ran)) == (3, ["bad-api-key"])
    assert keys.status(working) == 200
    assert keys.shop.state["rollout"] is None


def test_a_reference_that_cannot_be_resolved_here_keeps_its_key(keys: Keys) -> None:
    """`env:` is known to the shell of `deploy`, and `rollback` may come from another."""
    text = keys.make("env")
    keys.section = {"team-a": "env:TEAM_A_KEY"}
    keys.shop.env["TEAM_A_KEY"] = text
    keys.deploy(fresh=True)
    keys.deploy(fresh=True)
    keys.shop.env["TEAM_A_KEY"] = None
    (keys.folder / "engine").unlink()
    assert listed(keys) == {"team-a.key": "kept"}
    ran = keys.shop.run("scale", "shop", "1", "--json")
    assert ran.rc == 0, ran.output()
    assert keys.status(text) == 200
    strict = keys.shop.run("keys", "rotate", "shop", "--json")
    assert set(keys.shop.errors(strict)) == {"missing-secret"}
    assert keys.status(text) == 200


def test_another_key_of_the_replicas_needs_all_of_them_anew(keys: Keys) -> None:
    text = keys.make("a")
    keys.section = {"team-a": keys.key("a")}
    keys.deploy(fresh=True)
    keys.write("engine-2", "another-engine-key-0123")
    path = keys.shop.write(
        {"key": "another-engine-key-0123"}, service={"keys": keys.section},
        api_key=keys.reference("engine-2"),
    )  # fmt: skip
    ran = keys.shop.run("deploy", path, "--json")
    assert (ran.rc, keys.shop.errors(ran)) == (3, ["engine-key-changed"])
    assert keys.status(text) == 200
    again = keys.shop.run("deploy", path, "--strategy", "recreate", "--json")
    assert again.rc == 0, again.output()
    assert keys.status(text) == 200


def test_a_service_without_keys(keys: Keys) -> None:
    keys.shop.deploy(replicas=1)
    assert keys.status("") == 200
    ran = keys.shop.run("keys", "rotate", "shop", "--json")
    assert (ran.rc, keys.shop.errors(ran)) == (2, ["no-keys"])
    assert "asks for no key" in keys.shop.run("keys", "list", "shop").stdout
    wait_for(lambda: keys.requests("-") == 1, "the request without a key")
