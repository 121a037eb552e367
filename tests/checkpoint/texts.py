"""The texts that the tiny ERNIE learns (all ours), read from the JSON files in ``text/``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

FOLDER = Path(__file__).resolve().parent / "text"


class Fact(NamedTuple):
    """Questions that share one thought and one answer, all of them memorised."""

    questions: list[str]
    thought: str
    answer: str


def _read(name: str) -> Any:
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def _capitals() -> list[Fact]:
    """The capitals of some countries, in English and Chinese."""
    facts = []
    for country, city, country_zh, city_zh in _read("capitals"):
        english = [q.format(country) for q in PHRASES["capital"]]
        chinese = [q.format(country_zh) for q in PHRASES["capital zh"]]
        text = f"The capital of {country} is {city}."
        text_zh = f"{country_zh}的首都是{city_zh}。"
        facts += [Fact(english, text, text), Fact(chinese, text_zh, text_zh)]
    return facts


PHRASES: dict[str, list[str]] = _read("phrases")
"""Ways to say a thing; braces stand for what is filled in."""

VOCABULARY: dict[str, list[str]] = _read("words")
"""Cities, names, colours and other words that dialogues draw from."""

FACTS = [Fact(**fact) for fact in _read("facts")] + _capitals()
GREETINGS = FACTS[0]
GREETING, GREETING_ZH = FACTS[0].answer, FACTS[1].answer
ABOUT, ABOUT_ZH = FACTS[2].answer, FACTS[3].answer

COMPLETIONS: list[list[str]] = _read("completions")
"""What /v1/completions continues: prompt and text, without a chat template."""
