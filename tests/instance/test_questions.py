"""Keepers are asked before the one in front of them has answered, and none holds up the others."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from launcher.instance import questions
from launcher.instance.questions import AHEAD, Question, Questions
from launcher.instance.store import InstanceDir
from launcher.keeper.control import SOCKET


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[Callable[[str, int], tuple[InstanceDir, socket.socket]]]:
    """Makes an instance whose socket listens and is answered by the test alone."""
    sockets: list[socket.socket] = []

    def listen(name: str, backlog: int) -> tuple[InstanceDir, socket.socket]:
        folder = tmp_path / name
        folder.mkdir()
        sockets.append(socket.socket(socket.AF_UNIX))
        sockets[-1].bind(str(folder / SOCKET))
        sockets[-1].listen(backlog)
        return InstanceDir(folder), sockets[-1]

    yield listen
    for one in sockets:
        one.close()


Listening = Callable[[str, int], tuple[InstanceDir, socket.socket]]


def answer_one(keeper: socket.socket, state: str) -> None:
    """Take one client and answer what it asks."""
    connection, _ = keeper.accept()
    with connection:
        assert json.loads(connection.recv(1000))["op"] == "status"
        connection.sendall(json.dumps({"ok": True, "state": state}).encode() + b"\n")


def test_all_are_asked_before_the_first_answers(listening: Listening) -> None:
    keepers = [listening(f"i{number}", 1) for number in range(5)]
    questions = Questions([instance for instance, _ in keepers], 600.0)
    taken = [questions.take() for _ in keepers]
    assert questions.take() is None
    assert not questions.left
    for number in (4, 2, 0, 1, 3):
        one = taken[number]
        assert one is not None
        assert one.index == number
        answer_one(keepers[number][1], f"state {number}")
        assert one.question.answer()["state"] == f"state {number}"
        one.question.close()


def test_of_many_a_bounded_number_is_asked_ahead(
    listening: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each question takes a descriptor, of which a process may have a thousand."""
    begun: list[str] = []

    def ask(instance: InstanceDir, timeout: float) -> str:
        begun.append(instance.name)
        return instance.name

    monkeypatch.setattr(questions, "Question", ask)
    instance, _ = listening("one", 1)
    asked = Questions([instance] * (3 * AHEAD), 600.0)
    for number in range(3 * AHEAD):
        assert asked.take() is not None
        assert len(begun) <= number + AHEAD
    assert len(begun) == 3 * AHEAD


def test_a_missing_keeper_is_an_error_where_the_answer_is_read(tmp_path: Path) -> None:
    question = Question(InstanceDir(tmp_path), 600.0)
    with pytest.raises(FileNotFoundError):
        question.answer()
    question.close()


def test_a_keeper_that_does_not_answer_has_its_time_from_the_question_on(
    listening: Listening,
) -> None:
    """Fifty keepers that hang cost as much as one."""
    questions = [Question(listening(f"i{number}", 1)[0], 0.2) for number in range(20)]
    begun = time.monotonic()
    for question in questions:
        with pytest.raises(TimeoutError):
            question.answer()
        question.close()
    assert time.monotonic() - begun < 10 * 0.2


def test_a_keeper_whose_queue_is_full_is_asked_again(listening: Listening) -> None:
    instance, keeper = listening("one", 0)
    first = Question(instance, 600.0)
    second = Question(instance, 600.0)  # it does not fit, and it does not wait

    def answer() -> None:
        answer_one(keeper, "first")
        answer_one(keeper, "second")

    thread = threading.Thread(target=answer)
    thread.start()
    assert first.answer()["state"] == "first"
    assert second.answer()["state"] == "second"
    thread.join()
    first.close()
    second.close()


def test_a_keeper_that_hangs_up_is_an_error(listening: Listening) -> None:
    instance, keeper = listening("one", 1)
    question = Question(instance, 600.0)
    keeper.accept()[0].close()
    with pytest.raises(ConnectionResetError):
        question.answer()
    question.close()
    with pytest.raises(ConnectionError):
        question.answer()
