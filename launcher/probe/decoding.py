"""Takes the compression off an answer's body, piece by piece and within a bound.

We ask for `identity`; servers and gateways that compress anyway are read as any client reads them.
"""

from __future__ import annotations

import itertools
import zlib
from collections.abc import Iterator

ENCODINGS = ("gzip", "x-gzip", "deflate", "identity", "")
PIECE = 65_536
MOST = 3
"""Encodings on top of each other; more is an attack."""
MEMBERS = 1000
"""Gzip members in one answer: bgzip makes one of 64 KiB, and an answer has 16 MiB at most."""


class Decoder:
    """Decodes one `Content-Encoding`: `gzip` (of one or more members) or `deflate`."""

    def __init__(self, encoding: str, most: int) -> None:
        """`encoding` is one of `ENCODINGS`, lower case; `most` bounds the output in bytes."""
        self._gzip = encoding.endswith("gzip")
        self._object = zlib.decompressobj(31 if self._gzip else 15)
        self._fresh = True
        self._most = self._left = most
        self._members = 1

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The bytes behind `data`, in pieces of at most `PIECE`: a bomb does not go off at once.

        Raises:
            ValueError: not of this encoding, or beyond a bound.
        """
        full = False
        while data or full:
            if self._object.eof:
                data = data.lstrip(b"\0") if self._gzip else b""  # zeros after the end are padding
                if not data:
                    return
                self._begin_member()
            output = self._decompress(data)
            self._left -= len(output)
            if self._left < 0:
                raise ValueError(f"more than {self._most} bytes after decompression")
            # zlib may hold more of what it has read.
            full = len(output) == PIECE and not self._object.eof
            yield output
            data = self._object.unused_data if self._object.eof else self._object.unconsumed_tail

    def _begin_member(self) -> None:
        # Empty members are work without output: no bound on the output stops them.
        self._members += 1
        if self._members > MEMBERS:
            raise ValueError(f"more than {MEMBERS} gzip members in one answer")
        self._object = zlib.decompressobj(31)

    def end(self) -> None:
        """Say that no more data comes.

        Raises:
            ValueError: the compressed data is cut.
        """
        if not self._object.eof and not self._fresh:
            raise ValueError("the compressed body is cut off")

    def _decompress(self, data: bytes) -> bytes:
        try:
            output = self._object.decompress(data, PIECE)
        except zlib.error as error:
            if self._gzip or not self._fresh:
                raise ValueError(
                    f"the body is not what its Content-Encoding says: {error}"
                ) from None
            # Some servers send raw deflate data without zlib's head.
            self._object = zlib.decompressobj(-15)
            self._fresh = False
            return self._decompress(data)
        self._fresh = False
        return output


def decoders(content_encoding: str, most: int) -> list[Decoder]:
    """What takes off the encodings of a header, in the order in which to do it.

    `most` bounds the output of each in bytes: what one of several encodings unpacks to is work
    for the next, even where nothing comes out at the end.

    Raises:
        ValueError: an encoding that was not requested and is unknown here.
    """
    names = [name.strip().lower() for name in content_encoding.split(",")]
    unknown = [name for name in names if name not in ENCODINGS]
    if unknown or len(names) > MOST:
        encodings = ", ".join(names)[:80]
        raise ValueError(f"Content-Encoding {encodings!r}, which the request does not accept")
    return [Decoder(name, most) for name in reversed(names) if name not in ("identity", "")]


def decoded(pieces: Iterator[bytes], content_encoding: str, most: int) -> Iterator[bytes]:
    """The pieces without the encodings, `most` bytes in all.

    Raises:
        ValueError: see `Decoder`; also where the pieces themselves are more than `most` bytes.
    """
    chain = decoders(content_encoding, most)
    read = 0
    for piece in pieces:
        read += len(piece)
        if read > most:
            raise ValueError(f"more than {most} bytes in one answer")
        parts: Iterator[bytes] = iter((piece,))
        for decoder in chain:
            parts = itertools.chain.from_iterable(map(decoder.feed, parts))
        for part in parts:
            if part:
                yield part
    for decoder in chain:
        decoder.end()
