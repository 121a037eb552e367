"""What the kernel tells of its memory killer; the kernel's own files are stood in for."""

import os
import time
from pathlib import Path

import pytest

from launcher.host import memory_killer, processes
from launcher.host.memory_killer import KillCount, Killed, kill_count, killed_of

V2 = "low 0\nhigh 0\nmax 12\noom 3\noom_kill {}\noom_group_kill 0\n"
V1 = "oom_kill_disable 0\nunder_oom 0\noom_kill {}\n"


@pytest.mark.parametrize(
    ("membership", "file", "text", "expected", "exact"),
    [
        (["0::/a/b"], "a/b/memory.events", V2.format(2), 2, True),
        (["0::/gone/b"], "gone/memory.events", V2.format(1), 1, True),
        (["4:memory:/c"], "memory/c/memory.oom_control", V1.format(5), 5, True),
        (["4:memory:/c"], "memory/c/memory.failcnt", "41\n", 41, False),
        (["4:cpu:/c"], "memory/c/memory.failcnt", "41\n", None, False),
        (["0::/a"], "a/memory.events", "garbage\n\noom_kill many\n", None, False),
    ],
)
def test_the_counter_of_our_cgroup(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, membership: list[str], file: str, text: str,
    expected: int | None, exact: bool,
) -> None:  # fmt: skip
    monkeypatch.setattr(processes, "own_cgroups", lambda: membership)
    path = tmp_path / file
    path.parent.mkdir(parents=True)
    path.write_text(text)
    counted = None if expected is None else KillCount(expected, str(path), exact)
    assert kill_count(tmp_path) == counted


def test_the_counter_of_another_cgroup(tmp_path: Path) -> None:
    (tmp_path / "memory.events").write_text(V2.format(7))
    count = kill_count(own=tmp_path)
    assert count is not None
    assert count.count == 7
    assert kill_count(own=tmp_path / "none") is None


def record(message: str, age: float = 1.0) -> str:
    return f"3,1234,{int((time.monotonic() - age) * 1e6)},-;{message}\n SUBSYSTEM=x\n"


KILL = "Memory cgroup out of memory: Killed process {} (python3) total-vm:16580kB, UID:0"


def killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, records: list[str], pids: set[int]
) -> Killed | None:
    """A pipe stands in for /dev/kmsg, which gives one record per read as well."""
    log = tmp_path / "kmsg"
    log.write_text("")
    left = iter(records)
    monkeypatch.setattr(memory_killer, "_counts_like_the_kernel", lambda: True)
    real = os.read

    def read(descriptor: int, length: int) -> bytes:
        if os.readlink(f"/proc/self/fd/{descriptor}") != str(log):
            return real(descriptor, length)
        text = next(left, None)
        if text is None:
            raise BlockingIOError
        if text == "lost":
            raise BrokenPipeError
        return text.encode()

    monkeypatch.setattr(os, "read", read)
    return killed_of(pids, str(log))


def test_the_line_that_names_one_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = [record("eth0: up"), "lost", record(KILL.format(41)), record(KILL.format(42))]
    counted = killed(tmp_path, monkeypatch, records, {42, 43})
    assert counted == Killed(42, "python3", KILL.format(42))


@pytest.mark.parametrize(
    "line",
    ["Out of memory: Killed process 42 (VLLM::EngineCor) total-vm:1kB",
     "Out of memory: Kill process 42 (python (x)) score 999 or sacrifice child",
     "Memory cgroup out of memory: Killed process 42 (a) total-vm:1kB"],
)  # fmt: skip
def test_every_spelling_of_kernels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    counted = killed(tmp_path, monkeypatch, [record(line)], {42})
    assert counted is not None
    assert counted.pid == 42


@pytest.mark.parametrize(
    "records",
    [[], [record(KILL.format(41))], [record(KILL.format(42), age=400)], ["no record"],
     ["3,4;" + KILL.format(42)], [record("oom_reaper: reaped process 42 (python3)")]],
)  # fmt: skip
def test_what_is_no_proof(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, records: list[str]
) -> None:
    """Another process, an earlier one with the same number, a torn line."""
    assert killed(tmp_path, monkeypatch, records, {42}) is None


def test_a_log_that_cannot_be_read_and_one_of_other_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_killer, "_counts_like_the_kernel", lambda: True)
    assert killed_of({42}, str(tmp_path / "none")) is None
    assert killed_of(set(), "/dev/kmsg") is None
    monkeypatch.undo()
    monkeypatch.setattr(processes, "pid_namespace", lambda: "pid:[4026532999]")
    assert killed_of({42}, "/dev/kmsg") is None


def test_the_kernels_own_log_is_read_to_its_end_in_time() -> None:
    """Whatever it holds, no process has this number."""
    began = time.monotonic()
    assert killed_of({2**22 + 1}) is None
    assert time.monotonic() - began < 60
