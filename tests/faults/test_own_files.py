"""The product's own files deleted or replaced while it runs: every verb still tells the truth."""

import contextlib
import json
import os
import shutil
import signal
from pathlib import Path

import pytest

from launcher.json_values import text_at
from launcher.keeper.control import Client
from tests.support import processes
from tests.support.matrix import diagonal
from tests.support.processes import alive
from tests.support.rig import Rig
from tests.support.waiting import wait_for
from tests.support.wrong_things import THINGS, put, remove

FILES = (
    "control.sock", "lock", "state.json", "plan.json", "profile.json", "profile.yaml", "token",
    "options.json", "origins.json", "events.jsonl",
)  # fmt: skip
TOUGH = {
    "sigterm": "ignore",
    "before": [{"spawn": {"session": True, "double": True, "ignore": ["TERM", "HUP"]}}],
}
"""Neither the end of its parent nor a polite signal ends this one."""


def state_of(rig: Rig) -> str:
    """What the keeper says, once its socket is where clients look for it."""

    def ask() -> str:
        try:
            client = Client(rig.instance(), 5)
        except OSError:
            return ""
        try:
            return text_at(client.request("status"), "state", "state")
        finally:
            client.close()

    return wait_for(ask, "a keeper that answers")


def recorded_state(rig: Rig) -> str:
    """The state in the file, or nothing while what the test put there still lies in its place."""
    try:
        return str(rig.stored()["state"])
    except (ValueError, KeyError):  # garbage, or empty
        return ""


def healed(rig: Rig, name: str, before: bytes | None) -> None:
    """Wait until the file is what it was (or is one that the keeper wrote)."""
    path = rig.instance() / name

    def there() -> bool:
        if name == "control.sock":
            return state_of(rig) == "ready"
        if not path.is_file() or path.is_symlink():
            return False
        if before is not None:
            return path.read_bytes() == before
        return name != "state.json" or recorded_state(rig) == "ready"

    wait_for(there, f"{name} made anew")


@pytest.mark.parametrize("thing", THINGS)
def test_a_living_keeper_makes_each_of_its_files_anew(rig: Rig, thing: str) -> None:
    rig.up()
    fixed = {name: (rig.instance() / name).read_bytes() for name in FILES
             if name in ("plan.json", "profile.json", "profile.yaml", "options.json",
                         "origins.json", "token")}  # fmt: skip
    for name in FILES:
        put(thing, rig.instance() / name)
        status = rig.run("status", "one", "--json")
        row = status.json["data"]["instances"][0]
        assert row["state"] in ("ready", "unknown", "starting"), (name, status.output())
        healed(rig, name, fixed.get(name))
    status = rig.run("status", "one", "--json")
    assert status.rc == 0, status.output()
    again = rig.run("up", rig.profile(), "--json")
    assert (again.rc, again.json["data"]["already"]) == (0, True)
    history = (rig.instance() / "events.jsonl").read_text()
    assert "was removed or replaced; made anew" in history
    rig.down()


@pytest.mark.parametrize(
    ("name", "thing"), diagonal(FILES, ["nothing", "garbage", "full folder", "pipe"])
)
def test_down_at_once_after_a_file_was_replaced(rig: Rig, name: str, thing: str) -> None:
    """It does not depend on who is faster, the keeper or the `down`."""
    rig.up()
    keeper, engine = rig.keeper(), rig.engine()
    put(thing, rig.instance() / name)
    down = rig.run("down", "one", "--json")
    assert down.rc == 0, down.output()
    assert down.json["data"]["receipt"]["left"] == []
    assert not alive(engine)
    wait_for(lambda: not alive(keeper), "the end of the keeper")
    rig.nothing_left()


@pytest.mark.parametrize(
    ("which", "verb"), diagonal(["folder", "instances", "home"], ["status", "down", "up"])
)
def test_a_folder_that_was_deleted_below_a_living_keeper(rig: Rig, which: str, verb: str) -> None:
    rig.up()
    keeper, engine = rig.keeper(), rig.engine()
    profile = rig.profile()
    folders = {"folder": rig.instance(), "instances": rig.home / "instances", "home": rig.home}
    shutil.rmtree(folders[which], ignore_errors=True)

    ran = rig.run(verb, profile if verb == "up" else "one", "--json")

    if verb == "status":
        assert ran.json["data"]["instances"][0]["state"] != "absent", ran.output()
    elif verb == "up":
        assert (ran.rc, ran.json["data"]["already"]) == (0, True), ran.output()
        assert alive(engine)
    if verb != "down":
        healed(rig, "control.sock", None)
        assert rig.keeper() == keeper
        assert rig.run("status", "one").rc == 0
        ran = rig.run("down", "one", "--json")
    assert ran.rc == 0, ran.output()
    assert ran.json["data"]["receipt"]["left"] == []
    assert not alive(engine)
    wait_for(lambda: not alive(keeper), "the end of the keeper")


def test_a_folder_that_was_renamed(rig: Rig) -> None:
    """The keeper makes its own anew; the renamed one is a copy that nothing may be done to."""
    rig.up()
    engine = rig.engine()
    rig.instance().rename(rig.instance("two"))
    healed(rig, "control.sock", None)
    status = rig.run("status", "two", "--json")
    assert status.rc == 1
    down = rig.run("down", "two", "--json")
    assert alive(engine), down.output()
    assert rig.run("status", "one").rc == 0
    rig.down()


def test_a_copied_home_is_not_the_instances(rig: Rig, tmp_path: Path) -> None:
    rig.up()
    engine = rig.engine()
    original, rig.home = rig.home, tmp_path / "copy"
    shutil.copytree(original, rig.home, ignore=shutil.ignore_patterns("control.sock"))
    status = rig.run("status", "one", "--json")
    down = rig.run("down", "one", "--json")
    rig.home = original
    assert status.json["data"]["instances"][0]["state"] == "foreign", status.output()
    assert (down.rc, rig.errors(down)) == (3, ["foreign-state"]), down.output()
    assert alive(engine)
    rig.down()


def test_a_keeper_whose_socket_stays_away_is_stopped_by_a_signal(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its folder cannot take a new socket: something that cannot be removed lies there."""
    rig.up()
    keeper = rig.keeper()
    (rig.instance() / "control.sock").unlink()
    (rig.instance() / "control.sock").mkdir()
    (rig.instance() / "lock").unlink()
    (rig.instance() / "state.json").unlink()
    down = rig.run("down", "one", "--json")
    assert down.rc == 0, down.output()
    wait_for(lambda: not alive(keeper), "the end of the keeper")
    rig.nothing_left()


@pytest.mark.parametrize(
    ("name", "thing"),
    diagonal(["state.json", "plan.json", "token", "lock", "events.jsonl"], THINGS),
)
def test_after_a_killed_keeper_nothing_is_called_absent(rig: Rig, name: str, thing: str) -> None:
    rig.up(script=TOUGH)
    engine = rig.engine()
    wait_for(lambda: len(rig.stored()["processes"]) == 2 or None, "both processes in the state")
    pids = [p["pid"] for p in rig.stored()["processes"]]
    rig.lose()
    put(thing, rig.instance() / name)
    status = rig.run("status", "one", "--json")
    assert status.rc == 1, status.output()
    assert status.json["data"]["instances"][0]["state"] in ("lost", "damaged"), status.output()
    assert alive(engine)
    down = rig.run("down", "one", "--json")
    assert down.rc == 0, down.output()
    assert down.json["data"]["receipt"]["left"] == []
    assert not any(alive(pid) for pid in pids)


@pytest.mark.parametrize("verb", ["down", "up"])
def test_without_keeper_and_folder_the_engine_is_found_by_its_marks(rig: Rig, verb: str) -> None:
    rig.up(script=TOUGH)
    temporary = Path(rig.stored(file="plan.json")["temporary_folder"])
    pids = [p.pid for p in processes.of_home(rig.home)]
    engine = rig.engine()
    rig.lose()
    shutil.rmtree(rig.instance())

    status = rig.run("status", "one", "--json")
    assert status.rc == 1, status.output()
    assert status.json["data"]["instances"][0]["state"] == "lost"
    everything = rig.run("status", "--json")
    assert (everything.rc, len(everything.json["data"]["instances"])) == (1, 1)
    assert alive(engine)

    ran = rig.run("down", "one", "--json") if verb == "down" else rig.up(script=TOUGH)
    assert ran.rc == 0, ran.output()
    assert not any(alive(pid) for pid in pids)
    assert not temporary.exists()
    rig.down() if verb == "up" else rig.nothing_left()


def test_another_homes_instance_of_the_same_name_is_nobodys(rig: Rig, tmp_path: Path) -> None:
    """Marks name the folder, not only the name."""
    rig.up(script=TOUGH)
    engine = rig.engine()
    original, rig.home = rig.home, tmp_path / "other"
    rig.home.mkdir()
    down = rig.run("down", "one", "--json")
    status = rig.run("status", "--json")
    rig.home = original
    assert (down.rc, down.json["data"]["state"]) == (0, "absent")
    assert status.json["data"]["instances"] == []
    assert alive(engine)
    rig.down()


def test_the_engines_log_goes_on_where_readers_look(rig: Rig) -> None:
    go = rig.path("go")
    rig.up(script={"after": [{"wait": go}, {"print": "said after the deletion"}]})
    shutil.rmtree(rig.instance() / "logs")
    wait_for((rig.instance() / "logs" / "engine").is_dir, "the folder of the logs")
    Path(go).touch()
    log = rig.instance() / "logs" / "engine.log"
    wait_for(lambda: log.exists() and "said after" in log.read_text(), "the line in the new log")
    rig.down()


@pytest.mark.parametrize(
    ("name", "how"),
    diagonal(["keeper.log", "engine.log", "events.jsonl"], ["deleted", "moved", "created"]),
)
def test_files_that_others_rotate_are_opened_anew(rig: Rig, name: str, how: str) -> None:
    """logrotate, or an operator who needs room: the keeper writes where readers look."""
    go = rig.path("go")
    rig.up(script={"after": [{"wait": go}, {"print": "said after the rotation"}]})
    path = rig.instance() / name if name == "events.jsonl" else rig.instance() / "logs" / name
    old = path.stat().st_ino
    if how == "deleted":
        path.unlink()
    else:
        path.rename(path.with_name(f"{name}-20260102"))
    if how == "created":
        path.touch(0o644)
    Path(go).touch()
    wait_for(path.exists, f"the new {name}")

    def is_open() -> bool:
        folder = Path(f"/proc/{rig.keeper()}/fd")
        numbers = ("1", "2") if name == "keeper.log" else os.listdir(folder)
        opened = set()
        for number in numbers:
            with contextlib.suppress(FileNotFoundError):  # closed since it was listed
                if os.readlink(folder / number) == str(path):
                    opened.add(number)
        return opened == {"1", "2"} if name == "keeper.log" else bool(opened)

    wait_for(is_open, f"a keeper that has the new {name} open")
    assert path.stat().st_ino != old or how == "deleted"
    if name == "engine.log":
        wait_for(lambda: "said after" in path.read_text(), "the line in the new log")
    wait_for(lambda: path.stat().st_mode & 0o777 == 0o600, "a file that others cannot read")
    assert rig.run("status", "one").rc == 0
    rig.down()


def test_a_state_that_names_a_strangers_process_as_keeper_harms_nobody(rig: Rig) -> None:
    rig.up()
    stored = rig.stored()
    rig.down()
    start = int(Path(f"/proc/{os.getpid()}/stat").read_text().rpartition(")")[2].split()[19])
    forged = {**stored, "keeper": {"pid": os.getpid(), "start": start}, "processes": []}
    remove(rig.instance() / "lock")
    (rig.instance() / "state.json").write_text(json.dumps(forged))
    arrived: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: arrived.append(number))
    try:
        down = rig.run("down", "one", "--json")
    finally:
        signal.signal(signal.SIGTERM, before)
    assert (down.rc, down.json["data"]["previous_state"]) == (0, "lost"), down.output()
    assert arrived == []
