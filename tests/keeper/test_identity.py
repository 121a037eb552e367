"""Which process is which."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest

from launcher.host import processes
from launcher.keeper import cleanup, identity
from launcher.keeper.claim import ProcessClaim, SessionClaim
from launcher.keeper.state import State
from tests.support import ROOT
from tests.support.processes import alive
from tests.support.waiting import wait_for

SLEEP = ("sleep", "600")


@pytest.fixture
def sleeper() -> Iterator["subprocess.Popen[bytes]"]:
    """A process in a session of its own, without any mark of an instance."""
    process = subprocess.Popen(SLEEP, start_new_session=True, env={})
    wait_for(lambda: identity.look(process.pid).name == "sleep", "exec")  # type: ignore[union-attr]
    yield process
    process.kill()
    process.wait()


def look(pid: int) -> identity.Process:
    process = identity.look(pid)
    assert process is not None
    return process


def state_of(token: str = "one:abc", **fields: object) -> State:
    here = identity.this_host()
    return State("one", token, machine=here.machine, boot=here.boot,
                 pid_namespace=here.pid_namespace, **fields)  # type: ignore[arg-type]  # fmt: skip


def test_a_process_is_its_pid_and_its_start(sleeper: "subprocess.Popen[bytes]") -> None:
    process = look(sleeper.pid)
    assert (process.session, process.parent, process.name) == (sleeper.pid, os.getpid(), "sleep")
    assert identity.is_same_process(sleeper.pid, process.start)
    assert not identity.is_same_process(sleeper.pid, process.start + 1), (
        "a later process with the same pid"
    )


def test_a_name_may_hold_brackets_and_spaces(tmp_path: object) -> None:
    code = (
        "import sys; open('/proc/self/comm', 'w').write('a) S (b'); print(1, flush=True); input()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.readline()
    assert (look(process.pid).name, look(process.pid).parent) == ("a) S (b", os.getpid())
    process.communicate(b"\n")


def test_a_zombie_is_dead() -> None:
    process = subprocess.Popen(["true"])
    wait_for(lambda: look(process.pid).state == "Z", "its end")
    assert not identity.is_same_process(process.pid, look(process.pid).start)
    process.wait()
    assert identity.look(process.pid) is None


def test_nothing_is_signalled_that_is_not_proved(sleeper: "subprocess.Popen[bytes]") -> None:
    start = look(sleeper.pid).start
    assert not identity.send(sleeper.pid, start + 1, signal.SIGKILL)
    assert alive(sleeper.pid)
    assert identity.send(sleeper.pid, start, signal.SIGKILL)
    sleeper.wait()
    assert not identity.send(sleeper.pid, start, signal.SIGKILL)


def test_descendants_are_found_over_several_generations() -> None:
    process = subprocess.Popen(
        ["sh", "-c", "sh -c 'sleep 600 & echo $!; wait' & wait"], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    grandchild = int(process.stdout.readline())
    try:
        pids = {p.pid for p in identity.descendants(look(process.pid))}
        assert grandchild in pids
        assert len(pids) == 2
    finally:
        for child in identity.descendants(look(process.pid)):
            os.kill(child.pid, signal.SIGKILL)
        process.kill()
        process.communicate()


def test_without_the_kernels_list_children_are_found_by_their_parent(
    sleeper: "subprocess.Popen[bytes]", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "_KERNEL_LISTS_CHILDREN", False)
    assert sleeper.pid in identity.children(os.getpid())


def test_the_token_is_read_from_the_environment() -> None:
    env = {identity.TOKEN_VARIABLE: "one:abc"}
    process = subprocess.Popen(SLEEP, env=env)
    wait_for(lambda: identity.environment_token(process.pid) == "one:abc", "exec")
    process.kill()
    process.wait()
    assert identity.environment_token(os.getpid()) is None
    assert identity.environment_token(process.pid) is None


# -- strays: what is proved to be ours, and what only looks so -----------------------------------


def test_a_recorded_process_is_ours(sleeper: "subprocess.Popen[bytes]") -> None:
    process = look(sleeper.pid)
    assert [p.pid for p in cleanup.strays(state_of(processes=[ProcessClaim.of(process)]))] == [
        sleeper.pid
    ]


def test_a_reused_pid_is_not(sleeper: "subprocess.Popen[bytes]") -> None:
    reused = replace(ProcessClaim.of(look(sleeper.pid)), start=1)
    assert cleanup.strays(state_of(processes=[reused])) == []


def test_a_reused_session_number_is_not(sleeper: "subprocess.Popen[bytes]") -> None:
    reused = replace(ProcessClaim.of(look(sleeper.pid)), start=1)
    state = state_of(processes=[reused], sessions=[SessionClaim(sleeper.pid, 1)])
    assert cleanup.strays(state) == []


@pytest.fixture
def orphan() -> Iterator[tuple[int, int]]:
    """A session's number, and its only member: the leader is dead, nothing marks the member."""
    leader = subprocess.Popen(
        ["sh", "-c", "sleep 600 & echo $!"], stdout=subprocess.PIPE, start_new_session=True, env={}
    )
    assert leader.stdout is not None
    member = int(leader.stdout.readline())
    leader.wait()
    leader.stdout.close()
    yield leader.pid, member
    if alive(member):
        os.kill(member, signal.SIGKILL)


def test_a_member_of_a_recorded_session_is_ours(orphan: tuple[int, int]) -> None:
    """It was there when the session was last seen, so that session has lived on since."""
    session, member = orphan
    state = state_of(sessions=[SessionClaim(session, look(member).start + 1)])
    assert [p.pid for p in cleanup.strays(state)] == [member]
    assert cleanup.kill_strays(state) == (1, [])
    assert not alive(member)


@pytest.mark.parametrize("before", [0, 1, 1000])
def test_a_session_seen_last_before_its_members_were_born_is_another(
    orphan: tuple[int, int], before: int
) -> None:
    """The recorded session died, and its number was given to a stranger whose leader died too."""
    session, member = orphan
    state = state_of(sessions=[SessionClaim(session, look(member).start - before)])
    assert cleanup.strays(state) == []


def test_the_bare_number_in_an_older_keepers_record_proves_nothing(orphan: tuple[int, int]) -> None:
    session, member = orphan
    assert cleanup.strays(state_of(sessions=[session])) == []
    state = state_of(sessions=[session], processes=[ProcessClaim.of(look(member))])
    assert [p.pid for p in cleanup.strays(state)] == [member]


def test_one_member_that_is_recorded_proves_the_later_ones() -> None:
    """A number cannot be given away while a member lives."""
    shell = subprocess.Popen(
        ["sh", "-c", "sleep 600 & echo $!; sleep 600 & echo $!"], stdout=subprocess.PIPE,
        start_new_session=True, env={},
    )  # fmt: skip
    assert shell.stdout is not None
    first, second = int(shell.stdout.readline()), int(shell.stdout.readline())
    shell.wait()
    shell.stdout.close()
    try:
        state = state_of(
            sessions=[SessionClaim(shell.pid, 1)], processes=[ProcessClaim.of(look(first))]
        )
        assert {p.pid for p in cleanup.strays(state)} == {first, second}
    finally:
        for pid in (first, second):
            os.kill(pid, signal.SIGKILL)


REUSED = """
import json, os, subprocess, sys, time
from launcher.host import processes
from launcher.keeper import cleanup, identity
from launcher.keeper.claim import SessionClaim
from launcher.keeper.sessions import ticks_now
from launcher.keeper.state import State

def orphan():
    sh = subprocess.Popen(["sh", "-c", "sleep 600 & echo $!"], stdout=subprocess.PIPE,
                          start_new_session=True, env={})
    member = int(sh.stdout.readline())
    sh.wait()
    return sh.pid, member

session, ours = orphan()
here = identity.this_host()
time.sleep(0.05)
state = State("one", "", machine=here.machine, boot=here.boot, pid_namespace=here.pid_namespace,
              sessions=[SessionClaim(session, ticks_now())])
said = {"ours": [p.pid for p in cleanup.strays(state)] == [ours]}
os.kill(ours, 9)
while os.path.exists(f"/proc/{ours}"):
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        pass
    time.sleep(0.01)
open("/proc/sys/kernel/ns_last_pid", "w").write(str(session - 1))
number, stranger = orphan()
said["reused"] = number == session
said["strangers"] = [p.pid for p in cleanup.strays(state)]
said["killed"] = cleanup.kill_strays(state)[0]
said["alive"] = identity.look(stranger) is not None
print(json.dumps(said))
"""


def test_a_session_number_that_the_kernel_gave_to_a_stranger() -> None:
    """The real thing, in a pid namespace of its own: everything in it ends with it."""
    inside = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc"]
    if subprocess.run([*inside, "true"], capture_output=True).returncode != 0:
        pytest.skip("a pid namespace is not to be had here")
    ran = subprocess.run(
        [*inside, sys.executable, "-c", REUSED], text=True, capture_output=True, timeout=600,
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    expected = {"ours": True, "reused": True, "strangers": [], "killed": 0, "alive": True}
    assert json.loads(ran.stdout) == expected


def test_a_child_whose_number_was_given_away_between_two_looks_is_no_descendant(
    sleeper: "subprocess.Popen[bytes]", monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel's list names a number; who has it a moment later is another parent's child."""
    monkeypatch.setattr(processes, "children", lambda pid: [sleeper.pid, 1])
    own = identity.myself()
    assert [p.pid for p in identity.descendants(own)] == [sleeper.pid]
    assert identity.descendants(identity.Process(os.getppid(), 0, 0, 0, "gone")) == []


@pytest.mark.parametrize("field", ["machine", "boot", "pid_namespace"])
def test_pids_of_another_place_mean_nothing(sleeper: "subprocess.Popen[bytes]", field: str) -> None:
    state = state_of(
        processes=[ProcessClaim.of(look(sleeper.pid))],
        sessions=[SessionClaim(sleeper.pid, 1 << 60)],
    )
    setattr(state, field, "another")
    assert cleanup.strays(state) == []


def test_an_empty_token_claims_nobody() -> None:
    process = subprocess.Popen(SLEEP, env={identity.TOKEN_VARIABLE: ""})
    wait_for(lambda: identity.environment_token(process.pid) == "", "exec")
    try:
        assert cleanup.strays(state_of(token="")) == []
    finally:
        process.kill()
        process.wait()
