"""`deploy`, `rollback` and `scale` with real processes and a real HAProxy, by the command line."""

import json

from tests.support.service_rig import ServiceRig


def test_a_service_is_deployed_changed_and_stopped(shop: ServiceRig) -> None:
    first = shop.deploy()
    assert first.json["data"]["outcome"] == "serving"
    assert first.json["data"]["url"] == f"http://127.0.0.1:{shop.port}/v1"
    assert len(shop.members()) == 2
    second = shop.deploy()
    assert second.json["data"]["previous"] == first.json["data"]["revision"]
    assert all(second.json["data"]["revision"] in name for name in shop.members())
    row = shop.status
    assert (row["condition"], row["ready"]) == ("serving", 2)
    assert [one["door"] for one in row["members"]] == ["up", "up"]


def test_the_same_content_changes_nothing(shop: ServiceRig) -> None:
    first = shop.deploy()
    again = shop.run("deploy", shop.write(fresh=False), "--json")
    assert again.rc == 0
    assert again.json["data"]["outcome"] is None
    assert "serves already" in again.json["data"]["note"]
    assert again.json["data"]["members"] == first.json["data"]["members"]
    assert len(shop.history()) == 1


def test_rollback_and_history(shop: ServiceRig) -> None:
    first = shop.deploy(None, "--message", "the first one").json["data"]["revision"]
    second = shop.deploy().json["data"]["revision"]
    back = shop.run("rollback", "shop", "--json")
    assert back.rc == 0, back.output()
    assert back.json["data"]["revision"] == first
    forth = shop.run("rollback", "shop", "--to", second, "--json")
    assert forth.json["data"]["revision"] == second
    lines = shop.run("history", "shop", "--json").json["data"]["entries"]
    assert [(one["kind"], one["target"]) for one in lines] == [
        ("rollback", second), ("rollback", first), ("deploy", second), ("deploy", first),
    ]  # fmt: skip
    assert lines[-1]["message"] == "the first one"
    assert all(one["outcome"] == "serving" and one["smoke"] == "2 passed; 2 passed"
               for one in lines)  # fmt: skip


def test_scale_up_and_down(shop: ServiceRig) -> None:
    shop.deploy(replicas=1)
    first = shop.members()
    up = shop.run("scale", "shop", "3", "--json")
    assert up.rc == 0, up.output()
    assert shop.members()[:1] == first
    assert len(shop.members()) == 3
    down = shop.run("scale", "shop", "1", "--json")
    assert down.rc == 0, down.output()
    assert shop.members() == first
    assert shop.status["replicas"] == 1


def test_a_replica_that_ended_is_started_again_by_deploy(shop: ServiceRig) -> None:
    shop.deploy()
    name = shop.members()[0]
    assert shop.run("down", name).rc == 0
    assert shop.status["condition"] == "degraded"
    repaired = shop.run("deploy", shop.write(fresh=False), "--json")
    assert repaired.rc == 0, repaired.output()
    row = shop.status
    assert (row["condition"], row["ready"]) == ("serving", 2)
    assert [one["door"] for one in row["members"]] == ["up", "up"]


def test_dry_run_changes_nothing(shop: ServiceRig) -> None:
    ran = shop.run("deploy", shop.write(), "--dry-run")
    assert ran.rc == 0, ran.output()
    assert "open the front door" in ran.stdout
    shop.deploy()
    before = shop.members()
    planned = shop.run("deploy", shop.write(), "--dry-run", "--json").json["data"]
    assert [one["kind"] for one in planned["planned"]] == [
        "start", "prove", "door", "shift", "retire", "commit",
    ]  # fmt: skip
    assert shop.members() == before


def test_rolling_replaces_one_after_the_other(shop: ServiceRig) -> None:
    shop.deploy()
    ran = shop.deploy(None, "--strategy", "rolling")
    actions = [json.loads(line).get("action") for line in ran.stdout.splitlines()[:-1]]
    order = [one for one in actions if one in ("ready", "stopped")]
    assert order == ["ready", "stopped", "ready", "stopped"]


def test_recreate_stops_first(shop: ServiceRig) -> None:
    shop.deploy()
    ran = shop.deploy(None, "--strategy", "recreate")
    actions = [json.loads(line).get("action") for line in ran.stdout.splitlines()[:-1]]
    order = [one for one in actions if one in ("ready", "stopped")]
    assert order == ["stopped", "ready", "ready"]
    assert shop.status["condition"] == "serving"
