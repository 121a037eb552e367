"""`top` of a FastDeploy of each kind of release: the names of its figures are those it prints."""

import threading

import pytest

from launcher.probe.request import ask
from tests.fastdeploy.conftest import Make
from tests.support.waiting import wait_for


@pytest.mark.parametrize("release", ["2.2", "2.3", "2.5", "2.6"])
def test_every_figure_is_in_the_servers_metrics(fastdeploy: Make, release: str) -> None:
    server = fastdeploy(release=release)
    # 2.2 neither has kernels for the tiny checkpoint nor reads its format.
    force = ("--force", "architecture", "--force", "weight-format") if release == "2.2" else ()
    assert server.up(*force).rc == 0
    plan = server.files.plan()
    assert plan.figures is not None
    assert plan.liveness is not None
    first = plan.figures.ttft
    text = ask("127.0.0.1", server.port("metrics"), "/metrics").body.decode()
    names = plan.liveness.counters.names | {f"{first}_sum", f"{first}_count"}
    printed = {line.split()[0] for line in text.splitlines() if not line.startswith("#")}
    assert names <= printed
    assert server.chat("Hello").status_code == 200
    ran = server.run("top", "--once", "--json", server.name)
    (row,) = ran.json["data"]["instances"]
    assert row["state"] == "ready"
    load = row["load"]
    assert (load["running"], load["waiting"], load["tokens_per_second"]) == (0, 0, 0.0)
    assert load["tokens"] > 0
    assert load["ttft_seconds"] > 0
    assert load["kv_cache_usage"] == 0.0
    assert server.down().rc == 0


@pytest.mark.parametrize("release", ["2.3", "2.6"])
def test_what_waits_is_seen_although_its_gauge_stays_zero(fastdeploy: Make, release: str) -> None:
    """Before 2.6 by what was received and finished; 2.6 counts it in another gauge."""
    env = {"TWIN_TOKENS_PER_S": "20"}
    batch = {"max-num-batched-tokens": 2048}
    server = fastdeploy(release=release, env=env, **{"max-num-seqs": 1, "engine-args": batch})
    assert server.up().rc == 0
    threads = [threading.Thread(target=server.chat, args=("Count to fifty.",)) for _ in range(3)]
    for thread in threads:
        thread.start()

    def seen() -> bool:
        rows = server.run("top", "--once", "--json").json["data"]["instances"]
        load = rows[0]["load"] or {}
        if load.get("running") != 1 or not load.get("waiting"):
            return False
        return bool(load.get("waiting_estimated", False) == (release == "2.3"))

    wait_for(seen, "a request that waits")
    for thread in threads:
        thread.join()
    assert server.down().rc == 0
