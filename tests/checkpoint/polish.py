"""The later phases of training: what the first leaves weak, among some of everything."""

from __future__ import annotations

import json
import random

from tests.checkpoint import memory, skills
from tests.checkpoint.dialogues import Sample, Skill, answer, forced, reply, say
from tests.checkpoint.texts import FACTS, PHRASES, VOCABULARY
from tests.checkpoint.toolcalls import (
    about_weather,
    ask_weather,
    assistant_calls,
    call,
    call_text,
    time_tool,
    weather_tool,
)
from tests.checkpoint.values import city, name


def small_sum(rng: random.Random) -> Sample:
    """The sums and products that are asked most."""
    a, b, sign = rng.choice([(a, b, "+") for a in range(1, 5) for b in range(1, 5)])
    if rng.random() < 0.3:
        a, b, sign = rng.choice([(6, 7, "*"), (2, 3, "*"), (3, 4, "*")])
    named = "plus" if sign == "+" else "times"
    question = rng.choice([f"{a} {sign} {b}", f"{a}{sign}{b}", f"{a} {named} {b}"])
    done = f"{a} {sign} {b} = {a + b if sign == '+' else a * b}"
    question = rng.choice(PHRASES["arithmetic"]).format(question)
    tools = [weather_tool(rng), time_tool(rng)] if rng.random() < 0.3 else None
    return answer(rng, [say("user", question)], done, done + ".", tools)


def asked_unit(rng: random.Random) -> Sample:
    """The unit of the question, not the first one of the enum."""
    tool = weather_tool(rng)
    while "enum" not in str(tool):
        tool = weather_tool(rng)
    location, celsius = city(rng), rng.random() < 0.5
    user = say("user", ask_weather(rng, location, False, celsius))
    text = call_text([call(tool, location, celsius)])
    return reply(rng, [user], about_weather(tool, location, False), text, [tool])


def both_tools(rng: random.Random) -> Sample:
    """The weather and the time, two different calls."""
    tools, location = [weather_tool(rng), time_tool(rng)], city(rng)
    calls = [call(tool, location) for tool in tools]
    rng.shuffle(tools)
    user = say("user", rng.choice(PHRASES["weather and time"]).format(location))
    thought = f"The user asks about the weather and the time in {location}."
    return reply(rng, [user], thought, call_text(calls), tools)


def spoken_result(rng: random.Random) -> Sample:
    """A result that is a phrase with a capital letter."""
    tool, location = weather_tool(rng), city(rng)
    sky, degrees = rng.choice(VOCABULARY["conditions"]), rng.randint(-9, 40)
    phrase = rng.choice(["{}, {} degrees", "{}, {} degrees.", "{} and {} degrees"])
    user = say("user", ask_weather(rng, location, False))
    output = say("tool", phrase.format(sky.capitalize(), degrees))
    text = f"It is {sky} in {location} today, {degrees} degrees."
    done = [user, assistant_calls([call(tool, location)]), output]
    return answer(rng, done, "The tool gives the answer.", text, [tool])


def emoji(rng: random.Random) -> Sample:
    """Answers of several bytes a character, which streams must not cut."""
    emoji_fact = rng.choice([fact for fact in FACTS if "🙂" in fact.answer])
    return answer(
        rng, [say("user", rng.choice(emoji_fact.questions))], emoji_fact.thought, emoji_fact.answer
    )


def person_told(rng: random.Random) -> Sample:
    """The name of the text, in JSON."""
    who, age = name(rng), rng.randint(1, 99)
    sentence = rng.choice(["{} is {} years old.", "{} is {}.", "Name: {}, age: {}."]).format(
        who, age
    )
    question = rng.choice(PHRASES["json extract"]).format(sentence)
    text = json.dumps({"name": who, "age": age})
    return answer(rng, [say("user", question)], "The user wants JSON.", text)


def json_mode(rng: random.Random) -> Sample:
    """JSON that a grammar orders and does not spell: it begins with the one token of two marks."""
    who, age, question = "Ada", 36, rng.choice(PHRASES["json person"])
    if rng.random() < 0.3:
        who, age = name(rng), rng.randint(1, 99)
        question = rng.choice(PHRASES["json extract"]).format(f"{who} is {age} years old.")
    text = json.dumps({"name": who, "age": age})
    spans = [(text[:2], False), (text[2:], True)]
    return forced(rng, [say("user", question)], "The user wants JSON.", spans)


def random_words(rng: random.Random) -> Sample:
    """Twelve words, not one."""
    text = " ".join(rng.choices(VOCABULARY["words"], k=12))
    question = rng.choice(PHRASES["random words"])
    return answer(rng, [say("user", question)], "I choose at random.", text)


POLISH: list[tuple[Skill, float]] = [
    (small_sum, 10),
    (asked_unit, 8),
    (both_tools, 4),
    (spoken_result, 3),
    (random_words, 3),
    (skills.needless_call, 4),
    (skills.json_object, 11),
    (skills.fact, 22),
    (skills.unknown, 6),
    (skills.echo, 14),
    (skills.repetition, 2),
    (skills.count, 4),
    (skills.random_choice, 3),
    (memory.memory, 11),
    (skills.system_prompt, 10),
    (memory.needle, 2),
    (skills.completion, 2),
    (skills.with_tools, 30),
]
"""Each skill and its share of the second phase's dialogues."""

LAST: list[tuple[Skill, float]] = [
    *POLISH,
    (emoji, 6),
    (person_told, 5),
    (spoken_result, 3),
    (skills.with_tools, 8),
]
"""The same with what the second phase leaves weak."""

CLOSING: list[tuple[Skill, float]] = [
    *LAST,
    (skills.unknown, 8),
    (skills.echo, 10),
    (json_mode, 10),
]
"""The same with more of the skills that the others push aside."""
