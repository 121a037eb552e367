"""How long a stop may take: the time until its last signal, and a margin for a busy host."""

import time

from launcher.keeper.engine_stop import MARGIN, StopRequest


def test_a_stop_that_is_overdue_still_gets_the_margin() -> None:
    assert StopRequest("down", end=time.monotonic() - 1000).deadline() == MARGIN


def test_the_margin_comes_after_the_last_signal() -> None:
    deadline = StopRequest("down", end=time.monotonic() + 600).deadline()
    assert MARGIN + 500 < deadline <= MARGIN + 600
