"""Updates, failed updates, rollbacks and kills of `deploy` with a stand-in FastDeploy and with
transformers, under constant streaming load through the front door.
"""

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from tests.support import ROOT, engines
from tests.support.decoded import JsonDict
from tests.support.load import Load
from tests.support.packages import needs_package
from tests.support.service_rig import ServiceRig
from tests.support.waiting import wait_for
from tests.twin.interpreter import make_interpreter

MODEL = ROOT / "profiles" / "tiny-ernie"
ONCE = 1
MANY = 20


def twin(folder: Path) -> JsonDict:
    """FastDeploy 2.5's stand-in, its own durations a twentieth."""
    return {
        "engine": "fastdeploy",
        "python": str(make_interpreter(folder / "2.5", "2.5")),
        "max-model-len": 2048,
        "max-num-seqs": 8,
        "env": {"TWIN_TIME_SCALE": "0.05", "TWIN_MAX_LIFETIME": "14400"},
        "stop": {"grace": 15},
    }


def transformers(folder: Path) -> JsonDict:
    """The real server on the CPU, as the shipped profile starts it."""
    shipped = yaml.safe_load((ROOT / "profiles" / "ernie-tiny-cpu.yaml").read_text())
    return {**shipped, "python": engines.require("transformers"), "extends": None}


ENGINES = {"twin": twin, "transformers": transformers}


@pytest.fixture(params=list(ENGINES))
def shop(request: pytest.FixtureRequest, home: Path, tmp_path: Path) -> Iterator["RealShop"]:
    """A service of a real engine; it is taken down at the end."""
    needs_package("haproxy")
    new_rig = RealShop(home, tmp_path, ENGINES[request.param])
    try:
        yield new_rig
        new_rig.down_service()
    finally:
        new_rig.close()


class RealShop(ServiceRig):
    """A service called `shop` of one replica."""

    def __init__(self, home: Path, folder: Path, keys: Callable[[Path], JsonDict]) -> None:
        super().__init__(home, folder, "")
        self.env = {"NOTIFY_SOCKET": None}
        self.keys = keys(folder)

    def path_of(self, **changes: object) -> str:
        """A profile of fresh content."""
        self.revisions += 1
        document = {
            **self.keys,
            "name": "shop",
            "model": str(MODEL),
            "ports": {"api": self.port},
            "smoke": {"checks": ["health", "models", "chat"]},
            "service": {"replicas": 1, "rollout": {"watch": "2s", "drain": "2m"}},
            **changes,
        }
        document["env"] = {**self.keys.get("env", {}), "CONTENT": str(self.revisions)}
        document = {key: value for key, value in document.items() if value is not None}
        path = self.folder / f"shop-{self.revisions}.yaml"
        path.write_text(json.dumps(document))
        return str(path)

    def must(self, *arguments: str) -> JsonDict:
        """A command that has to succeed; its data."""
        ran = self.run(*arguments, "--json")
        assert ran.rc == 0, ran.output()
        data: JsonDict = json.loads(ran.stdout.splitlines()[-1])["data"]
        return data

    def chat(self) -> Load:
        """Clients that stream short answers."""
        row = self.status["members"][0]
        plan = self.stored(row["name"], "plan.json")
        body = {
            "model": plan["served_model"] or plan["model"],
            "messages": [{"role": "user", "content": "Hello!"}],
            "max_tokens": 16,
            "stream": True,
        }
        return Load(self.port, 3, body)


@pytest.mark.parametrize("times", [ONCE, pytest.param(MANY, marks=pytest.mark.soak)])
def test_changes_under_load_lose_nothing(shop: RealShop, times: int) -> None:
    first = shop.must("deploy", shop.path_of())
    with shop.chat() as load:
        load.wait_for(10)
        for number in range(times):
            updated = shop.must("deploy", shop.path_of())
            load.wait_for(5)

            broken = shop.path_of(
                smoke={"checks": ["chat"], "expect": {"chat": {"matches": "^Q$"}}}
            )
            refused = shop.run("deploy", broken, "--json")
            assert refused.rc == 1, refused.output()
            assert shop.errors(refused) == ["smoke-failed"]
            assert shop.state["revision"] == updated["revision"]

            process = shop.spawn_deploy(shop.path_of())
            kind = ("start", "prove", "watch", "retire")[number % 4]
            wait_for(lambda: process.poll() is not None or _at(shop, kind), kind)  # noqa: B023
            process.send_signal(signal.SIGKILL)
            process.wait()
            if shop.state["rollout"] is not None:
                shop.must("deploy", "--abort", "shop")
            load.wait_for(5)

            back = shop.must("rollback", "shop")
            assert back["outcome"] == "serving"
        load.wait_for(10)
    print(load.tally.text())
    assert (load.tally.failed, load.tally.cut) == (0, 0), load.tally.text()
    assert first["outcome"] == "serving"


def _at(shop: RealShop, kind: str) -> bool:
    rollout = shop.state["rollout"]
    return bool(rollout and rollout["actions"][rollout["done"]]["kind"] == kind)
