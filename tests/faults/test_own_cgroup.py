"""The engine's own cgroup in whole instances: it is there while the engine is, and never later."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.keeper.events import read_events
from launcher.keeper.own_cgroup import name_of
from tests.support import cgroup, cli, processes
from tests.support.cgroup import needs_cgroup
from tests.support.processes import alive
from tests.support.rig import NEVER, Rig
from tests.support.subreaper import adopts_orphans
from tests.support.waiting import wait_for


def name(rig: Rig) -> str:
    """The name of the cgroup of the instance."""
    return name_of((rig.instance() / "token").read_text())


@pytest.fixture(autouse=True)
def _no_subreaper() -> Iterator[None]:
    """Orphans go to init, as on a user's machine."""
    with adopts_orphans(False):
        yield


def lost_daemon(rig: Rig) -> int:
    """A daemon that has lost all marks of the instance: its keeper, token, session and parents."""
    later, written = rig.path("later"), rig.path("pid")
    daemon = {"session": True, "double": True, "bare": True, "ignore": ["TERM"], "pid": written}
    script = {"sigterm": "ignore", "after": [{"wait": later}, {"spawn": daemon}]}
    rig.up(script=script, restart=NEVER)
    rig.lose()
    Path(later).touch()
    pid = int(wait_for(lambda: Path(written).exists() and Path(written).read_text(), "the daemon"))
    rig.kill(rig.engine())
    return pid


@needs_cgroup
def test_the_engine_is_in_it_and_its_keeper_and_guard_are_not(rig: Rig) -> None:
    rig.up(script={"before": [{"spawn": {"session": True, "double": True, "bare": True}}]})
    own = rig.stored()["cgroup"]
    assert os.path.basename(own) == name(rig)
    engines = [p["pid"] for p in rig.stored()["processes"]]
    assert len(engines) == 2
    assert {cgroup.of(pid) for pid in engines} == {Path(own)}
    guard = rig.guard()
    assert guard is not None
    assert {cgroup.of(rig.keeper()), cgroup.of(guard)} == {cgroup.of(os.getpid())}
    rig.down()
    assert not os.path.exists(own)
    assert rig.stored().get("cgroup") is None


@needs_cgroup
def test_an_engine_that_fails_at_once_leaves_none(rig: Rig) -> None:
    ran = rig.run("up", rig.profile(script={"before": [{"exit": 3}]}), "--json")
    assert ran.rc == 4
    assert not cgroup.exists(name(rig))


@needs_cgroup
def test_a_restarted_engine_is_in_it_again(rig: Rig) -> None:
    rig.up(restart={"policy": "on-failure", "first-delay": 0.1})
    first = rig.engine()
    rig.kill(first)
    wait_for(lambda: rig.stored().get("restarts") == 1, "the restart")
    rig.wait_for_state("ready")
    assert cgroup.of(rig.engine()) == Path(rig.stored()["cgroup"])
    rig.down()
    assert not cgroup.exists(name(rig))


@needs_cgroup
def test_the_guard_of_a_killed_keeper_removes_it(rig: Rig) -> None:
    rig.up(stop={"grace": 1})
    rig.kill(rig.keeper())
    wait_for(lambda: not cgroup.exists(name(rig)), "the end of the cgroup")
    rig.down()


@needs_cgroup
def test_down_removes_that_of_a_dead_keeper(rig: Rig) -> None:
    rig.up(script={"sigterm": "ignore"})
    rig.lose()
    assert cgroup.exists(name(rig))
    rig.down()
    assert not cgroup.exists(name(rig))


@needs_cgroup
def test_down_finds_a_daemon_that_nothing_else_tells_of(rig: Rig) -> None:
    pid = lost_daemon(rig)
    assert alive(pid)
    rig.down()
    assert not alive(pid)
    assert not cgroup.exists(name(rig))


@needs_cgroup
def test_down_finds_it_when_the_state_is_damaged_as_well(rig: Rig) -> None:
    rig.up(script={"sigterm": "ignore"})
    rig.lose()
    (rig.instance() / "state.json").write_text("{")
    rig.down()
    assert not cgroup.exists(name(rig))


@needs_cgroup
@pytest.mark.parametrize("keeper", ["lives", "is lost"])
def test_a_process_that_was_moved_in_is_neither_killed_nor_forgotten(rig: Rig, keeper: str) -> None:
    rig.up(script={"sigterm": "ignore"}, stop={"grace": 0.1})
    stranger = subprocess.Popen(["sleep", "600"])
    try:
        own = Path(rig.stored()["cgroup"])
        cgroup.move(stranger.pid, own)
        if keeper == "is lost":
            rig.lose()
        receipt = rig.run("down", "one", "--json").json["data"]["receipt"]
        assert receipt["processes"] == 0
        assert any(str(own) in text and str(stranger.pid) in text for text in receipt["foreign"])
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()
    own.rmdir()


def unwritable() -> list[str]:
    """A prefix by which a command sees no cgroup that can be written; skips where there is none."""
    if cgroup.SUPPORT.folder is None:
        return []
    mount = cgroup.SUPPORT.folder
    script = f'mount --bind {mount} {mount} && mount -o remount,ro,bind {mount} && exec "$@"'
    inside = ["unshare", "--mount", "sh", "-c", script, "sh"]
    if subprocess.run([*inside, "true"], capture_output=True).returncode:
        pytest.skip("the mounts of a process cannot be changed here")
    return inside


def test_without_a_cgroup_that_can_be_written_all_is_as_before(rig: Rig) -> None:
    profile = rig.profile(memory_max="3GiB", script={"sigterm": "ignore"}, stop={"grace": 0.2})
    ran = subprocess.run(
        [*unwritable(), *cli.argv("up", profile, "--json")],
        env=cli.environment(rig.home, rig.env), capture_output=True, text=True,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert rig.stored().get("cgroup") is None
    assert cgroup.of(rig.engine()) == cgroup.of(os.getpid())
    warnings = [e["message"] for e in read_events(rig.instance()) if e["event"] == "warning"]
    assert any("memory-max" in str(message) for message in warnings)
    rig.down()


@needs_cgroup
@pytest.mark.parametrize("number", [signal.SIGSTOP, signal.SIGKILL])
def test_no_moment_leaves_one_behind(rig: Rig, number: signal.Signals) -> None:
    """The keeper is stopped or killed as soon as it has told of the cgroup."""
    up = rig.spawn("up", rig.profile(script={"sigterm": "ignore", "health": 503}), "--json")
    wait_for(lambda: rig.stored().get("cgroup"), "the cgroup in the state")
    keeper = rig.keeper()
    rig.kill(keeper, number)
    if number == signal.SIGSTOP:
        rig.kill(keeper)
    up.communicate(timeout=600)
    token = (rig.instance() / "token").read_text()
    wait_for(lambda: not processes.with_token(token), "the end of all")
    rig.down()
    assert not cgroup.exists(name(rig))
