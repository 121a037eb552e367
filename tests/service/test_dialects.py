"""Services that speak Anthropic's dialect, by a real gateway before real engines."""

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import anthropic
import openai
import pytest

from tests.support.coding_agent import CodingAgent
from tests.support.decoded import JsonDict
from tests.support.dialect_rig import (
    ANY_MODEL,
    KEY,
    DialectRig,
    dialect_rig,
    transformers,
    twin,
    vllm,
)
from tests.support.waiting import wait_for

pytestmark = pytest.mark.timeout(5400)


@pytest.fixture
def shop(home: Path, tmp_path: Path) -> Iterator[DialectRig]:
    """A service of FastDeploy's stand-in with a gateway."""
    with dialect_rig(home, tmp_path, twin) as rig:
        yield rig


@pytest.fixture
def serving(shop: DialectRig) -> DialectRig:
    """The same, deployed."""
    shop.must("deploy", shop.path_of())
    return shop


def gateway_pid(rig: DialectRig) -> int:
    state = json.loads((rig.home / "instances" / "shop-gateway" / "state.json").read_text())
    return int(state["engine"]["pid"])


@pytest.mark.soak
@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
@pytest.mark.parametrize("keys", [twin, transformers, vllm])
def test_every_check_by_both_clients_through_the_door(
    home: Path, tmp_path: Path, keys: Callable[[Path], JsonDict], dialect: str
) -> None:
    with dialect_rig(home, tmp_path, keys) as rig:
        rig.must("deploy", rig.path_of())
        ran = rig.run(
            "smoke", "shop", "--dialect", dialect, "--tag", "full", "--client", "all", "--json",
            deadline=3600,
        )  # fmt: skip
        checks = ran.json["data"]["checks"]
        failed = {(one["name"], one["client"]): one["message"] for one in checks
                  if one["verdict"] == "fail" and not one["deviations"]}  # fmt: skip
        deviations = {entry["id"] for one in checks for entry in one["deviations"]}
        passed = [one for one in checks if one["verdict"] == "pass"]
        print(f"{keys.__name__} {dialect}: {len(passed)} passed, deviations {sorted(deviations)}")
        assert not failed
        assert {"http", dialect} <= {one["client"] for one in passed}


@pytest.mark.soak
@pytest.mark.parametrize("keys", [twin, transformers])
def test_the_official_client_and_the_dialect_checks(
    home: Path, tmp_path: Path, keys: Callable[[Path], JsonDict]
) -> None:
    with dialect_rig(home, tmp_path, keys) as rig:
        rig.must("deploy", rig.path_of())
        ran = rig.run(
            "smoke", "shop", "--dialect", "anthropic", "--tag", "dialect", "--tag", "tools",
            "--tag", "reasoning", "--client", "all", "--json", deadline=1800,
        )  # fmt: skip
        checks = ran.json["data"]["checks"]
        failed = {one["name"]: one["message"] for one in checks
                  if one["verdict"] == "fail" and not one["deviations"]}  # fmt: skip
        assert not failed
        passed = {(one["name"], one["client"]) for one in checks if one["verdict"] == "pass"}
        assert {("messages", "http"), ("messages-stream", "http")} <= passed
        assert {("tool-call", "anthropic"), ("reasoning", "anthropic")} <= passed
        deviations = {entry["id"] for one in checks for entry in one["deviations"]}
        assert "litellm-counts-by-estimate" in deviations


@pytest.mark.soak
def test_a_conversation_as_claude_code_makes_it(serving: DialectRig) -> None:
    agent = CodingAgent(serving.client(), ANY_MODEL)
    question = "What is the weather in Paris?"
    assert agent.count(question) > 15_000
    first, second = agent.ask(question)
    assert first.blocks[0] == "thinking"
    assert "tool_use" in first.blocks
    assert (first.stop_reason, second.stop_reason) == ("tool_use", "end_turn")
    assert [call["input"] for call in first.calls] == [{"city": "Paris"}]
    assert "sunny in Paris" in second.text
    both, last = agent.ask("What is the weather in Beijing and Rome?")
    assert [call["input"]["city"] for call in both.calls] == ["Beijing", "Rome"]
    assert last.stop_reason == "end_turn"
    assert "sunny in Beijing" in last.text
    assert "sunny in Rome" in last.text
    assert last.input_tokens > first.input_tokens > 15_000


@pytest.mark.soak
def test_errors_and_keys(serving: DialectRig) -> None:
    wrong = serving.client("another")
    with pytest.raises(anthropic.AuthenticationError):
        wrong.messages.create(model=ANY_MODEL, max_tokens=8, messages=[])
    right = serving.client()
    with pytest.raises(anthropic.APIStatusError) as caught:
        right.messages.create(model=ANY_MODEL, max_tokens=8, messages=[])
    assert caught.value.status_code == 500  # litellm-client-errors-500
    instances = serving.home / "instances"
    folders = [serving.home / "services", instances / "shop-gateway", instances / "shop-door"]
    texts = [path.read_bytes() for folder in folders for path in folder.rglob("*")
             if path.is_file()]  # fmt: skip
    assert not [text for text in texts if KEY.encode() in text]
    argv = Path(f"/proc/{gateway_pid(serving)}/cmdline").read_bytes()
    assert KEY.encode() not in argv


def test_keys_of_clients_hold_in_the_dialect(shop: DialectRig) -> None:
    client_key = "sk-team-a-0123456789"
    shop.env["TEAM_A_KEY"] = client_key
    keys = {"team-a": {"key": "env:TEAM_A_KEY", "rate": "3/1h"}}
    shop.must("deploy", shop.path_of(service={"keys": keys}))
    url = f"http://127.0.0.1:{shop.port}"
    hello: JsonDict = {
        "model": ANY_MODEL, "max_tokens": 64, "messages": [{"role": "user", "content": "Hello!"}],
    }  # fmt: skip
    for wrong in (shop.client(KEY), shop.client("sk-unknown-0123456789")):
        with pytest.raises(anthropic.AuthenticationError):
            wrong.messages.create(**hello)
    with (
        anthropic.Anthropic(base_url=url, api_key=client_key, max_retries=0, timeout=600) as client,
        openai.OpenAI(base_url=f"{url}/v1", api_key=client_key, max_retries=0, timeout=600) as chat,
    ):
        answer = client.messages.create(**hello)
        assert answer.usage.output_tokens > 0
        with client.messages.stream(**hello) as stream:
            assert stream.get_final_message().content
        assert chat.chat.completions.create(
            model="ernie", max_tokens=8, messages=[{"role": "user", "content": "Hello!"}]
        ).choices
        with pytest.raises(anthropic.RateLimitError) as refused:
            client.messages.create(**hello)
    assert refused.value.response.headers["retry-after"] == "3600"

    def team_a() -> JsonDict:
        row: JsonDict = shop.must("usage", "shop")["keys"].get("team-a", {})
        return row

    wait_for(lambda: team_a().get("requests") == 4, "the keeper counts them")
    counted = team_a()
    assert (counted["refused_rate"], counted["counted"]) == (1, 2)
    assert counted["completion_tokens"] >= answer.usage.output_tokens
    texts = [path.read_bytes() for path in shop.home.rglob("*")
             if path.is_file() and not path.is_relative_to(shop.home / "engines")]  # fmt: skip
    assert not [text for text in texts if client_key.encode() in text]


@pytest.mark.soak
def test_a_gateway_that_dies_comes_back_and_takes_nothing_down(serving: DialectRig) -> None:
    with serving.chat() as load:
        load.wait_for(5)
        os.kill(gateway_pid(serving), signal.SIGKILL)
        wait_for(lambda: serving.status["gateway_state"] != "ready", "the gateway is away",
                 deadline=60)  # fmt: skip
        assert serving.status["condition"] == "degraded"
        wait_for(lambda: serving.status["gateway_state"] == "ready", "the gateway is back",
                 deadline=900)  # fmt: skip
        load.wait_for(5)
    assert (load.tally.failed, load.tally.cut) == (0, 0), load.tally.text()
    # The front door looks once a second; clients try again by themselves.
    serving.client().with_options(max_retries=5).messages.create(
        model=ANY_MODEL, max_tokens=8, messages=[{"role": "user", "content": "Hello!"}]
    )


@pytest.mark.soak
def test_updates_lose_no_request_of_the_dialect(serving: DialectRig) -> None:
    """Nor one that replaces the gateway itself, by its second instance and back."""
    ended = threading.Event()
    failures: list[str] = []
    answers: list[str | None] = []

    def ask() -> None:
        client = serving.client()
        while not ended.is_set():
            try:
                with client.messages.stream(
                    model=ANY_MODEL,
                    max_tokens=32,
                    messages=[{"role": "user", "content": "Hello!"}],
                ) as stream:
                    answers.append(stream.get_final_message().stop_reason)
            except anthropic.APIError as error:
                failures.append(f"{time.strftime('%H:%M:%S')} {error!r}")

    threads = [threading.Thread(target=ask, daemon=True) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        serving.must("deploy", serving.path_of())
        slow = {"front-door": {"response-timeout": "20m"}}
        serving.must("deploy", serving.path_of(service=slow))
        assert serving.run("status", "shop-gateway-2").rc == 0
        serving.must("deploy", serving.path_of())
        assert serving.run("status", "shop-gateway").rc == 0
    finally:
        ended.set()
        for thread in threads:
            thread.join(600)
    assert not failures, (len(failures), failures[0], failures[-1])
    assert len(answers) > 5


@pytest.mark.soak
def test_the_dialect_comes_and_goes_without_a_new_replica(shop: DialectRig) -> None:
    path = shop.path_of(service={"dialects": ["openai"]})
    shop.must("deploy", path)
    members = shop.members()
    document = json.loads(Path(path).read_text())
    document["service"]["dialects"] = ["openai", "anthropic"]
    Path(path).write_text(json.dumps(document))
    shop.must("deploy", path)
    assert shop.status["gateway_state"] == "ready"
    document["service"]["dialects"] = ["openai"]
    Path(path).write_text(json.dumps(document))
    shop.must("deploy", path)
    assert shop.members() == members
    assert "gateway_state" not in shop.status
    row = shop.run("status", "shop-gateway", "--json").json["data"]["instances"][0]
    assert row["state"] == "stopped"
