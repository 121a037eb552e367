"""Shared memory, message queues and temporary folders: claimed with proof, removed with proof."""

import ctypes
import mmap
import os
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from launcher.host import kernel
from launcher.keeper import cleanup, file_use, leftovers
from launcher.keeper.leftovers import Claims
from launcher.keeper.state import State
from launcher.plan.model import FtokKey, Leftovers

libc = ctypes.CDLL(None, use_errno=True)


@pytest.fixture
def shm() -> Iterator[str]:
    """A name in /dev/shm that has no owner."""
    name = f"edt-{uuid.uuid4().hex[:8]}"
    yield name
    (file_use.SHM / name).unlink(missing_ok=True)


def make_queue(path: Path, project: int) -> int:
    key = libc.ftok(str(path).encode(), project)
    number: int = libc.msgget(key, 0o1600)
    assert number >= 0, os.strerror(ctypes.get_errno())
    return number


def remove_queue(number: int) -> None:
    libc.msgctl(number, 0, None)


def queue_ids() -> set[int]:
    return {queue.ident for queue in leftovers.queues_by_key().values()}


def test_the_key_is_the_one_of_ftok(tmp_path: Path) -> None:
    for project in (1, 77, 200, 255, 20_077):
        theirs = libc.ftok(str(tmp_path).encode(), project) & 0xFFFFFFFF
        assert kernel.ftok(str(tmp_path), project) == theirs
    assert kernel.ftok(str(tmp_path / "missing"), 1) is None


def test_an_identity_tells_a_file_from_its_successor(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    first = leftovers.file_identity(path)
    path.unlink()
    path.touch()
    assert first != leftovers.file_identity(path)
    assert leftovers.file_identity(tmp_path / "missing") is None


def test_shared_memory_made_since_the_start_is_removed(tmp_path: Path, shm: str) -> None:
    claims = Claims(Leftovers(shm=(shm,)), str(tmp_path))
    assert claims.look_before(0) == []
    (file_use.SHM / shm).write_text("x")
    assert claims.look([])
    assert not claims.look([]), "the same is not news"
    (claim,) = claims.shm.values()
    assert leftovers.remove_file(claim)
    assert not (file_use.SHM / shm).exists()
    assert leftovers.remove_file(claim), "gone is gone"


def test_shared_memory_that_was_there_before_is_not_ours(tmp_path: Path, shm: str) -> None:
    (file_use.SHM / shm).write_text("foreign")
    claims = Claims(Leftovers(shm=(shm,)), str(tmp_path))
    claims.look_before(0)
    assert not claims.look([])
    assert claims.shm == {}


def test_shared_memory_that_somebody_replaced_is_left(tmp_path: Path, shm: str) -> None:
    claims = Claims(Leftovers(shm=(shm,)), str(tmp_path))
    claims.look_before(0)
    (file_use.SHM / shm).write_text("ours")
    claims.look([])
    (file_use.SHM / shm).unlink()
    (file_use.SHM / shm).write_text("theirs")
    (claim,) = claims.shm.values()
    assert not leftovers.remove_file(claim)
    assert not leftovers.still_there(claim)
    assert (file_use.SHM / shm).read_text() == "theirs"


@pytest.mark.parametrize("times", [1, 100])
def test_a_file_that_vanishes_from_a_folder_does_not_save_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    """It is removed at the next try, or said to be there still."""
    folder = tmp_path / "ours"
    folder.mkdir()
    claim = leftovers.file_identity(str(folder))
    assert claim is not None
    vanished = iter(range(times))
    remove_tree = shutil.rmtree

    def rmtree(path: str) -> None:
        if next(vanished, None) is not None:
            raise FileNotFoundError(2, "No such file or directory", f"{path}/of-another")
        remove_tree(path)

    monkeypatch.setattr("launcher.keeper.leftovers.shutil.rmtree", rmtree)
    assert leftovers.remove_file(claim) is not folder.exists()


def test_a_queue_made_since_the_start_is_removed(tmp_path: Path) -> None:
    claims = Claims(Leftovers(queues=(FtokKey(str(tmp_path), 61),)), "/")
    assert claims.look_before(kernel.file_clock()) == []
    number = make_queue(tmp_path, 61)
    try:
        assert claims.look([])
        (claim,) = claims.queues.values()
        assert claim.id == number
        assert leftovers.remove_queue(claim)
        assert number not in queue_ids()
        assert leftovers.remove_queue(claim), "gone is gone"
    finally:
        remove_queue(number)


def test_what_is_made_within_a_tick_of_the_start_is_younger(tmp_path: Path, shm: str) -> None:
    """The kernel's stamps are behind `time.time()`, by a whole second just after one has begun."""
    claims = Claims(Leftovers(queues=(FtokKey(str(tmp_path), 61),)), "/")
    second = int(time.time())
    while int(time.time()) == second:
        pass
    assert claims.look_before(kernel.file_clock()) == []
    number = make_queue(tmp_path, 61)
    (file_use.SHM / shm).write_text("ours")
    try:
        assert claims.look([])
        late = Claims(Leftovers(shm=(shm,)), "/")
        late.begin_late(claims.started)
        assert late.before == {}, "the file was there before its start"
    finally:
        remove_queue(number)


def test_what_is_made_in_the_tick_of_the_start_is_not_older(shm: str) -> None:
    """Both numbers are rounded to a float: the same moment has to give the same one."""
    path = file_use.SHM / shm
    started = 0.0
    for _ in range(60):
        while kernel.file_clock() == started:
            pass  # until the next tick
        started = kernel.file_clock()
        path.write_text("ours")
        late = Claims(Leftovers(shm=(shm,)), "/")
        late.begin_late(started)
        path.unlink()
        assert late.before == {}


def test_a_claimed_queue_that_a_stranger_uses_is_left_to_him(tmp_path: Path) -> None:
    """He found it by its key, as FastDeploy does; without it his answers would stop."""
    claims = Claims(Leftovers(queues=(FtokKey(str(tmp_path), 61),)), "/")
    claims.look_before(kernel.file_clock())
    number = make_queue(tmp_path, 61)
    send = f"ctypes.CDLL(None).msgsnd({number}, ctypes.byref((ctypes.c_long * 2)(1, 1)), 8, 0)"
    script = f"import ctypes; {send}; print(1, flush=True); input()"
    command = [sys.executable, "-c", script]
    try:
        assert claims.look([])
        state = State("one", "", queues=list(claims.queues.values()))
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            receipt = cleanup.clean(state, (), time.monotonic())
            process.kill()
        assert number in queue_ids()
        message = f"message queue {number} is used by pid {process.pid} as well"
        assert (receipt.queues, receipt.foreign) == (0, (message,))
        receipt = cleanup.clean(state, (), time.monotonic())
        assert (receipt.queues, receipt.foreign) == (0, ())
        assert number not in queue_ids()
    finally:
        remove_queue(number)


def test_a_queue_of_the_second_of_the_start_is_not_claimed(tmp_path: Path) -> None:
    """Its age alone would make it ours: the kernel counts in whole seconds."""
    number = make_queue(tmp_path, 65)
    try:
        claims = Claims(Leftovers(queues=(FtokKey(str(tmp_path), 65),)), "/")
        assert [queue.ident for queue in claims.look_before(0)] == [number]
        claims.look([])
        claims.look_after_death()
        assert claims.queues == {}
    finally:
        remove_queue(number)


SEND = """
import ctypes, sys
message = ctypes.create_string_buffer(b"\\1" + b"\\0" * 7 + b"x", 9)
assert ctypes.CDLL(None).msgsnd(int(sys.argv[1]), message, 1, 0) == 0
print(flush=True)
sys.stdin.read()
"""


def test_after_a_death_a_queue_is_ours_unless_its_last_user_lives(tmp_path: Path) -> None:
    """A worker that was never seen may have used it; a process that still does may not be ours."""
    number = make_queue(tmp_path, 66)
    argv = [sys.executable, "-c", SEND, str(number)]
    try:
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as user:
            assert user.stdout is not None
            user.stdout.readline()
            claims = Claims(Leftovers(queues=(FtokKey(str(tmp_path), 66),)), "/")
            claims.look_after_death()
            assert claims.queues == {}
            user.communicate()
        claims.look_after_death()
        assert [claim.id for claim in claims.queues.values()] == [number]
    finally:
        remove_queue(number)


def test_after_a_death_shared_memory_is_ours_if_it_is_young_and_unused(
    tmp_path: Path, shm: str
) -> None:
    path = file_use.SHM / shm
    path.write_text("of before")
    claims = Claims(Leftovers(shm=(shm, f"{shm}-missing")), str(tmp_path))
    claims.look_before(kernel.file_clock() + 60)
    claims.look_after_death()
    assert claims.shm == {}, "it is older than the start"
    claims.look_before(0)
    with path.open():
        claims.look_after_death()
        assert claims.shm == {}, "this process uses it"
    claims.look_after_death()
    assert list(claims.shm) == [str(path)]


def test_a_queue_that_exists_before_is_told_and_never_claimed(tmp_path: Path) -> None:
    number = make_queue(tmp_path, 62)
    try:
        claims = Claims(Leftovers(queues=(FtokKey(str(tmp_path), 62),)), "/")
        (queue,) = claims.look_before(2e10)
        assert (queue.ident, queue.uid) == (number, os.getuid())
        assert not claims.look([])
        assert number in queue_ids()
    finally:
        remove_queue(number)


def test_a_queue_with_a_relative_path_counts_from_the_engines_folder(tmp_path: Path) -> None:
    number = make_queue(tmp_path, 63)
    try:
        claims = Claims(Leftovers(queues=(FtokKey(".", 63),)), str(tmp_path))
        assert [queue.ident for queue in claims.look_before(0)] == [number]
    finally:
        remove_queue(number)


def test_a_queue_that_was_made_anew_is_left(tmp_path: Path) -> None:
    number = make_queue(tmp_path, 64)
    try:
        claims = Claims(Leftovers(queues=(FtokKey(str(tmp_path), 64),)), "/")
        claims.look([])
        (claim,) = claims.queues.values()
        assert leftovers.remove_queue(replace(claim, created=claim.created - 5))
        assert number in queue_ids()
    finally:
        remove_queue(number)


def test_a_folder_is_ours_where_one_of_our_processes_uses_it(tmp_path: Path) -> None:
    claims = Claims(Leftovers(temporary=(f"{tmp_path}/fd_prom_*",)), "/")
    (tmp_path / "fd_prom_before").mkdir()
    claims.look_before(0)
    used, unused = tmp_path / "fd_prom_used", tmp_path / "fd_prom_unused"
    used.mkdir()
    unused.mkdir()
    with (used / "gauge.db").open("w"):
        claims.look([os.getpid()])
    assert list(claims.temporary) == [str(used)]
    assert leftovers.remove_file(claims.temporary[str(used)])
    assert unused.exists()
    assert (tmp_path / "fd_prom_before").exists()


def test_a_link_is_removed_and_not_what_it_points_to(tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.mkdir()
    (tmp_path / "link").symlink_to(target)
    claim = leftovers.file_identity(tmp_path / "link")
    assert claim is not None
    assert leftovers.remove_file(claim)
    assert target.exists()


def test_a_link_of_ours_is_claimed_wherever_it_points(tmp_path: Path) -> None:
    """By its own owner: what it points to may be another user's, or gone."""
    claims = Claims(Leftovers(temporary=(str(tmp_path / "prom_*"),)), "/")
    claims.look_before(kernel.file_clock())
    link = tmp_path / "prom_999001"
    link.symlink_to(tmp_path / "gone")
    claims.look([999_001])
    assert list(claims.temporary) == [str(link)]


def test_what_cannot_be_removed_is_said() -> None:
    """Not even root may remove an entry of /proc; a claim on one stands for any such place."""
    claim = leftovers.file_identity("/proc/self/ns/pid")
    assert claim is not None
    assert not leftovers.remove_file(claim)
    assert leftovers.still_there(claim)


def test_a_number_that_was_ours_long_ago_claims_nothing(tmp_path: Path) -> None:
    """Another server's process may have it by now, and name its files in a shared folder by it."""
    claims = Claims(Leftovers(temporary=(str(tmp_path / "prom_*"),)), str(tmp_path))
    claims.look_before(kernel.file_clock())
    claims.look([999_001])
    (tmp_path / "prom_mine").mkdir()
    (tmp_path / "prom_mine" / "counter_999001.db").touch()
    claims.look([999_002])  # the first one died meanwhile: what it had made is claimed
    assert list(claims.temporary) == [str(tmp_path / "prom_mine")]

    claims.look([999_002])
    (tmp_path / "prom_theirs").mkdir()
    (tmp_path / "prom_theirs" / "counter_999001.db").touch()
    claims.look([999_002])
    assert list(claims.temporary) == [str(tmp_path / "prom_mine")]


HOLDER = """
import mmap, socket, sys
file = open(sys.argv[1], "w+b")
file.truncate(4096)
kept = mmap.mmap(file.fileno(), 4096)
file.close()
server = socket.socket(socket.AF_UNIX); server.bind(sys.argv[2]); server.listen()
print("there", flush=True)
sys.stdin.read()
"""


@contextmanager
def user_of(path: Path) -> Iterator[int]:
    """A process that maps the file `path` and listens at `path`.sock."""
    argv = [sys.executable, "-I", "-S", "-c", HOLDER, str(path), f"{path}.sock"]
    pipe = subprocess.PIPE
    process = subprocess.Popen(argv, stdin=pipe, stdout=pipe)
    try:
        assert process.stdout is not None
        assert process.stdout.readline()
        yield process.pid
    finally:
        process.communicate(b"")
        Path(f"{path}.sock").unlink(missing_ok=True)


def test_shared_memory_is_known_by_its_use_whatever_its_name(tmp_path: Path, shm: str) -> None:
    """A release may make what the plan does not know, and a plan may be lost."""
    path, begun = file_use.SHM / shm, time.time() - 1
    claims = Claims(Leftovers(), str(tmp_path))
    claims.look_before(begun)
    with user_of(path) as pid:
        both = {str(path), f"{path}.sock"}
        claims.look_at_use([pid])
        assert set(claims.shm) == both
        assert {c.path for c in leftovers.used_shm([pid], begun)} == both
        assert leftovers.used_shm([pid], begun, both) == []
        assert leftovers.used_shm([pid], time.time() + 60) == [], "it was there before"
        assert leftovers.used_shm([os.getpid()], begun) == [], "it is not ours"
        with path.open("rb") as file, mmap.mmap(file.fileno(), 4096, prot=mmap.PROT_READ):
            file.close()
            shared = {c.path for c in leftovers.used_shm([pid], begun)}
            assert shared == {f"{path}.sock"}, "another process uses it too"
    assert all(map(leftovers.remove_file, claims.shm.values()))
    assert not path.exists()
