"""Pictures and videos that are drawn here, so that the right answer is known: large digits.

Only the standard library is used: PNG is zlib and checksums, and a JPEG of flat blocks needs no
cosine transform. Every decoder of the engines reads PNG, and AVI with JPEG frames.
"""

from __future__ import annotations

import base64
import secrets
import struct
import zlib
from collections.abc import Mapping, Sequence

from launcher.json_values import JsonObject

FONT: Mapping[str, str] = {
    "2": "01110 10001 00001 00110 01000 10000 11111",
    "3": "11110 00001 00001 01110 00001 00001 11110",
    "4": "00010 00110 01010 10010 11111 00010 00010",
    "5": "11111 10000 11110 00001 00001 10001 01110",
    "6": "00110 01000 10000 11110 10001 10001 01110",
    "7": "11111 00001 00010 00100 01000 01000 01000",
    "8": "01110 10001 10001 01110 10001 10001 01110",
    "9": "01110 10001 10001 01111 00001 00010 01100",
}
"""Digits as rows of 5 cells; 0 and 1 are left out, because they look like letters."""
COLUMNS, ROWS, MARGIN = 5, 7, 2
"""Cells of a digit, and the white cells around a number."""
SCALE, VIDEO_SCALE = 16, 16
"""Pixels of a cell."""
FRAMES_OF_NUMBER = 4
"""Frames for which a video shows one number; it has two frames in a second."""

WHITE, BLACK = b"\xff\xff\xff", b"\x00\x00\x00"


def numbers(count: int, digits: int = 3) -> list[str]:
    """`count` different numbers that cannot be guessed."""
    chosen: list[str] = []
    while len(chosen) < count:
        number = "".join(secrets.choice("".join(FONT)) for _ in range(digits))
        if number not in chosen:
            chosen.append(number)
    return chosen


def png(number: str) -> bytes:
    """A picture of the number, black on white."""
    rows = _pixels(number)
    header = struct.pack(">IIBBBBB", len(rows[0]) // 3, len(rows), 8, 2, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    chunks = [_chunk(b"IHDR", header), _chunk(b"IDAT", data), _chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def jpeg(number: str) -> bytes:
    """The picture as a grey JPEG: each block of 8 x 8 pixels is black or white as a whole."""
    cells = _cells(number)
    blocks = VIDEO_SCALE // 8
    grid = [
        [int(cell == "0") for cell in row for _ in range(blocks)]
        for row in cells
        for _ in range(blocks)
    ]
    # A flat block is its difference to the block before, and the end of the block.
    bits, level = [], 0
    for value in (127 if white else -128 for row in grid for white in row):
        bits.append(_difference(value - level) + "0")
        level = value
    stream = "".join(bits)
    stream += "1" * (-len(stream) % 8)
    data = bytes(int(stream[at : at + 8], 2) for at in range(0, len(stream), 8))
    height, width = 8 * len(grid), 8 * len(grid[0])
    quantization = b"\x00" + b"\x08" * 64
    frame = struct.pack(">BHHB3B", 8, height, width, 1, 1, 0x11, 0)
    direct = b"\x00" + bytes([1, 1, 1, *[0] * 13]) + bytes([0, 7, 8])
    second = b"\x10" + bytes([1, *[0] * 15]) + b"\x00"
    segments = ((0xDB, quantization), (0xC0, frame), (0xC4, direct), (0xC4, second),
                (0xDA, bytes([1, 1, 0, 0, 63, 0])))  # fmt: skip
    head = b"".join(struct.pack(">BBH", 255, kind, 2 + len(d)) + d for kind, d in segments)
    return b"\xff\xd8" + head + data.replace(b"\xff", b"\xff\x00") + b"\xff\xd9"


def _difference(value: int) -> str:
    """The code of a difference: its length (0, 7 or 8 bits), then the bits."""
    if value == 0:
        return "0"
    length = abs(value).bit_length()
    bits = value if value > 0 else value + (1 << length) - 1
    return {7: "10", 8: "110"}[length] + format(bits, f"0{length}b")


def avi(texts: Sequence[str]) -> bytes:
    """A video that shows the numbers one after the other; every frame is a JPEG."""
    frames = [frame for number in texts for frame in [jpeg(number)] * FRAMES_OF_NUMBER]
    width, height = len(_cells(texts[0])[0]) * VIDEO_SCALE, len(_cells(texts[0])) * VIDEO_SCALE
    size = max(map(len, frames))
    main = struct.pack("<14I", 500_000, 2 * size, 0, 0x10, len(frames), 0, 1, size, width, height,
                       0, 0, 0, 0)  # fmt: skip
    stream = struct.pack("<4s4sIHHIIIIIIIIHHHH", b"vids", b"MJPG", 0, 0, 0, 0, 1, 2, 0,
                         len(frames), size, 0, 0, 0, 0, width, height)  # fmt: skip
    bitmap = struct.pack("<IiiHH4sIiiII", 40, width, height, 1, 24, b"MJPG", 3 * width * height,
                         0, 0, 0, 0)  # fmt: skip
    strl = _list(b"strl", _riff(b"strh", stream) + _riff(b"strf", bitmap))
    header = _list(b"hdrl", _riff(b"avih", main) + strl)
    movie, index, offset = b"", b"", 4
    for frame in frames:
        chunk = _riff(b"00dc", frame)
        index += struct.pack("<4sIII", b"00dc", 0x10, offset, len(frame))
        movie, offset = movie + chunk, offset + len(chunk)
    movie_list = _list(b"movi", movie)
    return _riff(b"RIFF", b"AVI " + header + movie_list + _riff(b"idx1", index))


def image_part(number: str) -> JsonObject:
    """The part of a message that holds a picture."""
    return image_url_part("data:image/png;base64," + base64.b64encode(png(number)).decode())


def image_url_part(url: str) -> JsonObject:
    """The part of a message that names a picture."""
    return {"type": "image_url", "image_url": {"url": url}}


def video_part(texts: Sequence[str]) -> JsonObject:
    """The part of a message that holds a video."""
    data = base64.b64encode(avi(texts)).decode()
    return {"type": "video_url", "video_url": {"url": f"data:video/avi;base64,{data}"}}


def _cells(number: str) -> list[str]:
    """Rows of cells, 1 for black, with a white margin around the number."""
    side = "0" * MARGIN
    rows = [
        side + "0".join(FONT[digit].split()[row] for digit in number) + side for row in range(ROWS)
    ]
    blank = ["0" * len(rows[0])] * MARGIN
    return [*blank, *rows, *blank]


def _pixels(number: str) -> list[bytes]:
    """Rows of pixels, 3 bytes each."""
    rows = []
    for row in _cells(number):
        line = b"".join((BLACK if cell == "1" else WHITE) * SCALE for cell in row)
        rows += [line] * SCALE
    return rows


def _chunk(kind: bytes, data: bytes) -> bytes:
    checksum = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)


def _riff(kind: bytes, data: bytes) -> bytes:
    return kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def _list(kind: bytes, data: bytes) -> bytes:
    return _riff(b"LIST", kind + data)
