"""FastDeploy that is busy, paused or dead while its processes live and GET /health may say 200.

`QUICK` has the times within which a server that hangs is seen, `STEADY` those that a server keeps
on a machine that is busy with other tests.
"""

import os
import signal

import pytest
import requests

from launcher.keeper.events import read_events
from tests.fastdeploy.clients import clients
from tests.fastdeploy.conftest import Make, Server
from tests.support.decoded import JsonDict
from tests.support.matrix import diagonal
from tests.support.waiting import wait_for

QUICK = {
    "interval": 0.5, "stall-after": 6, "compute-stall-after": 120, "canary-interval": 2,
    "canary-deadline": 2,
}  # fmt: skip
STEADY = {**QUICK, "stall-after": 60, "canary-deadline": 60}
ENDS: JsonDict = {"stop": {"grace": 1}, "restart": {"max-restarts": 0}}
"""It is not started again."""
TWO_SEATS: JsonDict = {"max_num_seqs": 2, "engine_args": {"max-num-batched-tokens": 2048}}


def events(server: Server) -> list[JsonDict]:
    """The verdicts that were told, in their order."""
    every = read_events(server.files.folder)
    return [dict(event) for event in every if event["event"] == "liveness"]


def verdicts(server: Server) -> list[str]:
    """Their names."""
    return [str(event["verdict"]) for event in events(server)]


def wait_for_verdict(server: Server, name: str) -> None:
    """Wait until the newest verdict is `name`."""
    wait_for(lambda: verdicts(server)[-1:] == [name], f"the verdict {name}")


def ready(server: Server) -> Server:
    """`server`, up and idle."""
    up = server.up("--json")
    assert up.rc == 0, up.output()
    wait_for_verdict(server, "idle")
    return server


def stalled(server: Server, *reasons: str) -> JsonDict:
    """What is stored of a server that was ended for a stall; nothing of it is left."""
    server.wait_state("died")
    row = server.status()
    assert (row["error"]["code"], row["exit_code"]) == ("engine-stalled", 6), row
    for reason in reasons:
        assert reason in row["error"]["message"], row["error"]
    assert verdicts(server)[-1] == "stalled"
    assert server.left() == []
    return row


@pytest.mark.parametrize(("release", "who"), diagonal(["2.3", "2.5", "2.6"], ["worker", "main"]))
def test_a_process_that_was_stopped(fastdeploy: Make, release: str, who: str) -> None:
    server = ready(fastdeploy(release=release, liveness=QUICK, **ENDS))
    os.kill(getattr(server, who), signal.SIGSTOP)
    stalled(server, "stopped by a signal: ")


@pytest.mark.parametrize("release", ["2.4", "2.6"])
def test_chats_that_hang_while_health_says_200(fastdeploy: Make, release: str) -> None:
    """The readiness probe's completion is answered, and none after it."""
    server = fastdeploy("chat-hangs@after=1", release=release, liveness=QUICK, **ENDS)
    assert server.up("--json").rc == 0
    row = stalled(server, "2 short completions failed: no answer within 2 s")
    assert "GET /health" not in row["error"]["message"]


def test_clients_whose_chats_hang(fastdeploy: Make) -> None:
    server = fastdeploy("chat-hangs@after=3", liveness=QUICK, **ENDS, **TWO_SEATS)
    assert server.up("--json").rc == 0
    with clients(server, 6):
        stalled(server, "requests are in work or waiting, no progress for ")


def test_a_worker_whose_loop_stands(fastdeploy: Make) -> None:
    server = fastdeploy("heartbeat-stops@after=40", liveness=QUICK, **ENDS)
    assert server.up("--json").rc == 0
    stalled(server, "a short completion failed: ", "the oldest heartbeat of a worker is ")


def test_a_full_queue_is_busy(fastdeploy: Make) -> None:
    """Two seats, three tokens a second and eight clients: each waits for half a minute."""
    keys = {"liveness": {**QUICK, "stall-after": 4}, **TWO_SEATS}
    server = ready(fastdeploy(env={"TWIN_TOKENS_PER_S": "3"}, **keys))
    with clients(server, 8, max_tokens=30):
        wait_for_verdict(server, "busy")
        wait_for(lambda: tokens(server) > 60, "half a minute of tokens")
        assert set(verdicts(server)) == {"idle", "busy"}
        row = server.status()
        assert row["healthy"] is True
        assert "requests are in work or waiting" in row["health"]
    server.down()


def test_a_long_prefill_is_busy(fastdeploy: Make) -> None:
    """The worker computes for longer than `stall-after`, and its heartbeat stands meanwhile."""
    liveness = {**STEADY, "stall-after": 4, "canary-deadline": 4, "canary": False}
    server = ready(fastdeploy(env={"TWIN_PREFILL": "8"}, liveness=liveness))
    answer = server.chat("hello")
    assert answer.status_code == 200, answer.text
    assert set(verdicts(server)) == {"idle", "busy"}
    server.down()


@pytest.mark.parametrize("release", ["2.5", "2.6"])
def test_a_pause_is_no_stall(fastdeploy: Make, release: str) -> None:
    server = ready(fastdeploy(release=release, liveness=STEADY))
    control(server, "pause")
    wait_for_verdict(server, "paused")
    row = server.status()
    assert (row["healthy"], row["liveness"]["verdict"]) == (False, "paused")
    for _ in range(3):
        server.chat("is dropped, and counts as received for good")
    control(server, "resume")
    wait_for_verdict(server, "idle")
    assert "stalled" not in verdicts(server)
    server.down()


def test_cleared_weights_are_a_pause(fastdeploy: Make) -> None:
    server = ready(fastdeploy(liveness=STEADY, engine_args={"dynamic-load-weight": True}))
    requests.get(f"http://127.0.0.1:{server.port('api')}/clear_load_weight", timeout=60)
    wait_for_verdict(server, "paused")
    assert events(server)[-1]["reasons"] == ["GET /health answered 304: the engine was paused"]
    requests.get(f"http://127.0.0.1:{server.port('api')}/update_model_weight", timeout=60)
    wait_for_verdict(server, "idle")
    server.down()


def tokens(server: Server) -> float:
    """Tokens made so far, by the server's own counter."""
    return counter(server, "fastdeploy:generation_tokens_total")


def counter(server: Server, name: str) -> float:
    """A value of its metrics."""
    from launcher.probe.prometheus import sums

    text = requests.get(f"http://127.0.0.1:{server.port('metrics')}/metrics", timeout=60).text
    return sums(text, [name])[name]


def control(server: Server, verb: str) -> None:
    """One of the control routes."""
    url = f"http://127.0.0.1:{server.port('api')}/v1/{verb}"
    assert requests.post(url, timeout=60).status_code == 200


@pytest.mark.parametrize("release", ["2.3", "2.4", "2.6"])
def test_the_names_that_are_read_are_the_ones_a_server_has(fastdeploy: Make, release: str) -> None:
    server = ready(fastdeploy(release=release, liveness=STEADY))
    policy = server.files.plan().liveness
    assert policy is not None
    for name in policy.counters.names:
        assert counter(server, name) >= 0, name
    assert policy.heartbeat is not None
    assert os.path.exists(policy.heartbeat)
    server.down()
