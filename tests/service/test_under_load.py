"""Changes under constant streaming load: no request fails and no stream is cut.

Each kind of change a few times here, twenty times in `make soak`.
"""

import contextlib
import json
import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import processes
from tests.support.load import Load, Tally
from tests.support.service_rig import ServiceRig
from tests.support.waiting import wait_for

FEW = 2
MANY = 20
TIMES = [FEW, pytest.param(MANY, marks=pytest.mark.soak)]


@contextlib.contextmanager
def under_load(shop: ServiceRig, *, clients: int = 3) -> Iterator[Load]:
    """Load on a service that serves; in the end no request may have failed or been cut."""
    with shop.load(clients) as load:
        load.wait_for(20)
        yield load
        load.wait_for(20)
    unharmed(load.tally)


def unharmed(tally: Tally) -> None:
    """Nothing was lost."""
    print(tally.text())
    assert (tally.failed, tally.cut) == (0, 0), tally.text()


@pytest.mark.parametrize("times", TIMES)
def test_updates(shop: ServiceRig, times: int) -> None:
    shop.deploy()
    with under_load(shop):
        for number in range(times):
            strategy = ("blue-green", "rolling")[number % 2]
            shop.deploy(None, "--strategy", strategy)
    assert shop.status["condition"] == "serving"
    assert len(shop.history()) == times + 1


@pytest.mark.parametrize("times", TIMES)
def test_rollbacks(shop: ServiceRig, times: int) -> None:
    shop.deploy()
    shop.deploy()
    with under_load(shop):
        for _ in range(times):
            ran = shop.run("rollback", "shop", "--json")
            assert ran.rc == 0, ran.output()


def fails_to_start(shop: ServiceRig) -> tuple[str, int]:
    """A flag that the engine refuses: it ends with 3."""
    return shop.write({"before": [{"exit": 3}]}), 4


def hangs_while_loading(shop: ServiceRig) -> tuple[str, int]:
    """A load that never ends."""
    path = shop.write(
        {"before": [{"wait": shop.path("never")}]}, health={"startup-timeout": "2s",
                                                            "no-progress-timeout": "1s"},
    )  # fmt: skip
    return path, 5


FAILURES = {"start": fails_to_start, "hang": hangs_while_loading}


@pytest.mark.parametrize("times", TIMES)
def test_revisions_that_do_not_start(shop: ServiceRig, times: int) -> None:
    first = shop.deploy().json["data"]["revision"]
    with under_load(shop):
        for number in range(times):
            failure = list(FAILURES.values())[number % len(FAILURES)]
            path, code = failure(shop)
            ran = shop.run("deploy", path, "--json")
            assert ran.rc == code, ran.output()
            assert shop.state["revision"] == first
            assert shop.state["rollout"] is None
    assert [one["outcome"] for one in shop.history()[1:]] == ["rolled-back"] * times
    assert shop.status["condition"] == "serving"


@pytest.mark.parametrize("times", TIMES)
def test_revisions_that_fail_the_smoke_checks(shop: ServiceRig, times: int) -> None:
    shop.deploy()
    with under_load(shop):
        for _ in range(times):
            path = shop.write({"completion": "reasoning"}, file="bad")
            document = json.loads(Path(path).read_text())
            # A check that this answer does not pass.
            document["smoke"] = {"checks": ["chat"], "expect": {"chat": {"matches": "Paris"}}}
            Path(path).write_text(json.dumps(document))
            ran = shop.run("deploy", path, "--json")
            assert ran.rc == 1, ran.output()
            assert shop.errors(ran) == ["smoke-failed"]


@pytest.mark.parametrize("times", TIMES)
def test_revisions_that_crash_after_the_switch(shop: ServiceRig, times: int) -> None:
    """Streams that a crashed replica had begun are cut, and no other request is lost."""
    first = shop.deploy().json["data"]["revision"]
    with shop.load(4) as load:
        load.wait_for(20)
        for number in range(times):
            moment, once = shop.path(f"crash-{number}"), shop.path(f"once-{number}")
            Path(once).write_text("1")
            path = shop.write(
                # One of the two replicas.
                {"after": [{"wait": moment}, {"count-down": once}]},
                rollout={"watch": "60s"}, restart={"policy": "never"},
            )  # fmt: skip
            process = shop.spawn_deploy(path)
            shop.wait_for_action("watch")
            Path(moment).touch()
            out, err = process.communicate(timeout=600)
            assert process.returncode == 1, out + err
            assert json.loads(out.splitlines()[-1])["errors"][0]["code"] == "watch-verdict"
            assert shop.state["revision"] == first
        load.wait_for(20)
    print(load.tally.text())
    assert load.tally.failed == 0, load.tally.text()
    assert load.tally.cut <= 4 * times, load.tally.text()


@pytest.mark.parametrize("times", TIMES)
def test_revisions_that_are_slower(shop: ServiceRig, times: int) -> None:
    first = shop.deploy().json["data"]["revision"]
    with under_load(shop):
        for _ in range(times):
            path = shop.write({"stream": [12, 0.05]}, rollout={"watch": "60s", "min-requests": 10})
            ran = shop.run("deploy", path, "--json")
            assert ran.rc == 1, ran.output()
            assert shop.errors(ran) == ["watch-latency"]
            assert shop.state["revision"] == first


@pytest.mark.parametrize("times", TIMES)
def test_kills_of_deploy_at_random_moments(shop: ServiceRig, times: int) -> None:
    """`kill -9` of `deploy`: the state explains itself, and the rollout is resumed or aborted."""
    shop.deploy()
    chance = random.Random(times)
    kinds = ("start", "prove", "door", "shift", "watch", "retire")
    with under_load(shop):
        for number in range(times):
            kind = kinds[number % len(kinds)] if number < len(kinds) else chance.choice(kinds)
            path = shop.write(rollout={"watch": "0.5s"})
            process = shop.spawn_deploy(path)
            with contextlib.suppress(AssertionError):
                wait_for(lambda: process.poll() is not None or _at(shop, kind), kind, deadline=60)  # noqa: B023
            process.send_signal(signal.SIGKILL)
            process.wait()
            rollout = shop.state["rollout"]
            if rollout is None:
                continue  # it was over before the signal came
            row = shop.status
            assert row["condition"] == "interrupted"
            assert "deploy --resume shop" in row["remedy"]
            end = ("--resume", "--abort")[number % 2]
            ran = shop.run("deploy", end, "shop", "--json")
            assert ran.rc == 0, ran.output()
            outcome = {"--resume": "serving", "--abort": "aborted"}[end]
            assert ran.json["data"]["outcome"] == outcome
            assert shop.status["condition"] == "serving"


def _at(shop: ServiceRig, kind: str) -> bool:
    rollout = shop.state["rollout"]
    return bool(rollout and rollout["actions"][rollout["done"]]["kind"] == kind)


def test_ctrl_c_leaves_the_old_revision_serving(shop: ServiceRig) -> None:
    first = shop.deploy().json["data"]["revision"]
    with under_load(shop):
        path = shop.write(rollout={"watch": "600s"})
        process = shop.spawn_deploy(path)
        shop.wait_for_action("watch")
        os.kill(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=600)
        assert process.returncode == 130, out + err
        envelope = json.loads(out.splitlines()[-1])
        assert [one["code"] for one in envelope["errors"]] == ["rollout-interrupted"]
        state = shop.state
        assert state["revision"] == first
        weights = {one["name"]: one["weight"] for one in state["members"]}
        assert all((weight == 256) == (first in name) for name, weight in weights.items())
        aborted = shop.run("deploy", "--abort", "shop", "--json")
        assert aborted.rc == 0, aborted.output()
    assert shop.state["rollout"] is None


@pytest.mark.parametrize("times", [2, pytest.param(MANY, marks=pytest.mark.soak)])
def test_replicas_that_are_killed_and_stopped(shop: ServiceRig, times: int) -> None:
    """Three replicas, of which one is killed or stands still; only begun streams may be cut."""
    quick = {"interval": "0.5s", "stall-after": "2s", "canary-deadline": "1s"}
    shop.deploy(replicas=3, liveness=quick, restart={"max-restarts": 1000})
    chance = random.Random(times)
    with shop.load(6) as load:
        load.wait_for(30)
        for number in range(times):
            victim = shop.engine(chance.choice(shop.members()))
            os.kill(victim, (signal.SIGKILL, signal.SIGSTOP)[number % 2])
            wait_for(lambda: not processes.alive(victim), "the end of the victim")  # noqa: B023
            load.wait_for(20, lambda: shop.status["ready"] == 3)
    print(load.tally.text())
    assert load.tally.failed == 0, load.tally.text()
    # The streams that the victim had begun: a third of the six clients, now and then more.
    assert load.tally.cut <= 6 * times, load.tally.text()


def test_scale_under_load(shop: ServiceRig) -> None:
    shop.deploy(replicas=1)
    with under_load(shop):
        for count in ("3", "1"):
            ran = shop.run("scale", "shop", count, "--json")
            assert ran.rc == 0, ran.output()
