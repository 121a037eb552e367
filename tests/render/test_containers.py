"""compose and quadlet: limits from the plan, no secret and no root inside."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from launcher import profile as profiles
from launcher.errors import UsageError
from launcher.render.rendering import render
from tests.render.examples import SHIPPED, load
from tests.support import ROOT
from tests.support.decoded import JsonDict
from tests.support.packages import program_of

LARGE = ROOT / "profiles" / "ernie-4.5-300b-a47b.yaml"
TINY = ROOT / "profiles" / "ernie-tiny-cpu.yaml"
QUADLET_KEYS = {
    "AddDevice", "ContainerName", "DropCapability", "Exec", "Group", "HealthCmd", "HealthInterval",
    "HealthOnFailure", "HealthRetries", "HealthStartPeriod", "HealthTimeout", "Image",
    "NoNewPrivileges", "Notify", "PodmanArgs", "PublishPort", "ReadOnly", "Secret", "User",
    "Volume",
}  # fmt: skip
"""Keys of [Container] in podman-systemd.unit(5), podman 4.6, of those that we write."""


def texts(target: str, path: Any, *sets: str, **options: Any) -> dict[str, str]:
    return {one.path: one.text for one in render(target, load(path, *sets), **options).files}


def service(path: Any, *sets: str, **options: Any) -> JsonDict:
    document = yaml.safe_load(texts("compose", path, *sets, **options)["compose.yaml"])
    server: JsonDict = document["services"]["server"]
    return server


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: str(path.stem))
def test_the_schema_of_compose_files_accepts_it(path: Any, tmp_path: Path) -> None:
    check = [program_of("check-jsonschema", "check-jsonschema"), "--builtin-schema"]
    for number, text in enumerate(
        (texts("compose", path)["compose.yaml"], "services: {server: {imagee: x}}")
    ):
        (tmp_path / "compose.yaml").write_text(text)
        ran = subprocess.run(
            [*check, "vendor.compose-spec", str(tmp_path / "compose.yaml")], capture_output=True,
            text=True,
        )  # fmt: skip
        assert ran.returncode == number, ran.stdout


def test_the_sizes_are_those_of_the_plan() -> None:
    server = service(LARGE)
    assert server["shm_size"] == f"{8 * 2 * 1024}m", "2 GiB for each of 8 ranks"
    assert int(server["mem_limit"][:-1]) > 8 * 2 * 1024, "shared memory counts for the limit"
    (device,) = server["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "count": 8, "capabilities": ["gpu"]}
    longer = service(LARGE, "stop.grace=90s")
    assert int(longer["stop_grace_period"][:-1]) - int(server["stop_grace_period"][:-1]) >= 60
    assert int(server["healthcheck"]["start_period"][:-1]) > 90 * 60


def test_a_memory_limit_of_the_profile_wins_and_an_unknown_one_is_said() -> None:
    assert service(LARGE, "memory-max=100GiB")["mem_limit"] == f"{(100 + 16) * 1024}m"
    assert "mem_limit" not in service(TINY)
    assert "No memory limit: not known" in texts("compose", TINY)["compose.yaml"]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: str(path.stem))
def test_no_container_runs_as_root_or_publishes_more_than_two_ports(path: Any) -> None:
    server = service(path)
    assert server["user"] == "10001:10001"
    assert server["read_only"]
    assert server["cap_drop"] == ["ALL"]
    assert "privileged" not in server
    # Several replicas share no port of the host.
    several = (one := load(path).service) is not None and one.replicas > 1
    ports = [port.split(":")[0] for port in server.get("ports", ())]
    assert ports == ([] if several else ["127.0.0.1"] * 2)
    quadlet = texts("quadlet", path)[f"{load(path).name}.container"]
    published = [line for line in quadlet.splitlines() if line.startswith("PublishPort=")]
    assert all(line.startswith("PublishPort=127.0.0.1:") for line in published)
    assert len(published) == 2


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: str(path.stem))
@pytest.mark.parametrize("target", ["compose", "quadlet"])
def test_the_profile_in_the_container_is_valid_there(path: Any, target: str, tmp_path: Any) -> None:
    name = "profile.yaml" if target == "compose" else f"{load(path).name}.yaml"
    (tmp_path / "p.yaml").write_text(texts(target, path)[name])
    inside = profiles.load(tmp_path / "p.yaml", environ={}, need_model=False)
    assert (inside.host, inside.admin_host) == ("0.0.0.0", "0.0.0.0")
    assert inside.ports["admin"] == 9180
    assert all(isinstance(number, int) for number in inside.ports.values())
    where = inside.model if inside.model.startswith("/") else inside.cache_dir
    assert str(where).startswith("/models")


def test_replicas_have_no_port_of_the_host() -> None:
    server = service(TINY, replicas=3)
    assert server["deploy"]["replicas"] == 3
    assert "ports" not in server
    assert server["expose"] == ["8180", "9180"]


def test_named_gpus_are_those_of_the_container() -> None:
    server = service(LARGE, "gpus=[8,9,10,11,12,13,14,15]")
    (device,) = server["deploy"]["resources"]["reservations"]["devices"]
    assert device["device_ids"][0] == "8"
    assert "gpus" not in yaml.safe_load(
        texts("compose", LARGE, "gpus=[8,9,10,11,12,13,14,15]")["profile.yaml"]
    ), "inside, the numbers begin at 0"


def test_a_key_is_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ERNIE_KEY", "correct-horse")
    sets = ("api-key=env:ERNIE_KEY", 'env={HF_TOKEN: "env:HF_TOKEN"}')
    files = texts("compose", LARGE, *sets)
    document = yaml.safe_load(files["compose.yaml"])
    assert document["services"]["server"]["secrets"] == ["ERNIE_KEY", "HF_TOKEN"]
    assert document["secrets"]["ERNIE_KEY"] == {"file": "./secrets/ERNIE_KEY"}
    profile = yaml.safe_load(files["profile.yaml"])
    assert profile["api-key"] == "file:/run/secrets/ERNIE_KEY"
    assert profile["env"]["HF_TOKEN"] == "file:/run/secrets/HF_TOKEN"
    quadlet = texts("quadlet", LARGE, *sets)["ernie-4.5-300b-a47b.container"]
    assert "Secret=ERNIE_KEY,type=mount,target=ERNIE_KEY,uid=10001,mode=0400\n" in quadlet
    assert "correct-horse" not in json.dumps(files) + quadlet


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: str(path.stem))
def test_a_quadlet_has_keys_that_podman_knows(path: Any) -> None:
    keys = () if "transformers" in load(path).engine else ("api-key=env:K",)
    text = texts("quadlet", path, *keys)[f"{load(path).name}.container"]
    section = text.partition("[Container]\n")[2].partition("\n[Service]")[0]
    names = {
        line.partition("=")[0] for line in section.splitlines() if line and not line.startswith("#")
    }
    assert names <= QUADLET_KEYS


def test_a_quadlet_is_one_server() -> None:
    with pytest.raises(UsageError, match="no replicas"):
        render("quadlet", load(TINY), replicas=2)
