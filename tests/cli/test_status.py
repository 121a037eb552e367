"""`status` of one and of all."""

import os
import signal

from tests.support.rig import Rig
from tests.support.waiting import wait_for


def rows(ran: object) -> dict[str, str]:
    return {row["name"]: row["state"] for row in ran.json["data"]["instances"]}  # type: ignore[attr-defined]


def test_nothing_at_all(rig: Rig) -> None:
    ran = rig.run("status")
    assert (ran.rc, ran.stdout) == (0, "no instances\n")


def test_an_unknown_instance(rig: Rig) -> None:
    ran = rig.run("status", "unknown", "--json")
    assert (ran.rc, rig.errors(ran)) == (2, ["unknown-instance"])


def test_all_of_them(rig: Rig) -> None:
    """Stopped ones do not count; each of the others must be ready."""
    rig.up("alpha")
    rig.up("beta")
    assert rig.run("up", rig.profile("gamma", {"before": [{"exit": 1}]})).rc == 4

    ran = rig.run("status", "--json")
    assert rows(ran) == {"alpha": "ready", "beta": "ready", "gamma": "failed"}
    assert ran.rc == 1, "a failed one is not ready"

    table = rig.run("status").stdout.splitlines()
    assert table[0].split() == ["NAME", "STATE", "ENGINE", "FOR", "URL"]
    assert [line.split()[:2] for line in table[1:]] == [
        ["alpha", "ready"], ["beta", "ready"], ["gamma", "failed"],
    ]  # fmt: skip
    rig.run("up", rig.profile("gamma"))
    for name in ("alpha", "beta"):
        assert rig.run("down", name).rc == 0
    ran = rig.run("status", "--json")
    assert (ran.rc, rows(ran)["alpha"]) == (0, "stopped")
    rig.down("gamma")


def test_one_that_does_not_run(rig: Rig) -> None:
    rig.up()
    rig.down()
    ran = rig.run("status", "one", "--json")
    assert (ran.rc, rows(ran)) == (1, {"one": "stopped"})
    (row,) = ran.json["data"]["instances"]
    assert (row["pid"], row["keeper_pid"], row["processes"]) == (None, None, None)
    assert "pid" not in rig.run("status", "one").stdout, "dead processes have no numbers"


def test_while_it_loads(rig: Rig) -> None:
    script = {"before": [{"print": "PHASE weights 25%"}, {"sleep": 600}]}
    process = rig.spawn("up", rig.profile(script=script), "--json")
    rig.wait_for_state("loading")
    wait_for(lambda: "weights 25 %" in rig.run("status", "one").stdout, "the phase")
    ran = rig.run("status", "one", "--json")
    assert (ran.rc, rows(ran)) == (1, {"one": "loading"})
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=600)


def test_a_server_that_went_bad(rig: Rig) -> None:
    rig.up(script={"health": [200, 200, 200, 503]}, liveness={"interval": 1, "stall-after": 600})
    while rig.run("status", "one").rc == 0:
        pass  # asked until its healthy answers are used up
    ran = rig.run("status", "one")
    expected = 'one is unhealthy: GET /health answered 503 {"status": 503}'
    assert ran.rc == 1
    assert ran.stdout.splitlines()[0] == expected
    assert expected in ran.stderr
    assert "is ready" not in ran.stdout + ran.stderr
    # Of all instances it is the keeper's verdict.
    wait_for(lambda: "in doubt for" in rig.run("status").stderr, "the verdict")
    os.kill(rig.engine(), 0)
    rig.down()


def test_what_lies_about_is_not_an_instance(rig: Rig) -> None:
    rig.up()
    (rig.home / "instances" / "notes.txt").touch()
    ran = rig.run("status", "--json")
    assert (ran.rc, rows(ran)) == (0, {"one": "ready"})
    rig.down()
