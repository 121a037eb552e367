"""Verbs about a service while it changes: followed rollouts, restarts, missing replicas."""

import json
import signal
import threading
from subprocess import Popen

from tests.support import processes
from tests.support.service_rig import ServiceRig
from tests.support.waiting import wait_for


class Reader:
    """The lines of a command that goes on, as they come."""

    def __init__(self, process: "Popen[str]") -> None:
        self.lines: list[str] = []
        self._process = process
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append(line.rstrip("\n"))

    def wait_for(self, text: str) -> None:
        """Wait for a line that holds this text."""
        wait_for(lambda: any(text in line for line in self.lines), f"a line with {text!r}")

    def end(self) -> int:
        """Ctrl-C, and the exit code."""
        self._process.send_signal(signal.SIGINT)
        code = self._process.wait(60)
        self._thread.join(60)
        return code


def test_logs_and_events_are_followed_over_a_rollout(shop: ServiceRig) -> None:
    shop.deploy({"before": [{"print": "hello"}]})
    old = shop.members()
    logs = Reader(shop.spawn("logs", "shop", "-f"))
    events = Reader(shop.spawn("events", "shop", "-f", "--json"))
    events.wait_for("serving")
    shop.deploy()
    new = shop.members()
    for name in new:
        events.wait_for(f'"instance": "{name}"')
    wait_for(
        lambda: sum('"outcome": "serving"' in line for line in events.lines) == 2,
        "the end of the second rollout",
    )
    assert events.end() == 130
    events_told = [json.loads(line) for line in events.lines[:-1]]
    rollouts = [event["message"] for event in events_told if event["event"] == "rollout"]
    assert "begins" in rollouts[-2], rollouts
    ended = [e for e in events_told if e["event"] == "state" and e["instance"] == old[0]]
    assert ended[-1]["state"] == "stopped"
    logs.wait_for(f"Server replicas/{new[0]} is UP")
    assert logs.end() == 130


def test_restart_replaces_every_replica_without_a_failed_request(shop: ServiceRig) -> None:
    revision = shop.deploy().json["data"]["revision"]
    before = set(shop.members())
    with shop.load(3) as load:
        load.wait_for(5)
        ran = shop.run("restart", "shop", "--json")
        load.wait_for(5)
    assert ran.rc == 0, ran.output()
    assert (ran.json["command"], ran.json["data"]["kind"]) == ("restart", "restart")
    assert ran.json["data"]["revision"] == revision
    assert not before & set(shop.members())
    assert (load.tally.failed, load.tally.cut) == (0, 0), load.tally.text()
    assert shop.history()[-1]["kind"] == "restart"
    refused = shop.run("restart", "shop", "--set", "env={A: b}", "--json")
    assert (refused.rc, shop.errors(refused)) == (2, ["usage"])


def test_the_last_replica_is_not_stopped_by_its_own_name(shop: ServiceRig) -> None:
    shop.deploy()
    first, second = shop.members()
    assert shop.run("down", first).rc == 0
    degraded = shop.run("diagnose", "shop", "--json")
    assert (degraded.rc, degraded.json["instance"]) == (1, first), degraded.output()
    late = shop.run("wait", "shop", "--for", "ready", "--timeout", "100ms", "--json")
    assert (late.rc, late.json["data"]["ready"]) == (5, 1)
    assert "1 of 2 replicas get" in shop.run("probe", "shop", "--ready").stdout
    for verb in ("down", "restart"):
        ran = shop.run(verb, second, "--json")
        assert (ran.rc, shop.errors(ran)) == (3, ["instance-in-service"]), ran.output()
    forced = shop.run("restart", second, "--force", "in-service", "--json")
    assert forced.rc == 0, forced.output()
    assert shop.run("restart", first).rc == 0
    assert shop.run("wait", "shop", "--for", "ready", "--timeout", "60s").rc == 0


def test_what_failed_the_first_deploy_is_diagnosed(shop: ServiceRig) -> None:
    ran = shop.run(
        "deploy",
        shop.write({"before": [{"print": "FATAL the model is broken"}, {"exit": 3}]}, replicas=1),
        "--json",
    )
    assert ran.rc == 4, ran.output()
    assert (
        shop.run("status", "shop", "--json").json["data"]["services"][0]["condition"] == "stopped"
    )
    diagnosis = shop.run("diagnose", "shop", "--json")
    assert diagnosis.rc == 1, diagnosis.output()
    assert diagnosis.json["data"]["rule"] == "ED-FAKE-FATAL"
    stopped = shop.run("wait", "shop", "--for", "ready", "--json")
    assert (stopped.rc, shop.errors(stopped)) == (1, ["not-ready"])
    smoke = shop.run("smoke", "shop", "--json")
    assert (smoke.rc, shop.errors(smoke)) == (3, ["service-not-ready"])
    for arguments in (("scale", "shop", "2"), ("restart", "shop")):
        refused = shop.run(*arguments, "--json")
        assert (refused.rc, shop.errors(refused)) == (3, ["service-stopped"]), refused.output()


def test_deploy_at_boot_starts_what_a_power_cut_took(shop: ServiceRig) -> None:
    """What a unit that runs `deploy PROFILE` does after every process was killed."""
    shop.deploy()
    names = [*shop.members(), "shop-door"]
    processes.kill([leak.pid for leak in processes.of_home(shop.home)])
    wait_for(lambda: not processes.of_home(shop.home), "the end of all processes", deadline=120)
    assert shop.status["condition"] == "down"
    ran = shop.run("deploy", shop.write(fresh=False), "--json")
    assert ran.rc == 0, ran.output()
    assert shop.run("wait", "shop", "--for", "ready", "--timeout", "60s").rc == 0
    assert [*shop.members(), "shop-door"] == names
    with shop.load(2) as load:
        load.wait_for(5)
    assert load.tally.failed == 0, load.tally.text()
