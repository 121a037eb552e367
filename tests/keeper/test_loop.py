"""The keeper's event loop."""

import gc
import math
import os
import threading
import time

import pytest

from launcher.keeper.loop import Loop
from tests.support.descriptors import opened


def test_it_waits_until_something_is_true_or_the_time_is_up() -> None:
    loop = Loop()
    assert loop.run_until(lambda: True)
    assert not loop.run_until(lambda: False, 0.01)


def test_timers_fire_in_order_and_cancelled_ones_never() -> None:
    loop, calls = Loop(), []
    loop.call_later(0.03, lambda: calls.append("late"))
    loop.call_later(0.01, lambda: calls.append("early"))
    loop.call_later(0.02, lambda: calls.append("cancelled")).cancel()
    assert loop.run_until(lambda: "late" in calls, 30)
    assert calls == ["early", "late"]


def test_descriptors_are_read_until_they_are_removed() -> None:
    loop, calls = Loop(), []
    read, write = os.pipe()

    def take() -> None:
        calls.append(os.read(read, 1))
        if len(calls) == 2:
            loop.remove_reader(read)

    loop.add_reader(read, take)
    os.write(write, b"abc")
    assert loop.run_until(lambda: len(calls) == 2, 30)
    assert not loop.run_until(lambda: len(calls) == 3, 0.02)
    loop.remove_reader(read)  # twice does no harm
    os.close(read)
    os.close(write)


def test_a_callback_may_close_what_another_waits_for() -> None:
    loop, calls = Loop(), []
    first, second = os.pipe(), os.pipe()

    def close_both() -> None:
        calls.append("once")
        for pipe in (first, second):
            loop.remove_reader(pipe[0])

    for pipe in (first, second):
        loop.add_reader(pipe[0], close_both)
        os.write(pipe[1], b"x")
    loop.run_until(lambda: bool(calls), 30)
    assert calls == ["once"]
    for descriptor in (*first, *second):
        os.close(descriptor)


def test_another_thread_wakes_it() -> None:
    loop, calls = Loop(), []

    def call() -> None:
        time.sleep(0.05)
        is_main = threading.main_thread
        loop.call_soon(lambda: calls.append(threading.current_thread() is is_main()))

    thread = threading.Thread(target=call)
    thread.start()
    assert loop.run_until(lambda: bool(calls), 30)
    thread.join()
    assert calls == [True], "work is done by the loop's own thread"


def test_work_that_hands_itself_over_again_does_not_starve_the_rest() -> None:
    loop, calls = Loop(), []

    def again() -> None:
        loop.call_soon(again)

    again()
    loop.call_later(0.02, lambda: calls.append("timer"))
    assert loop.run_until(lambda: bool(calls), 30)


def test_an_endless_deadline_can_be_waited_for() -> None:
    loop, calls = Loop(), []
    loop.call_later(0.01, lambda: calls.append(1))
    assert loop.run_until(lambda: bool(calls), math.inf)
    loop.call_later(1e12, lambda: None)
    assert not loop.run_until(lambda: False, 0.01)


def test_long_work_in_a_thread_lets_events_be_handled() -> None:
    loop = Loop()
    ticks: list[int] = []
    gate = threading.Event()

    def tick() -> None:
        ticks.append(1)
        if len(ticks) == 3:
            gate.set()
        loop.call_later(0.001, tick)

    loop.call_later(0.0, tick)
    assert loop.run_in_thread(lambda: gate.wait(600) and threading.current_thread().name) != (
        threading.current_thread().name
    )
    assert len(ticks) >= 3


def test_the_end_of_long_work_wakes_a_loop_that_has_nothing_else_to_do() -> None:
    loop, late = Loop(), []
    loop.call_later(60, lambda: late.append(1))
    loop.run_in_thread(lambda: time.sleep(0.05))  # the loop waits by then
    assert late == []


def test_what_long_work_raises_is_raised_where_it_was_asked_for() -> None:
    loop = Loop()

    def work() -> int:
        raise OSError("no such disk")

    with pytest.raises(OSError, match="no such disk"):
        loop.run_in_thread(work)


def test_without_a_thread_the_work_is_done_here(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert Loop().run_in_thread(lambda: 42) == 42


def test_a_loop_that_nobody_has_any_more_leaves_no_descriptor_open() -> None:
    gc.collect()
    before = opened()
    loop = Loop()
    loop.add_reader(loop.wake_descriptor, lambda: None)
    assert len(opened()) > len(before)
    del loop
    gc.collect()
    assert opened() == before
