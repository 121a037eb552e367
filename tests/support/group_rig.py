"""A bench for services whose replicas are groups: the twin's instances behind its routers."""

import json
import os
import stat
from pathlib import Path
from typing import Any

from tests.support import ROOT
from tests.support.decoded import JsonDict
from tests.support.load import Load
from tests.support.service_rig import ServiceRig
from tests.twin.interpreter import make_interpreter

MODEL = ROOT / "profiles" / "tiny-ernie"


class GroupRig(ServiceRig):
    """A service called `shop` of groups of one release of the twin."""

    def __init__(self, home: Path, folder: Path, release: str) -> None:
        super().__init__(home, folder, "")
        self.python = make_interpreter(folder / release, release)
        self.env = {"NOTIFY_SOCKET": None}

    def install_go_router(self) -> Path:
        """Put a stand-in of `fd-router` on the commands' PATH; returns its path."""
        program = self.folder / "bin" / "fd-router"
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!{self.python}\n{GO_ROUTER}")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        self.env["PATH"] = f"{program.parent}:{os.environ['PATH']}"
        return program

    def write_group(self, group: JsonDict | None = None, *, fresh: bool = True, **keys: Any) -> str:
        """The path of a profile whose replicas are groups; `fresh` makes it another revision."""
        self.revisions += fresh
        settings = {key.replace("_", "-"): value for key, value in keys.items()}
        service = {
            "replicas": settings.pop("replicas", 1),
            "group": {"router": "python", **(group or {})},
            "front-door": {"port": self.port},
            "rollout": {"watch": "0s", "drain": "60s", **settings.pop("rollout", {})},
            **settings.pop("service", {}),
        }
        document = {
            "name": "shop",
            "engine": "fastdeploy",
            "model": str(MODEL),
            "python": str(self.python),
            "max-model-len": 2048,
            "max-num-seqs": 8,
            "stop": {"grace": 15},
            "smoke": {"checks": ["chat"]},
            "service": service,
            **settings,
        }
        document["env"] = {
            "TWIN_TIME_SCALE": "0.03", "TWIN_MAX_LIFETIME": "3600", "CONTENT": str(self.revisions),
            **settings.get("env", {}),
        }  # fmt: skip
        path = self.folder / f"shop-{self.revisions}.yaml"
        path.write_text(json.dumps(document))
        return str(path)

    def deploy_group(self, group: JsonDict | None = None, *arguments: str, **keys: Any) -> JsonDict:
        """`deploy` of a new revision, which has to serve afterwards; its data."""
        ran = self.run("deploy", self.write_group(group, **keys), "--json", *arguments)
        assert ran.rc == 0, ran.output()
        data: JsonDict = json.loads(ran.stdout.splitlines()[-1])["data"]
        return data

    def group_of(self, member: JsonDict) -> dict[str, list[str]]:
        """The names of a member's instances by role, its router included."""
        roles: dict[str, list[str]] = {"router": [member["name"]]}
        for part in member.get("parts", []):
            roles.setdefault(part["role"], []).append(part["instance"])
        return roles

    def instances(self) -> list[str]:
        """All instances of all groups."""
        return [
            name
            for member in self.state["members"]
            for names in self.group_of(member).values()
            for name in names
        ]

    def chat(self, clients: int = 3) -> Load:
        """Clients that stream short answers through the front door."""
        body = {
            "model": str(MODEL), "messages": [{"role": "user", "content": "Hello!"}],
            "max_tokens": 16, "stream": True,
        }  # fmt: skip
        return Load(self.port, clients, body)


GO_ROUTER = '''"""fd-router: the Go router's command line."""
import argparse
import sys

from fastdeploy._twin import clock, router

clock.begin()
parser = argparse.ArgumentParser(prog="fd-router")
parser.add_argument("--port", required=True, type=int)
parser.add_argument("--splitwise", action="store_true")
parser.add_argument("--config_path")
args = parser.parse_args()
sys.exit(router.GoRouter("0.0.0.0", args.port, args.splitwise).serve())
'''
