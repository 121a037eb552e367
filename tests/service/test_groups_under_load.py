"""Groups of prefill and decode instances with the twin: changes under streaming load.

One release of each kind of router here, all of them in `make soak`.
"""

import contextlib
import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import processes
from tests.support.decoded import JsonDict
from tests.support.group_rig import GroupRig
from tests.support.packages import needs_package
from tests.support.waiting import wait_for


@pytest.fixture
def shop(request: pytest.FixtureRequest, home: Path, tmp_path: Path) -> Iterator[GroupRig]:
    """A bench for one release of the twin; the service is taken down at the end."""
    needs_package("haproxy")
    new_rig = GroupRig(home, tmp_path, request.param)
    try:
        yield new_rig
        if (home / "services").is_dir():
            new_rig.down_service()
    finally:
        new_rig.close()


GO_ROUTER = ("2.5", "2.6")
"""The releases that have the Go router."""


def releases(*normal: str, among: tuple[str, ...] = ("2.4", "2.5", "2.6")) -> pytest.MarkDecorator:
    """The releases `among` which a test runs, those that are not `normal` in the soak only."""
    marks = [
        release if release in normal else pytest.param(release, marks=pytest.mark.soak)
        for release in among
    ]
    return pytest.mark.parametrize("shop", marks, indirect=True)


def registered(shop: GroupRig, router: str) -> set[int]:
    """The ports of all instances that a router has ever taken."""
    folder = shop.instance(router) / "logs" / "engine"
    texts = [path.read_text() for path in folder.rglob("router.log*") if not path.is_symlink()]
    ports_seen = re.findall(r"instance success: http://127\.0\.0\.1:(\d+)", "".join(texts))
    return {int(number) for number in ports_seen}


def ports_of(shop: GroupRig, names: list[str]) -> set[int]:
    plans = [shop.stored(name, "plan.json") for name in names]
    return {use["number"] for plan in plans for use in plan["ports"] if use["name"] == "api"}


def never_mixed(shop: GroupRig, member: JsonDict) -> None:
    """Every instance of a group registered with its own router, and no other with that."""
    roles = shop.group_of(member)
    behind = [name for role, names in roles.items() if role != "router" for name in names]
    assert registered(shop, member["name"]) == ports_of(shop, behind)


@releases("2.4", "2.5")
def test_an_update_under_load_loses_nothing(shop: GroupRig) -> None:
    first = shop.deploy_group({"prefill": {"replicas": 2}})
    before = shop.instances()
    with shop.chat() as load:
        load.wait_for(10)
        (old,) = shop.state["members"]
        never_mixed(shop, old)
        second = shop.deploy_group(rollout={"watch": "1s"})
        load.wait_for(10)
        back = json.loads(shop.run("rollback", "shop", "--json").stdout.splitlines()[-1])["data"]
        load.wait_for(10)
    print(load.tally.text())
    assert (load.tally.failed, load.tally.cut) == (0, 0), load.tally.text()
    assert second["previous"] == back["revision"] == first["revision"]
    (member,) = shop.state["members"]
    never_mixed(shop, member)
    assert shop.instances() == before  # the group of the first revision, not of the second
    row = shop.status
    assert (row["condition"], row["ready"]) == ("serving", 1)
    (replica,) = row["members"]
    assert [part["role"] for part in replica["group"]] == ["router", "prefill", "prefill", "decode"]
    assert all(part["state"] == "ready" and part["ports"]["api"] for part in replica["group"])


@releases("2.5", among=GO_ROUTER)
def test_a_decode_instance_that_does_not_start(shop: GroupRig) -> None:
    """The old group serves on, and nothing is left of the new one: neither router nor prefill."""
    shop.install_go_router()
    first = shop.deploy_group({"router": "go"})
    before = set(shop.instances())
    with shop.chat() as load:
        load.wait_for(5)
        broken = {"env": {"TWIN_FAULT": "worker-dies-in-load"}}
        path = shop.write_group({"router": "go", "decode": broken}, restart={"policy": "never"})
        ran = shop.run("deploy", path, "--json")
        load.wait_for(5)
    assert ran.rc == 4, ran.output()
    (problem,) = ran.json["errors"]
    assert "-decode1 did not start" in problem["message"]
    assert (load.tally.failed, load.tally.cut) == (0, 0), load.tally.text()
    assert shop.state["revision"] == first["revision"]
    assert set(shop.instances()) == before
    present = {path.name for path in (shop.home / "instances").iterdir()}
    assert present == before | {"shop-door"}


@releases("2.5")
def test_kill_of_deploy_in_the_midst_of_a_start(shop: GroupRig) -> None:
    """`--abort` ends what runs of the group, `--resume` starts what is missing of it."""
    shop.deploy_group()
    before = set(shop.instances())
    for end, outcome in (("--abort", "aborted"), ("--resume", "serving")):
        process = shop.spawn_deploy(shop.write_group())

        def half_started(before: set[str] = before) -> bool:
            with contextlib.suppress(OSError, ValueError, KeyError):
                new = [m for m in shop.state["members"] if m["name"] not in before]
                return bool(new) and all(
                    shop.stored(name).get("state") == "loading"
                    for name in shop.group_of(new[0])["prefill"]
                )
            return False

        shop.kill_when(process, half_started)
        assert shop.status["condition"] == "interrupted"
        ran = shop.run("deploy", end, "shop", "--json")
        assert ran.rc == 0, ran.output()
        assert ran.json["data"]["outcome"] == outcome
        assert (set(shop.instances()) == before) == (end == "--abort")
        present = {path.name for path in (shop.home / "instances").iterdir()}
        assert present == {*shop.instances(), "shop-door"}
        before = set(shop.instances())
    (member,) = shop.state["members"]
    never_mixed(shop, member)


@releases("2.5")
def test_an_instance_that_dies_under_load(shop: GroupRig) -> None:
    """Its group gets no requests until it is registered again; the other group serves on.

    The Python router answers a stream with 200 before it asks its instances: what it was sent in
    the seconds before it drops the instance is cut. After that it answers 500, and the front door
    sends the request to the other group: no request fails.
    """
    shop.deploy_group(replicas=2)
    member = shop.state["members"][0]
    name = shop.group_of(member)["decode"][0]
    with shop.chat(4) as load:
        load.wait_for(20)
        os.kill(shop.engine(name), signal.SIGKILL)
        shop.wait_for_passed("starting", name)
        wait_for(lambda: door_of(shop, member["name"]) == "down", "the door turning away")
        lost = load.tally.failed + load.tally.cut
        load.wait_for(20)
        assert load.tally.failed + load.tally.cut <= lost + 4, load.tally.text()
        wait_for(lambda: door_of(shop, member["name"]) == "up", "its way back", deadline=120)
        load.wait_for(20)
    print(load.tally.text())
    assert load.tally.failed == 0, load.tally.text()
    assert shop.stored(name)["restarts"]
    assert shop.status["ready"] == 2
    never_mixed(shop, member)


def door_of(shop: GroupRig, name: str) -> str | None:
    """What the front door says of a replica."""
    row = next(one for one in shop.status["members"] if one["name"] == name)
    state: str | None = row["door"]
    return state


@releases("2.5", among=GO_ROUTER)
def test_a_key_goes_through_the_go_router(shop: GroupRig) -> None:
    """The Python router forwards no headers, so that `auto` asks for the Go router."""
    shop.env["SHOP_KEY"] = "secret-of-the-shop"
    path = shop.write_group({"router": "auto"}, api_key="env:SHOP_KEY", smoke={"checks": ["chat"]})
    refused = shop.run("deploy", path, "--json")
    assert refused.rc == 3, refused.output()
    assert shop.errors(refused) == ["missing-router"]
    assert not processes.of_home(shop.home)
    shop.install_go_router()
    served = shop.run("deploy", path, "--json")
    assert served.rc == 0, served.output()
    router = shop.stored(shop.members()[0], "plan.json")
    assert router["argv"][0].endswith("/fd-router")
    assert "secret-of-the-shop" not in json.dumps(router)
    again = shop.run("scale", "shop", "2", "--json")
    assert again.rc == 0, again.output()
    assert len(shop.instances()) == 6
