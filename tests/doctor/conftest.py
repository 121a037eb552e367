"""Models, profiles and GPUs for the doctor to look at."""

import json
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from launcher import doctor, profile
from launcher.doctor import Finding, Subject
from tests.support import home as homes
from tests.support.decoded import JsonDict
from tests.support.rig import rig
from tests.twin.interpreter import make_interpreter

__all__ = ["card", "examine", "gpus", "make_model", "rig", "state", "twin", "write_shard"]

GIB = 1024**3


def write_shard(path: Path, names: list[str]) -> None:
    """A real safetensors file with one small bfloat16 tensor per name."""
    header, offset = {}, 0
    for name in names:
        header[name] = {"dtype": "BF16", "shape": [8, 8], "data_offsets": [offset, offset + 128]}
        offset += 128
    raw = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(raw)) + raw + bytes(offset))


def make_model(folder: Path, **config: object) -> Path:
    """A complete model folder in Hugging Face layout, two shards and their index."""
    folder.mkdir(parents=True)
    values = {
        "architectures": ["Ernie4_5ForCausalLM"],
        "model_type": "ernie4_5",
        "torch_dtype": "bfloat16",
        "num_attention_heads": 20,
        "num_key_value_heads": 4,
    } | config
    values = {key: value for key, value in values.items() if value is not None}
    (folder / "config.json").write_text(json.dumps(values))
    (folder / "tokenizer.json").write_text("{}")
    names = {"a.weight": "model-1.safetensors", "b.weight": "model-2.safetensors"}
    for name, file in names.items():
        write_shard(folder / file, [name])
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": names}))
    return folder


class Findings:
    """A subject and what the doctor says about it."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self._findings: dict[str, Finding] | None = None

    def __getitem__(self, check: str) -> Finding:
        if self._findings is None:
            self._findings = {f.check: f for f in doctor.run(self.subject)}
        return self._findings[check]

    def __contains__(self, check: str) -> bool:
        return check in {f.check for f in doctor.run(self.subject)}


Examine = Callable[..., Findings]
Gpus = Callable[..., None]
Twin = Callable[..., str]
"""What the fixtures of these names are."""


@pytest.fixture(scope="session")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Twin:
    """`twin("2.3")`: an interpreter with that release, made once per release and version."""
    pythons: dict[tuple[str | None, ...], str] = {}

    def make(release: str = "2.4", version: str | None = None, paddle: str | None = None) -> str:
        key = (release, version, paddle)
        if key not in pythons:
            pythons[key] = str(
                make_interpreter(
                    tmp_path_factory.mktemp("twin"), release, version=version, paddle=paddle
                )
            )
        return pythons[key]

    return make


@pytest.fixture
def state() -> Iterator[Path]:
    """A state directory that no other test uses."""
    with homes.temporary_home() as path:
        yield path


@pytest.fixture
def examine(tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch, twin: Twin) -> Examine:
    """`examine(key=value...)` loads such a profile and lets the doctor look at it."""
    monkeypatch.setenv("ERNIE_DEPLOY_HOME", str(state))

    def look(**keys: object) -> Findings:
        defaults: dict[str, object] = {"name": "doc", "engine": "fastdeploy"}
        if "model" not in keys:
            defaults["model"] = str(make_model(tmp_path / "model"))
        if keys.get("engine", "fastdeploy") == "fastdeploy" and "python" not in keys:
            defaults["python"] = twin()
        path = tmp_path / "profile.yaml"
        path.write_text(yaml.safe_dump(defaults | keys, sort_keys=False))
        return Findings(doctor.of_profile(profile.load(str(path))))

    return look


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> Gpus:
    """`gpus(card(...), driver="550.1")`: what nvidia-ml-py would answer."""

    def install(*cards: dict[str, object], driver: str = "550.54.15", cuda: int = 12040) -> None:
        monkeypatch.setitem(sys.modules, "pynvml", fake_nvml(list(cards), driver, cuda))

    return install


def card(
    name: str = "NVIDIA H800",
    capability: tuple[int, int] = (9, 0),
    total: int = 80 * GIB,
    free: int = 79 * GIB,
    processes: tuple[tuple[int, int | None], ...] = (),
) -> JsonDict:
    """One simulated card."""
    return {
        "name": name,
        "capability": capability,
        "total": total,
        "free": free,
        "processes": processes,
    }


def fake_nvml(cards: list[JsonDict], driver: str, cuda: int) -> Any:
    """nvidia-ml-py's functions over simulated cards."""

    class NVMLError(Exception):
        pass

    def running(index: int) -> list[SimpleNamespace]:
        listed = cards[index]["processes"]
        return [SimpleNamespace(pid=pid, usedGpuMemory=memory) for pid, memory in listed]

    return SimpleNamespace(
        NVMLError=NVMLError,
        nvmlInit=lambda: None,
        nvmlShutdown=lambda: None,
        nvmlSystemGetDriverVersion=lambda: driver,
        nvmlSystemGetCudaDriverVersion=lambda: cuda,
        nvmlDeviceGetCount=lambda: len(cards),
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetUUID=lambda index: f"GPU-{index:04d}",
        nvmlDeviceGetName=lambda index: cards[index]["name"].encode(),
        nvmlDeviceGetCudaComputeCapability=lambda index: cards[index]["capability"],
        nvmlDeviceGetMemoryInfo=lambda index: SimpleNamespace(
            total=cards[index]["total"], free=cards[index]["free"]
        ),
        nvmlDeviceGetComputeRunningProcesses=running,
    )
