"""The history of an instance: once each, over rotations and restarts, bounded, secrets out."""

import itertools
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.errors import UsageError
from launcher.instance.store import InstanceDir
from launcher.json_values import integer_at
from launcher.keeper.events import LARGEST, Events
from launcher.observe import events
from launcher.observe.events import KINDS, Selection, Stream, follow, read, select
from launcher.redact import Redactor
from tests.support import ROOT
from tests.support.rig import Rig

EVERYTHING = Selection()
NO_SECRETS = Redactor()


@pytest.fixture
def instance(tmp_path: Path) -> InstanceDir:
    (tmp_path / "one" / "logs").mkdir(parents=True)
    return InstanceDir(tmp_path / "one")


def numbers(instance: InstanceDir, selection: Selection = EVERYTHING) -> list[object]:
    return [event["n"] for event in read(instance, selection, NO_SECRETS)]


def write(folder: Path, *values: int, kind: str = "warning") -> None:
    writer = Events(folder)
    for value in values:
        writer.append(kind, n=value)
    writer.close()


def put_aside(instance: InstanceDir) -> None:
    """As `up` does before a new run."""
    (instance.logs / "previous").mkdir()
    for path in instance.folder.glob("events.jsonl*"):
        path.rename(instance.logs / "previous" / path.name)


def test_the_run_before_comes_first(instance: InstanceDir) -> None:
    write(instance.folder, 1, 2)
    put_aside(instance)
    write(instance.folder, 3)
    assert numbers(instance) == [1, 2, 3]


def test_a_selection_by_age_kind_and_number(instance: InstanceDir) -> None:
    write(instance.folder, 1, 2)
    write(instance.folder, 3, kind="state")
    assert numbers(instance, select(instance, 3600, [], None)) == [1, 2, 3]
    # An event's time is rounded to milliseconds: the newest may seem to come later than now.
    assert numbers(instance, select(instance, -0.01, [], None)) == []
    assert numbers(instance, select(instance, None, ["state, failure"], None)) == [3]
    assert numbers(instance, select(instance, None, ["warning"], 1)) == [2]
    assert numbers(instance, select(instance, None, [], 0)) == []


def test_a_kind_of_another_release_can_be_chosen_if_it_is_there(instance: InstanceDir) -> None:
    write(instance.folder, 1, kind="weather")
    assert numbers(instance, select(instance, None, ["weather"], None)) == [1]
    with pytest.raises(UsageError, match="did you mean 'state'"):
        select(instance, None, ["warning,stat"], None)


def test_every_kind_that_a_keeper_writes_is_known() -> None:
    """Read off the code, so that a new kind of event cannot be forgotten."""
    import ast

    written = set()
    for path in (ROOT / "launcher").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.Call) and node.args):
                continue
            name, first = ast.unparse(node.func), node.args[0]
            tells = name.endswith((".event", "events.append")) or name == "tell"
            if tells and isinstance(first, ast.Constant) and isinstance(first.value, str):
                written.add(first.value)
    assert {"state", "signal", "kill", "cleaned"} <= written <= set(KINDS)


def test_secrets_are_taken_out_at_any_depth(instance: InstanceDir) -> None:
    writer = Events(instance.folder)
    writer.append("failure", message="it is correct-horse", error={"where": ["api_key=abcdef123"]})
    deep: object = "correct-horse"
    for _ in range(100):
        deep = [deep]
    writer.append("warning", deep=deep)  # type: ignore[arg-type]
    writer.close()
    selected = read(instance, EVERYTHING, Redactor(["correct-horse"]))
    assert "correct-horse" not in json.dumps(selected)
    assert "abcdef123" not in json.dumps(selected)
    assert selected[0]["message"] == "it is [redacted]"


class Reader:
    """A follower in a thread; `take` returns the next events."""

    def __init__(self, instance: InstanceDir, selection: Selection = EVERYTHING) -> None:
        self.seen: list[object] = []
        self._more = threading.Condition()
        read_end, self._wake = os.pipe()
        self._read_end = read_end
        self._stream = follow(instance, selection, NO_SECRETS, wake=(self._wake,))
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            for event in self._stream:
                with self._more:
                    self.seen.append(event["n"])
                    self._more.notify()
        except BrokenPipeError:
            pass

    def wait_for(self, count: int) -> list[object]:
        with self._more:
            assert self._more.wait_for(lambda: len(self.seen) >= count, 300), self.seen
        return self.seen

    def close(self) -> None:
        os.close(self._read_end)
        self._thread.join(300)
        assert not self._thread.is_alive()
        os.close(self._wake)


@pytest.fixture
def reader(instance: InstanceDir) -> Iterator[Reader]:
    write(instance.folder, 1)
    one = Reader(instance)
    assert one.wait_for(1) == [1]
    yield one
    one.close()


def test_following_survives_a_new_run(instance: InstanceDir, reader: Reader) -> None:
    write(instance.folder, 2)
    put_aside(instance)
    write(instance.folder, 3)
    reader.wait_for(3)
    write(instance.folder, 4)
    assert reader.wait_for(4) == [1, 2, 3, 4]


def test_following_misses_nothing_over_rotations(instance: InstanceDir, reader: Reader) -> None:
    """Several in one go: the kept part of what was between two looks is shown."""
    writer = Events(instance.folder)
    count = 3 * LARGEST // 1100
    for number in range(2, count):
        writer.append("restart", n=number, text="x" * 1000)
    writer.close()
    reader.wait_for(2)
    write(instance.folder, count)
    with reader._more:
        assert reader._more.wait_for(lambda: reader.seen[-1] == count, 300)
    assert reader.seen == sorted(set(reader.seen)), "each once, in order"  # type: ignore[type-var]


@pytest.mark.parametrize("rotations", [1, 2, 3])
def test_rotations_between_any_two_looks_keep_the_order(
    instance: InstanceDir, monkeypatch: pytest.MonkeyPatch, rotations: int
) -> None:
    """The file that is read, the older one and the newest: each may have been made meanwhile."""
    older, newest = instance.folder / "events.jsonl.1", instance.folder / "events.jsonl"
    write(instance.folder, 1)
    stream = Stream(instance)
    writer = Events(instance.folder)
    numbers = itertools.count(2)

    def rotate() -> None:
        for _ in range(rotations):
            before = newest.stat().st_ino
            while newest.stat().st_ino == before:
                writer.append("restart", n=next(numbers), text="x" * 1000)

    numbers_shown: list[int | None] = []
    read_file = stream._tail._read

    def read_and_rotate() -> Iterator[tuple[str, bool]]:
        lines = list(read_file())
        monkeypatch.setattr(stream._tail, "_read", read_file)
        rotate()
        return iter(lines)

    for _ in range(3):
        monkeypatch.setattr(stream._tail, "_read", read_and_rotate)
        numbers_shown += [integer_at(event, "n") for event in stream.new()]
        rotate()
    numbers_shown += [integer_at(event, "n") for event in stream.new()]
    writer.close()
    stream.close()
    assert older.exists()
    assert numbers_shown == sorted(set(numbers_shown)), "each once, in order"  # type: ignore[type-var]
    assert numbers_shown[-1] == next(numbers) - 1
    assert rotations > 1 or len(numbers_shown) == numbers_shown[-1], (
        "of one rotation nothing is lost"
    )


def test_a_file_that_is_made_anew_is_not_shown_again(instance: InstanceDir, reader: Reader) -> None:
    writer = Events(instance.folder)
    writer.append("warning", n=2)
    reader.wait_for(2)
    (instance.folder / "events.jsonl").unlink()
    writer.restore()
    writer.append("warning", n=3)
    writer.close()
    assert reader.wait_for(3) == [1, 2, 3]


def test_a_folder_that_is_removed_may_come_again(instance: InstanceDir, reader: Reader) -> None:
    import shutil

    shutil.rmtree(instance.folder)
    time.sleep(0.2)  # so that the reader may have noticed, or not
    instance.folder.mkdir()
    write(instance.folder, 2)
    assert reader.wait_for(2) == [1, 2]


def test_without_an_inotify_queue_it_looks_now_and_then(
    instance: InstanceDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left() -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("launcher.observe.changes.Inotify", none_left)
    write(instance.folder, 1)
    reader = Reader(instance)
    reader.wait_for(1)
    write(instance.folder, 2)
    assert reader.wait_for(2) == [1, 2]
    reader.close()


def test_what_was_shown_is_remembered_within_bounds(
    instance: InstanceDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "REMEMBERED", 10)
    write(instance.folder, *range(100))
    stream = events.Stream(instance)
    assert len(stream.new()) == 100
    assert len(stream._shown) == len(stream._order) == 10
    stream.close()


def test_followed_over_down_and_a_new_up(rig: Rig) -> None:
    rig.up()
    follower = rig.spawn("events", "one", "-f", "--kind", "state")
    assert follower.stdout is not None
    lines = (line.split()[3] for line in iter(follower.stdout.readline, ""))
    assert list(itertools.islice(lines, 3)) == ["starting", "loading", "ready"]
    assert rig.run("down", "one").rc == 0
    assert list(itertools.islice(lines, 2)) == ["stopping:", "stopped"]
    rig.up()
    assert list(itertools.islice(lines, 3)) == ["starting", "loading", "ready"]
    follower.send_signal(signal.SIGINT)
    rest, _ = follower.communicate(timeout=600)
    assert (follower.returncode, rest) == (130, "")
    rig.down()


def test_the_end_of_its_reader_ends_it_at_once(rig: Rig) -> None:
    """Nothing more may happen to an instance for days."""
    rig.up()
    follower = rig.spawn("events", "one", "-f")
    assert follower.stdout is not None
    follower.stdout.readline()
    follower.stdout.close()
    follower.stdout = None
    follower.wait(600)
    assert follower.returncode == 0
    rig.down()
