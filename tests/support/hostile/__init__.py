"""Servers that are broken or mean, on real sockets: one behaviour a name, for every reader we have.

A behaviour gets the connection after the request was read, and writes what it likes until the
client has gone or the server is closed. What it sends is made as it is sent, so that an endless
body costs this side nothing.
"""

from tests.support.hostile import bodies, encodings, interim, shapes, sizes, streams, timing
from tests.support.hostile.server import HostileServer, hostile
from tests.support.hostile.visit import BEHAVIOURS

__all__ = [
    "BEHAVIOURS",
    "HostileServer",
    "bodies",
    "encodings",
    "hostile",
    "interim",
    "shapes",
    "sizes",
    "streams",
    "timing",
]
