"""Colours of a text that is laid out already: the state of its first line, the rows of a table."""

from __future__ import annotations

import pytest

from launcher.report.paint import paint
from launcher.report.terminal import Terminal

COLOURED = Terminal(laid_out=True, colour=True, live=True, width=80, ellipsis="...")
GREEN, DIM, END = "\x1b[32m", "\x1b[2m", "\x1b[0m"


@pytest.mark.parametrize(
    ("command", "text", "painted"),
    [
        ("up", "one is ready\n  url  x is ready", f"one is {GREEN}ready{END}\n  url  x is ready"),
        ("up", "one is already ready", f"one is already {GREEN}ready{END}"),
        # What follows the state is a message, whatever its words are.
        ("up", "one is ready: it is stopped", f"one is {GREEN}ready{END}: it is stopped"),
        ("status", "one has stopped", f"one has {DIM}stopped{END}"),
        (
            "status",
            "NAME  STATE\nready  ready  1s\nb  stopped",
            f"NAME  STATE\nready  {GREEN}ready{END}  1s\nb  {DIM}stopped{END}",
        ),
        ("validate", "a.yaml: OK\nb: OK", f"a.yaml: {GREEN}OK{END}\nb: OK"),
        ("doctor", "PASS  all OK\n OK", f"{GREEN}PASS{END}  all OK\n OK"),
        ("logs", "one is ready", "one is ready"),
    ],
)
def test_what_is_coloured(command: str, text: str, painted: str) -> None:
    assert paint(command, text, COLOURED) == painted
    assert paint(command, text, Terminal(True, False, True, 80, "...")) == text
