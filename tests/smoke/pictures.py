"""What the scripted model sees: it decodes the pictures and videos that are sent to it."""

from __future__ import annotations

import base64
import struct
import urllib.request
import zlib

from launcher.smoke.checks.pictures import COLUMNS, FONT, MARGIN, ROWS, jpeg
from tests.support.decoded import JsonDict

GLYPHS = {tuple(glyph.split()): digit for digit, glyph in FONT.items()}


def text_of(part: JsonDict, *, fetches: str | None = None) -> str | None:
    """The text of a part, a picture as `[picture 274]`, a video as `[video 27 94]`.

    None: the URL is refused. `fetches` plants the fault that every URL is read that begins with it.
    """
    for kind in ("image_url", "video_url"):
        if part.get("type") == kind:
            url = part[kind]["url"]
            if url.startswith("data:"):
                data = base64.b64decode(url.partition(",")[2])
            elif fetches and url.startswith(fetches):
                with urllib.request.urlopen(url, timeout=10) as reply:
                    data = reply.read()
            else:
                return None
            read = read_avi(data) if kind == "video_url" else [read_png(data)]
            return f"[{kind.removesuffix('_url').replace('image', 'picture')} {' '.join(read)}]"
    return str(part.get("text", ""))


def read_png(data: bytes) -> str:
    """The number in a picture, from its pixels."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, packed, size = 8, b"", (0, 0)
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        body = data[at + 8 : at + 8 + length]
        assert zlib.crc32(kind + body) == struct.unpack(">I", data[at + 8 + length :][:4])[0]
        if kind == b"IHDR":
            size = struct.unpack(">II", body[:8])
        elif kind == b"IDAT":
            packed += body
        at += 12 + length
    pixels = zlib.decompress(packed)
    width, height = size
    scale = height // (ROWS + 2 * MARGIN)
    line = 1 + 3 * width
    return read_cells(
        [
            "".join("01"[pixels[y * line + 1 + 3 * x] < 128] for x in range(0, width, scale))
            for y in range(0, height, scale)
        ]
    )


def read_cells(cells: list[str]) -> str:
    """The number in a grid of cells."""
    rows = [row[MARGIN:-MARGIN] for row in cells[MARGIN : MARGIN + ROWS]]
    starts = range(0, len(rows[0]), COLUMNS + 1)
    return "".join(GLYPHS[tuple(row[at : at + COLUMNS] for row in rows)] for at in starts)


def read_avi(data: bytes) -> list[str]:
    """The numbers of a video in their order; a frame is recognised by its bytes."""
    assert (data[:4], data[8:12]) == (b"RIFF", b"AVI ")
    assert struct.unpack("<I", data[4:8])[0] == len(data) - 8
    at, frames = data.index(b"movi") + 4, []
    while data[at : at + 4] == b"00dc":
        size = struct.unpack("<I", data[at + 4 : at + 8])[0]
        frames.append(_number_of(data[at + 8 : at + 8 + size]))
        at += 8 + size + size % 2
    return list(dict.fromkeys(frames))


def _number_of(frame: bytes) -> str:
    return next(a + b for a in FONT for b in FONT if jpeg(a + b) == frame)
