"""The command lines that monitoring and editors run again and again, answered without click.

Importing click takes a third of their time. Only the plainest forms are taken here (`status
[TARGET]`, `validate PROFILE`, `probe TARGET --ready`, each with `--json` or without); everything
else, wrong command lines included, is click's. The answers are the same: a test compares them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from launcher.environments.payloads import Validation
    from launcher.instance.instance_status import Status
    from launcher.instance.probe import ProbeAnswer
    from launcher.result import Result

COMPLETION = "_ERNIE_DEPLOY_COMPLETE"
"""Variable by which a shell asks click what could come next."""


def run_quick(argv: list[str]) -> int | None:
    """The exit code, or None where click has to look at the words."""
    if os.environ.get(COMPLETION):
        return None
    verb, *rest = argv or [""]
    verb = "status" if verb == "ps" else verb
    arguments = [word for word in rest if word != "--json"]
    if verb not in VERBS:
        return None
    least, most, function = VERBS[verb]
    targets = [word for word in arguments if word not in PROBES] if verb == "probe" else arguments
    if any(not word or word.startswith("-") for word in targets):
        return None
    if not least <= len(targets) <= most or len(arguments) - len(targets) != (verb == "probe"):
        return None
    as_json = len(arguments) < len(rest)
    if verb == "probe" and not as_json and _answer_yes(arguments):
        return 0
    from launcher.cli.boundary import prepare_streams, run

    prepare_streams()
    return run(lambda: function(arguments), argv, command=verb, as_json=as_json)


def _status(targets: list[str]) -> Result[Status]:
    from launcher.cli.targets import show_status

    return show_status(targets[0] if targets else None)


def _validate(targets: list[str]) -> Result[Validation]:
    from launcher.cli.targets import validate_profile

    return validate_profile(targets[0])


def _probe(arguments: list[str]) -> Result[ProbeAnswer]:
    from launcher.cli.targets import run_probe

    (kind,) = (PROBES[word] for word in arguments if word in PROBES)
    (target,) = (word for word in arguments if word not in PROBES)
    return run_probe(target, kind)


def _answer_yes(arguments: list[str]) -> bool:
    """Whether the keeper said yes, and its reason was printed."""
    from launcher.cli.quick_probe import ask_quickly

    (option,) = (word for word in arguments if word in PROBES)
    (target,) = (word for word in arguments if word not in PROBES)
    reason = ask_quickly(target, PROBES[option])
    if reason is None:
        return False
    sys.stdout.write(f"{reason}\n")
    return True


PROBES = {"--live": "live", "--ready": "ready", "--startup": "startup"}
"""Options of `probe`, of which it takes one."""
VERBS: dict[str, tuple[int, int, Callable[[list[str]], Result[object]]]] = {
    "status": (0, 1, _status),
    "validate": (1, 1, _validate),
    "probe": (1, 1, _probe),
}
"""Verb to the least and the largest number of its targets, and what answers."""
