"""Remembering within a conversation: what the user said before, and a needle in a long text."""

from __future__ import annotations

import random
from typing import NamedTuple

from dialogues import Message, Sample, answer, say
from texts import ABOUT, FACTS, GREETING, PHRASES, WORDS
from values import marker, name, words

THOUGHT = "The user told me this before."
NOTED = "OK, I will remember that."


class Item(NamedTuple):
    """Something to remember; two items of one subject do not meet in a dialogue."""

    subject: str
    told: str
    asked: list[str]
    text: str
    noted: str


OWN = {
    "colours": ["favourite colour", "favorite color", "favourite color"],
    "animals": ["favourite animal", "favorite animal", "pet"],
    "fruits": ["favourite fruit", "favorite fruit"],
    "cities": ["city", "favourite city", "home town"],
    "number": ["favourite number", "favorite number", "lucky number"],
}


def item(rng: random.Random) -> Item:
    """A name, a home, a favourite or a secret."""
    kind = rng.random()
    if kind < 0.3:
        who = name(rng)
        told = rng.choice(PHRASES["name told"]).format(who)
        met = [f"Nice to meet you, {who}!", f"Hello {who}!"]
        met += [f"Hello, {who}! How can I help you today?"]
        return Item("name", told, PHRASES["name asked"], f"Your name is {who}.", rng.choice(met))
    if kind < 0.36:
        who = rng.choice(WORDS["names_zh"])
        told = rng.choice(PHRASES["name told zh"]).format(who)
        asked = PHRASES["name asked zh"]
        return Item("name", told, asked, f"您的名字是{who}。", f"你好，{who}！")
    if kind < 0.44:
        city = rng.choice(WORDS["cities"][:30])
        return Item(
            "home", f"I live in {city}.", PHRASES["home asked"], f"You live in {city}.", NOTED
        )
    if kind < 0.64:
        subject = rng.choice(sorted(OWN))
        label = rng.choice(OWN[subject])
        value = str(rng.randint(1, 999)) if subject == "number" else rng.choice(WORDS[subject][:30])
        told = rng.choice(PHRASES["own told"]).format(label, value)
        asked = [q.format(label) for q in PHRASES["own asked"]]
        return Item(subject, told, asked, f"Your {label} is {value}.", NOTED)
    label, value = rng.choice(PHRASES["things"]), marker(rng)
    told = rng.choice(PHRASES["thing told"]).format(label, value)
    asked = [q.format(label) for q in PHRASES["thing asked"]]
    return Item(label, told, asked, f"The {label} is {value}.", NOTED)


def memory(rng: random.Random) -> Sample:
    """Something is told; then, at once or after other turns, it is asked."""
    one = item(rng)
    question = rng.choice(one.asked)
    shape = rng.random()
    if shape < 0.12:
        return answer(rng, [say("user", one.told)], "The user tells me something.", one.noted)
    if shape < 0.25:
        if rng.random() < 0.5:
            messages = [say("user", f"{one.told} {question}")]
        else:
            messages = [say("system", one.told), say("user", question)]
        return answer(rng, messages, THOUGHT, one.text)
    # Servers put any model's words into the history, not only ours.
    said = rng.choice([one.noted, one.noted, *PHRASES["remembered"], GREETING, ABOUT])
    messages = [say("user", one.told), say("assistant", said)]
    other = rng.random()
    if other < 0.3:
        two = item(rng)
        if two.subject != one.subject:
            extra = [say("user", two.told), say("assistant", two.noted)]
            messages = extra + messages if rng.random() < 0.5 else messages + extra
    elif other < 0.6:
        known = rng.choice(FACTS)
        messages += [say("user", rng.choice(known.questions)), say("assistant", known.answer)]
    return answer(rng, [*messages, say("user", question)], THOUGHT, one.text)


def needle(rng: random.Random) -> Sample:
    """A secret in a long text."""
    label, value = rng.choice(PHRASES["things"]), marker(rng).rstrip("!")
    n = rng.randint(60, 220) if rng.random() < 0.15 else rng.randint(4, 40)
    filler = PHRASES["filler"] if rng.random() < 0.5 else PHRASES["filler"][:5]
    if rng.random() < 0.3:
        filler = filler + [words(rng, 3, 9).capitalize() + "." for _ in range(6)]
    lines = [rng.choice(filler)] * n if rng.random() < 0.2 else rng.choices(filler, k=n)
    told = rng.choice(PHRASES["needle told"]).format(label, value)
    lines.insert(rng.randint(0, n), told)
    question = rng.choice(PHRASES["needle asked"]).format(label)
    text = rng.choice([" ", "\n"]).join(lines)
    shapes = [f"{text}\n\n{question}", f"{text}\n{question}", f"{text} {question}"]
    user = rng.choice([*shapes, f"{question}\n\n{text}\n\n{question}"])
    messages: list[Message] = [say("user", user)]
    return answer(rng, messages, THOUGHT, f"The {label} is {value}.")
