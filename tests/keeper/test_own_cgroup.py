"""The engine's own cgroup: entered before the engine can fork, killed and removed as one."""

import functools
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.host import cgroups
from launcher.keeper import own_cgroup, tree
from launcher.keeper.own_cgroup import OwnCgroup, enable, name_of
from tests.keeper.test_tree import keeping
from tests.support import cgroup
from tests.support.cgroup import needs_cgroup
from tests.support.processes import alive
from tests.support.waiting import wait_for

TOKEN = f"one:{os.getpid()}"
FAMILY = "import os, time; os.fork() or os.setsid(); time.sleep(600)"
STARTED: list[subprocess.Popen[bytes]] = []


@pytest.fixture
def own() -> Iterator[OwnCgroup]:
    """A cgroup that was made; killed and removed at the end."""
    path = own_cgroup.planned(TOKEN)
    assert path is not None
    own, problem = own_cgroup.make(path, None, ())
    assert own is not None
    assert problem is None
    yield own
    own.kill(lambda process: True)
    while STARTED:
        STARTED.pop().wait(60)
    assert own.remove()


def start(own: OwnCgroup, code: str = FAMILY) -> "subprocess.Popen[bytes]":
    """An engine in the cgroup, as the keeper starts it."""
    door = own.open_door()
    assert door is not None
    try:
        begin = functools.partial(tree.begin_engine, os.getpid(), door)
        engine = subprocess.Popen([sys.executable, "-c", code], preexec_fn=begin)
        STARTED.append(engine)
        return engine
    finally:
        os.close(door)


@needs_cgroup
def test_all_that_an_engine_makes_is_in_it_and_is_ended_at_once(own: OwnCgroup) -> None:
    engine = start(own)
    assert own.has_taken(engine.pid)
    wait_for(lambda: len(own.members()) == 2, "both in the cgroup")
    members = own.members()
    assert os.getpid() not in members
    assert own.kill(lambda process: process.parent == os.getpid())
    engine.wait()
    wait_for(lambda: not any(map(alive, members)), "the end of both")
    assert own.remove()
    assert not own.path.exists()


@needs_cgroup
def test_it_is_not_killed_while_another_process_was_moved_into_it(own: OwnCgroup) -> None:
    engine = start(own)
    stranger = subprocess.Popen(["sleep", "600"])
    try:
        cgroup.move(stranger.pid, own.path)
        assert not own.kill(lambda process: process.pid == engine.pid)
        assert engine.poll() is None
        assert stranger.poll() is None
        assert not own.remove()
    finally:
        stranger.kill()
        stranger.wait()


@needs_cgroup
def test_what_an_engine_made_within_it_is_removed_too(own: OwnCgroup) -> None:
    inner = own.path / "worker" / "rank-0"
    inner.mkdir(parents=True)
    engine = start(own, "import time; time.sleep(600)")
    cgroup.move(engine.pid, inner)
    assert own.members() == {engine.pid}
    assert own.kill(lambda process: process.parent == os.getpid())
    engine.wait()
    assert own.remove()
    assert not own.path.exists()


@needs_cgroup
def test_it_is_removed_as_soon_as_its_last_process_was_killed(own: OwnCgroup) -> None:
    for _ in range(5):
        assert own.make()
        engines = [start(own, "import time; time.sleep(600)") for _ in range(3)]
        assert own.kill(lambda process: process.parent == os.getpid())
        for engine in engines:
            engine.wait()
        assert own.remove()


@needs_cgroup
def test_an_engine_that_makes_processes_faster_than_they_are_found_is_ended() -> None:
    """Each lives for a moment and has made the next: SIGKILL to those that are known is late."""
    output = keeping(f"""
import functools
from launcher.keeper import engine_stop, own_cgroup
own, _ = own_cgroup.make(own_cgroup.planned({TOKEN + "chain"!r}), None, ())
CHAIN = (
    "import os, signal, time\\n"
    "end = time.monotonic() + 120\\n"
    "os.setsid()\\n"
    "while time.monotonic() < end:\\n"
    "    if os.fork():\\n"
    "        os._exit(0)\\n"
)
door = own.open_door()
begin = functools.partial(tree.begin_engine, os.getpid(), door)
child = subprocess.Popen([sys.executable, "-c", CHAIN], preexec_fn=begin)
watched.discover()
told = []
started = time.monotonic()
engine_stop.stop_tree(
    loop, watched, child.pid, (), float, lambda kind, **fields: told.append(fields), lambda: None,
    lambda: own.kill(lambda process: process.parent == os.getpid()),
)
said["seconds"] = time.monotonic() - started
said["gone"] = loop.run_until(lambda: not own.members(), 5)
said["removed"] = own.remove()
""")
    assert output["gone"]
    assert output["removed"]
    assert output["seconds"] < 60


def test_where_none_can_be_made_there_is_none(tmp_path: Path) -> None:
    nowhere = tmp_path / "missing" / name_of(TOKEN)
    assert own_cgroup.make(nowhere, None, ()) == (None, None)
    assert own_cgroup.make(None, None, ()) == (None, None)
    none, problem = own_cgroup.make(None, 1024, ())
    assert none is None
    assert problem is not None
    assert OwnCgroup(nowhere).open_door() is None
    assert OwnCgroup(nowhere).members() == set()
    assert not OwnCgroup(nowhere).kill(lambda process: True)
    assert OwnCgroup(nowhere).remove()


@pytest.mark.parametrize("path", [None, "/", "/sys/fs/cgroup/user.slice", f"/x/{name_of('two:1')}"])
def test_only_a_cgroup_with_the_name_of_the_token_is_believed(path: str | None) -> None:
    assert OwnCgroup.recorded(path, "one:1") is None


def test_the_name_of_the_token_is_believed() -> None:
    own = OwnCgroup.recorded(f"/x/{name_of('one:1')}", "one:1")
    assert own is not None
    assert own.path == Path("/x/ernie-deploy-one-1")


def test_a_limit_without_a_memory_controller_is_told(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpu pids\n")
    own = OwnCgroup(tmp_path / name_of(TOKEN))
    problem = own.limit_memory(1024, ())
    assert problem == f"{tmp_path} has no memory controller"


def test_a_limit_of_memory_is_written(tmp_path: Path) -> None:
    """The files of a cgroup are stood in for: few machines pass their controller on to a test."""
    (tmp_path / "cgroup.controllers").write_text("cpu memory\n")
    (tmp_path / "cgroup.subtree_control").write_text("memory\n")
    own, problem = own_cgroup.make(tmp_path / name_of(TOKEN), 3 * 1024**3, ())
    assert own is not None
    assert problem is None
    assert (own.path / "memory.max").read_text() == "3221225472\n"


@needs_cgroup
def test_a_controller_that_there_is_not_leaves_all_as_it_was(own: OwnCgroup) -> None:
    """The processes had been moved out of its way, and are moved back."""
    engine = start(own, "import time; time.sleep(600)")
    problem = enable(own.path, "no-such-controller", [engine.pid])
    assert problem is not None
    assert problem.startswith(f"{own.path / 'cgroup.subtree_control'}: ")
    assert cgroup.of(engine.pid) == own.path
    assert not (own.path / cgroups.KEEPER_LEAF).exists()


@needs_cgroup
def test_a_controller_is_not_taken_from_others(own: OwnCgroup) -> None:
    """A cgroup with processes that are not the keeper's stays as it is."""
    engine = start(own, "import time; time.sleep(600)")
    problem = enable(own.path, "hugetlb", ())
    assert problem is not None
    assert own.members() == {engine.pid}
    assert not (own.path / cgroups.KEEPER_LEAF).exists()
