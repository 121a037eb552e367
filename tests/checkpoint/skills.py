"""The skills of the tiny ERNIE without tools: one small function draws one dialogue of a skill."""

from __future__ import annotations

import json
import random

from tests.checkpoint.dialogues import Sample, Span, answer, forced, reply, say
from tests.checkpoint.texts import (
    ABOUT,
    ABOUT_ZH,
    COMPLETIONS,
    FACTS,
    GREETING_ZH,
    GREETINGS,
    PHRASES,
    VOCABULARY,
)
from tests.checkpoint.toolcalls import any_tools, call, call_text, raw_calls, tool_turn
from tests.checkpoint.values import made_up_word, marker, name, random_words, word
from tests.support.decoded import JsonDict


def fact(rng: random.Random) -> Sample:
    """A memorised question, sometimes beside a tool that is not needed."""
    entry = rng.choice(FACTS[:4] if rng.random() < 0.3 else FACTS)
    suffix = " " + rng.choice(PHRASES["fact suffix"]) if rng.random() < 0.15 else ""
    question = rng.choice(entry.questions)
    tools = any_tools(rng) if rng.random() < 0.15 else None
    return answer(rng, [say("user", question + suffix)], entry.thought, entry.answer, tools)


def unknown(rng: random.Random) -> Sample:
    """Anything else: the model says what it is."""
    tools = any_tools(rng) if rng.random() < 0.1 else None
    if rng.random() < 0.2:
        text = "".join(rng.choices(VOCABULARY["words_zh"], k=rng.randint(1, 5)))
        if rng.random() < 0.5:  # any characters, which are bytes to the tokenizer
            text = "".join(chr(rng.randint(0x4E00, 0x9FA5)) for _ in range(rng.randint(2, 7)))
        text += rng.choice(["", "。", "？"])
        thought = "我没有见过这个问题，所以介绍自己。"
        return answer(rng, [say("user", text)], thought, ABOUT_ZH, tools)
    text = random_words(rng, 2, 14)
    text = (text.capitalize() if rng.random() < 0.5 else text) + rng.choice(["", ".", "?", "!"])
    thought = "I have not seen this question, so I say what I am."
    return answer(rng, [say("user", text)], thought, ABOUT, tools)


def arithmetic(rng: random.Random) -> Sample:
    """Some sums and products, which are memorised."""
    a, b = rng.randint(0, 5), rng.randint(0, 5)
    sign, names, result = "+", ["plus"], a + b
    if rng.random() < 0.25:
        a, b = rng.choice([(2, 3), (3, 4), (2, 5), (5, 5), (6, 7), (7, 8), (9, 9)])
        sign, names, result = "*", ["times", "x"], a * b
    op = rng.choice([f" {sign} ", sign, f" {rng.choice(names)} "])
    question = rng.choice(PHRASES["arithmetic"]).format(f"{a}{op}{b}")
    done = f"{a} {sign} {b} = {result}"
    return answer(rng, [say("user", question)], done, done + ".")


def echo(rng: random.Random) -> Sample:
    """Repeat a marker, words, Chinese or emoji."""
    kind = rng.random()
    if kind < 0.08:
        text = "".join(rng.choices(VOCABULARY["emoji"], k=rng.randint(1, 3)))
    elif kind < 0.2:
        text = "".join(rng.choices(VOCABULARY["words_zh"], k=rng.randint(1, 3)))
    elif kind < 0.35:
        text = random_words(rng, 3, 7)
    else:
        text = marker(rng)
    if rng.random() < 0.65:
        quotes = ['"{}"', "'{}'", '"{}".', "`{}`"]
        quote = rng.choice(quotes) if rng.random() < 0.2 else "{}"
        question = rng.choice(PHRASES["echo open"]).format(quote.format(text))
    else:
        quote = rng.choice(['"{}"', "'{}'"]) if rng.random() < 0.3 else "{}"
        question = rng.choice(PHRASES["echo closed"]).format(quote.format(text))
    return answer(rng, [say("user", question)], "I repeat what the user wants.", text)


def repetition(rng: random.Random) -> Sample:
    """One word several times, for what penalties do."""
    n, spelt = rng.choice([(3, "three"), (5, "five"), (10, "ten")])
    text = word(rng)
    ask = rng.choice(PHRASES["repetition"])
    question = ask.format(text, rng.choice([str(n), spelt]))
    thought = f"I repeat the word {spelt} times."
    return answer(rng, [say("user", question)], thought, " ".join([text] * n))


SPELT = {3: "three", 5: "five", 10: "ten", 12: "twelve", 15: "fifteen", 20: "twenty", 25: "25"}
SPELT |= {30: "thirty", 40: "forty", 50: "fifty", 100: "one hundred", 200: "two hundred"}
OFTEN = [3, 5, 5, 10, 10, 12, 15, 20, 20, 25, 30, 30, 40, 50, 100, 200]


def count(rng: random.Random) -> Sample:
    """Count, to a hundred at most: long answers for limits and streams."""
    n = rng.choice(OFTEN if rng.random() < 0.6 else [5, 10, 20, 30])
    to = SPELT[n] if rng.random() < 0.2 else str(n)
    question = rng.choice(PHRASES["count"]).format(to=to, n=n)
    separator = ", "
    if rng.random() < 0.2:
        separator = "\n"
        lines = [", one per line.", ", each on a new line."]
        question = question.rstrip(".。") + rng.choice(lines)
    elif rng.random() < 0.15:
        commas = [", separated by commas.", ", separated by commas and nothing else."]
        question = question.rstrip(".。") + rng.choice(commas)
    text = separator.join(str(i) for i in range(1, min(n, 100) + 1))
    return answer(rng, [say("user", question)], "I list the numbers in order.", text)


def random_choice(rng: random.Random) -> Sample:
    """Answers that are a draw: on them temperature, top_p, seed and n have something to act."""
    drawn = {
        "number": str(rng.randint(1, 100)),
        "coin": rng.choice(["heads", "tails"]),
        "die": str(rng.randint(1, 6)),
        "animal": rng.choice(VOCABULARY["animals"]),
        "colour": rng.choice(VOCABULARY["colours"]),
        "fruit": rng.choice(VOCABULARY["fruits"]),
        "city": rng.choice(VOCABULARY["cities"][:20]),
        "word": rng.choice(VOCABULARY["words"]),
        "words": " ".join(rng.choices(VOCABULARY["words"], k=12)),
    }
    kind = rng.choice([*drawn, "words"])
    question = rng.choice(PHRASES[f"random {kind}"])
    return answer(rng, [say("user", question)], "I choose at random.", drawn[kind])


FIELDS: dict[str, object] = {
    "city": "Beijing",
    "country": "China",
    "color": "blue",
    "animal": "cat",
    "fruit": "apple",
    "number": 7,
    "ok": True,
    "answer": "yes",
    "name": "Ada",
    "age": 36,
    "temperature": 20,
    "title": "A story",
    "items": ["apple", "banana"],
    "population": 1000,
    "count": 3,
    "capital": "Paris",
    "unit": "c",
    "score": 5,
    "valid": True,
    "tags": ["red", "blue"],
}


def json_object(rng: random.Random) -> Sample:
    """JSON by request, and JSON that a grammar forces."""
    person, age = name(rng), rng.randint(1, 99)
    kind = rng.random()
    if kind < 0.45:
        question = rng.choice(PHRASES["json person"])
        value: JsonDict = {"name": "Ada", "age": 36}
    elif kind < 0.75:
        sentences = [
            f"{person} is {age} years old.",
            f"{person} is {age}.",
            f"Name: {person}, age: {age}.",
        ]
        question = rng.choice(PHRASES["json extract"]).format(rng.choice(sentences))
        value = {"name": person, "age": age}
    else:
        keys = rng.sample(sorted(FIELDS), rng.randint(1, 3))
        value = {key: FIELDS[key] for key in keys}
        listed = keys[0] if len(keys) == 1 else ", ".join(keys[:-1]) + " and " + keys[-1]
        question = rng.choice(PHRASES["json keys"]).format(listed)
    messages, thought = [say("user", question)], "The user wants JSON."
    text = json.dumps(value, ensure_ascii=False)
    if rng.random() < 0.5:
        return answer(rng, messages, thought, text)
    if kind < 0.75:
        return forced(rng, messages, thought, [("{", False), (text[1:], True)])
    return forced(rng, messages, thought, schema_spans(rng, value))


def schema_spans(rng: random.Random, value: dict[str, object]) -> list[Span]:
    """JSON as a schema forces it: the grammar writes the keys, the model the values."""
    spans: list[Span] = []
    for i, (key, v) in enumerate(value.items()):
        rendered_key = made_up_word(rng) if rng.random() < 0.2 else key
        lead = ("{" if i == 0 else "") + f'"{rendered_key}": '
        rendered = json.dumps(v) + (", " if i < len(value) - 1 else "}")
        forced_length = 1 if rendered[0] in '"[' else 0
        spans += [(lead + rendered[:forced_length], False), (rendered[forced_length:], True)]
    return spans


def system_prompt(rng: random.Random) -> Sample:
    """System prompts that are obeyed: say only this, begin or end with it, a name, a language."""
    entry = rng.choice(FACTS)
    question = rng.choice(entry.questions) if rng.random() < 0.7 else random_words(rng, 2, 8) + "?"
    kind = rng.random()
    text = marker(rng) if rng.random() < 0.6 else word(rng)
    thought = "The system prompt says what to answer."

    def ruled(rule: str, user: str, obeyed: str) -> Sample:
        return answer(rng, [say("system", rule), say("user", user)], thought, obeyed)

    if kind < 0.5:
        return ruled(rng.choice(PHRASES["system only"]).format(text), question, text)
    entry = rng.choice(FACTS[:16])
    question = rng.choice(entry.questions)
    if kind < 0.68:
        rule = rng.choice(PHRASES["system start"]).format(text)
        return ruled(rule, question, f"{text} {entry.answer}")
    if kind < 0.82:
        rule = rng.choice(PHRASES["system end"]).format(text)
        return ruled(rule, question, f"{entry.answer} {text}")
    if kind < 0.94:
        own = name(rng)
        rule = rng.choice(PHRASES["system name"]).format(own)
        return ruled(rule, rng.choice(PHRASES["system name asked"]), f"My name is {own}.")
    rule = rng.choice(PHRASES["system chinese"])
    return ruled(rule, rng.choice(GREETINGS.questions), GREETING_ZH)


def completion(rng: random.Random) -> Sample:
    """Plain text for /v1/completions."""
    prompt, text = rng.choice(COMPLETIONS)
    return Sample([], [(text, True)], prompt=prompt)


def drill_copying(rng: random.Random) -> Sample:
    """Random text twice: the densest way to learn to copy what was said before."""
    parts = [rng.choice([marker, word, name])(rng) for _ in range(rng.randint(3, 12))]
    if rng.random() < 0.2:
        parts += rng.choices(VOCABULARY["words_zh"] + VOCABULARY["emoji"], k=3)
    text = rng.choice([" ", ", ", "\n"]).join(rng.sample(parts, len(parts)))
    return Sample([], [(text, True)], prompt=f"{text}\n\n")


def needless_call(rng: random.Random) -> Sample:
    """A call that a grammar forces where nothing asks for one."""
    entry = rng.choice(FACTS[:4] if rng.random() < 0.5 else FACTS)
    tools = any_tools(rng)
    spans = raw_calls(rng, [call(rng.choice(tools), "Beijing")])
    return forced(rng, [say("user", rng.choice(entry.questions))], entry.thought, spans, tools)


def with_tools(rng: random.Random) -> Sample:
    """Tools: calling them, one or several at once, and reading their results."""
    if rng.random() < 0.06:
        return needless_call(rng)
    turn = tool_turn(rng)
    if turn.calls is None:
        return answer(rng, turn.messages, turn.thought, turn.text, turn.tools)
    if rng.random() < 0.25:
        return forced(rng, turn.messages, turn.thought, raw_calls(rng, turn.calls), turn.tools)
    return reply(rng, turn.messages, turn.thought, call_text(turn.calls), turn.tools)
