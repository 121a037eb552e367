"""Which model is known to have which skills: a data file, by the model's name."""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path

from launcher.json_values import JsonValue, list_at, text_at

DATA = Path(__file__).parents[1] / "data" / "skills.json"


@functools.cache
def _table() -> list[tuple[re.Pattern[str], frozenset[str]]]:
    data: JsonValue = json.loads(DATA.read_text(encoding="utf-8"))
    return [
        (re.compile(text_at(e, "model"), re.I), frozenset(map(str, list_at(e, "skills"))))
        for e in list_at(data, "models")
    ]


def skills_of(model: str | None) -> frozenset[str]:
    """The skills promised for a model of this name; empty where it is not known."""
    for pattern, skills in _table():
        if model and pattern.search(model):
            return skills
    return frozenset()
