"""Each file operation of a keeper fails in turn, through a whole life: start, ready, a restart of
its engine, requests, stop. It neither dies of that nor leaves its engine alone, and what it says
by its socket stays true."""

import errno
import os
from pathlib import Path

import pytest

from launcher.json_values import object_at
from launcher.keeper.control import Client
from tests.support import cli
from tests.support.decoded import JsonDict
from tests.support.failing_files import EVERY_ERROR, FailingKeeper
from tests.support.processes import alive
from tests.support.rig import Rig
from tests.support.waiting import wait_for


@pytest.fixture
def failing(rig: Rig, tmp_path: Path) -> FailingKeeper:
    return FailingKeeper(tmp_path / "failing", rig.home, str(rig.env["PYTHONPATH"]))


def ask(rig: Rig) -> dict[str, object]:
    """The state as the keeper tells it; empty where none listens."""
    try:
        client = Client(rig.instance(), 60)
    except OSError:
        return {}
    try:
        return dict(object_at(client.request("status"), "state"))
    except OSError:
        return {}
    finally:
        client.close()


def live(rig: Rig, env: dict[str, str]) -> None:
    """A whole life in which something fails; what holds in each of them."""
    die = Path(rig.path("die"))
    die.unlink(missing_ok=True)
    script = {"before": [{"print": "PHASE import"}],
              "after": [{"wait": str(die)}, {"remove": str(die)}, {"exit": 3}]}  # fmt: skip
    restart = {"policy": "on-failure", "max-restarts": 2, "first-delay": 0}
    profile = rig.profile("one", script, restart=restart)
    up = cli.run("up", profile, "--json", home=rig.home, env={**rig.env, **env})
    message_of(up)
    if up.rc:
        assert up.rc == 3, up.output()
        assert os.strerror(int(env["FAIL_ERRNO"])) in up.json["errors"][0]["message"], up.output()
    engine = None
    if up.rc == 0:
        state = ask(rig)
        assert state["state"] == "ready", state
        first = state["engine"]
        die.touch()

        def again() -> JsonDict:
            now = ask(rig)
            decided = not now or (now["engine"] != first and now["state"] == "ready")
            return (now or {"state": "over"}) if decided else {}

        state = wait_for(again, "the engine's second start")
        status = rig.run("status", "one", "--json")
        message_of(status)
        if state["state"] == "ready":
            engine = state["engine"]["pid"]  # type: ignore[index]
            row = status.json["data"]["instances"][0]
            assert (status.rc, row["state"]) == (0, "ready"), status.output()
    down = rig.run("down", "one", "--json")
    message_of(down)
    if engine is not None:
        assert not alive(engine)
        assert down.json["data"]["previous_state"] == "ready", down.output()
    if down.rc:
        # What could not be removed was said, and can be removed by now.
        assert down.json["data"]["receipt"]["left"], down.output()
        down = rig.run("down", "one", "--json")
    assert down.rc == 0, down.output()
    assert down.json["data"].get("receipt", {}).get("left", []) == []
    rig.nothing_left()
    status = rig.run("status", "one", "--json")
    message_of(status)
    if status.rc == 2:
        assert rig.errors(status) == ["unknown-instance"]
    else:
        assert status.json["data"]["instances"][0]["state"] == "stopped", status.output()
    log = rig.instance() / "logs" / "keeper.log"
    if log.exists():
        assert "Traceback" not in log.read_text(), log.read_text()


def message_of(ran: cli.Ran) -> None:
    assert ran.rc in range(7), ran.output()
    assert "Traceback" not in ran.stderr, ran.output()
    assert ran.json["exit_code"] == ran.rc


LIFE = {
    "open events.jsonl": 1,
    "socket.bind control.sock": 1,
    "os.chmod control.sock": 1,
    "open .state.json": 18,
    "write .state.json": 18,
    "fsync .state.json": 18,
    "os.rename .state.json": 18,
    "write events.jsonl": 29,
    "os.mkdir temporary folder": 4,
    "os.mkdir engine": 2,
    "os.remove log-lengths.json": 2,
    "open engine.log": 2,
    "write engine.log": 2,
    "os.mkdir incidents": 1,
    "os.mkdir incident": 1,
    "open .incident.json": 4,
    "write .incident.json": 4,
    "fsync .incident.json": 4,
    "os.rename .incident.json": 4,
    "open .samples.jsonl": 1,
    "write .samples.jsonl": 1,
    "fsync .samples.jsonl": 1,
    "os.rename .samples.jsonl": 1,
    "open .log-lengths.json": 2,
    "write .log-lengths.json": 2,
    "fsync .log-lengths.json": 2,
    "os.rename .log-lengths.json": 2,
    "os.rmdir temporary folder": 1,
    "os.remove control.sock": 1,
}
"""What a keeper does to its files in such a life, and how often."""

SAMPLE = (
    ("open events.jsonl", 1, errno.EACCES, False),
    ("socket.bind control.sock", 1, errno.ENOSPC, True),
    ("os.chmod control.sock", 1, errno.EROFS, True),
    ("open .state.json", 1, errno.EROFS, False),
    ("open .state.json", 5, errno.EMFILE, False),
    ("fsync .state.json", 3, errno.EIO, True),
    ("os.rename .state.json", 12, errno.ENOENT, False),
    ("write .state.json", 13, errno.ENOSPC, False),
    ("write events.jsonl", 4, errno.ENOSPC, False),
    ("os.mkdir temporary folder", 1, errno.EROFS, True),
    ("os.mkdir temporary folder", 3, errno.ENOSPC, True),
    ("open engine.log", 1, errno.EMFILE, True),
    ("open engine.log", 2, errno.EACCES, True),
    ("write engine.log", 1, errno.EIO, False),
    ("os.mkdir incidents", 1, errno.ENOSPC, True),
    ("os.mkdir incident", 1, errno.EROFS, False),
    ("open .incident.json", 1, errno.EMFILE, True),
    ("write .incident.json", 2, errno.ENOSPC, False),
    ("os.rename .incident.json", 4, errno.EIO, True),
    ("write .samples.jsonl", 1, errno.EIO, False),
    ("open .log-lengths.json", 1, errno.EROFS, True),
    ("fsync .log-lengths.json", 1, errno.EIO, True),
    ("os.remove log-lengths.json", 1, errno.EACCES, False),
    ("os.rmdir temporary folder", 1, errno.EIO, True),
    ("os.remove control.sock", 1, errno.EROFS, True),
)
"""Each kind of operation, each error, all parts of the life: operation, its number, error, once."""

EVERY = tuple(
    (kind, nth, error, once)
    for kind, count in LIFE.items()
    for nth in range(1, count + 1)
    for error in EVERY_ERROR
    for once in (True, False)
)


def name(case: tuple[str, int, int, bool]) -> str:
    kind, nth, error, once = case
    return f"{kind} {nth} {errno.errorcode[error]} {'once' if once else 'on'}".replace(" ", "-")


def test_a_life_has_no_other_operations(rig: Rig, failing: FailingKeeper) -> None:
    """What the keeper learns to do has to be learnt here as well."""
    live(rig, failing.env("none", 1, errno.EIO, once=True))
    assert set(failing.operations()) == set(LIFE)


@pytest.mark.parametrize("case", SAMPLE, ids=name)
def test_a_life_in_which_it_fails(
    rig: Rig, failing: FailingKeeper, case: tuple[str, int, int, bool]
) -> None:
    kind, nth, error, once = case
    live(rig, failing.env(kind, nth, error, once=once))
    assert failing.operations().count(kind) >= nth, "it did not come to that"


@pytest.mark.soak
@pytest.mark.parametrize("case", EVERY, ids=name)
def test_a_life_in_which_anything_fails(
    rig: Rig, failing: FailingKeeper, case: tuple[str, int, int, bool]
) -> None:
    kind, nth, error, once = case
    live(rig, failing.env(kind, nth, error, once=once))
