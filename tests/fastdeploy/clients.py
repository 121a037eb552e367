"""Clients that ask a server again and again while a test looks at it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import requests

from tests.fastdeploy.conftest import Server


@contextmanager
def clients(server: Server, number: int, pause: float = 0.0, **more: object) -> Iterator[None]:
    """Meanwhile so many clients ask again and again, each `pause` seconds after the one before.

    They end with the block or with the server.
    """
    over = threading.Event()

    def ask(delay: float) -> None:
        over.wait(delay)
        while not over.is_set():
            try:
                server.chat("hello", **more)
            except (requests.RequestException, OSError):
                over.wait(0.2)

    threads = [threading.Thread(target=ask, args=(n * pause,), daemon=True) for n in range(number)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
