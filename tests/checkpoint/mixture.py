"""The mixture that the tiny ERNIE is trained on: endless and seeded."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count

from tests.checkpoint import memory, skills
from tests.checkpoint.dialogues import Sample, Skill, say
from tests.checkpoint.texts import FACTS, PHRASES

SKILLS: list[tuple[Skill, float]] = [
    (skills.fact, 24),
    (skills.unknown, 8),
    (skills.arithmetic, 4),
    (skills.echo, 16),
    (skills.repetition, 2),
    (skills.count, 5),
    (skills.random_choice, 4),
    (skills.json_object, 8),
    (memory.memory, 14),
    (skills.system_prompt, 11),
    (memory.needle, 3),
    (skills.completion, 2),
    (skills.with_tools, 34),
]
"""Each skill and its share of the dialogues."""


def dressed(rng: random.Random, sample: Sample) -> Sample:
    """The same sample behind a generic system prompt, or after another exchange."""
    messages = sample.messages
    if not messages or messages[0]["role"] == "system":
        return sample
    if rng.random() < 0.12:
        fact = rng.choice(FACTS)
        before = [say("user", rng.choice(fact.questions)), say("assistant", fact.answer)]
        messages = [*before, *messages]
    if rng.random() < 0.25:
        messages = [say("system", rng.choice(PHRASES["system generic"])), *messages]
    return replace(sample, messages=messages)


def stream(
    seed: int,
    drill: Callable[[int], float] = lambda n: 0.0,
    mixture: list[tuple[Skill, float]] | None = None,
) -> Iterator[Sample]:
    """Every dialogue of a training run, in order; the same for the same seed.

    ``drill(n)`` is the share of copying drills around the n-th dialogue, ``mixture`` the skills
    and their shares beside (default: SKILLS).
    """
    rng = random.Random(seed)
    drawn, weights = zip(*(mixture or SKILLS), strict=True)
    for n in count():
        if rng.random() < drill(n):
            yield skills.drill_copying(rng)
        else:
            yield dressed(rng, rng.choices(drawn, weights)[0](rng))
