"""A bench for services: profiles of the scripted engine behind a real HAProxy."""

import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import cli, ports, processes, scripted_engine
from tests.support.decoded import JsonDict
from tests.support.load import Load
from tests.support.packages import needs_package
from tests.support.rig import Rig
from tests.support.waiting import wait_for

STREAM = [12, 0.004]
"""Chunks of an answer, and the seconds between two."""


class ServiceRig(Rig):
    """Everything a test of `deploy` needs; the service is called `shop`."""

    def __init__(self, home: Path, folder: Path, pythonpath: str) -> None:
        super().__init__(home, folder, pythonpath)
        self.port = ports.free_port()
        self.revisions = 0

    def write(
        self, script: JsonDict | None = None, *, fresh: bool = True, file: str = "shop", **keys: Any
    ) -> str:
        """The path of a profile with a service; `fresh` makes its content another revision."""
        self.revisions += fresh
        service = {
            "replicas": keys.pop("replicas", 2),
            **keys.pop("service", {}),
            "front-door": {"port": self.port, **keys.pop("door", {})},
            "rollout": {"watch": "0s", "drain": "30s", **keys.pop("rollout", {})},
        }
        path = self.profile(
            "shop",
            {"stream": STREAM, **(script or {})},
            service=service,
            smoke={"checks": ["health", "models"]},
            env={"CONTENT": str(self.revisions)},
            **keys,
        )
        renamed = self.folder / f"{file}.yaml"
        Path(path).rename(renamed)
        return str(renamed)

    def deploy(self, script: JsonDict | None = None, *arguments: str, **keys: Any) -> cli.Ran:
        """`deploy` of a new revision, which has to serve afterwards."""
        ran = self.run("deploy", self.write(script, **keys), "--json", *arguments)
        assert ran.rc == 0, ran.output()
        return ran

    def spawn_deploy(self, path: str, *arguments: str) -> "subprocess.Popen[str]":
        """A `deploy` that goes on."""
        return self.spawn("deploy", path, "--json", *arguments)

    @property
    def state(self) -> JsonDict:
        """`service.json`."""
        document: JsonDict = json.loads(
            (self.home / "services" / "shop" / "service.json").read_text()
        )
        return document

    @property
    def status(self) -> JsonDict:
        """The service's row of `status`."""
        row: JsonDict = self.run("status", "shop", "--json").json["data"]["services"][0]
        return row

    def members(self) -> list[str]:
        """The names of the replicas."""
        return [member["name"] for member in self.state["members"]]

    def history(self) -> list[JsonDict]:
        """The lines of the history, oldest first."""
        text = (self.home / "services" / "shop" / "history.jsonl").read_text()
        return [json.loads(line) for line in text.splitlines()]

    def load(self, clients: int = 6, **options: Any) -> Load:
        """Clients that stream through the front door without a break."""
        return Load(self.port, clients, **options)

    def down_service(self) -> None:
        """`down`, after which nothing may be left."""
        ran = self.run("down", "shop", "--json")
        assert ran.rc == 0, ran.output()
        wait_for(lambda: not processes.of_home(self.home), "the end of all processes", deadline=60)

    def wait_for_action(self, kind: str) -> None:
        """Wait until a rollout is at an action of this kind."""

        def there() -> bool:
            try:
                rollout = self.state["rollout"]
            except (OSError, ValueError):
                return False
            return bool(rollout and rollout["actions"][rollout["done"]]["kind"] == kind)

        wait_for(there, f"the action {kind}")

    def kill_when(self, process: "subprocess.Popen[str]", due: Callable[[], bool]) -> None:
        """`kill -9` of a command once something is so, if it still runs then."""
        wait_for(lambda: due() or process.poll() is not None, "the moment to kill")
        process.send_signal(signal.SIGKILL)
        process.wait()


@pytest.fixture
def shop(home: Path, tmp_path: Path) -> Iterator[ServiceRig]:
    """A bench for one service, which is taken down at the end."""
    needs_package("haproxy")
    with scripted_engine.registered(tmp_path) as pythonpath:
        new_rig = ServiceRig(home, tmp_path, pythonpath)
        try:
            yield new_rig
            if (home / "services").is_dir():
                new_rig.down_service()
        finally:
            new_rig.close()


__all__ = ["STREAM", "ServiceRig", "shop"]
