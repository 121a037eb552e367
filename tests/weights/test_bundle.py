"""`bundle create` and `bundle install`: a server for a host without a network, or an error."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from launcher.profile import load
from launcher.weights.pulled import with_pulled
from tests.support import ROOT, cli, hub, wheels
from tests.support.home import temporary_home
from tests.support.waiting import wait_for
from tests.weights.conftest import MODEL, Pull

TINY = ROOT / "profiles" / "tiny-ernie"
PYTHON = getattr(sys, "_base_executable", sys.executable)
DEPENDENCIES = ("click", "pyyaml", "requests", "urllib3", "packaging")
PROFILE = {
    "name": "carried",
    "engine": "transformers",
    "engine-version": ">=5",
    "ports": {"api": "auto"},
    "env": {"GREETING": "a $$ sign"},
}

pytestmark = pytest.mark.skipif(
    sys.version_info < (3, 11), reason="transformers 5 needs Python 3.11"
)
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can unshare the network")


@dataclasses.dataclass(frozen=True)
class Packed:
    """A profile with the model of this repository, wheels for its engine, and its bundles."""

    folder: Path
    profile: Path
    env: dict[str, str | None]
    directory: Path
    tar: Path


def create(made_by: dict[str, str | None], home: Path, profile: Path, *options: str) -> cli.Ran:
    return cli.run(
        "bundle", "create", str(profile), "--python", PYTHON, *options, "--json",
        home=home, env=made_by,
    )  # fmt: skip


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Packed:
    """Two bundles: a folder and a tar, with a small stand-in of the engine."""
    folder = tmp_path_factory.mktemp("made")
    source = folder / "wheels"
    wheels.transformers(source)
    wheels.of_installed(source, *DEPENDENCIES)
    profile = folder / "carried.yaml"
    profile.write_text(json.dumps({**PROFILE, "model": str(TINY)}))
    env = wheels.offline(source)
    with temporary_home() as home:
        for output in ("bundle", "bundle.tar"):
            ran = create(env, home, profile, "--output", str(folder / output))
            assert ran.rc == 0, ran.output()
    left = {one.name for one in folder.iterdir()}
    assert left == {"wheels", "carried.yaml", "bundle", "bundle.tar"}, "nothing is half done"
    return Packed(folder, profile, env, folder / "bundle", folder / "bundle.tar")


def install(home: Path, bundle: Path, *options: str, **env: str) -> cli.Ran:
    return cli.run("bundle", "install", str(bundle), *options, "--json", home=home, env=env)


def state(home: Path) -> set[str]:
    """What an installation would have left."""
    return {
        str(path.relative_to(home))
        for name in ("engines", "models", "profiles")
        for path in (home / name).rglob("*")
        if path.is_file() and not path.name.startswith(".lock")
    }


@pytest.mark.parametrize("form", ["directory", "tar"])
def test_engine_weights_and_profile_are_put_in_place(packed: Packed, home: Path, form: str) -> None:
    second = (
        packed.folder / "other"
    )  # pip's own sources have another torch, which must not be taken
    wheels.make(second, "torch", "2.13.0+cpu", requires=("not-to-be-had",))
    ran = install(home, getattr(packed, form), PIP_FIND_LINKS=str(second))

    assert ran.rc == 0, ran.output()
    data = ran.json["data"]
    assert (data["new_engine"], data["new_model"]) == (True, True)
    assert (home / "engines" / "transformers-5.24.0" / "ernie-deploy.json").exists()
    profile = load(data["profile"])
    assert profile.engine_version == "==5.24.0"
    assert profile.env["GREETING"] == "a $ sign"
    weights = Path(profile.model)
    assert weights.name == "tiny-ernie"
    assert (weights / "model.safetensors").read_bytes() == (TINY / "model.safetensors").read_bytes()
    assert cli.run("model", "verify", str(weights.resolve()), home=home).rc == 0
    assert cli.run("plan", data["profile"], home=home).rc == 0
    assert not list(home.glob("bundle-*")), "the wheels' folder is gone"

    again = install(home, getattr(packed, form)).json["data"]
    assert (again["new_engine"], again["new_model"]) == (False, False)


@needs_root
def test_in_a_network_namespace_without_a_network_from_the_tool_on(
    packed: Packed, home: Path, tmp_path: Path
) -> None:
    script = f"""
        set -e
        tar xf {packed.tar} bundle/tool
        {PYTHON} -m venv venv
        venv/bin/pip install --quiet --no-index --find-links bundle/tool ernie-deploy
        venv/bin/ernie-deploy bundle install {packed.tar} --profiles profiles
        venv/bin/ernie-deploy plan profiles/carried.yaml
        venv/bin/python -c 'import launcher; print(launcher.__file__)'
    """
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PIP_"))}
    done = subprocess.run(
        ["unshare", "--net", "bash", "-c", script],
        cwd=tmp_path,
        env={**env, "ERNIE_DEPLOY_HOME": str(home), "PIP_CONFIG_FILE": "/dev/null"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{home}/engines/transformers-5.24.0/bin" in done.stdout
    assert done.stdout.splitlines()[-1].startswith(str(tmp_path)), "not this checkout"


def flip(path: Path, at: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 1]))


def offset_of(tar: Path, inside: str) -> int:
    with tarfile.open(tar) as archive:
        return archive.getmember(inside).offset_data


def with_member(tar: Path, member: tarfile.TarInfo) -> None:
    with tarfile.open(tar, "a") as archive:
        archive.addfile(member)


def link(name: str, target: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = tarfile.SYMTYPE, target
    return member


TAR_DAMAGE: dict[str, Callable[[Path], object]] = {
    "a byte of the weights": lambda tar: flip(
        tar, offset_of(tar, "bundle/model/model.safetensors") + 5000
    ),
    "a byte of a wheel": lambda tar: flip(
        tar, offset_of(tar, "bundle/engine/torch-2.13.0+cpu-py3-none-any.whl") + 50
    ),
    "the end is missing": lambda tar: os.truncate(tar, tar.stat().st_size // 2),
    "a file more": lambda tar: with_member(tar, tarfile.TarInfo("bundle/engine/evil.whl")),
    "a file above the folder": lambda tar: with_member(tar, tarfile.TarInfo("bundle/../../evil")),
    "a link": lambda tar: with_member(tar, link("bundle/model/evil", "/etc/passwd")),
    "a file twice": lambda tar: with_member(tar, tarfile.TarInfo("bundle/profile.yaml")),
}
FOLDER_DAMAGE: dict[str, Callable[[Path], object]] = {
    "a byte of the weights": lambda folder: flip(folder / "model" / "model.safetensors", 5000),
    "a changed profile": lambda folder: (folder / "profile.yaml").write_text("name: other\n"),
    "a wheel less": lambda folder: next((folder / "engine").glob("fastapi*")).unlink(),
    "a file more": lambda folder: (folder / "engine" / "evil.whl").touch(),
    "a link": lambda folder: (folder / "model" / "evil").symlink_to("/etc/passwd"),
    "a link to a folder": lambda folder: (folder / "evil").symlink_to("/etc"),
}


@pytest.mark.parametrize("damage", TAR_DAMAGE)
def test_a_damaged_tar_changes_nothing(
    packed: Packed, home: Path, tmp_path: Path, damage: str
) -> None:
    tar = Path(shutil.copy(packed.tar, tmp_path / "bundle.tar"))
    TAR_DAMAGE[damage](tar)
    ran = install(home, tar)
    assert ran.rc == 3, ran.output()
    assert ran.json["errors"][0]["code"] in ("bundle-damaged", "bad-bundle")
    assert state(home) == set()


@pytest.mark.parametrize("damage", FOLDER_DAMAGE)
def test_a_damaged_folder_changes_nothing(
    packed: Packed, home: Path, tmp_path: Path, damage: str
) -> None:
    folder = Path(shutil.copytree(packed.directory, tmp_path / "bundle"))
    FOLDER_DAMAGE[damage](folder)
    ran = install(home, folder)
    assert ran.rc == 3, ran.output()
    assert ran.json["errors"][0]["code"] == "bundle-damaged"
    assert state(home) == set()


def edited(packed: Packed, folder: Path, **changes: object) -> Path:
    """A copy of the bundle whose manifest has other values."""
    copy = Path(shutil.copytree(packed.directory, folder / "bundle"))
    content = json.loads((copy / "bundle.json").read_text())
    (copy / "bundle.json").write_text(json.dumps({**content, **changes}))
    return copy


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"schema": "ernie-deploy/bundle/2"}, "bad-bundle"),
        ({"files": [{"path": "../../evil", "size": 1, "sha256": "0" * 64}]}, "bad-bundle"),
        ({"files": "none"}, "bad-bundle"),
        ({"files": []}, "bundle-damaged"),
    ],
)
def test_a_manifest_that_cannot_be_used(
    packed: Packed, home: Path, tmp_path: Path, changes: dict[str, object], code: str
) -> None:
    ran = install(home, edited(packed, tmp_path, **changes))
    assert ran.rc == 3
    assert ran.json["errors"][0]["code"] == code
    assert state(home) == set()


@pytest.mark.parametrize(
    "engine", [{"machine": "riscv64"}, {"python_version": "3.99.1"}], ids=["machine", "python"]
)
def test_a_bundle_for_another_machine(
    packed: Packed, home: Path, tmp_path: Path, engine: dict[str, str]
) -> None:
    own = json.loads((packed.directory / "bundle.json").read_text())["engine"]
    ran = install(home, edited(packed, tmp_path, engine={**own, **engine}))
    assert ran.rc == 3
    assert ran.json["errors"][0]["code"] == "bundle-other-machine"
    assert state(home) == set()


@pytest.mark.parametrize("path", ["nothing-here", "README.md", "docs"])
def test_what_is_no_bundle(home: Path, path: str) -> None:
    ran = install(home, ROOT / path)
    assert ran.rc == 3
    assert ran.json["errors"][0]["code"] == "bad-bundle"


def test_a_profile_of_the_same_name_is_not_replaced_unasked(packed: Packed, home: Path) -> None:
    (home / "profiles").mkdir()
    own = home / "profiles" / "carried.yaml"
    own.write_text("name: carried\n")
    ran = install(home, packed.tar)
    assert ran.rc == 3
    assert ran.json["errors"][0]["code"] == "profile-exists"
    assert state(home) == {"profiles/carried.yaml"}
    assert own.read_text() == "name: carried\n"
    assert install(home, packed.tar, "--force").rc == 0
    assert "engine: transformers" in own.read_text()


def test_an_output_that_is_there_is_not_touched(packed: Packed, home: Path) -> None:
    before = packed.tar.stat().st_mtime_ns
    ran = create(packed.env, home, packed.profile, "--output", str(packed.tar))
    assert ran.rc == 3
    assert ran.json["errors"][0]["code"] == "output-exists"
    assert packed.tar.stat().st_mtime_ns == before


def test_what_pip_cannot_find_leaves_no_bundle(packed: Packed, home: Path, tmp_path: Path) -> None:
    less = tmp_path / "less"
    shutil.copytree(packed.folder / "wheels", less)
    next(less.glob("uvicorn*")).unlink()
    target = tmp_path / "out" / "bundle"
    target.parent.mkdir()
    ran = create(wheels.offline(less), home, packed.profile, "--output", str(target))
    assert ran.rc == 3
    assert ran.json["errors"][0]["code"] == "install-failed"
    assert list(target.parent.iterdir()) == []


def test_a_creation_that_is_ended_leaves_nothing(
    packed: Packed, home: Path, tmp_path: Path
) -> None:
    target = tmp_path / "bundle.tar"
    process = cli.spawn(
        "bundle", "create", str(packed.profile), "--python", PYTHON, "-o", str(target),
        home=home, env=packed.env,
    )  # fmt: skip
    wait_for(lambda: any(tmp_path.glob(".bundle.*/engine")), "the bundle is begun")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 143
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_was_not_pulled(packed: Packed, home: Path, tmp_path: Path) -> None:
    profile = tmp_path / "hub.yaml"
    profile.write_text(json.dumps({**PROFILE, "model": MODEL}))
    ran = create(packed.env, home, profile, "--output", str(tmp_path / "out"))
    assert ran.rc == 3
    (error,) = ran.json["errors"]
    assert error["code"] == "model-not-pulled"
    assert error["remedy"].startswith(f"ernie-deploy model pull {MODEL}")


@pytest.mark.skipif(os.geteuid() != 0, reason="a small file system can be mounted by root only")
def test_a_disk_that_is_too_small(packed: Packed, home: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(disk)], check=True)
    try:
        ran = create(packed.env, home, packed.profile, "--output", str(disk / "bundle"))
        assert ran.json["errors"][0]["code"] == "disk-full"
        assert list(disk.iterdir()) == []
        small = install(disk / "home", packed.tar)
        assert small.rc == 3
        assert small.json["errors"][0]["code"] == "disk-full"
        assert state(disk / "home") == set()
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.engine("hub-clients")
def test_a_pulled_model_is_carried_and_used_by_its_hub_id(
    packed: Packed, pull: Pull, clients_home: Path, server: hub.Hub, tmp_path: Path
) -> None:
    server.commit({path.name: path.read_bytes() for path in TINY.iterdir()}, "v1")
    assert pull("--revision", "v1", "--hub", "modelscope").rc == 0
    profile = tmp_path / "hub.yaml"
    profile.write_text(json.dumps({**PROFILE, "model": MODEL, "revision": "v1"}))
    target = tmp_path / "bundle.tar"
    ran = create(packed.env, clients_home, profile, "--output", str(target))
    assert ran.rc == 0, ran.output()

    with temporary_home() as second:
        done = install(second, target)
        assert done.rc == 0, done.output()
        listed = cli.run("model", "list", "--json", home=second).json["data"]["models"]
        assert [(one["model"], one["hub"], one["state"]) for one in listed] == [
            (MODEL, "modelscope", "whole")
        ]
        planned = cli.run("plan", done.json["data"]["profile"], "--json", home=second)
        env = {one["name"]: one["value"] for one in planned.json["data"]["plan"]["env"]}
        assert env["HF_HUB_CACHE"] == f"{second}/models/modelscope"
        assert env["HF_HUB_OFFLINE"] == "1"
    assert with_pulled(load(profile)).hub_cache == f"{clients_home}/models/modelscope"


def test_weights_that_changed_since_they_were_pulled_are_not_bundled(
    packed: Packed, pull: Pull, clients_home: Path, server: hub.Hub, tmp_path: Path
) -> None:
    server.commit({path.name: path.read_bytes() for path in TINY.iterdir()})
    flip(Path(pull().json["data"]["folder"]) / "model.safetensors", 4000)
    profile = tmp_path / "hub.yaml"
    profile.write_text(json.dumps({**PROFILE, "model": MODEL}))
    target = tmp_path / "out" / "bundle.tar"
    target.parent.mkdir()
    ran = create(packed.env, clients_home, profile, "--output", str(target))
    assert ran.rc == 3
    assert ran.json["errors"][0]["code"] == "wrong-checksum"
    assert list(target.parent.iterdir()) == []


@needs_root
@pytest.mark.soak  # the real engine: half a gigabyte of wheels
def test_the_demo_runs_in_a_network_namespace_without_a_network(home: Path, tmp_path: Path) -> None:
    tar = tmp_path / "tiny.tar"
    shipped = ROOT / "profiles" / "ernie-tiny-cpu.yaml"
    ran = cli.run("bundle", "create", str(shipped), "-o", str(tar), "--json", home=home)
    assert ran.rc == 0, ran.output()
    minor = ".".join(ran.json["data"]["engine"]["python_version"].split(".")[:2])
    script = f"""
        set -e
        ip link set lo up
        tar xf tiny.tar tiny/tool
        python{minor} -m venv venv
        venv/bin/pip install --quiet --no-index --find-links tiny/tool ernie-deploy
        venv/bin/ernie-deploy bundle install tiny.tar
        for verb in up smoke down; do
            venv/bin/ernie-deploy $verb "$ERNIE_DEPLOY_HOME/profiles/ernie-tiny-cpu.yaml"
        done
    """
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PIP_"))}
    with temporary_home() as second:
        done = subprocess.run(
            ["unshare", "--net", "bash", "-c", script],
            cwd=tmp_path,
            env={**env, "ERNIE_DEPLOY_HOME": str(second), "PIP_CONFIG_FILE": "/dev/null"},
            capture_output=True,
            text=True,
            timeout=1500,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ernie-tiny-cpu is ready" in done.stdout
    assert "PASS: " in done.stdout
    assert "left 0 processes" in done.stdout
