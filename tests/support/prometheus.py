"""A real Prometheus and a real Alertmanager for a test, on loopback, their files in a folder."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
import yaml

from tests.support.decoded import JsonDict
from tests.support.ports import free_port, give_back
from tests.support.waiting import wait_for
from tests.support.webhook import Webhook


class Server:
    """A running server with an HTTP interface."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self.process, self.port, self.log = process, port, log
        self.url = f"http://127.0.0.1:{port}"

    def get(self, path: str, **parameters: object) -> Any:
        """The JSON of an answer."""
        answer = requests.get(f"{self.url}{path}", params=_texts(parameters), timeout=60)
        assert answer.status_code == 200, f"{path}: {answer.text}"
        return answer.json()

    def is_ready(self) -> bool:
        """Whether it answers; it may not have ended."""
        assert self.process.poll() is None, self.log.read_text()
        try:
            return requests.get(f"{self.url}/-/ready", timeout=60).status_code == 200
        except requests.ConnectionError:
            return False


class Prometheus(Server):
    """A Prometheus and its queries."""

    def query(self, expr: str) -> list[JsonDict]:
        """The series of an instant query, with their values."""
        rows: list[JsonDict] = self.get("/api/v1/query", query=expr)["data"]["result"]
        return rows

    def query_range(self, expr: str, start: float, end: float, step: float) -> list[JsonDict]:
        """The series of a query over a range of time."""
        data = self.get("/api/v1/query_range", query=expr, start=start, end=end, step=step)["data"]
        rows: list[JsonDict] = data["result"]
        return rows


def _texts(parameters: dict[str, object]) -> dict[str, str]:
    return {name: str(value) for name, value in parameters.items()}


@contextmanager
def _running(name: str, folder: Path, port: int, arguments: list[str]) -> Iterator[Server]:
    log = folder / f"{name}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [name, *arguments], cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
    kind = Prometheus if name == "prometheus" else Server
    server = kind(process, port, log)
    try:
        wait_for(server.is_ready, f"{name} to be ready")
        yield server
    finally:
        process.terminate()
        try:
            process.wait(60)
        finally:
            process.kill()
            process.wait()
            give_back(port)


@contextmanager
def prometheus(folder: Path, config: JsonDict) -> Iterator[Prometheus]:
    """A Prometheus with this configuration; its own port takes the place of 9090."""
    port = free_port()
    path = folder / "prometheus.yml"
    path.write_text(yaml.safe_dump(config).replace("127.0.0.1:9090", f"127.0.0.1:{port}"))
    arguments = [
        f"--config.file={path}", f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]  # fmt: skip
    with _running("prometheus", folder, port, arguments) as server:
        assert isinstance(server, Prometheus)
        yield server


@contextmanager
def alertmanager(folder: Path, config: JsonDict) -> Iterator[Server]:
    """An Alertmanager by itself, with this configuration."""
    port = free_port()
    path = folder / "alertmanager.yml"
    path.write_text(yaml.safe_dump(config))
    arguments = [
        f"--config.file={path}", f"--storage.path={folder / 'alertmanager'}",
        f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address=",
    ]  # fmt: skip
    with _running("prometheus-alertmanager", folder, port, arguments) as server:
        yield server


class Receiver(Webhook):
    """A webhook receiver: the alerts that it got, by path."""

    @property
    def alerts(self) -> list[tuple[str, JsonDict]]:
        """Each with the path that it was sent to, in their order."""
        return [(path, alert) for path, _, body in self.requests for alert in body["alerts"]]

    def received(self, name: str, status: str = "firing") -> list[tuple[str, JsonDict]]:
        """The alerts of this name and status, each with its path."""
        return [
            (path, alert)
            for path, alert in self.alerts
            if (alert["labels"]["alertname"], alert["status"]) == (name, status)
        ]


@contextmanager
def receiver() -> Iterator[Receiver]:
    """A webhook receiver on loopback."""
    one = Receiver()
    try:
        yield one
    finally:
        one.close()
