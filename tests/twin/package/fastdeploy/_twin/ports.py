"""FastDeploy's idea of a free port (utils.py:620-635), and loopback in place of every address."""

from __future__ import annotations

import errno
import os
import random
import socket

EVERYWHERE = ("", "0.0.0.0", "::", "*")


def is_available(host: str, port: int) -> bool:
    """True for every error but EADDRINUSE: a host that is not ours is found out much later."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error.errno != errno.EADDRINUSE
    return True


def check(host: str, port: int, name: str) -> None:
    """Raises Exception with FastDeploy's text if the port is taken."""
    if not is_available(host, port):
        raise Exception(f"The parameter `{name}`:{port} is already in use.")


def find_free(count: int) -> list[int]:
    """Random free ports, as utils.find_free_ports."""
    ports: list[int] = []
    while len(ports) < count:
        port = random.randint(8000, 32000)
        if port not in ports and is_available("0.0.0.0", port):
            ports.append(port)
    return ports


def listen(host: str, port: int) -> socket.socket:
    """Listen on loopback, although the real server would listen on ``host``.

    Raises:
        OSError: EADDRNOTAVAIL if ``host`` is not this machine's, EADDRINUSE if the port is taken.
    """
    if host not in EVERYWHERE:
        with socket.socket() as probe:
            probe.bind((host, 0))
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
        listener.listen(512)
    except OSError:
        listener.close()
        raise
    note(host, port)
    return listener


def note(host: str, port: int) -> None:
    """Append to TWIN_LISTENS where the real server would listen."""
    path = os.environ.get("TWIN_LISTENS")
    if path:
        with open(path, "a", encoding="ascii") as stream:
            stream.write(f"{host} {port}\n")
