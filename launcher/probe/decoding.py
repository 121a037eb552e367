"""Takes the compression off an answer's body, piece by piece and within a bound.

We ask for `identity`; servers and gateways that compress anyway are read as any client reads them.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator

ENCODINGS = ("gzip", "x-gzip", "deflate", "identity", "")
MOST = 3
"""Encodings on top of each other; more is an attack."""


class Decoder:
    """Decodes one `Content-Encoding`: `gzip` (of one or more members) or `deflate`."""

    def __init__(self, encoding: str) -> None:
        """`encoding` is one of `ENCODINGS`, lower case."""
        self._gzip = encoding.endswith("gzip")
        self._object = zlib.decompressobj(31 if self._gzip else 15)
        self._fresh = True

    def feed(self, data: bytes, most: int) -> bytes:
        """The bytes behind `data`.

        Raises:
            ValueError: not of this encoding, or more than `most` bytes.
        """
        made = bytearray()
        while data:
            made += self._decompress(data, most - len(made) + 1)
            if len(made) > most:
                raise ValueError(f"more than {most} bytes after decompression")
            data = self._object.unconsumed_tail
            if self._object.eof:
                data = self._object.unused_data
                if not self._gzip or not data.strip(b"\0"):
                    break  # zeros after the end are padding
                self._object = zlib.decompressobj(31)
        return bytes(made)

    def end(self) -> None:
        """Say that no more data comes.

        Raises:
            ValueError: the compressed data is cut.
        """
        if not self._object.eof and not self._fresh:
            raise ValueError("the compressed body is cut off")

    def _decompress(self, data: bytes, most: int) -> bytes:
        try:
            made = self._object.decompress(data, most)
        except zlib.error as error:
            if self._gzip or not self._fresh:
                raise ValueError(
                    f"the body is not what its Content-Encoding says: {error}"
                ) from None
            # Some servers send raw deflate data without zlib's head.
            self._object = zlib.decompressobj(-15)
            self._fresh = False
            return self._decompress(data, most)
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
        for decoder in chain:
            piece = decoder.feed(piece, most - made)
        made += len(piece)
        if piece:
            yield piece
    for decoder in chain:
        decoder.end()
