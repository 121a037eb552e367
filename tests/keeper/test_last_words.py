"""The wait before our first signal ends by what happens, not by a fixed time."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from launcher.files import lengths
from launcher.keeper import last_words
from launcher.keeper.identity import Process
from launcher.keeper.last_words import wait_for_last_words
from launcher.keeper.loop import Loop
from launcher.keeper.tree import Tree
from tests.support.clock import StillClock

CAUSE = "ValueError: layer 7\n"
WRITER = """
import sys, time
def compute(seconds):
    end = time.process_time() + seconds  # of its own, however busy the machine is
    while time.process_time() < end:
        pass
def write(text):
    with open(sys.argv[1], "a") as file:
        file.write(text)
print("there", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def loop() -> Loop:
    return Loop()


def settled(loop: Loop, folder: Path, code: str, *, hurry: bool = False) -> tuple[str, float, bool]:
    """What the log holds after the wait beside a process that runs `code`, seconds, its end."""
    folder.mkdir(exist_ok=True)
    log = folder / "own.log"
    log.write_text("")
    ended: list[Process] = []
    tree = Tree(loop, ended.append)
    argv = [sys.executable, "-I", "-S", "-c", WRITER + code, str(log)]
    pipe = subprocess.PIPE
    process = subprocess.Popen(argv, stdin=pipe, stdout=pipe, text=True)
    try:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        assert process.pid in {one.pid for one in tree.discover()}
        process.stdin.write("\n")
        process.stdin.flush()
        started = time.monotonic()
        wait_for_last_words(loop, tree, lambda: sum(lengths(folder).values()), hurry=hurry)
        # The tree may hold what this test's process has adopted from an earlier test.
        has_ended = process.pid in {one.pid for one in ended}
        return log.read_text(), time.monotonic() - started, has_ended
    finally:
        process.kill()
        loop.run_until(lambda: process.pid in {one.pid for one in ended}, 600)
        process.communicate()


@pytest.mark.parametrize(
    "code",
    [
        f"compute(0.8); write({CAUSE!r}); time.sleep(600)",
        f"[(write('more'), time.sleep(0.15)) for _ in range(5)]; write({CAUSE!r}); time.sleep(600)",
        f"compute(0.8); write({CAUSE!r})",
    ],
    ids=["it computes first", "it writes piece by piece", "it ends"],
)
def test_what_another_process_still_writes_is_waited_for(
    code: str, loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old fixed wait, 0.3 s, is shorter than each of these."""
    monkeypatch.setattr(last_words, "LONGEST", 500.0)
    text, _, _ = settled(loop, tmp_path / "logs", code)
    assert text.endswith(CAUSE)


def test_the_end_of_all_is_told_at_once(loop: Loop, tmp_path: Path) -> None:
    _, _, ended = settled(loop, tmp_path / "logs", "")
    assert ended


@pytest.mark.parametrize("code", ["compute(600)", "[write('x') for _ in iter(int, 1)]"])
def test_who_never_rests_is_not_waited_for_longer(code: str, loop: Loop, tmp_path: Path) -> None:
    _, seconds, ended = settled(loop, tmp_path / "logs", code)
    assert not ended
    assert seconds >= last_words.LONGEST


def test_who_rests_costs_a_moment_only(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(last_words, "LONGEST", 500.0)
    _, seconds, ended = settled(loop, tmp_path / "logs", "time.sleep(600)")
    assert not ended
    assert seconds < 400


ENDLESS = "while True: write('request\\n'); time.sleep(0.05)"
"""A server whose first process was killed may go on to answer, and to write of each request."""


def test_clients_do_not_wait_for_a_log_that_grows_without_end(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(last_words, "LONGEST", 500.0)
    monkeypatch.setattr(os, "getloadavg", lambda: (0.0, 0.0, 0.0))
    _, seconds, _ = settled(loop, tmp_path / "logs", ENDLESS, hurry=True)
    assert seconds < 100


@pytest.mark.parametrize("per_processor", [0.0, 1.5], ids=["idle", "at work"])
def test_clients_wait_half_a_second_for_a_log_that_grows(
    loop: Loop, monkeypatch: pytest.MonkeyPatch, per_processor: float
) -> None:
    """Each look takes a tenth of a second by this clock, and finds a longer log."""
    clock = StillClock(monkeypatch, last_words)
    begun = clock.now
    load = per_processor * len(os.sched_getaffinity(0))
    monkeypatch.setattr(os, "getloadavg", lambda: (load, load, load))
    tree = Tree(loop, lambda process: None)

    def written() -> int:
        clock.now += 0.1
        return int(clock.now * 10)

    process = subprocess.Popen(["sleep", "600"])
    try:
        tree.discover()
        wait_for_last_words(loop, tree, written, hurry=True)
    finally:
        process.kill()
        loop.run_until(lambda: process.pid not in tree.pids, 600)
        process.wait()
    assert clock.now - begun == pytest.approx(0.5, abs=0.15)


def test_on_a_busy_machine_the_cause_has_its_time(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(last_words, "LONGEST", 500.0)
    monkeypatch.setattr(os, "getloadavg", lambda: (1000.0, 0.0, 0.0))
    code = f"compute(0.8); write({CAUSE!r}); time.sleep(600)"
    text, _, _ = settled(loop, tmp_path / "logs", code, hurry=True)
    assert text.endswith(CAUSE)
