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


class Decoder:
    """Decodes one `Content-Encoding`: `gzip` (of one or more members) or `deflate`."""

    def __init__(self, encoding: str) -> None:
        """`encoding` is one of `ENCODINGS`, lower case."""
        self._gzip = encoding.endswith("gzip")
        self._object = zlib.decompressobj(31 if self._gzip else 15)
        self._fresh = True

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The bytes behind `data`, in pieces of at most `PIECE`: a bomb does not go off at once.

        Raises:
            ValueError: not of this encoding.
        """
        full = False
        while data or full:
            made = self._decompress(data)
            full = len(made) == PIECE  # zlib may hold more of what it has read
            yield made
            data = self._object.unconsumed_tail
            if self._object.eof:
                data = self._object.unused_data
                if not self._gzip or not data.strip(b"\0"):
                    break  # zeros after the end are padding
                self._object, full = zlib.decompressobj(31), False

    def end(self) -> None:
        """Say that no more data comes.

        Raises:
            ValueError: the compressed data is cut.
        """
        if not self._object.eof and not self._fresh:
            raise ValueError("the compressed body is cut off")

    def _decompress(self, data: bytes) -> bytes:
        try:
            made = self._object.decompress(data, PIECE)
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
        return made


def decoders(content_encoding: str) -> list[Decoder]:
    """What takes off the encodings of a header, in the order in which to do it.

    Raises:
        ValueError: an encoding that nobody asked for and that is not known here.
    """
    names = [name.strip().lower() for name in content_encoding.split(",")]
    unknown = [name for name in names if name not in ENCODINGS]
    if unknown or len(names) > MOST:
        shown = ", ".join(names)[:80]
        raise ValueError(f"Content-Encoding {shown!r}, which the request does not accept")
    return [Decoder(name) for name in reversed(names) if name not in ("identity", "")]


def decoded(pieces: Iterator[bytes], content_encoding: str, most: int) -> Iterator[bytes]:
    """The pieces without the encodings, `most` bytes in all.

    Raises:
        ValueError: see `Decoder`; also where the pieces themselves are more than `most` bytes.
    """
    chain = decoders(content_encoding)
    read = made = 0
    for piece in pieces:
        read += len(piece)
        if read > most:
            raise ValueError(f"more than {most} bytes in one answer")
        parts: Iterator[bytes] = iter((piece,))
        for decoder in chain:
            parts = itertools.chain.from_iterable(map(decoder.feed, parts))
        for part in parts:
            made += len(part)
            if made > most:
                raise ValueError(f"more than {most} bytes after decompression")
            if part:
                yield part
    for decoder in chain:
        decoder.end()
