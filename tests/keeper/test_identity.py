"""Which process is which."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from launcher.keeper import ending, identity
from launcher.keeper.state import State
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
    found = identity.look(pid)
    assert found is not None
    return found


def state_of(token: str = "one:abc", **fields: object) -> State:
    here = identity.this_host()
    return State("one", token, machine=here.machine, boot=here.boot,
                 pid_namespace=here.pid_namespace, **fields)  # type: ignore[arg-type]  # fmt: skip


def test_a_process_is_its_pid_and_its_start(sleeper: "subprocess.Popen[bytes]") -> None:
    found = look(sleeper.pid)
    assert (found.session, found.parent, found.name) == (sleeper.pid, os.getpid(), "sleep")
    assert identity.same(sleeper.pid, found.start)
    assert not identity.same(sleeper.pid, found.start + 1), "a later process with the same pid"


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
    assert not identity.same(process.pid, look(process.pid).start)
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
        found = {p.pid for p in identity.descendants(process.pid)}
        assert grandchild in found
        assert len(found) == 2
    finally:
        for child in identity.descendants(process.pid):
            os.kill(child.pid, signal.SIGKILL)
        process.kill()
        process.communicate()


def test_without_the_kernels_list_children_are_found_by_their_parent(
    sleeper: "subprocess.Popen[bytes]", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(identity, "_KERNEL_LISTS_CHILDREN", False)
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
    found = look(sleeper.pid)
    assert [p.pid for p in ending.strays(state_of(processes=[found.to_json()]))] == [sleeper.pid]


def test_a_reused_pid_is_not(sleeper: "subprocess.Popen[bytes]") -> None:
    other = {**look(sleeper.pid).to_json(), "start": 1}
    assert ending.strays(state_of(processes=[other])) == []


def test_a_reused_session_number_is_not(sleeper: "subprocess.Popen[bytes]") -> None:
    other = {**look(sleeper.pid).to_json(), "start": 1}
    state = state_of(processes=[other], sessions=[sleeper.pid])
    assert ending.strays(state) == []


def test_a_member_of_a_recorded_session_is_ours() -> None:
    """Its leader is dead, it carries no mark and was never recorded itself."""
    leader = subprocess.Popen(
        ["sh", "-c", "sleep 600 & echo $!"], stdout=subprocess.PIPE, start_new_session=True, env={}
    )
    assert leader.stdout is not None
    member = int(leader.stdout.readline())
    leader.wait()
    leader.stdout.close()
    try:
        state = state_of(sessions=[leader.pid])
        assert [p.pid for p in ending.strays(state)] == [member]
        assert ending.kill_strays(state) == (1, [])
        assert not alive(member)
    finally:
        if alive(member):
            os.kill(member, signal.SIGKILL)


@pytest.mark.parametrize("field", ["machine", "boot", "pid_namespace"])
def test_pids_of_another_place_mean_nothing(sleeper: "subprocess.Popen[bytes]", field: str) -> None:
    state = state_of(processes=[look(sleeper.pid).to_json()], sessions=[sleeper.pid])
    setattr(state, field, "another")
    assert ending.strays(state) == []


def test_an_empty_token_claims_nobody() -> None:
    process = subprocess.Popen(SLEEP, env={identity.TOKEN_VARIABLE: ""})
    wait_for(lambda: identity.environment_token(process.pid) == "", "exec")
    try:
        assert ending.strays(state_of(token="")) == []
    finally:
        process.kill()
        process.wait()
