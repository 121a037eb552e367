"""The sieve lets through what may hold a text, and little else."""

from __future__ import annotations

import pytest

from launcher.diagnose.sieve import Sieve


@pytest.mark.parametrize("text", [b"sh: ", b"no", b"not found in state_dict"])
def test_only_lines_that_may_hold_the_text_pass(text: bytes) -> None:
    data = b"all is well\n" * 3 + b"<" + text + b">\nwell\n" + text
    assert Sieve([text]).lines(data) == [36, len(data) - len(text)]
    assert Sieve([text]).lines(b"all is well\n") == []
