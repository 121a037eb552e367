"""A loop in a thread of its own: what is handed over comes back, also what it raises."""

import threading

import pytest

from launcher.keeper.loop_thread import LoopThread


def test_work_is_done_in_the_thread_once_it_runs() -> None:
    turning = LoopThread()
    assert turning.do(threading.get_ident) == threading.get_ident()
    turning.start()
    try:
        assert turning.do(threading.get_ident) != threading.get_ident()
    finally:
        turning.close()
    assert turning.do(threading.get_ident) == threading.get_ident(), "it does not turn any more"


def test_what_the_work_raises_is_raised_here() -> None:
    turning = LoopThread()
    turning.start()

    def fail() -> None:
        raise OSError("no room")

    try:
        with pytest.raises(OSError, match="no room"):
            turning.do(fail)
        assert turning.do(lambda: 3) == 3, "the thread goes on"
    finally:
        turning.close()
