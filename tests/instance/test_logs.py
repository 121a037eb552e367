"""`logs`: one source or all of it, over rotations, followed to the end, secrets out."""

import json
import os
import threading
import tracemalloc
from pathlib import Path

import pytest

from launcher.errors import UsageError
from launcher.instance import logs
from launcher.instance.store import InstanceDir
from launcher.keeper.identity import look, this_host
from launcher.keeper.output import LogFile
from launcher.keeper.state import State, write_state
from launcher.redact import Redactor
from tests.support.waiting import wait_for


@pytest.fixture
def found(tmp_path: Path) -> InstanceDir:
    folder = tmp_path / "one"
    (folder / "logs" / "engine").mkdir(parents=True)
    return InstanceDir(folder)


def live(found: InstanceDir, state: str = "ready") -> None:
    """A state whose keeper is this very process."""
    import os

    here, me = this_host(), look(os.getpid())
    assert me is not None
    write_state(
        found.folder,
        State("one", "t", state=state, machine=here.machine, boot=here.boot,
              pid_namespace=here.pid_namespace, keeper={"pid": me.pid, "start": me.start}),
    )  # fmt: skip


def shown(found: InstanceDir, source: str = "engine", last: int | None = None, times: bool = False):
    return list(logs.lines(found, source, last=last, times=times, redactor=Redactor(["hush-hush"])))


def test_rotated_files_come_first(found: InstanceDir) -> None:
    log = LogFile(found.engine_log, max_size=300, keep=100)
    for number in range(30):
        log.write("stdout", [(f"line {number}".encode(), True)])
    log.close()
    assert shown(found) == [f"line {n}" for n in range(30)]
    assert shown(found, last=2) == ["line 28", "line 29"]
    assert shown(found, last=0) == []
    assert shown(found, last=1, times=True)[0].endswith("Z stdout line 29")


@pytest.mark.parametrize("text", ["x" * 12_000_000, "40%\r" * 3_000_000, "\n" * 6_000_000])
def test_a_log_without_newlines_or_of_nothing_else_fills_no_memory(
    found: InstanceDir, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = found.logs / "engine" / "own.log"
    own.write_text(text + "\nthe last line\n")
    monkeypatch.setattr(logs, "view", lambda found: ("stopped", None))
    followed: list[str] = []
    tracemalloc.start()
    try:
        assert shown(found, "own.log", last=1) == ["the last line"]
        logs.follow(found, "own.log", last=2, times=False, redactor=Redactor([]),
                    show=followed.append)  # fmt: skip
        assert tracemalloc.get_traced_memory()[1] < 8_000_000
    finally:
        tracemalloc.stop()
    assert followed[-1] == "the last line"


def test_colours_and_secrets_are_taken_out(found: InstanceDir) -> None:
    log = LogFile(found.engine_log, max_size=10_000, keep=1)
    log.write("stderr", [(b"\x1b[31mkey hush-hush\x1b[0m", True), (b"\xff\xfe", True)])
    log.close()
    assert shown(found) == ["key [redacted]", "\ufffd\ufffd"]


def test_the_engines_own_logs_are_sources_too(found: InstanceDir) -> None:
    own = found.logs / "engine"
    (own / "deep").mkdir()
    (own / "worker.log").write_text("from the worker hush-hush\n")
    (own / "deep" / "rank1.log").write_text("from rank 1\n")
    assert set(logs.sources(found)) == {
        "engine", "keeper", "events", "worker.log", "deep/rank1.log",
    }  # fmt: skip
    assert shown(found, "worker.log") == ["from the worker [redacted]"]
    assert shown(found, "deep/rank1.log") == ["from rank 1"]
    assert shown(found, "keeper") == [], "there is none yet"


def test_a_log_that_a_link_names_is_one_source(found: InstanceDir) -> None:
    """FastDeploy's console.log is a link to console.log.DATE of today; yesterday's has no link."""
    own = found.logs / "engine"
    for day in ("2026-01-08", "2026-01-09"):
        (own / f"dated.log.{day}").write_text(f"{day}\n")
    (own / "dated.log").symlink_to("dated.log.2026-01-09")
    dated = {name for name in logs.sources(found) if name.startswith("dated")}
    assert dated == {"dated.log", "dated.log.2026-01-08"}
    assert shown(found, "dated.log") == ["2026-01-09"]


def test_links_that_lead_nowhere_and_pipes_are_no_sources(found: InstanceDir) -> None:
    (found.logs / "engine").mkdir(exist_ok=True, parents=True)
    (found.logs / "engine" / "loop.log").symlink_to("loop.log")
    (found.logs / "engine" / "gone.log").symlink_to("nothing")
    os.mkfifo(found.logs / "engine" / "pipe.log")
    assert not {"loop.log", "gone.log", "pipe.log"} & set(logs.sources(found))


@pytest.mark.parametrize("source", ["nothing", "../state.json", "/etc/passwd", ""])
def test_an_unknown_source_names_those_there_are(found: InstanceDir, source: str) -> None:
    with pytest.raises(UsageError) as caught:
        shown(found, source)
    assert "engine, keeper, events" in str(caught.value)


def test_following_loses_nothing_over_rotations(found: InstanceDir) -> None:
    live(found)
    log = LogFile(found.engine_log, max_size=2000, keep=1000)
    for number in range(20):
        log.write("stdout", [(f"line {number}".encode(), True)])
    seen: list[str] = []
    follower = threading.Thread(
        target=logs.follow, args=(found, "engine"),
        kwargs={"last": 5, "times": False, "redactor": Redactor(), "show": seen.append},
    )  # fmt: skip
    follower.start()
    wait_for(lambda: len(seen) == 5, "the last lines")
    for number in range(20, 60):
        log.write("stdout", [(f"line {number}".encode(), True)])
        if number % 10 == 0:
            wait_for(lambda n=number: seen[-1] == f"line {n}", "the followed line")
    log.close()
    live(found, "stopped")
    follower.join(600)
    assert seen == [f"line {n}" for n in range(15, 60)]


def test_following_shows_a_last_line_without_an_end(found: InstanceDir) -> None:
    live(found)
    path = found.logs / "engine" / "worker.log"
    path.write_text("one\n")
    seen: list[str] = []
    follower = threading.Thread(
        target=logs.follow, args=(found, "worker.log"),
        kwargs={"last": 10, "times": False, "redactor": Redactor(), "show": seen.append},
    )  # fmt: skip
    follower.start()
    wait_for(lambda: seen == ["one"], "the first line")
    with path.open("a") as file:
        file.write("two\nlast words")
    wait_for(lambda: seen == ["one", "two"], "the second line")
    live(found, "died")
    follower.join(600)
    assert seen == ["one", "two", "last words"]


def test_the_history_is_what_was_written(found: InstanceDir) -> None:
    (found.folder / "events.jsonl").write_text(json.dumps({"event": "state"}) + "\n{torn")
    assert logs.events(found) == [{"event": "state"}]
