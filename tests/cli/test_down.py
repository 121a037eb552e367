"""`down` and its receipt."""

import ctypes
import os
import uuid
from pathlib import Path

from tests.support.rig import NEVER, Rig
from tests.support.waiting import wait_for


def test_the_receipt(rig: Rig) -> None:
    rig.up()
    ran = rig.run("down", "one")
    assert ran.rc == 0, ran.output()
    assert "left 0 processes, 0 ports, 0 shm, 0 queues, 0 temporary" in ran.stdout
    assert rig.run("down", "one").stdout == "one was not running\n"


def test_everything_proved_ours_is_removed_and_the_rest_left(rig: Rig) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    mark = uuid.uuid4().hex[:8]
    ours, theirs = f"edt-ours-{mark}", f"edt-theirs-{mark}"
    Path("/dev/shm", theirs).touch()
    folder, used = rig.folder / f"prom_{mark}_used", rig.folder / f"prom_{mark}_unused"
    used.mkdir()
    queues = rig.folder / "queues"
    queues.mkdir()
    try:
        rig.up(
            script={"before": [{"shm": ours}, {"queue": [str(queues), 71]},
                               {"folder": str(folder)}]},
            args={"shm": [ours, theirs], "queue": [[str(queues), 71]],
                  "temporary": [str(rig.folder / f"prom_{mark}_*")]},
        )  # fmt: skip
        wait_for(lambda: len(rig.stored()["shm"]) == 1, "the claims in the state")
        wait_for(lambda: rig.stored()["temporary"][1:], "the folder in the state")
        receipt = rig.down().json["data"]["receipt"]
        assert receipt["left"] == []
        assert not Path("/dev/shm", ours).exists()
        assert Path("/dev/shm", theirs).exists()
        assert not folder.exists()
        assert used.exists()
        key = libc.ftok(str(queues).encode(), 71)
        assert libc.msgget(key, 0) < 0, "the queue is gone"
    finally:
        Path("/dev/shm", theirs).unlink()
        Path("/dev/shm", ours).unlink(missing_ok=True)


def test_leftovers_of_a_killed_keeper_are_removed_too(rig: Rig) -> None:
    name = f"edt-{uuid.uuid4().hex[:8]}"
    rig.up(script={"before": [{"shm": name}]}, args={"shm": [name]})
    wait_for(lambda: rig.stored()["shm"], "the claim in the state")
    rig.kill(rig.keeper())
    rig.down()
    assert not Path("/dev/shm", name).exists()


def test_a_queue_that_exists_before_stops_the_start(rig: Rig) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    queues = rig.folder / "queues"
    queues.mkdir()
    number = libc.msgget(libc.ftok(str(queues).encode(), 72), 0o1600)
    try:
        profile = rig.profile(args={"queue": [[str(queues), 72]]})
        ran = rig.run("up", profile, "--json")
        assert (ran.rc, rig.errors(ran)) == (3, ["message-queues"]), ran.output()
        forced = rig.run("up", profile, "--force", "message-queues", "--json")
        assert (forced.rc, rig.errors(forced)) == (3, ["queue-exists"]), forced.output()
        assert f"ipcrm -q {number}" in ran.json["errors"][0]["remedy"]
        rig.nothing_left()
        assert libc.msgget(libc.ftok(str(queues).encode(), 72), 0) == number, "never touched"
    finally:
        libc.msgctl(number, 0, None)


def test_by_the_profile(rig: Rig) -> None:
    rig.up()
    ran = rig.run("down", rig.profile(), "--json")
    assert (ran.rc, ran.json["data"]["previous_state"]) == (0, "ready")


def test_after_a_failed_start_there_is_nothing_to_do(rig: Rig) -> None:
    assert rig.run("up", rig.profile(script={"before": [{"exit": 1}]})).rc == 4
    ran = rig.run("down", "one")
    assert ran.rc == 0
    assert ran.stdout == "one was not running (it failed); it counts as stopped now\n"
    assert rig.run("down", "one").stdout == "one was not running\n"


def test_what_was_acknowledged_is_no_alarm_any_more(rig: Rig) -> None:
    assert rig.run("up", rig.profile(script={"before": [{"exit": 1}]})).rc == 4
    assert rig.run("status").rc == 1
    ran = rig.run("down", "one", "--json")
    assert (ran.json["data"]["state"], ran.json["data"]["previous_state"]) == ("stopped", "failed")
    every = rig.run("status", "--json")
    (row,) = every.json["data"]["instances"]
    assert (every.rc, row["state"], row["previous_state"]) == (0, "stopped", "failed")
    assert row["error"]["code"], "why it failed can still be read"
    status = rig.run("status", "one").stdout
    assert "was          failed" in status
    assert row["error"]["message"] in status


def test_what_died_is_acknowledged_too(rig: Rig) -> None:
    rig.up(restart=NEVER)
    rig.kill(rig.engine())
    rig.wait_for_state("died")
    wait_for(
        lambda: rig.run("down", "one", "--json").json["data"]["previous_state"] != "ready",
        "the end",
    )
    assert rig.stored()["state"] == "stopped"
    assert rig.stored()["was"] == "died"
    assert rig.run("status").rc == 0


def test_a_start_that_ended_before_its_keeper_lived(rig: Rig) -> None:
    """As after a `kill -9` of `up` between its files and its keeper."""
    rig.up()
    rig.down()
    (rig.instance() / "state.json").unlink()
    ran = rig.run("status")
    assert ran.rc == 0, ran.output()
    assert "`down` removes it" in ran.stdout
    down = rig.run("down", "one")
    assert (down.rc, "the files are removed" in down.stdout) == (0, True), down.output()
    assert not rig.instance().exists()
    assert rig.run("status").stdout == "no instances\n"


def test_a_name_that_is_nobodys_is_said_to_be(rig: Rig) -> None:
    rig.up()
    ran = rig.run("down", "onne")
    assert ran.rc == 0
    assert "no instance is called 'onne'; did you mean 'one'?" in ran.stdout
    rig.down()


def test_a_drain_that_is_no_duration(rig: Rig) -> None:
    for wrong in ("-5", "soon", "1e9d"):
        ran = rig.run("down", "one", "--drain", wrong, "--json")
        assert (ran.rc, rig.errors(ran)) == (2, ["usage"]), ran.output()
    assert rig.run("down", "one", "--drain", "30s").rc == 0


def test_a_name_that_leads_out_of_the_folder_is_refused(rig: Rig) -> None:
    for name in ("..", ".", "A B"):
        ran = rig.run("down", name, "--json")
        assert (ran.rc, rig.errors(ran)) == (2, ["bad-name"]), ran.output()
    assert not os.path.exists(rig.home / "lock")


def test_a_drain_lets_running_requests_finish(rig: Rig) -> None:
    """The wait before SIGKILL grows by the drain that is asked for."""
    rig.up(script={"sigterm": "slow:3"}, stop={"grace": 0.5})
    ran = rig.run("down", "one", "--drain", "60", "--json")
    assert ran.rc == 0, ran.output()
    assert rig.stored()["engine_exit"] == 0
    rig.up(script={"sigterm": "slow:60"}, stop={"grace": 0.5})
    rig.down()
    assert rig.stored()["engine_exit"] == -9


def test_a_drain_no_timer_can_take_is_refused(rig: Rig) -> None:
    rig.up()
    for drain in ("-1", "inf", "nan", "1e9", "soon"):
        ran = rig.run("down", "one", "--drain", drain, "--json")
        assert (ran.rc, rig.errors(ran)) == (2, ["usage"]), ran.output()
    assert rig.run("status", "one").rc == 0
    rig.down()


def test_deadlines_may_be_months(rig: Rig) -> None:
    rig.up(stop={"grace": "100d"})
    assert rig.run("down", "one", "--drain", "1000000", "--json").rc == 0
