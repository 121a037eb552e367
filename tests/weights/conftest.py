"""What the tests of weights share: a hub, the real clients, and a pull in a process of its own."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import cli, engines, hub
from tests.support.cli import Ran

MODEL = "baidu/ERNIE-tiny"
FILES = {
    "config.json": b'{"architectures": ["Ernie4_5ForCausalLM"]}',
    "README.md": "# 模型\n".encode(),
    "model-00001-of-00002.safetensors": random.Random(1).randbytes(300_000),
    "model-00002-of-00002.safetensors": random.Random(2).randbytes(500_000),
    "a folder/vocab.txt": b"word\n" * 300,
    "empty.txt": b"",
}
LARGE = {
    "config.json": FILES["config.json"],
    "model-00001-of-00002.safetensors": random.Random(3).randbytes(12_000_000),
    "model-00002-of-00002.safetensors": random.Random(4).randbytes(8_000_000),
}
"""Large enough that a client has written some of it when it is interrupted."""
HUBS = ("huggingface", "modelscope", "aistudio")

Pull = Callable[..., Ran]


@pytest.fixture
def server() -> Iterator[hub.Hub]:
    """A hub with one commit of the model."""
    with hub.serve(hub.Hub(MODEL)) as served:
        served.commit(FILES)
        yield served


@pytest.fixture
def clients_home(home: Path) -> Path:
    """The state directory, with the real clients of the hubs in it."""
    python = Path(engines.require("hub-clients"))
    (home / "engines").mkdir()
    (home / "engines" / python.parent.parent.name).symlink_to(python.parent.parent)
    return home


@pytest.fixture
def pull(clients_home: Path, server: hub.Hub) -> Pull:
    """`pull("--hub", "modelscope")`: a pull of the model from the hub."""

    def run(*options: str, model: str = MODEL, **env: str) -> Ran:
        variables = {**server.environment(), **env}
        return cli.run("model", "pull", model, *options, "--json", home=clients_home, env=variables)

    return run


def folder_of(home: Path, commit: str, name: str = "huggingface") -> Path:
    """Where the copy of a commit belongs."""
    models = home / "models" / name / f"models--{MODEL.replace('/', '--')}"
    return models / "snapshots" / commit


def contents(folder: Path) -> dict[str, bytes]:
    """The files of a copy, without its manifest."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "ernie-deploy-model.json"
    }
