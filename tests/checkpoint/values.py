"""Values that are drawn anew each time, so that the model learns to copy them."""

from __future__ import annotations

import random
import string

from tests.checkpoint.texts import PHRASES, VOCABULARY


def made_up_word(rng: random.Random) -> str:
    """A word that can be pronounced and means nothing."""
    vowels, consonants = "aeiou", "bcdfghjklmnprstvwxz"
    syllables = range(rng.randint(1, 3))
    text = "".join(rng.choice(consonants) + rng.choice(vowels) for _ in syllables)
    return text + (rng.choice(consonants) if rng.random() < 0.5 else "")


def word(rng: random.Random) -> str:
    """An English word or a made-up one."""
    return rng.choice(VOCABULARY["words"]) if rng.random() < 0.6 else made_up_word(rng)


def random_words(rng: random.Random, least: int, most: int) -> str:
    """Some words without a meaning together."""
    return " ".join(word(rng) for _ in range(rng.randint(least, most)))


def name(rng: random.Random) -> str:
    """A first name or a made-up one."""
    return rng.choice(VOCABULARY["names"]) if rng.random() < 0.6 else made_up_word(rng).capitalize()


def city(rng: random.Random) -> str:
    """A city or a made-up one."""
    if rng.random() < 0.75:
        return rng.choice(VOCABULARY["cities"])
    return "".join(rng.choices(PHRASES["city parts"], k=rng.randint(2, 3))).capitalize()


def marker(rng: random.Random) -> str:
    """What a test plants to recognise an answer as its own."""
    digits = "".join(rng.choices(string.digits, k=rng.randint(1, 6)))
    mixed = "".join(rng.choices(string.ascii_uppercase + string.digits, k=rng.randint(2, 8)))
    hexa = "".join(rng.choices("0123456789abcdef", k=rng.randint(4, 12)))
    w = word(rng)
    alone = [w, w, w.upper(), w.capitalize(), digits, digits, mixed, hexa]
    joined = [f"{w}-{digits}", f"{w.upper()}-{digits}", f"{w}_{word(rng)}", f"{w}-{hexa}"]
    joined += [f"{mixed}-{digits}", f"{w}{digits}"]
    several = [f"{w} {digits}", f"{w} {word(rng)}"]
    several += [f"{w.capitalize()}, {word(rng)} {word(rng)}!"]
    return rng.choice(alone + joined + several)
