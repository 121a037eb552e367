"""An instance on disk: its name, its lock, and what it is now."""

import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from launcher import files
from launcher.errors import DeployError, PreconditionError, UsageError
from launcher.instance import store
from launcher.instance.store import InstanceDir, Lock
from launcher.keeper.claim import ProcessClaim
from launcher.keeper.identity import look, this_host
from launcher.keeper.state import State, write_state
from launcher.lifecycle import InstanceState


@pytest.fixture
def instance(home: Path) -> InstanceDir:
    new_instance = store.instance_dir("one")
    new_instance.folder.mkdir(parents=True)
    return new_instance


def written(instance: InstanceDir, state: InstanceState, **changes: object) -> State:
    here, me = this_host(), look(os.getpid())
    assert me is not None
    template = State("one", "t", state=state, machine=here.machine, boot=here.boot,
                  pid_namespace=here.pid_namespace,
                  keeper=ProcessClaim(me.pid, me.start))  # fmt: skip
    for name, value in changes.items():
        setattr(template, name, value)
    write_state(instance.folder, template)
    return template


@pytest.mark.parametrize("name", ["a", "ernie-4.5", "0", "x" * 48])
def test_what_can_be_a_name(home: Path, name: str) -> None:
    assert store.instance_dir(name).folder == home / "instances" / name


@pytest.mark.parametrize("name", ["", ".", "..", "A", "a/b", "-a", ".a", "x" * 49, "a b", "a\n"])
def test_what_cannot(home: Path, name: str) -> None:
    with pytest.raises(UsageError):
        store.instance_dir(name)


def test_a_name_that_is_nearly_right_is_suggested(instance: InstanceDir) -> None:
    written(instance, InstanceState.STOPPED)
    with pytest.raises(UsageError, match="did you mean 'one'"):
        store.open_instance("ones")
    assert store.open_instance("one") == instance


def test_what_is_no_instance_is_not_listed(home: Path, instance: InstanceDir) -> None:
    (home / "instances" / "a-file").touch()
    (home / "instances" / ".hidden").mkdir()
    (home / "instances" / "Not A Name").mkdir()
    assert store.every_instance() == [instance]


def test_the_lock_is_one_writers(instance: InstanceDir) -> None:
    lock = Lock.take(instance.folder)
    assert lock is not None
    assert store.is_locked(instance.folder)
    assert Lock.take(instance.folder) is None
    lock.release()
    assert not store.is_locked(instance.folder)
    again = Lock.take(instance.folder)
    assert again is not None
    again.release()


def test_a_lock_that_was_handed_over_lives_with_its_heir(instance: InstanceDir) -> None:
    lock = Lock.take(instance.folder)
    assert lock is not None
    heir = subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[lock.descriptor]
    )
    lock.release()
    assert store.is_locked(instance.folder)
    heir.communicate(b"\n")
    assert not store.is_locked(instance.folder)


def test_a_lock_in_a_folder_that_was_removed_is_nobodys(
    instance: InstanceDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The `up` that made the folder failed and took it away while another waited for its lock."""
    path = instance.folder / "lock"
    path.touch()
    descriptor = os.open(path, os.O_RDWR)
    real = fcntl.flock

    def too_late(number: int, operation: int) -> None:
        path.unlink(missing_ok=True)
        real(number, operation)

    with monkeypatch.context() as patched:
        patched.setattr(fcntl, "flock", too_late)
        assert Lock.take(instance.folder) is None
    os.close(descriptor)
    assert Lock.take(instance.folder.with_name("gone")) is None


@pytest.mark.parametrize("number", [errno.EROFS, errno.ENOSPC, errno.EIO, errno.EACCES])
def test_a_lock_that_cannot_be_made(
    instance: InstanceDir, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(path: Path) -> int:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(files, "open_append", refuse)
    with pytest.raises(PreconditionError) as caught:
        Lock.take(instance.folder)
    assert caught.value.problems[0].code == "state-not-writable"
    if number == errno.EIO:
        return
    # Who cannot write it can still learn that a keeper holds it.
    (instance.folder / "lock").touch()
    lock = Lock.take(instance.folder)
    assert lock is not None
    assert store.is_locked(instance.folder)
    lock.release()


def test_what_lies_in_the_locks_place_makes_room(instance: InstanceDir) -> None:
    (instance.folder / "lock").mkdir()
    lock = Lock.take(instance.folder)
    assert lock is not None
    lock.release()


@pytest.mark.parametrize("state", [InstanceState.STOPPED, InstanceState.FAILED, InstanceState.DIED])
def test_what_ended_is_what_it_says(instance: InstanceDir, state: InstanceState) -> None:
    written(instance, state, machine="another", boot="another")
    assert store.view(instance)[0] == state


@pytest.mark.parametrize(
    "state",
    [InstanceState.STARTING, InstanceState.LOADING, InstanceState.READY, InstanceState.STOPPING],
)
def test_what_lives_needs_its_keeper(instance: InstanceDir, state: InstanceState) -> None:
    written(instance, state)
    assert store.view(instance)[0] == state
    written(instance, state, keeper=ProcessClaim(os.getpid(), 1))
    assert store.view(instance)[0] == "lost"
    written(instance, state, boot="an-earlier-boot")
    name, _, note = store.view(instance)
    assert name == "lost"
    assert f"the machine was restarted while it was {state}" in (note or "")
    written(instance, state, machine="another")
    assert store.view(instance)[0] == "foreign"
    written(instance, state, pid_namespace="pid:[1]")
    assert store.view(instance)[0] == "foreign"


def test_nothing_yet_and_damage(instance: InstanceDir) -> None:
    assert store.view(instance)[:2] == ("absent", None)
    lock = Lock.take(instance.folder)
    assert lock is not None
    assert store.view(instance)[0] == "starting"
    lock.release()
    (instance.folder / "state.json").write_text("{")
    assert store.view(instance)[0] == "damaged"


@pytest.mark.parametrize("text", ["", "[]", "{", '{"schema": 5}', "null"])
def test_a_plan_that_cannot_be_read(instance: InstanceDir, text: str) -> None:
    (instance.folder / "plan.json").write_text(text)
    with pytest.raises(DeployError) as caught:
        instance.plan()
    assert caught.value.problems[0].code == "no-plan"
    (instance.folder / "profile.json").write_text(text)
    assert instance.profile() in ({}, {"schema": 5})
