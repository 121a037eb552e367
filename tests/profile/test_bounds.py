"""Whatever is named as a profile or stands in one is judged soon, in one short message."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from launcher.errors import DeployError
from launcher.profile import source
from launcher.profile.loader import load
from launcher.profile.schema import paths
from tests.support.decoded import JsonDict

LONG = 60_000
ENDS = ["", "!"]
"""What comes last: a pattern that takes all before it gives it back character by character."""
REPEATED = (
    "x 0 : . - _ / @ = , [ { ' \\ # & * $ ; \u4e2d ${ ${A:- a: 1. 1, 0: a@ :// >=1, \u2028 \t"
)
CHARACTERS = [" ", *REPEATED.split(" ")]


def values() -> Iterator[Any]:
    """Keys with characters: every character for one key of each type, for the others a fifth.

    The rest of these is for `make soak`: keys of one type are read by the same function.
    """
    types = set()
    for number, (path, key) in enumerate(paths()):
        if path == "extends":
            continue
        part = CHARACTERS if key.type not in types else CHARACTERS[number % 5 :: 5]
        types.add(key.type)
        yield pytest.param(path, part, id=path)
        rest = [character for character in CHARACTERS if character not in part]
        if rest:
            yield pytest.param(path, rest, id=f"{path}-rest", marks=pytest.mark.soak)


def judged(tmp_path: Path, path: str, text: str) -> tuple[list[Any], float]:
    """What is wrong with a profile whose key `path` has the value `text`, and the CPU seconds."""
    value = '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\u2028", "\\u2028") + '"'
    profile = "name: a\nengine: fastdeploy\nmodel: baidu/ERNIE-4.5-0.3B-Paddle\n"
    lines = [line for line in profile.splitlines() if line.partition(":")[0] != path]
    indent = ""
    for word in path.split("."):
        lines.append(f"{indent}{word}:")
        indent += " "
    lines[-1] += f" {value}"
    file = tmp_path / "one.yaml"
    file.write_text("\n".join(lines) + "\n")
    started = time.process_time()
    problems: list[Any] = []
    try:
        load(file, environ={})
    except DeployError as error:
        problems = list(error.problems)
    return problems, time.process_time() - started


@pytest.mark.parametrize(("path", "characters"), list(values()))
def test_no_value_of_a_key_costs_more_than_its_length(
    path: str, characters: list[str], tmp_path: Path
) -> None:
    """A pattern that looks again from each character needs minutes for 60,000 of them."""
    for character in characters:
        for end in ENDS:
            problems, seconds = judged(tmp_path, path, (character * LONG)[:LONG] + end)
            # A linear look takes some 10 ms; the bound is for a slow machine, far below quadratic.
            assert seconds < 5, (path, character, end, seconds)
            assert sum(len(p.message) + len(p.remedy or "") for p in problems) < 5_000, problems
            assert len(problems) < 10, problems


@pytest.mark.parametrize("character", CHARACTERS)
def test_no_option_and_no_key_costs_more_than_its_length(character: str, tmp_path: Path) -> None:
    file = tmp_path / "one.yaml"
    file.write_text("name: a\nengine: fastdeploy\nmodel: baidu/ERNIE-4.5-0.3B-Paddle\n")
    long = (character * LONG)[:LONG]
    keys: tuple[JsonDict, ...] = (
        *({"sets": [f"host={long}{end}"]} for end in ENDS),
        *({"name": long + end} for end in ENDS),
        {"sets": [f"{long}=1"]},
        {"sets": [long]},
        {"sets": [f"engine-args.{long}=1"]},
        {"overlays": [long]},
    )
    for value in keys:
        problems: tuple[Any, ...] = ()
        started = time.process_time()
        try:
            load(file, environ={}, **value)
        except DeployError as error:
            problems = error.problems
        assert time.process_time() - started < 5, value.keys()
        for problem in problems:
            assert len(problem.message) + len(problem.where or "") < 4_100, problem


def unreadable(path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(source, "DEADLINE", 0.3)
    with pytest.raises(DeployError) as caught:
        load(path)
    (problem,) = caught.value.problems
    return problem


def test_a_pipe_without_a_writer_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = tmp_path / "one.yaml"
    os.mkfifo(pipe)
    problem = unreadable(pipe, monkeypatch)
    assert (problem.code, str(pipe)) == ("unreadable-profile", problem.where)
    assert "nothing came within 0.3 s" in problem.message


def test_a_pipe_is_read_as_a_file_is(tmp_path: Path) -> None:
    """`ernie-deploy validate <(render-profile)`."""
    pipe = tmp_path / "one.yaml"
    os.mkfifo(pipe)
    text = "name: a\nengine: fastdeploy\nmodel: baidu/ERNIE-4.5-0.3B-Paddle\n"
    writer = threading.Thread(target=pipe.write_text, args=(text,))
    writer.start()
    assert load(pipe).name == "a"
    writer.join(600)


@pytest.mark.parametrize("kind", ["device", "folder", "socket", "loop", "tty"])
def test_what_is_no_file_is_said_to_be_that(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "one.yaml"
    if kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    elif kind == "loop":
        path.symlink_to(path)
    elif kind == "tty":
        _, slave = os.openpty()
        path.symlink_to(os.ttyname(slave))
    else:
        monkeypatch.chdir(tmp_path)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind("one.yaml")
    problem = unreadable(path, monkeypatch)
    assert problem.code in ("unreadable-profile", "too-large", "missing-profile"), problem


def test_aliases_that_multiply_and_depth_have_a_bound(tmp_path: Path) -> None:
    path = tmp_path / "one.yaml"
    bomb = "".join(
        f"x{n}: &x{n} [{', '.join([f'*x{n - 1}'] * 9) if n else 'y'}]\n" for n in range(9)
    )
    for text in (
        bomb,
        f"name: {'[' * 20_000}",
        "a: " * 5_000,
        "- " * 50_000,
        f"? {'{' * 9_000}",
        "x: &a [*a]\n",
        *(character * 60_001 for character in "!&%\"'?|"),
    ):
        path.write_text(f"name: a\n{text}")
        started = time.process_time()
        with pytest.raises(DeployError) as caught:
            load(path)
        assert time.process_time() - started < 10, text[:10]
        assert sum(len(p.message) for p in caught.value.problems) < 20_000
