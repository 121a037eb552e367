"""Server-sent events: the same events however the bytes are cut, and no more than we can hold."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.smoke.clients import events
from launcher.smoke.clients.events import EventReader

STREAM = (
    b'\xef\xbb\xbf: hello\n\ndata: {"a": 1}\n\nevent: x\nid: 7\ndata:two\ndata: lines\n\n'
    b": ping\n\nretry: 5\n\ndata:\n\ndata: [DONE]\n\n"
)
DATA = [b'{"a": 1}', b"two\nlines", b"", b"[DONE]"]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@given(cuts=st.lists(st.integers(0, 200), max_size=12))
def test_events_do_not_hang_on_pieces_or_line_ends(end: bytes, cuts: list[int]) -> None:
    stream = STREAM.replace(b"\n", end)
    reader = EventReader()
    where = [0, *sorted(cuts), len(stream)]
    pieces = [stream[a:b] for a, b in pairwise(where)]
    events = [data for piece in pieces if piece for data in reader.feed(piece)]
    assert events == DATA
    assert reader.trailing == b""


def test_what_has_not_ended_is_kept_apart() -> None:
    reader = EventReader()
    assert reader.feed(b"data: a\n\ndata: b\ndata: c") == [b"a"]
    assert reader.trailing == b"data: b\ndata: c"


@pytest.mark.parametrize(
    ("piece", "why"),
    [
        (b"data: " + b"a" * 100_000, "bytes in one event"),
        (b"data: a\n" * 10_000, "bytes in one event"),
        (b"data: {}\n\n" * 10_000, "events in one answer"),
        (b": comment\n" * 10_000, "lines in one answer"),
        (b"\n" * 60_000, "lines in one answer"),
    ],
)
def test_a_flood_is_an_error(piece: bytes, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "EVENT_LIMIT", 500_000)
    monkeypatch.setattr(events, "EVENTS_LIMIT", 50_000)
    monkeypatch.setattr(events, "LINES_LIMIT", 200_000)
    reader = EventReader()

    def flood() -> None:
        for _ in range(100):
            reader.feed(piece)

    with pytest.raises(ValueError, match=why):
        flood()
