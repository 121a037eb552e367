"""Compression is taken off whatever the pieces are, and nothing else is."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.probe.decoding import MEMBERS, PIECE, decoded

MOST = 10 * PIECE


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "GZIP ": gzip.compress,
    "deflate": zlib.compress,
    "identity": bytes,
    "": bytes,
    "gzip, identity": gzip.compress,
    "deflate, gzip": lambda data: gzip.compress(zlib.compress(data)),
}


def pieces(data: bytes, size: int) -> list[bytes]:
    return [data[i : i + size] for i in range(0, len(data), size)]


@pytest.mark.parametrize("encoding", PACKERS)
@given(data=st.binary(max_size=300), size=st.integers(1, 200))
def test_what_was_packed_comes_out(encoding: str, data: bytes, size: int) -> None:
    packed = PACKERS[encoding](data)
    assert b"".join(decoded(iter(pieces(packed, size)), encoding, MOST)) == data


@pytest.mark.parametrize("length", [PIECE - 1, PIECE, PIECE + 1, 3 * PIECE])
@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_pieces_are_small_and_nothing_is_left_behind(length: int, size: int) -> None:
    packed = gzip.compress(b"a" * length, mtime=0)
    output = list(decoded(iter(pieces(packed, size)), "gzip", MOST))
    assert max(map(len, output)) <= PIECE
    assert sum(map(len, output)) == length


def test_deflate_without_its_head_several_members_and_padding() -> None:
    assert b"".join(decoded(iter([raw_deflate(b"hello")]), "deflate", MOST)) == b"hello"
    members = gzip.compress(b"one", mtime=0) + gzip.compress(b"two", mtime=0) + bytes(20)
    assert b"".join(decoded(iter(pieces(members, 5)), "gzip", MOST)) == b"onetwo"


def test_raw_deflate_has_no_checksum_that_would_bring_out_its_last_byte() -> None:
    """One byte of input stands for hundreds: all is read while one byte is still to come out."""
    data = b"a" * (PIECE + 1)
    assert b"".join(decoded(iter([raw_deflate(data)]), "deflate", MOST)) == data


@pytest.mark.parametrize(
    ("body", "encoding", "why"),
    [
        (b"hello", "gzip", "^the body is not what its Content-Encoding says: Error"),
        (zlib.compress(b"hello"), "gzip", "^the body is not what its Content-Encoding says: Error"),
        (b"hello hello", "deflate", "^the body is not what its Content-Encoding says: Error"),
        (gzip.compress(b"hello", mtime=0)[:-3], "gzip", "cut off"),
        (gzip.compress(bytes(MOST + 1), mtime=0), "gzip", "after decompression"),
        (bytes(MOST + 1), "", "bytes in one answer"),
        (b"hello", "br", "^Content-Encoding 'br', which the request does not accept$"),
        (b"hello", "gzip, gzip, gzip, gzip", "does not accept"),
    ],
)
def test_what_cannot_be_read_is_said(body: bytes, encoding: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        list(decoded(iter([body]), encoding, MOST))


def test_empty_members_are_counted() -> None:
    """They are work without output: no bound on the output ends them."""
    packed = gzip.compress(b"", mtime=0) * (MEMBERS + 1)
    with pytest.raises(ValueError, match="gzip members"):
        list(decoded(iter(pieces(packed, PIECE)), "gzip", MOST))


def test_so_many_members_are_read() -> None:
    packed = gzip.compress(b"a", mtime=0) * MEMBERS
    assert b"".join(decoded(iter([packed]), "gzip", MOST)) == b"a" * MEMBERS


def test_what_lies_between_two_encodings_is_bounded() -> None:
    """The outer one makes more than `MOST`, of which the inner one makes nothing."""
    inner = gzip.compress(b"", mtime=0) + b"\0" * (MOST + PIECE)
    with pytest.raises(ValueError, match="after decompression"):
        list(decoded(iter([gzip.compress(inner)]), "gzip, gzip", MOST))


def test_a_member_may_begin_with_a_piece_and_padding_may_end_the_last() -> None:
    first, second = gzip.compress(b"one "), gzip.compress(b"two")
    came = decoded(iter([first, second, b"\0" * 9, b"\0"]), "gzip", MOST)
    assert b"".join(came) == b"one two"
