"""The runbooks' commands run and print what the pages say, on a working and on a broken server.

A page's `twin` blocks are run in order, in one shell, against an instance of the stand-in
FastDeploy that works, and again with the fault named in the page's first line. A page that begins
with `service:` has a service instead, to which a second revision with the fault is deployed.
"""

import re
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from tests.support import ROOT, cli
from tests.support.decoded import JsonDict
from tests.support.packages import needs_package
from tests.twin.interpreter import make_interpreter

FOLDER = ROOT / "deploy" / "runbooks"
PAGES = sorted(path.stem for path in FOLDER.glob("*.md") if path.stem != "README")
WHERE = ("twin", "gpu", "root")
_BLOCK = re.compile(
    r"^```bash(?P<tag>.*)\n(?P<text>(?:.*\n)*?)```\n(?P<after>(?:(?!```|#).*\n)*)", re.M
)
SERVICE: JsonDict = {
    "service": {"replicas": 1, "front-door": {"port": "auto"}, "rollout": {"watch": "0s"}},
    "smoke": {"checks": ["health", "models"]},
}
WORKING, BROKEN = "Expected", "If it is broken"
_PROMISE = re.compile(rf"^- (?P<state>{WORKING}|{BROKEN}): (?P<quoted>`.*)$", re.M)


@dataclass
class Block:
    """One command block and what the page promises of it, by state."""

    tag: str
    text: str
    promises: dict[str, list[str]] = field(default_factory=dict)


def blocks(page: str) -> list[Block]:
    """The command blocks of a page."""
    found_blocks = []
    for match in _BLOCK.finditer((FOLDER / f"{page}.md").read_text()):
        block = Block(match["tag"].strip(), match["text"])
        for promise in _PROMISE.finditer(match["after"]):
            block.promises[promise["state"]] = re.findall(r"`([^`]+)`", promise["quoted"])
        found_blocks.append(block)
    return found_blocks


def fault(page: str) -> str:
    """The fault of the twin that the page is about."""
    match = re.match(r"<!-- (?:twin|service): (\S+) -->\n", (FOLDER / f"{page}.md").read_text())
    assert match, f"{page} does not say which fault it is tried with"
    return match[1]


def is_service(page: str) -> bool:
    """True for a page about a service."""
    return (FOLDER / f"{page}.md").read_text().startswith("<!-- service: ")


@pytest.mark.parametrize("page", PAGES)
def test_every_block_says_where_it_runs(page: str) -> None:
    listed = blocks(page)
    assert listed
    assert {block.tag for block in listed} <= set(WHERE)
    assert (FOLDER / f"{page}.md").read_text().count("```bash") == len(listed)
    assert any(BROKEN in block.promises for block in listed)


def test_every_page_is_in_the_list() -> None:
    text = (FOLDER / "README.md").read_text()
    assert all(f"({page}.md)" in text for page in PAGES)


@pytest.mark.parametrize("page", PAGES)
def test_every_rule_and_check_named_exists(page: str) -> None:
    from launcher.diagnose import pages

    for word in re.findall(r"ED-[A-Z0-9-]+[A-Z0-9]", (FOLDER / f"{page}.md").read_text()):
        assert pages.page((word,)).id == word


def script(page: str) -> str:
    """All twin blocks of a page, each with a line that separates its output."""
    parts = [block.text for block in blocks(page) if block.tag == "twin"]
    return "".join(
        f"echo '=== {n}'\n{{ {text}}} 2>&1\necho \"=== rc $?\"\n" for n, text in enumerate(parts)
    )


def start(page: str, state: str, path: Path, profile: JsonDict, home: Path) -> cli.Ran:
    """Bring up what the page is about; of a broken service the second revision fails."""
    if not is_service(page):
        return cli.run("up", str(path), home=home)
    started = cli.run("deploy", str(path), home=home)
    assert started.rc == 0, started.output()
    if state == BROKEN:
        broken = {**profile, "env": {**profile["env"], "TWIN_FAULT": fault(page)}}
        path.write_text(yaml.safe_dump(broken))
        started = cli.run("deploy", str(path), home=home)
        assert started.rc == 4, started.output()
    return started


@pytest.mark.parametrize("state", [WORKING, BROKEN])
@pytest.mark.parametrize("page", PAGES)
def test_the_commands_print_what_the_page_says(
    page: str, state: str, home: Path, tmp_path: Path
) -> None:
    profile: JsonDict = {
        "name": "night",
        "engine": "fastdeploy",
        "python": str(make_interpreter(tmp_path / "env", "2.4")),
        "model": str(ROOT / "profiles" / "tiny-ernie"),
        "max-model-len": 2048,
        "max-num-seqs": 4,
        "env": {"TWIN_TIME_SCALE": "0.02", "TWIN_MAX_LIFETIME": "240"},
        "health": {"startup-timeout": "90s", "no-progress-timeout": "10s"},
    }
    if is_service(page):
        needs_package("haproxy")
        profile |= SERVICE
    elif state == BROKEN:
        profile["env"]["TWIN_FAULT"] = fault(page)
        profile["health"]["no-progress-timeout"] = "4s"
    path = tmp_path / "night.yaml"
    path.write_text(yaml.safe_dump(profile))
    tool = tmp_path / "bin" / "ernie-deploy"
    tool.parent.mkdir()
    tool.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m launcher "$@"\n')
    tool.chmod(0o755)
    env = cli.environment(home, {"NAME": "night", "PROFILE": str(path)})
    env["PATH"] = f"{tool.parent}:{env['PATH']}"
    try:
        started = start(page, state, path, profile, home)
        ran = subprocess.run(
            ["bash", "-c", script(page)],
            env=env, cwd=tmp_path, capture_output=True, text=True, timeout=600,
        )  # fmt: skip
    finally:
        cli.run("down", "night", home=home)
    outputs = re.split(r"^=== \d+\n", ran.stdout, flags=re.M)[1:]
    listed = [block for block in blocks(page) if block.tag == "twin"]
    assert len(outputs) == len(listed), ran.stdout + ran.stderr
    for block, output in zip(listed, outputs, strict=True):
        for text in block.promises.get(state, []):
            assert text in output, f"{block.text}\n{output}\n{started.output()}"
        if state == WORKING:
            assert "=== rc 0" in output, f"{block.text}\n{output}\n{started.output()}"
