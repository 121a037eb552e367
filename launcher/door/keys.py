"""The keys of clients as HAProxy looks them up: two private map files beside its configuration.

`keys.map` has a line for each accepted key: its HMAC-SHA-256 under the service's salt, then its
name and limits. `engine.map` has what the replicas want as key, in base64 because a map's value has
no blanks: it replaces what the client sent. HAProxy reads both at its start, and takes changes by
its socket.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

KEYS_MAP = "keys.map"
ENGINE_MAP = "engine.map"
SEPARATOR = ":"
LONGEST_ENGINE_KEY = 2048
"""Characters of the replicas' key: a command to HAProxy has at most 4096 bytes."""
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,39}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_SALT = re.compile(r"[0-9a-f]{32,128}")
_LINE = re.compile(r"(\S+) (\S+)")


@dataclass(frozen=True)
class KeyRow:
    """One accepted key: the digest of its text, its name, and the name's limits.

    At most `requests` begin within `period` seconds and at most `concurrency` run at the same time;
    0: no limit.
    """

    digest: str
    name: str
    requests: int = 0
    period: int = 0
    concurrency: int = 0

    def __post_init__(self) -> None:
        """Refuse what a map could not hold.

        Raises:
            ValueError: a value is outside its range.
        """
        if not _NAME.fullmatch(self.name) or not _DIGEST.fullmatch(self.digest):
            raise ValueError(f"{self.name!r} cannot be the name of a key")
        if min(self.requests, self.period, self.concurrency) < 0:
            raise ValueError(f"a limit of {self.name} is below 0")

    @property
    def value(self) -> str:
        """What the map says of the digest."""
        limits = (self.requests, self.period, self.concurrency)
        return SEPARATOR.join((self.name, *map(str, limits)))


@dataclass(frozen=True)
class KeyTable:
    """Every key that the front door accepts.

    `folder` is where the two maps are, absolute. `salt` is in hex. `engine_key` replaces the
    client's; empty: the replicas want none.
    """

    folder: str
    salt: str
    rows: tuple[KeyRow, ...] = ()
    engine_key: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        """Refuse what HAProxy could not use.

        Raises:
            ValueError: the salt is not hex, or the replicas' key cannot stand in a header.
        """
        if not _SALT.fullmatch(self.salt):
            raise ValueError("the salt is 16 to 64 bytes in hex")
        key = self.engine_key
        if not (key.isascii() and key.isprintable()) or len(key) > LONGEST_ENGINE_KEY:
            raise ValueError(
                f"the replicas' key is not printable ASCII of at most {LONGEST_ENGINE_KEY}"
                " characters"
            )

    @property
    def periods(self) -> tuple[int, ...]:
        """The periods of all rates, in seconds: HAProxy counts each in a table of its own."""
        return tuple(sorted({row.period for row in self.rows if row.requests}))

    @property
    def keys_path(self) -> Path:
        """The map of the accepted keys."""
        return Path(self.folder) / KEYS_MAP

    @property
    def engine_path(self) -> Path:
        """The map with the replicas' key."""
        return Path(self.folder) / ENGINE_MAP

    @property
    def maps(self) -> Mapping[Path, Mapping[str, str]]:
        """What each map holds."""
        engine = {"engine": base64.b64encode(self.engine_key.encode()).decode()}
        return {
            self.keys_path: {row.digest: row.value for row in self.rows},
            self.engine_path: engine if self.engine_key else {},
        }


def digest_key(salt: str, key: str) -> str:
    """The digest by which a key is looked up, in hex; `salt` in hex.

    The comparison of digests may take a time that depends on them: without the salt no caller can
    choose one.
    """
    return hmac.new(bytes.fromhex(salt), key.encode(), hashlib.sha256).hexdigest()


def engine_key_of(text: str) -> str:
    """The replicas' key in the text of an `engine.map`; empty where there is none.

    Raises:
        ValueError: it is not base64.
    """
    return base64.b64decode(parse_map(text.splitlines()).get("engine", ""), validate=True).decode()


def salt_in_base64(salt: str) -> str:
    """The salt as the configuration has it."""
    return base64.b64encode(bytes.fromhex(salt)).decode()


def render_map(entries: Mapping[str, str]) -> str:
    """The text of a map file."""
    return "".join(f"{key} {value}\n" for key, value in entries.items())


def parse_map(lines: Sequence[str]) -> dict[str, str]:
    """The entries of a map's lines."""
    matches = (_LINE.fullmatch(line.strip()) for line in lines)
    return {match[1]: match[2] for match in matches if match is not None}
