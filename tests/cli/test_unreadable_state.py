"""State that this user may not read: named as that, with whose it is, and never a traceback."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import ROOT, cli
from tests.support.decoded import JsonDict

OTHER_USER = 65534

# Everything is imported before the privileges go: the interpreter may lie in root's own home.
AS_OTHER_USER = f"""
import importlib, os, pkgutil
import launcher
for found in pkgutil.walk_packages(launcher.__path__, "launcher."):
    if not found.name.endswith("__main__"):
        importlib.import_module(found.name)
os.setgroups([])
os.setgid({OTHER_USER})
os.setuid({OTHER_USER})
"""
# One process for many verbs: starting Python is the most of what a verb costs.
EACH = """
import json, sys
from launcher.cli.main import invoke
for words in json.loads(sys.argv[1]):
    invoke([*words, "--json"])
"""

VERBS = [
    ("status",),
    ("status", "one"),
    ("logs", "one"),
    ("down", "one"),
    ("diagnose", "one"),
    ("smoke", "one"),
    ("restart", "one"),
    ("engine", "list"),
    ("engine", "path", "transformers"),
    ("version",),
]


@pytest.fixture(scope="module")
def readable_by_all() -> Iterator[Path]:
    """A copy of the project that every user can read; a checkout may lie in root's own home."""
    folder = Path(tempfile.mkdtemp(prefix="edt-src-", dir="/tmp"))
    folder.chmod(0o755)
    for name in ("launcher", "profiles", "deploy"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    subprocess.run(["chmod", "-R", "a+rX", str(folder)], check=True)
    yield folder
    shutil.rmtree(folder)


def error_of(
    home: Path, *verbs: tuple[str, ...], prepare: str = "", project: Path = ROOT
) -> list[JsonDict]:
    """The envelope of each of `verbs`, as the code in `project` answers them."""
    ran = subprocess.run(
        [sys.executable, "-c", prepare + EACH, json.dumps(verbs)], text=True, capture_output=True,
        env={**cli.environment(home), "PYTHONPATH": str(project)}, cwd=project, timeout=900,
        check=False,
    )  # fmt: skip
    assert (ran.returncode, ran.stderr) == (0, "")
    envelopes = [json.loads(line) for line in ran.stdout.splitlines()]
    assert len(envelopes) == len(verbs), ran.stdout
    return envelopes


def refused(envelope: JsonDict) -> dict[str, str]:
    """The one error of a command that could not read its state."""
    (error,) = envelope["errors"]
    assert (envelope["exit_code"], error["code"]) == (3, "state-not-readable"), envelope
    first_error: dict[str, str] = error
    return first_error


def make_instance(home: Path, name: str) -> Path:
    folder = home / "instances" / name
    folder.mkdir(parents=True)
    (folder / "plan.json").write_text("{}")
    return folder


needs_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")


@needs_root
def test_another_users_state(home: Path, readable_by_all: Path) -> None:
    make_instance(home, "one")
    (home / "engines").mkdir()
    home.chmod(0o700)
    for envelope in error_of(home, *VERBS, prepare=AS_OTHER_USER, project=readable_by_all):
        error = refused(envelope)
        assert error["where"] == str(home)
        assert f"run it as root, the owner of {home}" in error["remedy"]


@needs_root
def test_one_instance_of_another_user_does_not_hide_the_others(
    home: Path, readable_by_all: Path
) -> None:
    mine, theirs = make_instance(home, "mine"), make_instance(home, "theirs")
    os.chown(mine, OTHER_USER, OTHER_USER)
    home.chmod(0o755)
    theirs.chmod(0o700)
    every, down = error_of(
        home, ("status",), ("down", "theirs"), prepare=AS_OTHER_USER, project=readable_by_all
    )
    rows = {row["name"]: row for row in every["data"]["instances"]}
    assert (every["exit_code"], rows["theirs"]["state"]) == (1, "unknown")
    assert "run it as root" in rows["theirs"]["note"]
    assert rows["mine"]["state"] == "absent"
    assert refused(down)["where"] == str(theirs)


@needs_root
def test_ones_own_folder_without_its_rights(home: Path, readable_by_all: Path) -> None:
    os.chown(home, OTHER_USER, OTHER_USER)
    home.chmod(0)
    (envelope,) = error_of(home, ("status",), prepare=AS_OTHER_USER, project=readable_by_all)
    assert f"chmod u+rwx {home}" in refused(envelope)["remedy"]


def test_a_file_where_the_state_directory_should_be(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for envelope in error_of(file, *VERBS):
        error = refused(envelope)
        assert error["message"] == f"{file} is not a folder"
        assert "ERNIE_DEPLOY_HOME" in error["remedy"]


def test_no_state_directory_at_all_is_an_empty_one(tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    verbs = (("status",), ("engine", "list"), ("version",), ("down", "one"))
    assert [e["exit_code"] for e in error_of(nowhere, *verbs)] == [0] * 4
    assert not nowhere.exists()
