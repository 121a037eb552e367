"""A profile that is being written: values by key path, each with its source, and its YAML text."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from launcher.json_values import JsonValue, is_list
from launcher.profile.model import Profile
from launcher.profile.schema import neutral_keys

WIDTH = 98
"""Characters of a line; a longer source is a comment of its own above the value."""

_PLAIN = re.compile(r"[A-Za-z./][A-Za-z0-9._/+-]*|[0-9]+[a-z]+|[0-9]+(\.[0-9]+){3}")


@dataclass(frozen=True)
class Setting:
    """A value of the profile; `key` is a key path (`parsers.reasoning`)."""

    key: str
    value: JsonValue
    source: str


class Draft:
    """Settings in the order of the file."""

    def __init__(self, settings: Sequence[Setting] = ()) -> None:
        """Keep a copy of `settings`."""
        self._settings = {setting.key: setting for setting in settings}

    @property
    def settings(self) -> tuple[Setting, ...]:
        """All settings, in the order in which their keys were first set."""
        return tuple(self._settings.values())

    def set(self, key: str, value: JsonValue, source: str) -> None:
        """Set or replace the value of `key`."""
        self._settings[key] = Setting(key, value, source)

    def get(self, key: str) -> JsonValue:
        """The value of `key`, None where it is not set."""
        setting = self._settings.get(key)
        return setting.value if setting else None

    def integer(self, key: str) -> int | None:
        """The value of `key` where it is a whole number."""
        value = self.get(key)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def text_of(self, key: str) -> str | None:
        """The value of `key` where it is a text."""
        value = self.get(key)
        return value if isinstance(value, str) else None

    def profile(self) -> Profile:
        """The settings as a profile; without places, because no file exists yet."""
        prefix = "engine-args."
        return Profile(
            name=self.text_of("name") or "",
            engine=self.text_of("engine") or "",
            model=self.text_of("model") or "",
            engine_version=self.text_of("engine-version"),
            settings={key: self.get(key) for key in neutral_keys() if key in self._settings},
            engine_args={
                key.removeprefix(prefix): setting.value
                for key, setting in self._settings.items()
                if key.startswith(prefix)
            },
        )

    def yaml(self, head: Sequence[str]) -> str:
        """The profile as a file: `head` as comments, then every value with its source."""
        lines = [line for text in head for line in _comment(text)]
        group = ""
        for setting in self._settings.values():
            parent, _, name = setting.key.rpartition(".")
            if parent and parent != group:
                lines.append(f"{parent}:")
            group = parent
            indent = "  " if parent else ""
            pair = f"{indent}{name}: {yaml_value(setting.value)}"
            line = f"{pair.ljust(37)} # {setting.source}"
            if len(line) <= WIDTH:
                lines.append(line)
            else:
                lines += [*_comment(setting.source, f"{indent}# "), pair]
        return "\n".join(lines) + "\n"


def yaml_value(value: JsonValue) -> str:
    """The value on one line of YAML; a dollar sign is doubled, because profiles have variables."""
    if isinstance(value, str):
        text = value.replace("$", "$$")
        is_plain = _PLAIN.fullmatch(text) and text.lower() not in ("on", "off", "yes", "no", "null")
        return text if is_plain else json.dumps(text, ensure_ascii=False)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {yaml_value(item)}" for key, item in value.items()) + "}"
    if is_list(value):
        return "[" + ", ".join(yaml_value(item) for item in value) + "]"
    return json.dumps(value)


def _comment(text: str, prefix: str = "# ") -> Iterator[str]:
    if text.startswith("# "):
        yield text
        return
    yield from textwrap.wrap(
        " ".join(text.split()), WIDTH, initial_indent=prefix, subsequent_indent=prefix,
        break_on_hyphens=False, break_long_words=False,
    )  # fmt: skip
