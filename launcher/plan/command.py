"""A plan as something that can be run: the environment, and a line for a shell."""

from __future__ import annotations

import fnmatch
import os
import shlex
from collections.abc import Mapping

from launcher.plan.model import LaunchPlan

ALWAYS_UNSET = ("NOTIFY_SOCKET", "WATCHDOG_*", "LISTEN_*")
"""systemd's messages to the keeper; an engine that answers them would speak for the keeper."""


def environment(
    plan: LaunchPlan, caller: Mapping[str, str], secrets: Mapping[str, str]
) -> dict[str, str]:
    """The engine's whole environment: what is passed from the caller, the plan's, the secrets.

    The interpreter's own folder comes first in PATH, so that the tools of the engine's virtual
    environment are found as if it were activated.
    """
    passed = {
        name: value
        for name, value in caller.items()
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in plan.pass_env)
        and not any(fnmatch.fnmatchcase(name, pattern) for pattern in ALWAYS_UNSET)
    }
    planned = {variable.name: variable.value for variable in plan.env}
    if "PATH" in passed and "PATH" not in planned:
        passed["PATH"] = os.path.dirname(plan.argv[0]) + os.pathsep + passed["PATH"]
    return {**passed, **planned, **secrets}


def shell_line(plan: LaunchPlan) -> str:
    """A line that starts the engine from a shell with the plan's files, variables and words.

    Secrets appear as their references, never as values, and reach the engine by `export`, which
    no list of processes shows. The temporary folder is made anew each time; the line runs in a
    subshell, so that nothing of it stays in the shell it is pasted into.
    """

    def quote(word: str) -> str:
        parts = word.split(plan.temporary_folder)
        return '"$ed"'.join(shlex.quote(part) if part else "" for part in parts) or "''"

    folders = [plan.log_folder, plan.cwd, *plan.folders]
    argv = ["umask 077", "&&", 'ed=$(mktemp -d "${TMPDIR:-/tmp}/ed-XXXXXXXX")', "&&"]
    argv += ["mkdir -p", *dict.fromkeys(map(quote, folders)), "&&", "cd", quote(plan.cwd)]
    variables = [quote(f"{v.name}={v.value}") for v in plan.env]
    variables += [f'{name}="{_for_shell(reference)}"' for name, reference in plan.secrets.items()]
    argv += ["&&", "export", *variables] if variables else []
    argv += ["&&", "exec", *map(quote, plan.argv)]
    return f"({' '.join(argv)})"


def _for_shell(reference: str) -> str:
    kind, _, value = reference.partition(":")
    if kind == "env":
        return f"${value}"
    if kind == "file":
        return f"$(cat {shlex.quote(os.path.expanduser(value))})"
    return f"$({value})"
