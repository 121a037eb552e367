"""The table of GPUs: cards that can be planned for although they are not in this machine."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from launcher.errors import UsageError
from launcher.json_values import list_at, number_at, object_at, text_at
from launcher.nearest import did_you_mean
from launcher.plan import memory
from launcher.plan.memory import Card

MIB = 1024**2
_FILE = Path(memory.__file__).parent / "data" / "gpus.json"


@dataclass(frozen=True)
class KnownCard:
    """A card of the table; `capability` is its CUDA compute capability."""

    id: str
    card: Card
    capability: tuple[int, int]


@functools.cache
def known_cards() -> Mapping[str, KnownCard]:
    """The table by id (`h800-80g`)."""
    cards = {}
    for name, entry in object_at(json.loads(_FILE.read_text(encoding="utf-8")), "cards").items():
        total = int(number_at(entry, "total_mib") or 0) * MIB
        major, minor = (int(str(part)) for part in list_at(entry, "capability"))
        card = Card(text_at(entry, "title"), total, "table")
        cards[name] = KnownCard(name, card, (major, minor))
    return cards


def find_card(name: str) -> KnownCard:
    """The card called `name`; upper case, and the size where there is one size only, may differ.

    Raises:
        UsageError: there is none, or several have this name; names them or the nearest.
    """
    cards, lower = known_cards(), name.lower()
    if lower in cards:
        return cards[lower]
    sizes = [card for card in cards if card.startswith(f"{lower}-")]
    if len(sizes) == 1:
        return cards[sizes[0]]
    begins = sizes or [card for card in cards if lower and card.startswith(lower)]
    meant = did_you_mean(lower, cards)
    if begins:
        meant = f"; did you mean {' or '.join(repr(card) for card in begins)}?"
    raise UsageError.of(
        "unknown-gpu", f"the table has no card {name!r}{meant}", None,
        f"one of: {', '.join(cards)}",
    )  # fmt: skip
