"""Every verb that takes a TARGET takes a service: what it answers while the service works."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.test_payloads import check
from tests.support import scripted_engine
from tests.support.packages import needs_package
from tests.support.service_rig import ServiceRig


@pytest.fixture(scope="module")
def served(module_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceRig]:
    """A service of two replicas that has had one rollout; no test changes it."""
    needs_package("haproxy")
    folder = tmp_path_factory.mktemp("served")
    with scripted_engine.registered(folder) as pythonpath:
        rig = ServiceRig(module_home, folder, pythonpath)
        try:
            rig.deploy(replicas=1)
            rig.deploy()
            yield rig
            rig.down_service()
        finally:
            rig.close()


def profile(served: ServiceRig) -> str:
    """The path of the profile that serves."""
    return str(served.folder / "shop.yaml")


def test_logs_are_those_of_every_instance_by_name(served: ServiceRig) -> None:
    ran = served.run("logs", "shop", "-n", "2")
    assert ran.rc == 0, ran.output()
    names = {line.partition("|")[0].strip() for line in ran.stdout.splitlines()}
    assert names == {"shop-door", *served.members()} - _silent(served)
    records = served.run("logs", profile(served), "--json").json["data"]
    assert records["source"] == "engine"
    assert records["lines"] == len(records["text"])


def _silent(served: ServiceRig) -> set[str]:
    """Replicas whose engine has printed nothing."""
    logs = {name: served.instance(name) / "logs" / "engine.log" for name in served.members()}
    return {name for name, path in logs.items() if not path.exists() or not path.stat().st_size}


def test_sources_are_listed_by_instance_with_those_that_were_replaced(served: ServiceRig) -> None:
    sources = served.run("logs", "shop", "--sources", "--json").json["data"]["sources"]
    assert "shop-door/keeper" in sources
    assert any("/retired/" in path for path in sources.values())
    wrong = served.run("logs", "shop", "--source", "nothing", "--json")
    assert (wrong.rc, served.errors(wrong)) == (2, ["unknown-source"])


def test_an_instance_that_was_replaced_can_still_be_read(served: ServiceRig) -> None:
    (retired,) = (served.home / "services" / "shop" / "retired").iterdir()
    for verb in ("logs", "events", "diagnose", "incidents"):
        ran = served.run(verb, retired.name)
        assert ran.rc == 0, ran.output()
    assert served.run("status", retired.name).rc == 2


def test_events_tell_of_rollouts_and_of_all_instances_in_order(served: ServiceRig) -> None:
    ran = served.run("events", "shop", "--json")
    assert ran.rc == 0, ran.output()
    times = [event["time"] for event in ran.events]
    assert times == sorted(times)
    names = {event["instance"] for event in ran.events}
    assert names >= {"shop", "shop-door", *served.members()}
    rollouts = [event for event in ran.events if event["event"] == "rollout"]
    assert [event["outcome"] for event in rollouts] == ["serving", "serving"]
    assert served.run("events", "shop", "--kind", "rollout", "-n", "1").stdout.count("\n") == 1
    wrong = served.run("events", "shop", "--kind", "roll", "--json")
    assert (wrong.rc, served.errors(wrong)) == (2, ["unknown-event-kind"])


def test_smoke_and_compare_ask_through_the_front_door(served: ServiceRig) -> None:
    ran = served.run("smoke", "shop", "--json")
    assert ran.rc == 0, ran.output()
    target = ran.json["data"]["target"]
    assert (target["kind"], target["name"]) == ("service", "shop")
    assert target["url"] == f"http://127.0.0.1:{served.port}/v1"
    of_profile = served.run("smoke", profile(served), "--check", "health", "--json")
    assert of_profile.json["data"]["counts"]["pass"] == 1
    refused = served.run("smoke", "shop", "--set", "model=other", "--json")
    assert (refused.rc, served.errors(refused)) == (2, ["no-profile"])
    compared = served.run("compare", "shop", "--check", "health", "--json")
    assert compared.rc == 0, compared.output()


@pytest.mark.parametrize("kind", ["live", "ready", "startup"])
def test_probe_answers_for_the_address(served: ServiceRig, kind: str) -> None:
    ran = served.run("probe", "shop", f"--{kind}", "--json")
    assert ran.rc == 0, ran.output()
    assert ran.json["data"]["probe"] == kind
    if kind == "ready":
        assert ran.json["data"]["reason"] == "2 of 2 replicas get requests"


def test_wait_is_for_all_replicas(served: ServiceRig) -> None:
    ready = served.run("wait", "shop", "--for", "ready", "--json").json["data"]
    assert (ready["reached"], ready["ready"], ready["condition"]) == (True, 2, "serving")
    assert served.run("wait", profile(served), "--for", "idle").rc == 0
    late = served.run("wait", "shop", "--for", "stopped", "--timeout", "200ms", "--json")
    assert (late.rc, served.errors(late)) == (5, ["wait-timeout"])


def test_top_shows_what_the_door_counts(served: ServiceRig) -> None:
    with served.load(3) as load:
        load.wait_for(20)
        (row,) = served.run("top", "--once", "--json").json["data"]["services"]
    assert (row["condition"], row["ready"], row["replicas"]) == ("serving", 2, 2)
    assert row["requests_per_second"] > 0
    assert row["error_share"] == 0.0
    assert row["latency_seconds"] > 0
    assert 0 <= row["first_byte_seconds"] <= row["latency_seconds"]
    assert row["retries"] == row["cut"] == 0
    assert [one["share"] for one in row["members"]] == [0.5, 0.5]
    assert sum(one["answers"] for one in row["members"]) >= 20
    text = served.run("top", "shop", "--once").stdout
    assert text.startswith("SERVICE")
    assert all(name in text for name in served.members())


def test_doctor_looks_at_a_replica_the_door_and_their_number(served: ServiceRig) -> None:
    ran = served.run("doctor", profile(served), "--json")
    assert ran.rc == 0, ran.output()
    findings = {
        (one["check"], one["evidence"].startswith("front door: ")): one["status"]
        for one in ran.json["data"]["findings"]
    }
    assert findings["ports", True] == findings["ports", False] == "PASS"
    assert findings["haproxy-version", True] == "PASS"
    assert findings["replicas", False] == "PASS"


def test_plan_and_validate_are_about_one_replica(served: ServiceRig) -> None:
    planned = served.run("plan", profile(served), "--json")
    assert planned.json["data"]["plan"]["instance"] == "shop-replica"
    assert served.run("validate", profile(served)).rc == 0


def test_diagnose_of_a_service_that_works(served: ServiceRig) -> None:
    ran = served.run("diagnose", "shop", "--json")
    assert ran.rc == 0, ran.output()
    assert ran.json["instance"] in served.members()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("drill", "SHOP", "--yes"), "service-not-drilled"),
        (("drill", "REPLICA", "--yes"), "service-not-drilled"),
        (("enable", "SHOP"), "service-not-bootable"),
        (("enable", "DOOR"), "service-not-bootable"),
        (("enable", "PROFILE"), "service-not-bootable"),
        (("disable", "REPLICA"), "service-not-bootable"),
        (("up", "PROFILE", "--set", "service=null"), "name-taken"),
        (("up", "PROFILE", "--set", "service=null", "--name", "DOOR"), "instance-in-service"),
        (("restart", "PROFILE", "--set", "service=null"), "name-taken"),
        (("down", "DOOR"), "instance-in-service"),
        (("restart", "DOOR"), "instance-in-service"),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value),
)
def test_what_would_break_the_service_is_refused(
    served: ServiceRig, arguments: tuple[str, ...], code: str
) -> None:
    named = {"SHOP": "shop", "DOOR": "shop-door", "REPLICA": served.members()[0],
             "PROFILE": profile(served)}  # fmt: skip
    before = served.state["members"]
    ran = served.run(*(named.get(word, word) for word in arguments), "--json")
    assert (ran.rc, served.errors(ran)) == (3, [code]), ran.output()
    assert ran.json["errors"][0]["remedy"]
    assert served.state["members"] == before


def test_the_json_is_that_of_the_payloads(served: ServiceRig) -> None:
    for arguments in (
        ("status",), ("status", "shop"), ("history", "shop"), ("top", "--once"),
        ("wait", "shop", "--for", "ready"), ("probe", "shop", "--ready"), ("incidents", "shop"),
        ("diagnose", "shop"), ("logs", "shop"), ("deploy", profile(served)),
        ("deploy", profile(served), "--dry-run", "--set", "env={X: 1}"),
        ("lock", "shop", "-m", "a test"), ("unlock", "shop"),
    ):  # fmt: skip
        check(served.run(*arguments, "--json"))


def test_a_service_is_completed_by_its_name(served: ServiceRig) -> None:
    env: dict[str, str | None] = {
        **served.env, "_ERNIE_DEPLOY_COMPLETE": "bash_complete",
        "COMP_WORDS": "ernie-deploy logs sh", "COMP_CWORD": "2",
    }  # fmt: skip
    from tests.support import cli

    ran = cli.run(home=served.home, env=env)
    assert {"plain,shop", "plain,shop-door"} <= set(ran.stdout.splitlines())


def test_without_services_none_of_their_code_is_imported(
    home: Path, run_cli: Callable[..., object]
) -> None:
    from tests.support import cli

    assert not (home / "services").exists()
    code = (
        "import json, sys\n"
        "from launcher.entry import main\n"
        "sys.argv = ['ernie-deploy', 'status', '--json']\n"
        "try:\n    main()\n"
        "except SystemExit:\n    pass\n"
        "names = [n for n in sys.modules if n.startswith(('launcher.service', 'launcher.door'))]\n"
        "print(json.dumps(names))\n"
    )
    done = cli.run_code(code, home)
    assert json.loads(done.stdout.splitlines()[-1]) == [], done.stderr
    assert os.listdir(home) == []
