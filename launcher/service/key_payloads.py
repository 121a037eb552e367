"""What the verbs about keys return; `launcher.codec` writes them as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from launcher.keeper.usage import KeyUsage
from launcher.service.keys import Slot

KeyState = Literal["accepted", "changed", "kept", "missing"]
"""`accepted`: the front door takes what the reference holds. `changed`: the reference holds another
key than the front door takes; `keys rotate` applies it. `kept`: the reference cannot be resolved
here, and the front door takes the key that it held before. `missing`: no key of it is taken."""


@dataclass(frozen=True)
class KeyStatus:
    """One reference of `keys list`; 0: no limit. `message` is what is wrong with it."""

    name: str
    slot: Slot
    reference: str
    state: KeyState
    requests: int = 0
    period: int = 0
    concurrency: int = 0
    message: str = ""


@dataclass(frozen=True)
class KeyList:
    """`keys list`: every reference; without any the front door asks for no key."""

    service: str
    keys: tuple[KeyStatus, ...] = ()


@dataclass(frozen=True)
class KeyRotation:
    """`keys rotate`: how many keys of each name are accepted now, and what was changed.

    `added` and `removed` have the names of the keys that are accepted since, or no longer.
    """

    service: str
    accepted: Mapping[str, int]
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


@dataclass(frozen=True)
class Usage:
    """`usage`: by the name of the key, `-` for requests without a known one.

    Whole hours, from the one of `since` on (Unix seconds); None: all that are kept. `generated` are
    the tokens that each replica has generated since its start, with whatever key: None where its
    engine does not tell.
    """

    service: str
    since: float | None
    until: float
    keys: Mapping[str, KeyUsage]
    generated: Mapping[str, int | None]
