r"""Values that FastDeploy pastes into the shell string that starts its workers.

`LLMEngine._start_worker_service` builds one string and runs it with `shell=True`; most values go
in without quotes, JSON ones between single quotes. A space in a model path makes a broken start,
`$(...)` runs a command. Which option is pasted how, per release, is in `data/late.json`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from launcher.engines.common import problem
from launcher.engines.fastdeploy.catalogue import shell_options
from launcher.engines.fastdeploy.release_data import load
from launcher.engines.fastdeploy.requested import Requested
from launcher.errors import PreconditionError, Problem
from launcher.json_values import JsonValue, is_list, object_at, texts_at
from launcher.profile.model import Profile

SPECIAL = frozenset("|&;<>()$`\\\"'*?[]{}~#! \t\n\r\v\f")
"""Characters that a shell does not leave as they are in a bare word."""


def unsafe(text: str) -> str | None:
    """The first character of `text` that does not survive a shell unquoted; None if all do."""
    return next((c for c in text if c in SPECIAL or ord(c) < 32 or ord(c) == 127), None)


def check(profile: Profile, line: str) -> list[Problem]:
    """A problem for every value of the profile that the shell would not leave alone."""
    facts = object_at(load("late.json"), "shell")
    requested = Requested(profile)
    problems = []
    bare, quoted = shell_options(line)
    for option in bare:
        problems += _unquoted(profile, requested, option)
    for option in quoted:
        value = requested.value(option)
        if value is not None and "'" in _json(value):
            problems.append(
                _wrong(profile, requested.key(option), option, "'", "between single quotes")
            )
    for name in texts_at(facts, "environment"):
        value = profile.env.get(name)
        unsafe_character = unsafe(value) if value is not None else None
        if unsafe_character:
            problems.append(_wrong(profile, f"env.{name}", name, unsafe_character, "unquoted"))
    unsafe_character = unsafe(profile.cache_dir) if profile.cache_dir else None
    if unsafe_character:
        problems.append(_wrong(profile, "cache-dir", "cache-dir", unsafe_character, "unquoted"))
    return problems


def refuse_unsafe(paths: Mapping[str, str]) -> None:
    """Refuse paths of ours that the same string gets: the log folder, the interpreter.

    Raises:
        PreconditionError: one of them has a character that a shell does not leave alone.
    """
    for what, path in paths.items():
        unsafe_character = unsafe(path)
        if unsafe_character:
            raise PreconditionError.of(
                "unsafe-path",
                f"{what} {path} holds {unsafe_character!r}, and FastDeploy pastes it unquoted into"
                " a shell command",
                remedy="use a path without spaces and shell characters (ERNIE_DEPLOY_HOME moves "
                "the state directory)",
            )


def _unquoted(profile: Profile, requested: Requested, option: str) -> list[Problem]:
    if option == "model":
        unsafe_character = unsafe(profile.model)
        return (
            [_wrong(profile, "model", "model", unsafe_character, "unquoted")]
            if unsafe_character
            else []
        )
    value = requested.value(option)
    if value is None or isinstance(value, (bool, int, float)):
        return []
    key = requested.key(option)
    if option == "speculative-config":
        settings = requested.mapping(option) or {}
        texts = [str(settings[k]) for k in ("method", "model", "quantization") if k in settings]
    elif option == "override-pooler-config":
        settings = requested.mapping(option) or {}
        # The dict's own text is pasted: every key of it brings quotes.
        texts = [repr(dict(settings))] if settings else []
    elif is_list(value):
        texts = [str(item) for item in value]
    elif isinstance(value, Mapping):
        texts = [_json(value)]
    else:
        texts = [str(value)]
    for text in texts:
        if not text:
            return [_wrong(profile, key, option, "", "unquoted")]
        unsafe_character = unsafe(text)
        if unsafe_character:
            return [_wrong(profile, key, option, unsafe_character, "unquoted")]
    return []


def _json(value: JsonValue) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _wrong(profile: Profile, key: str, what: str, unsafe_character: str, how: str) -> Problem:
    description = f"{unsafe_character!r}" if unsafe_character else "an empty text"
    return problem(
        profile, key, "unsafe-for-shell",
        f"FastDeploy pastes {what} {how} into the shell command that starts its workers, and the "
        f"value holds {description}",
        "link the folder to a plain path" if what in ("model", "cache-dir") else
        "use a value without spaces and shell characters",
    )  # fmt: skip
