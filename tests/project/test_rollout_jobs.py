"""The rollout jobs that people copy: their commands exist, their actions are pinned."""

import re
import shlex
from typing import Any

import click
import pytest
import yaml

from launcher.cli.main import group
from launcher.render.rendering import render
from tests.render.examples import SHIPPED, load
from tests.support import ROOT

FOLDER = ROOT / "deploy" / "ci"
FILES = sorted(FOLDER.glob("rollout-*.yml"))


def pipeline(name: str) -> Any:
    return yaml.safe_load((FOLDER / name).read_text())


def scripts() -> dict[str, list[str]]:
    """The command lines of each job of both files, in order."""
    github = pipeline("rollout-github-actions.yml")["jobs"]
    gitlab = pipeline("rollout-gitlab-ci.yml")
    jobs = {
        f"github {name}": [
            line for step in job["steps"] for line in step.get("run", "").splitlines()
        ]
        for name, job in github.items()
    }
    jobs["gitlab check"] = gitlab["check"]["script"]
    jobs["gitlab rollout"] = gitlab[".rollout"]["script"]
    return jobs


@pytest.mark.parametrize("job", scripts())
def test_a_command_of_ours_exists_with_its_options(job: str) -> None:
    for line in scripts()[job]:
        if not line.startswith("ernie-deploy "):
            continue
        _, verb, *rest = shlex.split(line.partition(" >")[0])
        command = group.get_command(click.Context(group), verb)
        assert command is not None, line
        with command.make_context(verb, rest):
            pass


@pytest.mark.parametrize("job", ["github staging", "github production", "gitlab rollout"])
def test_deploy_comes_before_smoke_and_smoke_decides(job: str) -> None:
    verbs = [" ".join(line.split("--context")[-1].split()[1:3]) for line in scripts()[job]]
    order = ["apply -k", "rollout status", "delete --ignore-not-found", "apply -k", "wait"]
    positions = []
    start = 0
    for one in order:
        start = next(n for n in range(start, len(verbs)) if verbs[n].startswith(one)) + 1
        positions.append(start)
    assert positions == sorted(positions)


def test_production_waits_for_staging() -> None:
    github = pipeline("rollout-github-actions.yml")["jobs"]
    assert (github["staging"]["needs"], github["production"]["needs"]) == ("check", "staging")
    gitlab = pipeline("rollout-gitlab-ci.yml")
    assert gitlab["stages"] == ["check", "staging", "production"]
    assert gitlab["production"]["when"] == "manual"


def test_the_overlays_exist_that_are_deployed() -> None:
    rendered = {one.path for one in render("kubernetes", load(SHIPPED[0])).files}
    for path in FILES:
        for overlay in re.findall(r"overlays/([a-z]+)", path.read_text()):
            assert f"overlays/{overlay}/kustomization.yaml" in rendered
