"""The files other people's pipelines copy, and what the checkout promises about itself."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import ROOT

MAKEFILE = (ROOT / "Makefile").read_text()
TARGETS = set(re.findall(r"^([a-z][a-z-]*):", MAKEFILE, re.MULTILINE))


def words_of_make(text: str) -> list[str]:
    return re.findall(r"\bmake ([a-z-]+)", text)


def pipeline(name: str) -> Any:
    return yaml.safe_load((ROOT / "deploy" / "ci" / name).read_text())


def test_github_brings_up_smokes_and_always_takes_down() -> None:
    job = pipeline("github-actions.yml")["jobs"]["smoke"]
    steps = [step for step in job["steps"] if "run" in step]
    arguments = [word for step in steps for word in words_of_make(step["run"])]
    assert arguments == ["engine", "up", "smoke", "logs", "down"]
    (down,) = [step for step in steps if "make down" in step["run"]]
    assert down["if"] == "always()"
    (report,) = [step for step in job["steps"] if "upload-artifact" in step.get("uses", "")]
    assert report["with"]["path"] == "report/smoke.xml"
    assert set(arguments) <= TARGETS


def test_gitlab_brings_up_smokes_and_always_takes_down() -> None:
    job = pipeline("gitlab-ci.yml")["ernie-deploy"]
    arguments = [
        word for line in job["before_script"] + job["script"] for word in words_of_make(line)
    ]
    assert arguments == ["engine", "up", "smoke"]
    assert words_of_make(job["after_script"][-1]) == ["down"]
    assert job["artifacts"]["when"] == "always"
    assert job["artifacts"]["reports"]["junit"] == "report/smoke.xml"
    assert set(arguments) <= TARGETS


def test_the_makefile_writes_the_report_where_the_pipelines_look() -> None:
    assert "REPORT ?= report\n" in MAKEFILE
    assert "--junit $(REPORT)/smoke.xml" in MAKEFILE


def test_every_target_is_phony_or_a_file() -> None:
    phony = MAKEFILE.partition(".PHONY:")[2].partition("\n\n")[0].replace("\\", " ").split()
    assert set(phony) == TARGETS


@pytest.mark.parametrize("target", ["demo", "demo-vllm"])
def test_a_demo_serves_a_profile_that_ships(target: str) -> None:
    recipe = MAKEFILE.partition(f"\n{target}: ")[2].partition("\n\n")[0]
    (profile,) = re.findall(r"profiles/\S+\.yaml", recipe)
    assert (ROOT / profile).is_file()


def test_make_without_a_target_lists_them() -> None:
    done = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True)
    for target in ("demo", "test", "lint", "up", "smoke", "down"):
        assert re.search(rf"^  {target}\s", done.stdout, re.MULTILINE), done.stdout


def test_no_package_registry_is_named_but_paddles_and_pytorchs() -> None:
    # Put together here, so that this file does not name them either.
    index = "py" + "pi"
    hosts = [index + ".org", "python" + "hosted", index + ".tuna", "mirrors." + "aliyun"]
    hosts += ["registry." + "npm"]
    for path in _texts():
        text = path.read_text(errors="replace")
        assert not [host for host in hosts if host in text], path


def _texts() -> list[Path]:
    kept = ("launcher", "profiles", "deploy", "tests", ".ci")
    paths = [p for part in kept for p in (ROOT / part).rglob("*") if p.is_file()]
    paths += [p for p in ROOT.iterdir() if p.is_file() and p.name != ".git"]
    return [p for p in paths if "__pycache__" not in p.parts and p.stat().st_size < 2_000_000]
