"""What can be listened on, as the kernel says it."""

import errno
import socket

from launcher.host import tcp


def test_why_a_port_cannot_be_had(free_port: int) -> None:
    assert tcp.bind_error("127.0.0.1", free_port) is None
    with socket.create_server(("127.0.0.1", free_port)):
        taken = tcp.bind_error("127.0.0.1", free_port)
        everywhere = tcp.bind_error("0.0.0.0", free_port)
    assert taken is not None
    assert everywhere is not None
    assert taken.errno == everywhere.errno == errno.EADDRINUSE
    elsewhere = tcp.bind_error("192.0.2.1", free_port)
    assert elsewhere is not None
    assert elsewhere.errno == errno.EADDRNOTAVAIL


def test_a_port_that_was_just_closed_can_be_had(free_port: int) -> None:
    """Connections in TIME_WAIT do not count, as they do not for a server."""
    with socket.create_server(("127.0.0.1", free_port)) as server:
        client = socket.create_connection(("127.0.0.1", free_port))
        accepted, _ = server.accept()
        accepted.close()
        client.close()
    assert tcp.bind_error("127.0.0.1", free_port) is None
