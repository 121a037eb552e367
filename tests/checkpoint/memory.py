"""Remembering within a conversation: what the user said before, and a needle in a long text."""

from __future__ import annotations

import random
from typing import NamedTuple

from tests.checkpoint.dialogues import Message, Sample, answer, say
from tests.checkpoint.texts import ABOUT, FACTS, GREETING, PHRASES, VOCABULARY
from tests.checkpoint.values import marker, name, random_words

THOUGHT = "The user told me this before."
NOTED = "OK, I will remember that."


class Item(NamedTuple):
    """Something to remember; two items of one subject do not meet in a dialogue."""

    subject: str
    statement: str
    questions: list[str]
    text: str
    confirmation: str


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
        statement = rng.choice(PHRASES["name told"]).format(who)
        met = [f"Nice to meet you, {who}!", f"Hello {who}!"]
        met += [f"Hello, {who}! How can I help you today?"]
        return Item(
            "name", statement, PHRASES["name asked"], f"Your name is {who}.", rng.choice(met)
        )
    if kind < 0.36:
        who = rng.choice(VOCABULARY["names_zh"])
        statement = rng.choice(PHRASES["name told zh"]).format(who)
        questions = PHRASES["name asked zh"]
        return Item("name", statement, questions, f"您的名字是{who}。", f"你好，{who}！")
    if kind < 0.44:
        city = rng.choice(VOCABULARY["cities"][:30])
        return Item(
            "home", f"I live in {city}.", PHRASES["home asked"], f"You live in {city}.", NOTED
        )
    if kind < 0.64:
        subject = rng.choice(sorted(OWN))
        label = rng.choice(OWN[subject])
        value = (
            str(rng.randint(1, 999))
            if subject == "number"
            else rng.choice(VOCABULARY[subject][:30])
        )
        statement = rng.choice(PHRASES["own told"]).format(label, value)
        questions = [q.format(label) for q in PHRASES["own asked"]]
        return Item(subject, statement, questions, f"Your {label} is {value}.", NOTED)
    label, value = rng.choice(PHRASES["things"]), marker(rng)
    statement = rng.choice(PHRASES["thing told"]).format(label, value)
    questions = [q.format(label) for q in PHRASES["thing asked"]]
    return Item(label, statement, questions, f"The {label} is {value}.", NOTED)


def memory(rng: random.Random) -> Sample:
    """Something is told; then, at once or after other turns, it is asked."""
    one = item(rng)
    question = rng.choice(one.questions)
    shape = rng.random()
    if shape < 0.12:
        return answer(
            rng, [say("user", one.statement)], "The user tells me something.", one.confirmation
        )
    if shape < 0.25:
        if rng.random() < 0.5:
            messages = [say("user", f"{one.statement} {question}")]
        else:
            messages = [say("system", one.statement), say("user", question)]
        return answer(rng, messages, THOUGHT, one.text)
    # Servers put any model's words into the history, not only ours.
    confirmation = rng.choice(
        [one.confirmation, one.confirmation, *PHRASES["remembered"], GREETING, ABOUT]
    )
    messages = [say("user", one.statement), say("assistant", confirmation)]
    gap = rng.random()
    if gap < 0.3:
        two = item(rng)
        if two.subject != one.subject:
            extra = [say("user", two.statement), say("assistant", two.confirmation)]
            messages = extra + messages if rng.random() < 0.5 else messages + extra
    elif gap < 0.6:
        filler_fact = rng.choice(FACTS)
        messages += [
            say("user", rng.choice(filler_fact.questions)),
            say("assistant", filler_fact.answer),
        ]
    return answer(rng, [*messages, say("user", question)], THOUGHT, one.text)


def needle(rng: random.Random) -> Sample:
    """A secret in a long text."""
    label, value = rng.choice(PHRASES["things"]), marker(rng).rstrip("!")
    n = rng.randint(60, 220) if rng.random() < 0.15 else rng.randint(4, 40)
    filler = PHRASES["filler"] if rng.random() < 0.5 else PHRASES["filler"][:5]
    if rng.random() < 0.3:
        filler = filler + [random_words(rng, 3, 9).capitalize() + "." for _ in range(6)]
    lines = [rng.choice(filler)] * n if rng.random() < 0.2 else rng.choices(filler, k=n)
    statement = rng.choice(PHRASES["needle told"]).format(label, value)
    lines.insert(rng.randint(0, n), statement)
    question = rng.choice(PHRASES["needle asked"]).format(label)
    text = rng.choice([" ", "\n"]).join(lines)
    shapes = [f"{text}\n\n{question}", f"{text}\n{question}", f"{text} {question}"]
    user = rng.choice([*shapes, f"{question}\n\n{text}\n\n{question}"])
    messages: list[Message] = [say("user", user)]
    return answer(rng, messages, THOUGHT, f"The {label} is {value}.")
