"""Following a start: over lost connections, to the keeper's own last word."""

import os
import threading
import time
from pathlib import Path
from typing import Any

from launcher.codec import encode
from launcher.errors import ExitCode
from launcher.instance.interrupt import Interrupt
from launcher.instance.payloads import Ended, Up
from launcher.instance.start_follower import follow
from launcher.instance.store import InstanceDir
from launcher.keeper.receipt import Receipt
from launcher.lifecycle import InstanceState
from launcher.result import Result
from tests.support.decoded import JsonDict
from tests.support.keeping import Keeping
from tests.support.waiting import wait_for

CLEAN = Receipt(0, 0, 0, 0, 0)
RECEIPT = encode(CLEAN)


class Follower:
    """`follow` in a thread, as a user who only watches."""

    def __init__(self, folder: Path) -> None:
        self.seen: list[JsonDict] = []
        self._results: list[Result[Up]] = []
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

    def result(self) -> Result[Up]:
        self._thread.join(600)
        assert self._results, "it still follows"
        os.close(self._wake)
        os.close(self.interrupt)
        return self._results[0]


def test_until_ready(keeping: Keeping) -> None:
    follower = Follower(keeping.folder)
    keeping.tell("phase", phase="weights")
    keeping.state.state = InstanceState.READY
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
    keeping.state.state = InstanceState.READY
    keeping.tell("state", state="ready")
    assert follower.result().exit_code is ExitCode.DONE
    kinds = [e["event"] for e in follower.seen]
    assert sorted(set(kinds), key=kinds.index) == ["first", "second", "state"]


def test_ready_while_nobody_was_connected(keeping: Keeping) -> None:
    follower = Follower(keeping.folder)
    keeping.tell("first")
    follower.saw("first")
    keeping.state.state = InstanceState.READY
    keeping.hang_up()
    assert follower.result().exit_code is ExitCode.DONE


def test_the_last_word_is_read_from_the_state(keeping: Keeping) -> None:
    follower = Follower(keeping.folder)
    keeping.tell("first")
    follower.saw("first")
    error = {"code": "odd", "message": "it went wrong", "where": None, "remedy": "fix it"}
    keeping.end("failed", error=error, exit_code=4, receipt=RECEIPT)
    result = follower.result()
    assert (result.exit_code, result.errors[0].code) == (ExitCode.DID_NOT_START, "odd")
    assert result.payload.ended == Ended(CLEAN)


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
    assert (result.exit_code, result.payload) == (ExitCode.INTERRUPTED, Up(detached=True))
    assert keeping.stopped == []


def test_the_last_event_is_the_result(keeping: Keeping) -> None:
    """The file is not needed: here it is still the one of a start under way."""
    follower = Follower(keeping.folder)
    error = {"code": "odd", "message": "it went wrong", "where": None, "remedy": "fix it"}
    keeping.tell("state", state="failed", error=error, exit_code=5, receipt=RECEIPT)
    follower.saw("state")
    keeping.end("loading")
    result = follower.result()
    assert (result.exit_code, result.errors[0].code) == (ExitCode.DEADLINE, "odd")
    assert result.payload == Up(InstanceState.FAILED, ended=Ended(CLEAN))


def test_an_end_that_a_restart_follows_is_not_the_result(keeping: Keeping) -> None:
    follower = Follower(keeping.folder)
    keeping.tell("state", state="died", error=None, exit_code=6, receipt=RECEIPT)
    follower.saw("state")
    keeping.hang_up()  # before the follower learns of the restart
    keeping.tell("restart", number=1, delay=0)
    follower.saw("restart")
    keeping.state.state = InstanceState.READY
    keeping.tell("state", state="ready")
    assert follower.result().exit_code is ExitCode.DONE
