"""Silence is not a hang: only a tree that neither works nor speaks makes no progress."""

import time

import pytest

from launcher.keeper import work
from launcher.keeper.identity import Process
from launcher.keeper.progress import Progress
from launcher.keeper.work import Usage
from launcher.plan.model import ProgressRule

LIMIT = 600
FRONT, SHELL, WORKER, SECOND, HELPER = 1, 2, 3, 4, 5
LINES = {
    FRONT: "python -m api_server", SHELL: "sh -c launch worker.py", WORKER: "python worker.py 0",
    SECOND: "python worker.py 1", HELPER: "gcc kernel.c",
}  # fmt: skip
PARENTS = {FRONT: 0, SHELL: FRONT, WORKER: SHELL, SECOND: SHELL, HELPER: WORKER}
RULE = ProgressRule(workers=(r"worker\.py",))


class Machine:
    """A clock, and processes that use what they are told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        self.usage: dict[int, Usage] = {}
        monkeypatch.setattr(time, "monotonic", lambda: self.now)
        monkeypatch.setattr(work, "read", lambda pid: self.usage.get(pid))
        self.start(FRONT)

    def start(self, *pids: int) -> None:
        for pid in pids:
            self.usage[pid] = Usage(0.0, 0.0, 0)

    def use(self, pid: int, cpu: float = 0.0, io: int = 0) -> None:
        before = self.usage[pid]
        self.usage[pid] = Usage(before.cpu + cpu, before.waited, before.io + io)

    def end(self, pid: int) -> None:
        """As the kernel does it when the parent waits."""
        dead, parent = self.usage.pop(pid), self.usage[PARENTS[pid]]
        self.usage[PARENTS[pid]] = Usage(
            parent.cpu, parent.waited + dead.cpu + dead.waited, parent.io + dead.io
        )

    def look(self, watched: Progress) -> bool:
        tree = [Process(pid, pid, pid, PARENTS[pid], "p") for pid in self.usage]
        return watched.stalled(tree, {pid: LINES[pid] for pid in self.usage})

    def run(
        self, watched: Progress, seconds: int, pid: int = FRONT, cpu: float = 0.0, io: int = 0,
        every: int = 1,
    ) -> int | None:  # fmt: skip
        """Pass time in seconds; `pid` works every `every` seconds. When it stalled, else None."""
        for second in range(1, seconds + 1):
            self.now += 1
            if second % every == 0:
                self.use(pid, cpu, io)
            if self.look(watched):
                return second
        return None


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


@pytest.fixture
def tree_progress(machine: Machine) -> Progress:
    """An engine without workers: the whole tree is judged."""
    return Progress(ProgressRule(), LIMIT)


@pytest.fixture
def working(machine: Machine) -> Progress:
    """FastDeploy: a front end that waits for its worker."""
    progress = Progress(RULE, LIMIT)
    machine.start(SHELL, WORKER)
    machine.look(progress)
    return progress


def test_nothing_at_all(machine: Machine, tree_progress: Progress) -> None:
    assert machine.run(tree_progress, 2 * LIMIT) == LIMIT


def test_a_silent_load_that_computes(machine: Machine, tree_progress: Progress) -> None:
    assert machine.run(tree_progress, 10_000, cpu=0.06) is None


def test_a_silent_load_that_reads_slowly(machine: Machine, tree_progress: Progress) -> None:
    assert machine.run(tree_progress, 10_000, io=70_000) is None


def test_a_load_that_reads_a_shard_now_and_then(machine: Machine, tree_progress: Progress) -> None:
    """Silent for 9 minutes, then a gigabyte at once: the disk behind it is slow, not dead."""
    assert machine.run(tree_progress, 10_000, io=2**30, every=540) is None


def test_a_heartbeat_is_not_work(machine: Machine, tree_progress: Progress) -> None:
    assert machine.run(tree_progress, 2 * LIMIT, cpu=0.03, io=20_000) == LIMIT


def test_one_busy_second_does_not_hide_a_hang(machine: Machine, tree_progress: Progress) -> None:
    """Bursts: each of them was progress when seconds were judged one by one."""
    assert machine.run(tree_progress, 2 * LIMIT, cpu=0.9, io=2**20, every=60) == LIMIT


def test_work_before_a_hang_delays_its_verdict_by_no_more_than_the_deadline(
    machine: Machine, tree_progress: Progress
) -> None:
    assert machine.run(tree_progress, 5000, cpu=1.0) is None
    assert LIMIT - 40 <= (machine.run(tree_progress, 2 * LIMIT) or 0) <= LIMIT + 20


def test_a_phase_line_is_progress(machine: Machine, tree_progress: Progress) -> None:
    for _ in range(10):
        assert machine.run(tree_progress, LIMIT - 1) is None
        tree_progress.note()
    assert machine.run(tree_progress, 2 * LIMIT) == LIMIT


def test_a_busy_front_end_hides_no_stopped_worker(machine: Machine, working: Progress) -> None:
    """Measured: 6 to 9 % of a core and 1.2 MiB in 30 s, in bursts, with the worker stopped."""
    assert machine.run(working, 2 * LIMIT, cpu=0.27, io=123_000, every=3) == LIMIT


def test_a_front_end_that_downloads_beside_its_worker(machine: Machine, working: Progress) -> None:
    assert machine.run(working, 10_000, io=300_000) is None


def test_a_front_end_that_quantizes_beside_its_worker(machine: Machine, working: Progress) -> None:
    assert machine.run(working, 10_000, cpu=0.9) is None


def test_before_there_is_a_worker_the_front_end_counts(machine: Machine) -> None:
    watched = Progress(RULE, LIMIT)
    assert machine.run(watched, 10_000, cpu=0.06) is None


def test_a_worker_that_appears_is_progress(machine: Machine) -> None:
    watched = Progress(RULE, LIMIT)
    assert machine.run(watched, LIMIT - 1) is None
    machine.start(SHELL)
    assert machine.run(watched, LIMIT) is None
    machine.start(WORKER)
    assert machine.run(watched, 2 * LIMIT) == LIMIT + 1


def test_a_worker_that_works(machine: Machine, working: Progress) -> None:
    assert machine.run(working, 10_000, pid=WORKER, cpu=0.06) is None
    assert machine.run(working, 10_000, pid=WORKER, io=70_000) is None


def test_idle_workers_do_not_add_up(machine: Machine, working: Progress) -> None:
    """Eight ranks that poll with 2 % each hang as much as one."""
    machine.start(SECOND)
    machine.look(working)
    stalled = None
    for second in range(1, 2 * LIMIT):
        machine.use(WORKER, 0.03)
        if machine.run(working, 1, pid=SECOND, cpu=0.03):
            stalled = second
            break
    assert stalled == LIMIT


def test_one_worker_of_two_is_enough(machine: Machine, working: Progress) -> None:
    machine.start(SECOND)
    assert machine.run(working, 10_000, pid=SECOND, cpu=0.06) is None


def test_a_workers_child_works_for_it(machine: Machine, working: Progress) -> None:
    machine.start(HELPER)
    assert machine.run(working, 10_000, pid=HELPER, cpu=0.06) is None


def test_compilers_that_come_and_go_work(machine: Machine, working: Progress) -> None:
    """Each lives for a moment between two looks, or over one."""
    for second in range(3000):
        machine.start(HELPER)
        machine.use(HELPER, 0.1)
        if second % 2:
            assert machine.run(working, 1) is None
        machine.end(HELPER)
        assert machine.run(working, 1) is None


def test_the_end_of_a_process_is_no_work(machine: Machine, working: Progress) -> None:
    """What a child had done long ago comes into its parent's account when it ends."""
    machine.start(HELPER)
    machine.use(HELPER, 500.0, 2**30)
    assert machine.run(working, LIMIT // 2) is None
    machine.end(HELPER)
    assert LIMIT // 2 - 2 <= (machine.run(working, LIMIT) or 0) <= LIMIT // 2 + 20


def test_a_fork_with_its_parents_command_line_is_no_worker(
    machine: Machine, working: Progress, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen between fork and exec, it would be news each time."""
    monkeypatch.setitem(LINES, HELPER, LINES[WORKER])
    for _ in range(LIMIT // 2 - 1):
        machine.start(HELPER)
        assert machine.run(working, 1) is None
        machine.end(HELPER)
        assert machine.run(working, 1) is None
    assert machine.run(working, 4) is not None
