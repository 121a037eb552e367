"""Only the user decides whether the user's leases work: each way to try it."""

import contextlib
import errno
import fcntl
import os
import pwd
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from launcher.engines.base import PortNeed
from launcher.errors import PreconditionError
from launcher.preparation import lease_folder, leases
from launcher.preparation.leases import Leases
from tests.support import ROOT, ports

OTHER_USER = 65533
"""A user who exists nowhere: root can act as any number."""
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs a second user, so root")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's home, without a runtime folder."""
    folder = tmp_path / "home"
    folder.mkdir(mode=0o700)
    entry = pwd.struct_passwd(("me", "x", os.getuid(), 0, "", str(folder), "/bin/sh"))
    monkeypatch.setattr(pwd, "getpwuid", lambda number: entry)
    monkeypatch.setattr(lease_folder, "RUNTIME", tmp_path / "run")
    for name in ("XDG_RUNTIME_DIR", "XDG_STATE_HOME", "ERNIE_DEPLOY_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(folder))
    return folder


@pytest.fixture
def runtime(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A private runtime folder."""
    folder = tmp_path / "runtime"
    folder.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder))
    return folder


def folders() -> list[Path]:
    with lease_folder.open_all() as opened:
        return [Path(os.readlink(f"/proc/self/fd/{one}")) for one in opened]


@contextlib.contextmanager
def taken(number: int | str = "auto") -> Iterator[Leases]:
    leases_taken = leases.take("edt-attacked", [PortNeed("api")], {"api": number}, "127.0.0.1", {})
    try:
        yield leases_taken
    finally:
        leases_taken.release()


def locks(leases: Leases) -> set[str]:
    """The folders in which something is leased."""
    return {os.path.dirname(os.readlink(f"/proc/self/fd/{one}")) for one in leases.descriptors}


def test_a_lease_lies_in_the_runtime_folder_and_in_the_state_folder(
    home: Path, runtime: Path
) -> None:
    """The first is gone after a logout while the server stays."""
    state = home / ".local" / "state" / lease_folder.NAME
    with taken() as leases:
        assert {Path(one) for one in locks(leases)} == {
            runtime / lease_folder.NAME, next(state.iterdir())
        }  # fmt: skip
        assert all(stat.S_IMODE(os.fstat(one).st_mode) == 0o600 for one in leases.descriptors)
    for folder in (runtime / lease_folder.NAME, state, next(state.iterdir())):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_session_without_the_runtime_folder_sees_the_lease(
    runtime: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with taken(ports.free_port()) as leases:
        monkeypatch.delenv("XDG_RUNTIME_DIR")
        with pytest.raises(PreconditionError) as caught, taken(leases.ports["api"]):
            pass
        assert caught.value.problems[0].code == "port-leased"
        assert f"pid {os.getpid()} (" in caught.value.problems[0].message


def test_a_lease_is_lost_with_its_last_file_and_can_be_locked_again(runtime: Path) -> None:
    """Cleaners of old files remove those of servers that run for weeks."""
    number = ports.free_port()
    name = f"port-{number}"
    with taken(number) as kept, taken() as other:
        closed = os.dup(kept.descriptors[0])
        os.close(closed)
        descriptors = [closed, *kept.descriptors, *other.descriptors]
        first, second = (Path(folder, name) for folder in locks(kept))
        assert leases.lost(descriptors) == []
        first.unlink()
        assert leases.lost(descriptors) == [], "the other folder has it"
        second.unlink()
        assert leases.lost(descriptors) == [name]

        renewed = leases.lock_again(name)
        assert renewed is not None
        assert leases.lost(renewed) == []
        assert {Path(os.readlink(f"/proc/self/fd/{one}")) for one in renewed} == {first, second}
        assert leases.lock_again(name) is None, "it is taken now"
        for descriptor in renewed:
            os.close(descriptor)


def test_all_state_directories_of_a_user_share_their_leases(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with taken(ports.free_port()) as leases:
        for name in ("ERNIE_DEPLOY_HOME", "XDG_STATE_HOME", "HOME"):
            monkeypatch.setenv(name, str(tmp_path))
        with pytest.raises(PreconditionError), taken(leases.ports["api"]):
            pass


Attack = Callable[[Path], object]
"""Puts something odd at a path."""


def pipe(path: Path) -> None:
    os.mkfifo(path)


def link_to_a_file(path: Path) -> None:
    target = path.parents[2] / "precious"
    target.write_text("precious")
    path.symlink_to(target)


def link_to_a_folder(path: Path) -> None:
    path.symlink_to(path.parents[2])


def dangling_link(path: Path) -> None:
    path.symlink_to(path.parents[2] / "made-by-us")


def hard_link(path: Path) -> None:
    target = path.parents[2] / "precious"
    target.write_text("precious")
    os.link(target, path)


def folder_there(path: Path) -> None:
    path.mkdir()


def listening_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        here = os.getcwd()
        os.chdir(path.parent)
        try:
            one.bind(path.name)
        finally:
            os.chdir(here)


def foreign_file(path: Path) -> None:
    path.touch(mode=0o600)
    if os.geteuid() == 0:
        os.chown(path, OTHER_USER, OTHER_USER)
    else:
        path.chmod(0)


ODD = (
    pipe, link_to_a_file, link_to_a_folder, dangling_link, hard_link, folder_there,
    listening_socket, foreign_file,
)  # fmt: skip


@pytest.mark.parametrize("attack", ODD)
def test_what_lies_in_a_files_place_is_left_out(home: Path, runtime: Path, attack: Attack) -> None:
    number = ports.free_port()
    with taken():
        pass
    odd = runtime / lease_folder.NAME / f"port-{number}"
    attack(odd)
    before = os.lstat(odd)
    with taken(number) as leases:
        assert len(leases.descriptors) == 1, "the other folder has it"
        with pytest.raises(PreconditionError), taken(number):
            pass
    assert os.lstat(odd) == before
    assert not (runtime.parent / "made-by-us").exists()


@pytest.mark.parametrize("attack", ODD)
def test_auto_takes_another_port_and_a_fixed_one_is_bound(home: Path, attack: Attack) -> None:
    """The only folder has something odd in the place: no hang, no refusal."""
    with taken() as leases:
        first = leases.ports["api"]
        (folder,) = {Path(one) for one in locks(leases)}
    (folder / f"port-{first}").unlink()
    attack(folder / f"port-{first}")
    with taken() as leases:
        assert leases.ports["api"] != first
        assert leases.descriptors
    with taken(first) as leases:
        assert leases.ports == {"api": first}
        assert not leases.descriptors


def link_to_ours(path: Path) -> None:
    path.rmdir()
    (path.parent / "elsewhere").mkdir(mode=0o700)
    path.symlink_to(path.parent / "elsewhere")


def writable_by_everybody(path: Path) -> None:
    path.chmod(0o1777)


def writable_by_a_group(path: Path) -> None:
    path.chmod(0o770)


def gone(path: Path) -> None:
    path.rmdir()


def a_file(path: Path) -> None:
    path.rmdir()
    path.touch()


def a_pipe(path: Path) -> None:
    path.rmdir()
    os.mkfifo(path)


def below_an_open_folder(path: Path) -> None:
    path.parent.chmod(0o777)


def not_ours(path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    os.chown(path, OTHER_USER, OTHER_USER)


def below_another_users(path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    os.chown(path.parent, OTHER_USER, OTHER_USER)


@pytest.mark.parametrize(
    "attack",
    [link_to_ours, writable_by_everybody, writable_by_a_group, gone, a_file, a_pipe, not_ours,
     below_an_open_folder, below_another_users],
)  # fmt: skip
def test_a_runtime_folder_that_cannot_be_trusted_is_left_out(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, attack: Attack
) -> None:
    runtime = tmp_path / "between" / "runtime"
    runtime.mkdir(parents=True)
    runtime.chmod(0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    attack(runtime)
    with taken() as leases:
        (folder,) = locks(leases)
    assert folder.startswith(str(home))
    assert lease_folder.NAME not in {path.name for path in tmp_path.glob("[!h]*/**/*")}


def test_a_relative_runtime_folder_is_left_out(
    runtime: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_RUNTIME_DIR", "runtime")
    folders()
    assert not list(runtime.iterdir())


@pytest.mark.parametrize("name", ["XDG_RUNTIME_DIR", "XDG_STATE_HOME", "HOME", "ERNIE_DEPLOY_HOME"])
def test_a_link_to_itself_is_left_out(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    home.rmdir()  # nothing better is found before
    (tmp_path / "loop").symlink_to("loop")
    monkeypatch.setenv(name, str(tmp_path / "loop"))
    with taken() as leases:
        assert not leases.descriptors


def test_a_state_folder_that_the_user_linked_elsewhere_is_used(home: Path) -> None:
    (home / ".local").mkdir()
    (home / "disk").mkdir(mode=0o700)
    (home / ".local" / "state").symlink_to(home / "disk")
    assert [one.is_relative_to(home / "disk") for one in folders()] == [True]


@pytest.mark.parametrize("odd", ["/" + "x" * 5000, "~nouser/x", "a/../..", "/proc/self/fd"])
def test_odd_settings_of_the_environment_refuse_nothing(
    home: Path, monkeypatch: pytest.MonkeyPatch, odd: str
) -> None:
    home.rmdir()  # nothing better is found before
    for name in ("XDG_RUNTIME_DIR", "XDG_STATE_HOME", "HOME", "ERNIE_DEPLOY_HOME"):
        monkeypatch.setenv(name, odd)
    assert folders() == []
    with taken() as new_leases:
        assert new_leases.ports["api"] >= leases.LOWEST


def replaced_by_a_link(path: Path) -> None:
    target = path.parent / "precious"
    target.mkdir()
    path.symlink_to(target)


def made_by_another_user(path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    path.mkdir(mode=0o700)
    os.chown(path, OTHER_USER, OTHER_USER)


def made_as_a_file(path: Path) -> None:
    path.touch()


@pytest.mark.parametrize("attack", [replaced_by_a_link, made_by_another_user, made_as_a_file, pipe])
def test_a_lease_folder_that_is_not_ours_is_left_out(
    home: Path, runtime: Path, attack: Attack
) -> None:
    attack(runtime / lease_folder.NAME)
    with taken() as leases:
        (folder,) = locks(leases)
    assert folder.startswith(str(home))
    assert not list(runtime.glob("precious/*"))


def test_a_lease_folder_open_to_others_is_closed_again(home: Path, runtime: Path) -> None:
    (runtime / lease_folder.NAME).mkdir()
    (runtime / lease_folder.NAME).chmod(0o777)
    assert runtime / lease_folder.NAME in folders()
    assert stat.S_IMODE((runtime / lease_folder.NAME).stat().st_mode) == 0o700


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EDQUOT, errno.EIO])
def test_a_file_system_that_is_full_or_read_only_refuses_nothing(
    home: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    true = os.open

    def failing(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if flags & os.O_CREAT:
            raise OSError(number, os.strerror(number), path)
        return true(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", failing)
    with taken() as new_leases:
        assert new_leases.ports["api"] >= leases.LOWEST
        assert not new_leases.descriptors


def test_a_file_system_without_locks_refuses_nothing(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", failing)
    before = len(os.listdir("/proc/self/fd"))
    with taken() as new_leases:
        assert not new_leases.descriptors
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_home_that_is_missing_is_replaced_by_the_state_directory(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.rmdir()
    assert folders() == []
    with taken() as leases:
        assert not leases.descriptors
    (tmp_path / "state").mkdir(mode=0o700)
    monkeypatch.setenv("ERNIE_DEPLOY_HOME", str(tmp_path / "state"))
    assert [one.is_relative_to(tmp_path / "state") for one in folders()] == [True]


def test_nothing_of_it_leaks_a_descriptor(home: Path, runtime: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for attack in (pipe, replaced_by_a_link):
        path = runtime / lease_folder.NAME
        attack(path)
        with taken():
            pass
        path.unlink()
    assert len(os.listdir("/proc/self/fd")) == before


VICTIM = """
import os, sys
from launcher.engines.base import PortNeed
from launcher.host import kernel, network
from launcher.preparation import leases
# The interpreter may lie where only root reads: everything is loaded before.
needs = [PortNeed("api"), PortNeed("queue", key_bits=8)]
leases.take("edt-second", needs, {{}}, "127.0.0.1", {{}}).release()
os.setgroups([]); os.setgid({uid}); os.setuid({uid})
found = leases.take("edt-second", needs, {{}}, "127.0.0.1", {{}})
leases.take_gpu(found, "0")
print(found.ports["api"], len(found.descriptors), flush=True)
sys.stdin.read()
"""


def start(uid: int, env: dict[str, str]) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", VICTIM.format(uid=uid)], text=True, cwd="/",
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **env},
    )  # fmt: skip


@as_root
def test_a_second_user_neither_stops_nor_is_stopped(tmp_path: Path) -> None:
    """Both have all their leases, and the same profile does not start at the same port."""
    homes = {}
    for uid in (OTHER_USER, OTHER_USER - 1):
        folder = homes[uid] = Path(f"/var/tmp/edt-{os.urandom(6).hex()}")
        folder.mkdir(mode=0o700)
        os.chown(folder, uid, uid)
    running = [
        start(uid, {"HOME": str(folder), "XDG_RUNTIME_DIR": str(folder)})
        for uid, folder in homes.items()
    ]
    try:
        answers = [process.stdout.readline().split() for process in running]  # type: ignore[union-attr]
        assert [count for _, count in answers] == ["8", "8"]
        assert answers[0][0] != answers[1][0]
    finally:
        for process in running:
            process.communicate()
        for folder in homes.values():
            subprocess.run(["rm", "-rf", str(folder)], check=True)


@as_root
def test_root_with_another_users_environment_leaves_his_folders_alone(tmp_path: Path) -> None:
    """`sudo -E` keeps HOME and XDG_RUNTIME_DIR."""
    folder = Path(f"/var/tmp/edt-{os.urandom(6).hex()}")
    folder.mkdir(mode=0o700)
    os.chown(folder, OTHER_USER, OTHER_USER)
    (folder / "to-root").symlink_to("/root")
    os.lchown(folder / "to-root", OTHER_USER, OTHER_USER)
    try:
        for chosen in (folder, folder / "to-root"):
            env = {
                "HOME": str(folder),
                "XDG_STATE_HOME": str(chosen),
                "XDG_RUNTIME_DIR": str(chosen),
            }
            process = start(0, env)
            assert process.stdout is not None
            assert process.stdout.readline()
            process.communicate()
        assert os.listdir(folder) == ["to-root"]
    finally:
        subprocess.run(["rm", "-rf", str(folder)], check=True)
