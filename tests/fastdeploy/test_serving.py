"""A FastDeploy that serves: the card's profile, its settings, a hang, its secrets."""

from __future__ import annotations

import os
import signal
import time

import pytest
import requests
import yaml

from tests.fastdeploy.conftest import SCALE, Make, judge_death
from tests.support import ROOT
from tests.support.waiting import wait_for
from tests.twin.driver import queue_exists

CARD = ROOT / "profiles" / "ernie-4.5-21b-a3b-thinking.yaml"


THE_CARD = {
    "--model": "baidu/ERNIE-4.5-21B-A3B-Thinking",
    "--load-choices": "default_v1",
    "--tensor-parallel-size": "1",
    "--max-model-len": "131072",
    "--reasoning-parser": "ernie_x1",
    "--tool-call-parser": "ernie_x1",
    "--max-num-seqs": "32",
}
"""The model card's command, but for its three ports, which every server here has of its own."""
PORT_FLAGS = {
    "--port": "api",
    "--metrics-port": "metrics",
    "--engine-worker-queue-port": "engine-worker-queue",
}


@pytest.mark.parametrize("release", ["2.2", "2.3", "2.4"])
def test_the_model_cards_profile_from_up_to_down(fastdeploy: Make, release: str) -> None:
    """The shipped file itself; the twin refuses what that release's own parser would refuse."""
    server = fastdeploy(release=release)
    own = yaml.safe_load(server.profile.read_text())
    layer = {"extends": str(CARD), "ports": dict.fromkeys(PORT_FLAGS.values(), "auto")}
    layer |= {key: own[key] for key in ("name", "python", "env")}
    server.profile.write_text(yaml.safe_dump(layer))
    # The weights of the real model do not fit into every machine that runs tests.
    up = server.up("--json", "--force", "host-memory")
    assert up.rc == 0, up.output()
    plan = server.files.plan()
    flags = {flag.flag: " ".join(flag.values) for flag in plan.flags}
    card = dict(THE_CARD)
    if release == "2.2":  # it knows no other spelling, and reads the two parsers by these names
        card["--load_choices"] = card.pop("--load-choices")
    card |= {flag: str(server.port(name)) for flag, name in PORT_FLAGS.items()}
    assert {flag: flags.get(flag) for flag in card} == card
    added = {flag.flag: flag.reason for flag in plan.flags if flag.flag not in card}
    assert set(added) == {"--host", "--cache-queue-port"}
    assert all(len(reason.split()) > 3 for reason in added.values()), added
    running = requests.get(f"http://127.0.0.1:{server.port('metrics')}/config-info", timeout=10)
    if release == "2.2":
        assert running.status_code == 404
    else:
        assert running.json()["model_config"]["max_model_len"] == 131072
        assert running.json()["scheduler_config"]["max_num_seqs"] == 32
    tool = {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "Determine weather in my location",
            "strict": True,
            "parameters": {
                "type": "object",
                "properties": {
                    "location": {"type": "string"},
                    "unit": {"type": "string", "enum": ["c", "f"]},
                },
                "required": ["location", "unit"],
                "additionalProperties": False,
            },
        },
    }
    answer = server.chat("How 's the weather in Beijing today?", tools=[tool]).json()
    call = answer["choices"][0]["message"]["tool_calls"][0]["function"]
    assert call["name"] == "get_weather"
    down = server.down("--json")
    assert down.rc == 0, down.output()
    receipt = down.json["data"]["receipt"]
    counted = ("processes", "ports", "shm", "queues", "temporary")
    assert {name: receipt[name] for name in counted} == dict.fromkeys(counted, 0)
    assert server.left() == []


@pytest.mark.parametrize("release", ["2.0", "2.1"])
def test_older_releases_serve_too(
    fastdeploy: Make, release: str, no_new_prometheus_folder: None
) -> None:
    server = fastdeploy(release=release, tensor_parallel_size=2)
    refused = server.up("--json")
    assert refused.rc == 3, refused.output()
    assert [e["code"] for e in refused.json["errors"]] == ["weight-format", "architecture"]
    up = server.up("--json", "--force", "weight-format", "--force", "architecture")
    assert up.rc == 0, up.output()
    stored = server.files.state()
    assert stored is not None
    assert stored.forced == ["weight-format", "architecture"]
    settings = up.json["data"]["evidence"]["settings"]
    assert "unknown" in settings["message"]
    first = server.port("engine-worker-queue")
    assert queue_exists(first), "a queue for each rank"
    assert queue_exists(first + 1)
    assert server.down().rc == 0
    assert server.left() == []


def test_a_dead_worker_is_seen_where_fastdeploy_itself_never_looks(fastdeploy: Make) -> None:
    """2.0 to 2.2 have no monitor: the front end would go on forever, /health for 30 s."""
    server = fastdeploy(release="2.2", engine_args={"load-choices": "default_v1"})
    assert server.up("--force", "architecture").rc == 0
    worker, killed = server.worker, time.time()
    os.kill(worker, signal.SIGKILL)
    judge_death(server, "killed with signal 9", killed)


def test_two_servers_of_2_2_share_one_metrics_folder(fastdeploy: Make) -> None:
    """Each start removes /tmp/prom_main under the others; each `down` leaves it to who uses it."""
    keys = {"release": "2.2", "engine_args": {"load-choices": "default_v1"}}
    first, second = fastdeploy(**keys), fastdeploy(**keys)
    assert first.up("--force", "architecture").rc == 0
    assert second.up("--force", "architecture").rc == 0
    assert first.chat("Hello!").status_code == 200
    for server in (first, second):
        down = server.down("--json")
        assert down.rc == 0, down.output()
        assert not down.json["data"]["receipt"]["left"]
        assert server.left() == []


def test_the_phases_are_named_with_their_per_cent(fastdeploy: Make) -> None:
    up = fastdeploy().up("--json")
    phases = [e["phase"] for e in up.events if e["event"] == "phase" and e["new"]]
    order = [
        "import", "configure", "launch workers", "load weights", "load layers",
        "profile KV cache", "warm up", "serve",
    ]  # fmt: skip
    assert [p for p in phases if p in order] == [p for p in order if p in phases]
    # The console's bar of the layers may come after the worker's own lines about what follows.
    assert set(order) - set(phases) <= {"load layers"}
    loading = [e["percent"] for e in up.events if e.get("phase") == "load weights"]
    assert loading == sorted(loading)
    assert loading[-1] == 100


def test_phases_that_never_show_are_not_waited_for(fastdeploy: Make) -> None:
    up = fastdeploy("few-phases").up("--json")
    assert up.rc == 0, up.output()
    phases = {e["phase"] for e in up.events if e["event"] == "phase"}
    assert not phases & {"profile KV cache", "warm up"}


def test_a_difference_that_the_profile_allows_is_no_failure(fastdeploy: Make) -> None:
    health = {"allow-differences": ["max-model-len"]}
    server = fastdeploy("config-differs@max_model_len=1024", health=health)
    up = server.up("--json")
    assert up.rc == 0, up.output()
    differences = up.json["data"]["evidence"]["settings"]["differences"]
    assert differences == [{"key": "max-model-len", "asked": 2048, "runs": 1024}]


def test_a_hung_worker_is_not_ready_any_more(fastdeploy: Make) -> None:
    server = fastdeploy(liveness={"interval": 1, "stall-after": 600, "compute-stall-after": 600})
    assert server.up().rc == 0
    worker = server.worker
    os.kill(worker, signal.SIGSTOP)
    try:
        status = server.run("status", server.name)
        assert status.rc == 1
        assert f"stopped by a signal (SIGSTOP): {worker} (worker_process.py)" in status.stdout
        wait_for(
            lambda: "GET /health answered 404" in server.run("status", server.name).stdout,
            "the heartbeat to be missed",
        )
    finally:
        os.kill(worker, signal.SIGCONT)


def test_the_api_key_is_enforced_and_in_no_argv_and_no_output_of_ours(fastdeploy: Make) -> None:
    secret = "correct-horse-battery"
    server = fastdeploy(api_key="env:ERNIE_TEST_KEY")
    env = {"ERNIE_TEST_KEY": secret}
    up = server.up("--json", env=env)
    assert up.rc == 0, up.output()
    url = f"http://127.0.0.1:{server.port('api')}/v1/models"
    assert requests.get(url, timeout=10).status_code == 401
    right = {"Authorization": f"Bearer {secret}"}
    assert requests.get(url, headers=right, timeout=10).status_code == 200
    assert secret not in "".join(server.processes().values())
    sources = server.run("logs", server.name, "--sources", "--json").json["data"]["sources"]
    logs = [server.run("logs", server.name, "--source", name, env=env) for name in sources]
    plan = server.run("plan", str(server.profile), env=env)
    for ran in (up, plan, *logs):
        assert secret not in ran.stdout + ran.stderr, ran.arguments
    written = [p for p in server.files.folder.rglob("*") if p.is_file() and "logs" not in p.parts]
    assert all(secret not in p.read_text(errors="replace") for p in written)


def test_the_engines_folders_and_logs_are_private(fastdeploy: Make) -> None:
    server = fastdeploy(env={"TWIN_TIME_SCALE": SCALE})
    assert server.up().rc == 0
    for path in server.files.folder.rglob("*"):
        if not path.is_symlink() and not path.is_socket():
            assert path.stat().st_mode & 0o077 == 0, path
