"""What looks after the descriptors of the tests' own process does see them."""

import os
import threading

import pytest

from tests.support.descriptors import MOST_LEFT, no_descriptor_left, none_left_open


def test_a_test_that_leaves_descriptors_open_fails() -> None:
    left = []
    try:
        found = pytest.raises(AssertionError, match=r"in vain for: .*/dev/null.* to close")
        with found, none_left_open(seconds=0.1):
            left = [os.open(os.devnull, os.O_RDONLY) for _ in range(MOST_LEFT + 1)]
    finally:
        for number in left:
            os.close(number)


def test_what_is_closed_again_is_not_left() -> None:
    with none_left_open():
        for number in [os.dup(0) for _ in range(MOST_LEFT + 1)]:
            os.close(number)


def test_a_thread_that_a_test_leaves_behind_may_close_what_it_has() -> None:
    asked = threading.Event()

    def close_later(numbers: list[int]) -> None:
        assert asked.wait(60)
        for number in numbers:
            os.close(number)

    with none_left_open(seconds=60):
        numbers = [os.dup(0) for _ in range(MOST_LEFT + 1)]
        thread = threading.Thread(target=close_later, args=(numbers,))
        thread.start()
        threading.Timer(0.1, asked.set).start()
    thread.join()


def test_nothing_can_be_opened_though_there_was_room_among_the_open() -> None:
    room, above = os.dup(0), os.dup(0)
    os.close(room)
    with no_descriptor_left(), pytest.raises(OSError, match="Too many open files"):
        os.dup(0)
    os.close(os.dup(0))
    os.close(above)
