"""A program that writes numbered lines, fast or at a rate: what supervisors of a benchmark run.

    python writer.py GO DONE KIND LINES RATE WRITE

Waits for the file GO and writes LINES lines of KIND: at RATE bytes/s (0: as fast as they are
taken), at most WRITE bytes with one call (1: each line by itself, as an unbuffered stderr does),
for `LONGEST` seconds at most. Then it writes what it did into the file DONE and stays. Only the
standard library: it runs in the environment of any supervisor.
"""

import json
import os
import sys
import time

LONGEST = 30.0
KINDS = {
    # about 30 bytes
    "short": b"%08d a short line\n",
    # about 100 bytes, as access logs have
    "access": b'%08d INFO:     127.0.0.1:43210 - "POST /v1/chat/completions HTTP/1.1" 200 OK in '
    b"0.213 s\n",
    # each line is one that a rule of a load's phases looks at
    "progress": b"%08d Loading safetensors checkpoint shards:  40%% Completed | 4/10 [00:07]\n",
    # each line has a word of an error, and no rule knows it
    "errors": b"%08d ERROR    2026-01-09 10:00:01,123 42 engine.py[line:90] request failed\n",
    "coloured": b"\x1b[32m%08d INFO\x1b[0m \x1b[1mrouter\x1b[0m: request \x1b[36mdone\x1b[0m\n",
}
"""A line of each kind; the number of the line comes in."""


def pieces(kind: str, lines: int, most: int) -> list[bytes]:
    """What is written with each call: whole lines, at most `most` bytes unless one is longer."""
    template = KINDS[kind]
    size = max(1, most // len(template % 0))
    return [
        b"".join(template % number for number in range(at, min(at + size, lines)))
        for at in range(0, lines, size)
    ]


def main() -> None:
    """Wait, write, tell how long it took, and stay."""
    go, done, kind, lines, rate, most = sys.argv[1:]
    prepared = pieces(kind, int(lines), int(most))
    while not os.path.exists(go):
        time.sleep(0.01)
    pace = float(rate)
    began, written, count_lines = time.perf_counter(), 0, 0
    for piece in prepared:
        if time.perf_counter() - began > LONGEST:
            break
        count_lines += piece.count(b"\n")
        while piece:
            count = os.write(1, piece)
            written += count
            piece = piece[count:]
        if pace:
            ahead = written / pace - (time.perf_counter() - began)
            if ahead > 0.002:
                time.sleep(ahead)
    seconds = time.perf_counter() - began
    result = {"seconds": seconds, "bytes": written, "lines": count_lines}
    with open(done + ".part", "w") as file:
        json.dump(result, file)
    os.rename(done + ".part", done)
    while True:
        time.sleep(3600)


if __name__ == "__main__":
    main()
