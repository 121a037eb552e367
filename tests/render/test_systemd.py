"""systemd's own tools accept the rendered units, and the profile beside them is right."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from launcher import profile as profiles
from launcher.render.rendering import render
from launcher.render.systemd import PROGRAM
from tests.render.examples import SHIPPED, load
from tests.support import ROOT

TINY = ROOT / "profiles" / "ernie-tiny-cpu.yaml"
LARGE = ROOT / "profiles" / "ernie-4.5-300b-a47b.yaml"
MOST_EXPOSED = 4.5
"""systemd-analyze's figure from 0 (closed) to 10; a unit without hardening has 9.6."""


def units(path: Path, *sets: str, replicas: int = 1) -> dict[str, str]:
    rendered = render("systemd", load(path, *sets), replicas=replicas)
    return {one.path: one.text for one in rendered.files}


def write(texts: dict[str, str], folder: Path) -> Path:
    """The units as they are installed, with a program that is there; the path of replica 1."""
    for name, text in texts.items():
        (folder / name).write_text(text.replace(PROGRAM, shutil.which("true") or ""))
    (template,) = folder.glob("*@.service")
    instance = folder / template.name.replace("@.", "@1.")
    instance.symlink_to(template)
    return instance


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: str(path.stem))
def test_systemd_accepts_the_units(path: Path, tmp_path: Path) -> None:
    instance = write(units(path, replicas=2), tmp_path)
    ran = analyze("verify", "--man=no", str(instance))
    own = [line for line in ran.stderr.splitlines() if "ernie-deploy" in line]
    assert own == []


def test_systemd_finds_a_wrong_line(tmp_path: Path) -> None:
    texts = {
        name: text.replace("KillMode=mixed", "KillMode=some") for name, text in units(TINY).items()
    }
    ran = analyze("verify", "--man=no", str(write(texts, tmp_path)))
    assert "kill mode" in ran.stderr.lower()


@pytest.mark.parametrize("path", [TINY, LARGE], ids=lambda path: str(path.stem))
def test_the_unit_is_hardened(path: Path, tmp_path: Path) -> None:
    instance = write(units(path), tmp_path)
    ran = analyze("security", "--offline=yes", "--no-pager", str(instance))
    if "unrecognized option" in ran.stderr:
        pytest.skip("systemd-analyze before 250 looks at running units only")
    match = re.search(r"exposure level for \S+: ([0-9.]+)", ran.stdout)
    assert match, ran.stdout + ran.stderr
    assert float(match[1]) <= MOST_EXPOSED, ran.stdout


def test_the_target_starts_every_replica() -> None:
    texts = units(TINY, replicas=3)
    target = texts["ernie-deploy-ernie-tiny-cpu.target"]
    (wants,) = re.findall(r"^Wants=(.*)$", target, re.MULTILINE)
    assert wants.split() == [f"ernie-deploy-ernie-tiny-cpu@{n}.service" for n in (1, 2, 3)]
    assert '"--name" "ernie-tiny-cpu-%i"' in texts["ernie-deploy-ernie-tiny-cpu@.service"]


def test_the_profile_beside_the_unit_is_the_same_profile(tmp_path: Path) -> None:
    loaded = load(LARGE)
    texts = {one.path: one.text for one in render("systemd", loaded).files}
    path = tmp_path / "p.yaml"
    path.write_text(texts[f"{loaded.name}.yaml"])
    assert profiles.load(path).resolved == loaded.resolved


def test_a_dollar_sign_is_no_variable(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text(units(LARGE, "description=costs 3$$ ${HOME")["ernie-4.5-300b-a47b.yaml"])
    assert profiles.load(path).description == "costs 3$$ ${HOME"


def test_replicas_share_no_port_and_no_gpu() -> None:
    text = units(LARGE, "gpus=[0,1,2,3,4,5,6,7]", replicas=2)["ernie-4.5-300b-a47b.yaml"]
    profile = yaml.safe_load(text)
    assert profile["ports"] == {"api": "auto"}
    assert "gpus" not in profile
    unit = units(LARGE, replicas=2)["ernie-deploy-ernie-4.5-300b-a47b@.service"]
    assert "EnvironmentFile=/etc/ernie-deploy/ernie-4.5-300b-a47b-%i.env\n" in unit


def test_a_key_is_a_credential_and_never_a_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ERNIE_KEY", "correct-horse")
    texts = units(LARGE, "api-key=env:ERNIE_KEY")
    unit = texts["ernie-deploy-ernie-4.5-300b-a47b@.service"]
    assert "LoadCredential=ERNIE_KEY:/etc/ernie-deploy/secrets/ERNIE_KEY\n" in unit
    assert "correct-horse" not in "".join(texts.values())
    (tmp_path / "p.yaml").write_text(texts["ernie-4.5-300b-a47b.yaml"])
    loaded = profiles.load(tmp_path / "p.yaml", environ={"CREDENTIALS_DIRECTORY": "/run/c"})
    assert loaded.resolved["api-key"] == "file:/run/c/ERNIE_KEY"


def test_only_a_gpu_server_sees_gpu_devices() -> None:
    tiny = units(TINY)["ernie-deploy-ernie-tiny-cpu@.service"]
    large = units(LARGE)["ernie-deploy-ernie-4.5-300b-a47b@.service"]
    assert "PrivateDevices=yes\n" in tiny
    assert "nvidia" not in tiny
    assert "DeviceAllow=char-nvidia-uvm rw\n" in large
    assert "PrivateDevices=yes" not in large
