"""A program that notes when it started: what supervisors of a benchmark start, kill and stop.

    python starter.py NOTES

Appends its monotonic clock and its pid to the file NOTES and stays. Only the standard library.
"""

import os
import sys
import time


def main() -> None:
    """Note the time, and stay."""
    with open(sys.argv[1], "a") as file:
        file.write(f"{time.clock_gettime(time.CLOCK_MONOTONIC)} {os.getpid()}\n")
    while True:
        time.sleep(3600)


if __name__ == "__main__":
    main()
