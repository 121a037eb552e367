"""The Debian packages that the checks need: one list, which `.ci/run` installs."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support import ROOT
from tests.support.packages import listed, needs_package

NEEDS = re.compile(r"\bneeds_package\(\"([^\"]+)\"\)")


def test_every_package_that_a_test_needs_is_in_the_list_and_no_other() -> None:
    tests = [p for p in (ROOT / "tests").rglob("*.py") if p != Path(__file__)]
    needed = {name for path in tests for name in NEEDS.findall(path.read_text())}
    assert {"prometheus", "prometheus-alertmanager"} <= needed
    assert set(listed()) == needed | {"make", "python3", "python3-venv"}


def test_a_package_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="apt-get install prometheus"):
        needs_package("prometheus")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="apt-get install prometheus"):
        needs_package("prometheus")


STUB = """#!/bin/sh
echo "$(basename "$0") $*" >> "{log}"
case "$*" in install*prometheus*) cp "$0" "{bin}/promtool" ;; esac
"""


def run(folder: Path, commands: tuple[str, ...], uid: int) -> tuple[str, str]:
    """What `.ci/run` called, with these commands only and as this user, and its errors."""
    bin_folder, log = folder / "bin", folder / "log"
    (folder / ".ci").mkdir(parents=True)
    bin_folder.mkdir()
    for name in ("run", "packages"):
        shutil.copy(ROOT / ".ci" / name, folder / ".ci")
    for name in ("bash", "dirname", "cp", "basename"):
        path = shutil.which(name)
        assert path is not None
        (bin_folder / name).symlink_to(path)
    for name in (*commands, "python3"):
        stub = bin_folder / name
        stub.write_text(STUB.format(log=log, bin=bin_folder))
        stub.chmod(0o755)
    (bin_folder / "id").write_text(f"#!/bin/sh\necho {uid}\n")
    (bin_folder / "id").chmod(0o755)
    done = subprocess.run(
        [str(bin_folder / "bash"), ".ci/run"],
        cwd=folder, env={"PATH": str(bin_folder)}, capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done
    calls = [line for line in log.read_text().splitlines() if not line.startswith("python3")]
    return "\n".join(calls), done.stderr


OTHERS = ("haproxy", "slurmctld", "munged")
"""Commands of the packages that these tests do not take away."""
TRIES = "-o Acquire::Retries=3"
MADE = "make lint\nmake test\nmake demo"


def test_root_installs_what_is_missing_and_nothing_else(tmp_path: Path) -> None:
    calls, errors = run(tmp_path, ("make", "prometheus-alertmanager", "apt-get", *OTHERS), uid=0)
    assert calls == (
        f"apt-get update -qq {TRIES}\n"
        f"apt-get install -y -qq {TRIES} --no-install-recommends prometheus\n{MADE}"
    )
    assert errors == ""


def test_nothing_is_installed_where_nothing_is_missing(tmp_path: Path) -> None:
    commands = ("make", "promtool", "prometheus-alertmanager", "apt-get", *OTHERS)
    assert run(tmp_path, commands, uid=0) == (MADE, "")


def test_another_user_installs_nothing_and_is_told(tmp_path: Path) -> None:
    calls, errors = run(tmp_path, ("make", "apt-get", *OTHERS), uid=1000)
    assert calls == MADE
    assert "apt-get install prometheus prometheus-alertmanager\n" in errors
