"""Completion, in a real bash on a terminal and as zsh asks for it."""

import os
import pty
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.support import ROOT, cli
from tests.support.rig import Rig


def typed(rig: Rig, keys: str) -> str:
    """The words that stand on a bash's command line after these keys."""
    stub = Path(rig.path("bin"))
    stub.mkdir()
    (stub / "ernie-deploy").write_text(f'#!/bin/sh\nexec {shlex.join(cli.argv())} "$@"\n')
    (stub / "ernie-deploy").chmod(0o755)
    env = cli.environment(rig.home, {**rig.env, "TERM": "dumb", "INPUTRC": "/dev/null"})
    env["PATH"] = f"{stub}:{env['PATH']}"
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        ["bash", "--norc", "--noprofile", "-i"], stdin=theirs, stdout=theirs, stderr=theirs,
        env=env, cwd=ROOT, start_new_session=True,
    ) as shell:  # fmt: skip
        os.close(theirs)
        # Ctrl-A puts a command before the line, which says word by word what stands there.
        os.write(ours, b"source <(ernie-deploy completion bash)\n")
        os.write(ours, f"{keys}\x01printf 'G%s:' OT; printf '<%s>' \x05; exit\n".encode())
        output = b""
        try:
            while data := os.read(ours, 4096):
                output += data
        except OSError:  # the terminal's other end was closed
            pass
        shell.wait(600)
    os.close(ours)
    return output.decode(errors="replace").rpartition("GOT:")[2].partition("exit")[0].strip()


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ("ernie-deploy stat\t", "<ernie-deploy><status>"),
        ("ernie-deploy down long-na\t", "<ernie-deploy><down><long-name>"),
        ("ernie-deploy up ernie-tiny-cpu-v\t", "<ernie-deploy><up><ernie-tiny-cpu-vllm.yaml>"),
        ("ernie-deploy up pyproj\t", "<ernie-deploy><up><pyproject.toml>"),
        ("ernie-deploy plan x --overlay pypr\t",
         "<ernie-deploy><plan><x><--overlay><pyproject.toml>"),
        ("ernie-deploy plan x --set parsers.r\t",
         "<ernie-deploy><plan><x><--set><parsers.reasoning=>"),
        ("ernie-deploy logs long-name --source ke\t",
         "<ernie-deploy><logs><long-name><--source><keeper>"),
        ("ernie-deploy engine install tr\t", "<ernie-deploy><engine><install><transformers>"),
    ],
)  # fmt: skip
def test_bash(rig: Rig, keys: str, line: str) -> None:
    (rig.instance("long-name") / "logs").mkdir(parents=True)
    (rig.instance("long-name") / "plan.json").touch()
    assert typed(rig, keys) == line


def test_zsh_asks_and_is_answered(rig: Rig) -> None:
    rig.instance("long-name").mkdir(parents=True)
    rig.env |= {
        "_ERNIE_DEPLOY_COMPLETE": "zsh_complete",
        "COMP_WORDS": "ernie-deploy down lo",
        "COMP_CWORD": "2",
    }
    lines = rig.run().stdout.splitlines()
    assert lines[:2] == ["file", "lo"]  # zsh completes paths by itself
    assert lines[3:5] == ["plain", "long-name"]
    script = cli.run("completion", "zsh", home=rig.home).stdout
    assert script.startswith("#compdef ernie-deploy")


def test_a_state_directory_that_is_none_stays_silent(rig: Rig) -> None:
    path = Path(rig.path("file"))
    path.touch()
    rig.env |= {
        "ERNIE_DEPLOY_HOME": str(path),
        "_ERNIE_DEPLOY_COMPLETE": "bash_complete",
        "COMP_WORDS": "ernie-deploy down lo",
        "COMP_CWORD": "2",
    }
    ran = rig.run()
    assert (ran.rc, ran.stdout, ran.stderr) == (0, "file,lo\n", "")
