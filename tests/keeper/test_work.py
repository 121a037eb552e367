"""Work is what the kernel counted, whatever becomes of the processes that did it."""

import mmap
import os
import subprocess
import sys
from collections.abc import Hashable
from pathlib import Path

import pytest

from launcher.keeper import work
from launcher.keeper.identity import Process
from launcher.keeper.work import Meter, Usage, Work


def process(pid: int, parent: int = 1) -> Process:
    return Process(pid, pid * 10, pid, parent, "p")


class Kernel:
    """What /proc would say."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.usage: dict[int, Usage] = {}
        monkeypatch.setattr(work, "read", lambda pid: self.usage.get(pid))


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    return Kernel(monkeypatch)


def test_what_a_process_does_between_two_looks(kernel: Kernel) -> None:
    meter = Meter()
    kernel.usage[1] = Usage(3.0, 0.0, 100)
    assert meter.look({None: [process(1)]}) == {None: Work(3.0, 100)}, "its life so far"
    kernel.usage[1] = Usage(3.5, 0.0, 150)
    assert meter.look({None: [process(1)]}) == {None: Work(0.5, 50)}
    assert meter.look({None: [process(1)]}) == {None: Work(0.0, 0)}


def test_groups_are_kept_apart(kernel: Kernel) -> None:
    kernel.usage |= {1: Usage(1.0, 0.0, 10), 2: Usage(2.0, 0.0, 20)}
    groups: dict[Hashable, list[Process]] = {None: [process(1)], "worker": [process(2)]}
    assert Meter().look(groups) == {None: Work(1.0, 10), "worker": Work(2.0, 20)}


def test_a_child_that_lived_between_two_looks_counts(kernel: Kernel) -> None:
    """The compiler that a load starts: the kernel adds it to its parent when it is waited for."""
    meter = Meter()
    kernel.usage[1] = Usage(1.0, 0.0, 0)
    meter.look({None: [process(1)]})
    kernel.usage[1] = Usage(1.0, 0.8, 5000)
    assert meter.look({None: [process(1)]}) == {None: Work(0.8, 5000)}


def test_a_child_that_was_seen_alive_counts_once(kernel: Kernel) -> None:
    meter = Meter()
    kernel.usage |= {1: Usage(1.0, 0.0, 0), 2: Usage(5.0, 0.0, 700)}
    tree = [process(1), process(2, parent=1)]
    assert meter.look({None: tree}) == {None: Work(6.0, 700)}
    del kernel.usage[2]
    kernel.usage[1] = Usage(1.0, 5.5, 800)
    assert meter.look({None: tree[:1]}) == {None: Work(0.5, 100)}, "only what was not seen yet"


def test_a_grandchild_is_found_in_the_account_of_who_waited(kernel: Kernel) -> None:
    meter = Meter()
    kernel.usage |= {1: Usage(1.0, 0.0, 0), 2: Usage(1.0, 0.0, 0), 3: Usage(9.0, 0.0, 0)}
    meter.look({None: [process(1), process(2, parent=1), process(3, parent=2)]})
    kernel.usage.pop(2)
    kernel.usage.pop(3)
    kernel.usage[1] = Usage(1.0, 10.25, 0)
    assert meter.look({None: [process(1)]}) == {None: Work(0.25, 0)}


def test_an_orphan_takes_nothing_from_the_living(kernel: Kernel) -> None:
    """The keeper itself waits for it, and has no account here."""
    meter = Meter()
    kernel.usage |= {1: Usage(1.0, 0.0, 0), 2: Usage(9.0, 0.0, 900)}
    meter.look({None: [process(1), process(2, parent=77)]})
    kernel.usage.pop(2)
    kernel.usage[1] = Usage(1.5, 0.0, 50)
    assert meter.look({None: [process(1)]}) == {None: Work(0.5, 50)}


def test_a_child_that_nobody_waits_for_hides_no_work(kernel: Kernel) -> None:
    """With SIGCHLD ignored the kernel adds a dead child to no account."""
    meter = Meter()
    kernel.usage |= {1: Usage(1.0, 0.0, 0), 2: Usage(9.0, 0.0, 0)}
    meter.look({None: [process(1), process(2, parent=1)]})
    kernel.usage.pop(2)
    kernel.usage[1] = Usage(1.5, 0.0, 0)
    assert meter.look({None: [process(1)]}) == {None: Work(0.5, 0)}


def test_a_counter_that_cannot_be_read_for_a_moment_is_no_work_afterwards(kernel: Kernel) -> None:
    meter = Meter()
    for io, work_done in ((5000, 5000), (0, 0), (5000, 0), (5100, 100)):
        kernel.usage[1] = Usage(1.0, 0.0, io)
        assert meter.look({None: [process(1)]})[None].io == work_done


def test_a_number_that_is_used_again_is_another_process(kernel: Kernel) -> None:
    meter = Meter()
    kernel.usage[5] = Usage(7.0, 0.0, 0)
    meter.look({None: [process(5)]})
    kernel.usage[5] = Usage(0.2, 0.0, 0)
    again = Process(5, 999, 5, 1, "p")
    assert meter.look({None: [again]}) == {None: Work(0.2, 0)}


def test_nobody_has_done_nothing() -> None:
    assert work.read(2**22 + 1) is None
    assert Meter().look({None: [process(2**22 + 1)]}) == {None: Work(0.0, 0)}


def own() -> Usage:
    usage = work.read(os.getpid())
    assert usage is not None
    return usage


def test_the_kernel_counts_cpu_time_and_writing() -> None:
    before = own()
    start = os.times()
    while (now := os.times()).user + now.system - start.user - start.system < 0.1:
        pass
    with open("/dev/null", "wb") as sink:
        sink.write(b"x" * 2_000_000)
    assert own().cpu - before.cpu >= 0.05
    assert own().io - before.io >= 2_000_000


def test_the_kernel_counts_dead_children() -> None:
    before = own()
    burn = (
        "import os\nwhile sum(os.times()[:2]) < 0.3: pass\nopen('/dev/null','wb').write(b'x'*9**6)"
    )
    subprocess.run([sys.executable, "-I", "-S", "-c", burn], check=True)
    assert own().waited - before.waited >= 0.2
    assert own().io - before.io >= 9**6


def test_a_file_read_from_the_page_cache_counts(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    path.write_bytes(b"x" * 3_000_000)
    path.read_bytes()
    before = own()
    path.read_bytes()
    assert own().io - before.io >= 3_000_000


def test_a_mapped_file_that_is_not_in_memory_counts(tmp_path: Path) -> None:
    path = tmp_path / "weights"
    with path.open("wb") as file:
        file.write(os.urandom(8_000_000))
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    before = own()
    with path.open("rb") as read, mmap.mmap(read.fileno(), 0, prot=mmap.PROT_READ) as mapped:
        touched = sum(mapped[position] for position in range(0, len(mapped), mmap.PAGESIZE))
    assert touched
    if own().io == before.io:
        pytest.skip("this file system keeps its pages in memory (tmpfs)")
    assert own().io - before.io >= mmap.PAGESIZE
