"""The engine's own log files are followed while it loads."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.keeper import log_follower
from launcher.keeper.line_sampling import Attention
from launcher.keeper.log_follower import Follower
from launcher.keeper.loop import Loop
from launcher.plan.model import LogSource

SOURCES = (LogSource("engine"), LogSource("worker", "worker.log*"))


class Followed:
    """A folder of logs, its follower, and the lines that came."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.loop = Loop()
        self.lines: list[tuple[str, str, str]] = []
        self.drops: list[int] = []
        self.follower: Follower | None = None

    def begin(self) -> Follower:
        self.attention = Attention(self.loop, self._line, None, lambda: self.drops.append(1))
        self.follower = Follower(self.loop, self.folder, SOURCES, self.attention)
        return self.follower

    def _line(self, source: str, file: str, text: str, final: bool) -> None:
        if final:
            self.lines.append((source, file, text))

    def write(self, name: str, text: str, mode: str = "a") -> None:
        with (self.folder / name).open(mode) as file:
            file.write(text)

    def wait_for(self, count: int) -> list[str]:
        assert self.loop.run_until(lambda: len(self.lines) >= count, 30.0), self.lines
        return [text for _, _, text in self.lines]


@pytest.fixture
def followed(tmp_path: Path) -> Iterator[Followed]:
    follower = Followed(tmp_path)
    yield follower
    if follower.follower:
        follower.follower.close()


def test_lines_come_with_their_source(followed: Followed) -> None:
    followed.begin()
    followed.write("worker.log.0", "one\n")
    followed.write("other.log", "not asked\n")
    followed.wait_for(1)
    assert followed.lines == [("worker", "worker.log.0", "one")]


def test_what_an_earlier_run_wrote_is_not_this_ones(followed: Followed) -> None:
    followed.write("worker.log", "the last words of the run before\n")
    followed.begin()
    followed.write("worker.log", "new\n")
    assert followed.wait_for(1) == ["new"]


def test_a_file_that_is_begun_anew_is_read_from_its_beginning(followed: Followed) -> None:
    followed.write("worker.log", "long, long words of the run before\n")
    followed.begin()
    followed.write("worker.log", "new\n", mode="w")
    assert followed.wait_for(1) == ["new"]


def test_a_link_beside_its_target_is_read_once(followed: Followed) -> None:
    followed.begin()
    os.symlink("worker.log.2026", followed.folder / "worker.log")
    followed.write("worker.log.2026", "one\n")
    followed.write("worker.log.2026", "two\n")
    assert followed.wait_for(2) == ["one", "two"]


def test_what_came_after_the_last_reading_can_be_asked_for_later(followed: Followed) -> None:
    """Of a server that was ready nothing is followed; when it dies the last words matter."""
    follower = followed.begin()
    followed.write("worker.log", "while it was followed\n")
    followed.wait_for(1)
    follower.close()
    followed.follower = None
    followed.write("worker.log", "Exit code 7\n")
    assert list(follower.rest({"worker"})) == [("worker", "Exit code 7")]
    assert list(follower.rest({"another"})) == []


def test_of_a_file_that_grows_too_fast_only_the_end_is_read(
    followed: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing holds the writer of a file back: a reader of all of it would fall behind."""
    monkeypatch.setattr(log_follower, "BEHIND", 5000)
    monkeypatch.setattr(log_follower, "READ_AT_ONCE", 1000)
    followed.begin()
    followed.write("worker.log", "half a line")
    followed.write("worker.log", "".join(f"line {n:04}\n" for n in range(1000)))
    followed.loop.run_until(lambda: "line 0999" in [text for _, _, text in followed.lines], 30.0)
    texts = [text for _, _, text in followed.lines]
    assert texts[-1] == "line 0999"
    assert len(texts) < 200
    assert followed.drops


def test_at_a_death_every_file_is_read_to_its_end(
    followed: Followed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_follower, "READ_AT_ONCE", 100)
    monkeypatch.setattr(log_follower, "BEHIND", 1500)
    follower = followed.begin()
    followed.write("worker.log", "".join(f"line {n:04}\n" for n in range(100)) + "last words\n")
    follower.read_all()
    followed.attention.last_words()
    assert followed.lines[-1] == ("worker", "worker.log", "last words")
    assert len(followed.lines) == 101
