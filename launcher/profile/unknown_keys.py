"""Keys that the schema does not have, or not for this engine: the problem and the key meant."""

from __future__ import annotations

from collections.abc import Mapping

from launcher.nearest import likeness, nearest
from launcher.profile.checker import Checker
from launcher.profile.model import Origin
from launcher.profile.schema import Key, paths

OTHER_NAMES: Mapping[str, str] = {
    "port": "ports.api",
    "metrics-port": "ports.metrics",
    "engine-worker-queue-port": "ports.engine-worker-queue",
    "cache-queue-port": "ports.cache-queue",
    "reasoning-parser": "parsers.reasoning",
    "tool-call-parser": "parsers.tool-call",
    "model-name": "served-model-name",
    "environment": "env",
    "args": "engine-args",
    "version": "engine-version",
    "download-dir": "cache-dir",
    "timeout": "health.startup-timeout",
}
"""What people write at the top from habit, and the key that is meant."""
RENAMED: Mapping[str, str] = {"restart.delay": "first-delay"}
"""Path of a key that earlier releases had, and what it is called now."""


def say_unknown(
    check: Checker, name: str, path: str, keys: Mapping[str, Key], origin: Origin
) -> None:
    """Say that none of `keys` is called `name`, and which one may be meant."""
    spelled = name.lstrip("-").replace("_", "-").lower()
    at_top = path == name
    names = [k for k, key in keys.items() if key.belongs(check.engine)]
    similar = nearest(spelled, names, cutoff=0.75)
    near = [similar] if similar and _same_words(spelled, similar) else []
    elsewhere = [p for p, _ in paths() if p.rpartition(".")[2] == spelled]
    meant = [
        *([RENAMED[path]] if path in RENAMED else []),
        *([spelled] if spelled in keys else []),
        *([OTHER_NAMES[spelled]] if at_top and spelled in OTHER_NAMES else []),
        *near,
        *elsewhere,
    ]
    if meant:
        remedy = f"did you mean `{meant[0]}`?"
    elif at_top:
        remedy = "a flag of the engine goes under `engine-args`"
    else:
        remedy = f"one of: {', '.join(names)}"
    check.say("unknown-key", path, "unknown key", origin, remedy)


def say_misplaced(check: Checker, key: Key, path: str, origin: Origin) -> None:
    """Say that profiles of this engine cannot have the key."""
    if key.only == "hosted":
        message = f"only `engine: hosted` has it, this is {check.engine or 'no engine'}"
    else:
        message = "a hosted endpoint is run by a third party, who decides this"
    check.say("impossible-combination", path, message, origin, f"remove `{path}`")


def _same_words(one: str, second: str) -> bool:
    """False where a whole word differs: `data-parallel-size` is not a slip of `tensor-...`."""
    first_words, second_words = one.split("-"), second.split("-")
    return len(first_words) != len(second_words) or all(
        likeness(a, b) >= 0.5 for a, b in zip(first_words, second_words, strict=True)
    )
