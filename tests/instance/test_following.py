"""Following a start: over lost connections, to the keeper's own last word."""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from launcher.errors import ExitCode
from launcher.instance.following import follow
from launcher.instance.interrupt import Interrupt
from launcher.instance.store import InstanceDir
from launcher.keeper import requests
from launcher.keeper.identity import look, this_host
from launcher.keeper.loop import Loop
from launcher.keeper.server import Server
from launcher.keeper.state import State, write_state
from launcher.result import Result
from tests.support.waiting import wait_for


class Keeping:
    """A keeper's socket and state without an engine; this process is the keeper."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        (folder / "token").write_text("one:abc")
        here, me = this_host(), look(os.getpid())
        assert me is not None
        self.state = State(
            "one", "one:abc", state="loading", machine=here.machine, boot=here.boot,
            pid_namespace=here.pid_namespace, keeper={"pid": me.pid, "start": me.start},
        )  # fmt: skip
        self.folder = folder
        self.stopped: list[str] = []
        self._ended = threading.Event()
        self.loop = Loop()
        self.server = Server(self.loop, folder, self._answer)
        write_state(folder, self.state)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        def stop(reason: str, code: ExitCode, drain: float | None) -> None:
            self.stopped.append(reason)

        return requests.answer(request, lambda: self.state.__dict__, stop)

    def _run(self) -> None:
        self.loop.run_until(self._ended.is_set)
        self.server.close()

    def tell(self, event: str, **fields: Any) -> None:
        message = {"event": event, "time": round(time.time(), 3), **fields}
        self.loop.call_soon(lambda: self.server.publish(message))

    def hang_up(self) -> None:
        """What happens to a reader that was too slow."""

        def drop() -> None:
            for connection in list(self.server._connections):
                self.server._drop(connection)

        self.loop.call_soon(drop)

    def end(self, state: str | None = None, **fields: Any) -> None:
        """The keeper's end; without a state it was killed in the middle."""
        if state is not None:
            self.state.state = state
            for name, value in fields.items():
                setattr(self.state, name, value)
        else:
            self.state.keeper = {"pid": os.getpid(), "start": 1}
        write_state(self.folder, self.state)
        self.close()

    def close(self) -> None:
        self._ended.set()
        self.loop.call_soon(lambda: None)
        self._thread.join()


class Follower:
    """`follow` in a thread, as a user who only watches."""

    def __init__(self, folder: Path) -> None:
        self.seen: list[dict[str, Any]] = []
        self._results: list[Result] = []
        self._wake, self.interrupt = os.pipe()
        interrupt = Interrupt(self._wake, raises=False)
        self._thread = threading.Thread(
            target=lambda: self._results.append(
                follow(InstanceDir(folder), self._take, interrupt, None)
            )
        )
        self._thread.start()

    def _take(self, event: Any) -> None:
        self.seen.append(event)

    def saw(self, kind: str) -> None:
        wait_for(lambda: any(e["event"] == kind for e in self.seen), f"the event {kind}")

    def result(self) -> Result:
        self._thread.join(600)
        assert self._results, "it still follows"
        os.close(self._wake)
        os.close(self.interrupt)
        return self._results[0]


@pytest.fixture
def keeping(tmp_path: Path) -> Iterator[Keeping]:
    instance = Keeping(tmp_path / "one")
    yield instance
    instance.close()


def test_until_ready(keeping: Keeping) -> None:
    follower = Follower(keeping.folder)
    keeping.tell("phase", phase="weights")
    keeping.state.state = "ready"
    keeping.tell("state", state="ready")
    assert follower.result().exit_code is ExitCode.DONE
    assert [e["event"] for e in follower.seen] == ["phase", "state"]


def test_a_lost_connection_is_made_again(keeping: Keeping) -> None:
    follower = Follower(keeping.folder)
    keeping.tell("first")
    follower.saw("first")
    keeping.hang_up()
    time.sleep(0.01)  # a later event has a later time
    keeping.tell("second")
    follower.saw("second")
    keeping.state.state = "ready"
    keeping.tell("state", state="ready")
    assert follower.result().exit_code is ExitCode.DONE
    kinds = [e["event"] for e in follower.seen]
    assert sorted(set(kinds), key=kinds.index) == ["first", "second", "state"]


def test_ready_while_nobody_was_connected(keeping: Keeping) -> None:
    follower = Follower(keeping.folder)
    keeping.tell("first")
    follower.saw("first")
    keeping.state.state = "ready"
    keeping.hang_up()
    assert follower.result().exit_code is ExitCode.DONE


def test_the_last_word_is_read_from_the_state(keeping: Keeping) -> None:
    follower = Follower(keeping.folder)
    keeping.tell("first")
    follower.saw("first")
    error = {"code": "odd", "message": "it went wrong", "where": None, "remedy": "fix it"}
    keeping.end("failed", error=error, exit_code=4, receipt={"left": []})
    result = follower.result()
    assert (result.exit_code, result.errors[0].code) == (ExitCode.DID_NOT_START, "odd")
    assert result.data["receipt"] == {"left": []}


def test_a_killed_keeper_is_lost(keeping: Keeping) -> None:
    follower = Follower(keeping.folder)
    keeping.tell("first")
    follower.saw("first")
    keeping.end()
    result = follower.result()
    assert (result.exit_code, result.errors[0].code) == (ExitCode.DID_NOT_START, "keeper-lost")


def test_the_last_word_of_an_earlier_run_is_not_taken_for_this_ones(keeping: Keeping) -> None:
    follower = Follower(keeping.folder)
    keeping.tell("first")
    follower.saw("first")
    keeping.end("stopped", token="one:an-earlier-one", exit_code=0)
    result = follower.result()
    assert result.errors[0].code == "keeper-lost"


def test_an_interrupt_lets_go_of_what_others_started(keeping: Keeping) -> None:
    follower = Follower(keeping.folder)
    keeping.tell("first")
    follower.saw("first")
    os.write(follower.interrupt, b"\0")
    result = follower.result()
    assert (result.exit_code, result.data) == (ExitCode.INTERRUPTED, {"detached": True})
    assert keeping.stopped == []
