"""What steers a terminal is taken out of what is shown."""

import io
import json
import unicodedata
from contextlib import redirect_stderr, redirect_stdout

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.errors import ExitCode, Problem
from launcher.instance.instance_status import InstanceStatus, Record, Status
from launcher.keeper.state import EndError
from launcher.lifecycle import InstanceState
from launcher.plain import plain, plain_block
from launcher.report import emit
from launcher.result import Result


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("\x1b[31mred\x1b[0m \x1b[1;32mgreen\x1b[K", "red green"),
        ("\x1b[?25lhidden\x1b[>4;2m\x1b[2 q", "hidden"),
        ("a\x1b]52;c;ZXZpbA==\x07b", "ab"),
        ("a\x1b]0;title\x1b\\\\b".replace("\\\\", "\\"), "ab"),
        ("a\x1bPq#0;1\x1b\\\\b".replace("\\\\", "\\"), "ab"),
        ("a\x9d52;c;ZXZpbA==\x9cb", "ab"),
        ("a\x9b31mb", "ab"),
        ("a\x1b(0b\x1b7c\x1bcd", "abcd"),
        ("a\x1b]52;never ended", "a52;never ended"),
        ("a\x1b", "a"),
        ("back\x08space\x00\x7f", "backspace"),
        ("10 %\r20 %\r\nnext\tcell", "10 % 20 %\nnext\tcell"),
        ("你好，世界 é 🙂", "你好，世界 é 🙂"),
    ],
)
def test_sequences_and_controls(text: str, left: str) -> None:
    assert plain(text) == left


@given(st.text(st.sampled_from("\x1b[]P\\\x07\x9b\x9c\x9d;0m\r\n\tab")))
def test_no_control_survives_in_whatever_order(text: str) -> None:
    left = plain(text)
    assert not [c for c in left if unicodedata.category(c) == "Cc" and c not in "\n\t"]
    assert plain(left) == left


PIECES = st.sampled_from([
    b"a", b"m", b"line\n", b"\t", b"\r",
    b"\x1b", b"\x1b[31m", b"\x1b[0m", b"\x1b[1;32m", b"\x1b[2K", b"\x1b]0;t\x07",
    b"\x00", b"\x07", b"\x7f",
    b"\xc2", b"\x9d", b"\xc2\x9d", b"\xc2\x9b3", b"\xc2\xb0", b"\xe4\xbd\xa0", b"\xe4\xbd",
    b"\xa0", b"\xff",
])  # fmt: skip


@given(st.one_of(st.binary(), st.lists(PIECES, max_size=20).map(b"".join)))
def test_a_block_is_cleaned_as_its_text_is(data: bytes) -> None:
    assert plain_block(data) == plain(data.decode(errors="replace"))


def test_colours_that_come_late_in_a_block_are_taken_out() -> None:
    data = b"\x1b[31mred\x1b[0m " + b"x" * 10_000 + b"\x1b[35mother\x1b[m"
    assert plain_block(data) == "red " + "x" * 10_000 + "other"


@pytest.mark.parametrize("as_json", [False, True])
def test_a_result_is_shown_without_them(as_json: bool) -> None:
    evil = "x\x1b]52;c;ZXZpbA==\x07y\x9b2Jz"
    record = Record(error=EndError("c", evil))
    row = InstanceStatus("one", InstanceState.FAILED, record=record)
    problem = Problem("c", evil)
    result = Result("status", Status((row,)), "one", ExitCode.NEGATIVE, (problem,))
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
        emit(result, as_json=as_json)
    output = out.getvalue() + err.getvalue()
    assert not set(output) & {"\x1b", "\x07", "\x9b"}
    if as_json:
        assert json.loads(output)["errors"][0]["message"] == evil, "JSON loses nothing"
    else:
        assert output.count("xyz") == 2
