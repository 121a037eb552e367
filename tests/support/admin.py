"""A client of the keeper's HTTP endpoint."""

from __future__ import annotations

import http.client
import json
import socket
from typing import NamedTuple

from prometheus_client.parser import text_string_to_metric_families

from tests.support.decoded import JsonDict
from tests.support.rig import Rig

TIMEOUT = 600.0
"""Seconds; ends a hang, no measure."""


class Page(NamedTuple):
    """An answer."""

    status: int
    text: str


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def get(url: str, path: str, timeout: float = TIMEOUT) -> Page:
    """GET `path` of the endpoint at `url` (an `admin_url`), as a plain httpGet does."""
    scheme, _, rest = url.partition(":")
    connection = (
        _UnixConnection(rest, timeout)
        if scheme == "unix"
        else http.client.HTTPConnection(rest.strip("/"), timeout=timeout)
    )
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        response = connection.getresponse()
        return Page(response.status, response.read().decode())
    finally:
        connection.close()


def ask(rig: Rig, path: str, name: str = "one", timeout: float = TIMEOUT) -> Page:
    """GET `path` of an instance's endpoint."""
    return get(rig.stored(name)["admin_url"], path, timeout)


def statuses(rig: Rig, name: str = "one") -> tuple[int, int, int]:
    """Of `/livez`, `/readyz` and `/startupz`."""
    live, ready, startup = (ask(rig, p, name).status for p in ("/livez", "/readyz", "/startupz"))
    return live, ready, startup


def status_page(rig: Rig, name: str = "one") -> JsonDict:
    """`/status`."""
    document: JsonDict = json.loads(ask(rig, "/status", name).text)
    return document


def metrics(rig: Rig, name: str = "one") -> dict[str, dict[str, float]]:
    """`/metrics` by name, then by the value of the label besides `instance` ("" without one)."""
    families = text_string_to_metric_families(ask(rig, "/metrics", name).text)
    values: dict[str, dict[str, float]] = {}
    for family in families:
        for sample in family.samples:
            labels = [value for key, value in sample.labels.items() if key != "instance"]
            values.setdefault(sample.name, {})[",".join(labels)] = sample.value
    return values
