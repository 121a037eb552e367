"""`logs`: one source or all of it, over rotations, followed to the end, secrets out."""

import os
import threading
import tracemalloc
from functools import partial
from pathlib import Path

import pytest

from launcher.errors import UsageError
from launcher.instance import logs
from launcher.instance.store import InstanceDir
from launcher.keeper.claim import ProcessClaim
from launcher.keeper.identity import look, this_host
from launcher.keeper.output import LogFile, Splitter
from launcher.keeper.state import State, write_state
from launcher.lifecycle import InstanceState
from launcher.redact import Redactor
from tests.support.waiting import wait_for


@pytest.fixture
def instance(tmp_path: Path) -> InstanceDir:
    folder = tmp_path / "one"
    (folder / "logs" / "engine").mkdir(parents=True)
    return InstanceDir(folder)


def live(instance: InstanceDir, state: InstanceState = InstanceState.READY) -> None:
    """A state whose keeper is this very process."""
    import os

    here, me = this_host(), look(os.getpid())
    assert me is not None
    write_state(
        instance.folder,
        State("one", "t", state=state, machine=here.machine, boot=here.boot,
              pid_namespace=here.pid_namespace, keeper=ProcessClaim(me.pid, me.start)),
    )  # fmt: skip


def log_lines(
    instance: InstanceDir, source: str = "engine", last: int | None = None, times: bool = False
) -> list[str]:
    return list(
        logs.lines(instance, source, last=last, times=times, redactor=Redactor(["hush-hush"]))
    )


def test_rotated_files_come_first(instance: InstanceDir) -> None:
    log = LogFile(instance.engine_log, max_size=300, keep=100)
    for number in range(30):
        log.write("stdout", [(f"line {number}".encode(), True)])
    log.close()
    assert log_lines(instance) == [f"line {n}" for n in range(30)]
    assert log_lines(instance, last=2) == ["line 28", "line 29"]
    assert log_lines(instance, last=0) == []
    assert log_lines(instance, last=1, times=True)[0].endswith("Z stdout line 29")


@pytest.mark.parametrize("text", ["x" * 12_000_000, "40%\r" * 3_000_000, "\n" * 6_000_000])
def test_a_log_without_newlines_or_of_nothing_else_fills_no_memory(
    instance: InstanceDir, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = instance.logs / "engine" / "own.log"
    own.write_text(text + "\nthe last line\n")
    monkeypatch.setattr(logs, "view", lambda matches: ("stopped", None))
    followed: list[str] = []
    tracemalloc.start()
    try:
        assert log_lines(instance, "own.log", last=1) == ["the last line"]
        logs.follow(instance, "own.log", last=2, times=False, redactor=Redactor([]),
                    show=followed.append)  # fmt: skip
        assert tracemalloc.get_traced_memory()[1] < 8_000_000
    finally:
        tracemalloc.stop()
    assert followed[-1] == "the last line"


def test_colours_and_secrets_are_taken_out(instance: InstanceDir) -> None:
    log = LogFile(instance.engine_log, max_size=10_000, keep=1)
    log.write("stderr", [(b"\x1b[31mkey hush-hush\x1b[0m", True), (b"\xff\xfe", True)])
    log.close()
    assert log_lines(instance) == ["key [redacted]", "\ufffd\ufffd"]


def test_a_secret_that_two_reads_of_the_pipe_cut_in_two_is_taken_out(instance: InstanceDir) -> None:
    """Wherever a block of the engine's output ends."""
    line = b"key hush-hush and FD_API_KEY=abcdefgh\n"
    for at in range(len(line)):
        log, splitter = LogFile(instance.engine_log, max_size=10_000, keep=0), Splitter()
        for block in (line + line[:at], line[at:] + line):
            log.write("stdout", splitter.feed(block))
        log.close()
    expected = "key [redacted] and FD_API_KEY=[redacted]"
    assert log_lines(instance)[-1] == expected
    assert set(log_lines(instance)) == {expected}


def test_the_engines_own_logs_are_sources_too(instance: InstanceDir) -> None:
    own = instance.logs / "engine"
    (own / "deep").mkdir()
    (own / "worker.log").write_text("from the worker hush-hush\n")
    (own / "deep" / "rank1.log").write_text("from rank 1\n")
    assert set(logs.sources(instance)) == {
        "engine", "keeper", "events", "worker.log", "deep/rank1.log",
    }  # fmt: skip
    assert log_lines(instance, "worker.log") == ["from the worker [redacted]"]
    assert log_lines(instance, "deep/rank1.log") == ["from rank 1"]
    assert log_lines(instance, "keeper") == [], "there is none yet"


def test_a_log_that_a_link_names_is_one_source(instance: InstanceDir) -> None:
    """FastDeploy's console.log is a link to console.log.DATE of today; yesterday's has no link."""
    own = instance.logs / "engine"
    for day in ("2026-01-08", "2026-01-09"):
        (own / f"dated.log.{day}").write_text(f"{day}\n")
    (own / "dated.log").symlink_to("dated.log.2026-01-09")
    dated = {name for name in logs.sources(instance) if name.startswith("dated")}
    assert dated == {"dated.log", "dated.log.2026-01-08"}
    assert log_lines(instance, "dated.log") == ["2026-01-09"]


def test_links_that_lead_nowhere_and_pipes_are_no_sources(instance: InstanceDir) -> None:
    (instance.logs / "engine").mkdir(exist_ok=True, parents=True)
    (instance.logs / "engine" / "loop.log").symlink_to("loop.log")
    (instance.logs / "engine" / "gone.log").symlink_to("nothing")
    os.mkfifo(instance.logs / "engine" / "pipe.log")
    assert not {"loop.log", "gone.log", "pipe.log"} & set(logs.sources(instance))


@pytest.mark.parametrize("source", ["nothing", "../state.json", "/etc/passwd", ""])
def test_an_unknown_source_names_those_there_are(instance: InstanceDir, source: str) -> None:
    with pytest.raises(UsageError) as caught:
        log_lines(instance, source)
    assert "engine, keeper, events" in str(caught.value)


def test_following_loses_nothing_over_rotations(instance: InstanceDir) -> None:
    live(instance)
    log = LogFile(instance.engine_log, max_size=2000, keep=1000)
    for number in range(20):
        log.write("stdout", [(f"line {number}".encode(), True)])
    received: list[str] = []
    follower = threading.Thread(
        target=logs.follow, args=(instance, "engine"),
        kwargs={"last": 5, "times": False, "redactor": Redactor(), "show": received.append},
    )  # fmt: skip
    follower.start()
    wait_for(lambda: len(received) == 5, "the last lines")
    for number in range(20, 60):
        log.write("stdout", [(f"line {number}".encode(), True)])
        if number % 10 == 0:
            wait_for(partial(received.__contains__, f"line {number}"), "the followed line")
    log.close()
    live(instance, InstanceState.STOPPED)
    follower.join(600)
    assert received == [f"line {n}" for n in range(15, 60)]


def test_following_shows_a_last_line_without_an_end(instance: InstanceDir) -> None:
    live(instance)
    path = instance.logs / "engine" / "worker.log"
    path.write_text("one\n")
    received: list[str] = []
    follower = threading.Thread(
        target=logs.follow, args=(instance, "worker.log"),
        kwargs={"last": 10, "times": False, "redactor": Redactor(), "show": received.append},
    )  # fmt: skip
    follower.start()
    wait_for(lambda: received == ["one"], "the first line")
    with path.open("a") as file:
        file.write("two\nlast words")
    wait_for(lambda: received == ["one", "two"], "the second line")
    live(instance, InstanceState.DIED)
    follower.join(600)
    assert received == ["one", "two", "last words"]
