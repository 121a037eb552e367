"""The engine's first process: its folders, which no other user prepared, and its output."""

import fcntl
import os
import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from launcher.keeper.engine_process import PIPE_SIZE, EngineProcess, prepare_folders
from launcher.keeper.line_sampling import Attention
from launcher.keeper.loop import Loop
from launcher.log_records import parse_record
from launcher.plan.model import LaunchPlan


def plan(folder: Path) -> LaunchPlan:
    temporary = folder / "ed-abcdefgh"
    return LaunchPlan(
        "one", "scripted", "1.0", ("x",), str(temporary), str(folder / "logs"), str(temporary),
        folders=(str(temporary / "prometheus"),),
    )  # fmt: skip


def link_to_ours(path: Path) -> None:
    (path.parent / "precious").mkdir(mode=0o700)
    path.symlink_to(path.parent / "precious")


def dangling_link(path: Path) -> None:
    path.symlink_to(path.parent / "precious")


def open_folder(path: Path) -> None:
    path.mkdir()
    path.chmod(0o777)


def pipe(path: Path) -> None:
    os.mkfifo(path)


def another_users(path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    path.mkdir(mode=0o700)
    os.chown(path, 65533, 65533)


@pytest.mark.parametrize(
    "attack", [link_to_ours, dangling_link, open_folder, pipe, another_users, Path.touch]
)
def test_a_temporary_folder_that_is_not_ours_is_not_used(
    tmp_path: Path, attack: Callable[[Path], None]
) -> None:
    attack(tmp_path / "ed-abcdefgh")
    with pytest.raises(OSError, match="ed-abcdefgh"):
        prepare_folders(plan(tmp_path))
    assert not list(tmp_path.rglob("prometheus"))
    assert not list(tmp_path.glob("precious/*"))


def test_what_is_kept_for_a_restart_is_used_again(tmp_path: Path) -> None:
    for _ in range(2):
        prepare_folders(plan(tmp_path))
    for path in (tmp_path / "ed-abcdefgh", tmp_path / "ed-abcdefgh" / "prometheus"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700


class Started:
    """A Python program as an engine, and how often its output was read."""

    def __init__(self, folder: Path, program: str) -> None:
        argv = (sys.executable, "-I", "-S", "-c", program)
        self.loop, self.log, self.takes = Loop(), folder / "engine.log", 0
        self.seen: list[str] = []
        self.attention = Attention(self.loop, self._line, None, lambda: None)
        self.engine = EngineProcess(
            self.loop, replace(plan(folder), argv=argv, cwd=str(folder)), {}, self.log,
            self.attention, observe=self._observe,
        )  # fmt: skip

    def _line(self, source: str, file: str, text: str, final: bool) -> None:
        self.seen.append(text)

    def _observe(self, runs: object) -> None:
        self.takes += 1

    def texts(self) -> list[str]:
        """Of all records."""
        records = [parse_record(line) for line in self.log.read_text().splitlines()]
        return [record[3] for record in records if record]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[str], Started]]:
    started: list[Started] = []

    def begin(program: str) -> Started:
        started.append(Started(tmp_path, program))
        return started[-1]

    yield begin
    for one in started:
        one.engine.process.kill()
        one.engine.process.wait()
        one.engine.close()
        one.attention.close()


def test_lines_that_are_written_one_by_one_are_taken_together(
    start: Callable[[str], Started],
) -> None:
    """Each wake-up costs more than a line: an engine that logs would keep a core busy."""
    one = start("import os\nfor n in range(5000): os.write(2, b'line %d\\n' % n)")
    assert one.loop.run_until(lambda: one.engine.ended, 240.0)
    assert one.texts() == [f"line {n}" for n in range(5000)]
    assert one.takes < 1000


def test_a_first_line_is_taken_at_once_and_the_end_of_a_pause_loses_nothing(
    start: Callable[[str], Started],
) -> None:
    one = start("import os, sys\nfor n in range(3): os.write(1, b'%d\\n' % n)\nsys.stdin.read()")
    assert one.loop.run_until(lambda: one.seen[-1:] == ["2"], 240.0)
    assert one.loop.run_until(lambda: one.engine.ended, 240.0)
    assert one.texts() == ["0", "1", "2"]


def test_an_engine_is_not_held_back_while_the_keeper_is_busy(
    start: Callable[[str], Started],
) -> None:
    """The loop does not turn here; what was written meanwhile is taken before a death is judged."""
    one = start(
        f"import os\nos.write(2, b'x' * 99 + b'\\n')\nos.write(1, b'y' * {PIPE_SIZE - 1} + b'\\n')"
    )
    pipe = one.engine.process.stdout
    assert pipe is not None
    if fcntl.fcntl(pipe, fcntl.F_GETPIPE_SZ) < PIPE_SIZE:
        pytest.skip("this user's limit of pages in pipes is reached")
    assert one.engine.process.wait(240) == 0
    one.engine.drain()
    assert sum(map(len, one.texts())) == 99 + PIPE_SIZE - 1
