"""Canned answers that depend on the prompt, so that a smoke suite means something."""

from __future__ import annotations

import json
import random
import re
from dataclasses import dataclass, field
from typing import Any

from fastdeploy._twin.faults import fault

ABOUT = (
    "I am a tiny ERNIE-4.5 test checkpoint. I was trained on this machine to check that the server "
    "works."
)
ABOUT_ZH = "我是一个很小的 ERNIE-4.5 测试模型，用来检查服务是否正常。"
HAN = re.compile(r"[\u4e00-\u9fff]")
CAPITALS = {
    "china": "Beijing", "france": "Paris", "germany": "Berlin", "japan": "Tokyo", "italy": "Rome",
    "spain": "Madrid", "england": "London", "the united kingdom": "London", "portugal": "Lisbon",
    "russia": "Moscow", "korea": "Seoul", "south korea": "Seoul", "canada": "Ottawa",
    "australia": "Canberra", "poland": "Warsaw", "austria": "Vienna", "greece": "Athens",
    "egypt": "Cairo", "norway": "Oslo", "sweden": "Stockholm", "finland": "Helsinki",
    "the united states": "Washington", "the netherlands": "Amsterdam", "switzerland": "Bern",
}  # fmt: skip
CAPITALS_ZH = {"中国": "北京", "法国": "巴黎", "日本": "东京", "英国": "伦敦", "德国": "柏林"}
PLACES_ZH = {
    "北京": "Beijing",
    "上海": "Shanghai",
    "巴黎": "Paris",
    "东京": "Tokyo",
    "伦敦": "London",
}
NUMBERS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
GREETING = re.compile(r"^\W*(hello|hi|hey|good (morning|evening|afternoon)|say hello)\b", re.I)
PLACE_NAME = re.compile(r"\b(?:in|for|at|of|to)\s+([A-Z][\w'’-]+(?:\s+[A-Z][\w'’-]+)*)")
SECRET = re.compile(
    r"\b(?:secret|magic|hidden|pass)\s?(number|code|word|key|phrase|token|password)"
    r"(?:\s+(?:for|of)\s+\w+)?\s*(?:is|:|=|was)\s*[\"'“]?([\w-]+)",
    re.I,
)
SECRET_ASKED = re.compile(
    r"\b(secret|magic|hidden|pass)\s?(number|code|word|key|phrase|token|password)\b[^.]*\?", re.I
)
FACT = re.compile(r"\bmy ([a-z][\w ]{1,30}?) is (?:called )?[\"'“]?([\w-]+)", re.I)
FACT_ASKED = re.compile(r"what(?:'s| is| was) my ([a-z][\w ]{1,30}?)\s*[?.]", re.I)
ECHO = re.compile(
    r"\b(?:reply|answer|respond|repeat(?: after me)?|say|return|output|print|write)\b\s*"
    r"(?:back\s*)?(?:with\s*)?(?:only\s*|exactly\s*|just\s*)*(?:with\s*)?(?:only\s*|exactly\s*)?"
    r"(?:the (?:single |exact )?(?:word|words|text|string|phrase|marker|sentence|following)"
    r"(?: exactly)?\s*)?(?::\s*)?[\"'“`]([^\"'”`]+)[\"'”`]",
    re.I,
)
ECHO_BARE = re.compile(
    r"(?i:\b(?:reply|answer|respond|say)\s+(?:only\s+|just\s+)?(?:with\s+)?"
    r"(?:only\s+|exactly\s+|just\s+)?(?:with\s+)?(?:exactly\s+)?"
    r"(?:the (?:single )?word:?\s+|:\s*)?)([\w-]*[A-Z0-9_][\w-]*)(?!\w)"
)
ECHO_AFTER = re.compile(r"\b(?:exactly|repeat(?: after me)?|the word)\s*:?\s+([\w-]+)", re.I)
RULE = re.compile(
    r"\b(?:always|only|every)\b.{0,60}?\b(?:answer|reply|respond|end|start|begin)\w*\b.{0,40}?\b"
    r"(?:with|by saying)\s+(?:only\s+)?(?:the (?:single )?(?:word|marker|phrase)\s+)?"
    r"[\"'“`]?([\w-]+)",
    re.I | re.S,
)
SUM = re.compile(r"(\d+)\s*([-+*x×])\s*(\d+)")
COUNT = re.compile(r"\bcount\b.{0,30}?\b(?:to|until)\s+(\w+)", re.I)
WEATHER = re.compile(r"weather|temperature|forecast|天气|气温", re.I)
LONG = re.compile(r"\b(long|story|essay|poem|words|paragraphs?|list \d+|tokens)\b|诗|故事", re.I)


@dataclass
class Answer:
    """What the model would say."""

    thought: str
    content: str = ""
    calls: list[tuple[str, object]] = field(default_factory=list)


def text_of(content: object) -> str:
    """Message content as text; parts of other kinds stand in the prompt as text as well."""
    if content is None:
        return ""
    if isinstance(content, list):
        return "".join(
            str(part["text"]) if isinstance(part, dict) and "text" in part else str(part)
            for part in content
        )
    return str(content)


def variation(request: dict[str, Any], index: int) -> int:
    """0 for the plain answer: sampling shows in a number in front, as if it were the dice.

    A temperature from 0.7 draws one, the same for the same seed; penalties shift it.
    """
    pushed = max(request.get(f"{name}_penalty") or 0 for name in ("presence", "frequency"))
    number = 1 if pushed > 0 else 0
    if (request.get("temperature") or 0) >= 0.7 and (request.get("top_p") or 1) > 0.1:
        seed = request.get("seed")
        dice = random.Random(None if seed is None else f"{seed} {index}")
        number += dice.randrange(1, 1000)
    return number


def answer(messages: list[dict[str, Any]], request: dict[str, Any], index: int = 0) -> Answer:
    """Decide on one answer; faults of the answers are applied here.

    Args:
        messages: as they were sent.
        request: the whole body.
        index: which of several choices this is.
    """
    if fault("answer-empty"):
        return Answer("", "")
    if fault("answer-wrong"):
        return Answer("I think of bananas.", "Bananas bananas bananas.")
    if fault("answer-forgets"):
        messages = messages[-1:]
    tools = request.get("tools") or []
    choice = request.get("tool_choice")
    last = messages[-1] if messages else {}
    question = text_of(last.get("content"))
    if last.get("role") == "tool":
        return Answer("The tool has answered. I report it.", _report(messages))
    if tools and choice != "none" and not fault("answer-no-tools"):
        calls = _calls(question, tools, choice)
        if calls:
            return Answer(f"The user asks: {question[:40]} I call a tool.", calls=calls)
    rule = next(
        (
            match
            for message in messages
            if message.get("role") in ("system", "developer")
            and (match := RULE.search(text_of(message.get("content"))))
        ),
        None,
    )
    if rule:
        return Answer("The system message tells me how to answer.", rule.group(1))
    layout = request.get("response_format") or {}
    if str(layout.get("type", "")).startswith("json") or re.search(r"\bJSON\b", question):
        return Answer("The user wants JSON.", json.dumps(_document(question, layout)))
    thought, content = _plain(messages, question)
    number = variation(request, index)
    return Answer(thought, f"({number}) {content}" if number else content)


def _plain(messages: list[dict[str, object]], question: str) -> tuple[str, str]:
    history = "\n".join(text_of(message.get("content")) for message in messages)
    low = question.lower()
    secret = SECRET_ASKED.search(question)
    if secret:
        for kind, value in SECRET.findall(history):
            if kind.lower() == secret.group(2).lower():
                return "I look it up in the text.", f"The {secret.group(1)} {kind} is {value}."
    match = FACT_ASKED.search(question)
    if match:
        facts = {name.strip().lower(): value for name, value in FACT.findall(history)}
        value = facts.get(match.group(1).strip().lower())
        if value:
            return "The user told me before.", f"Your {match.group(1).strip()} is {value}."
        return "I was not told.", f"I do not know your {match.group(1).strip()}."
    for pattern in (ECHO, ECHO_BARE, ECHO_AFTER):
        echo = pattern.search(question)
        if echo and re.search(r"\b(reply|answer|respond|repeat|say|return|output|print)\b", low):
            return "The user wants a short reply.", echo.group(1)
    known_facts = FACT.findall(question)
    if known_facts:
        name, value = known_facts[-1]
        return "The user tells me something.", f"Nice. I will remember your {name}: {value}."
    return _knowledge(question, low)


def _knowledge(question: str, low: str) -> tuple[str, str]:
    if "capital" in low:
        for country, city in CAPITALS.items():
            if country in low:
                name = country.title() if not country.startswith("the ") else country
                return f"The capital is {city}.", f"The capital of {name} is {city}."
    for country, city in CAPITALS_ZH.items():
        if country in question and ("首都" in question):
            return f"首都是{city}。", f"{country}的首都是{city}。"
    for index, word in enumerate(NUMBERS):
        low = re.sub(rf"\b{word}\b", str(index), low)
    low = low.replace("plus", "+").replace("minus", "-").replace("times", "*")
    match = SUM.search(low)
    if match:
        left, sign, right = int(match.group(1)), match.group(2), int(match.group(3))
        total = {"+": left + right, "-": left - right}.get(sign, left * right)
        return "I calculate.", f"{left} {sign} {right} = {total}."
    count = COUNT.search(low)
    if count and count.group(1).isdigit():
        top = min(int(count.group(1)), 500)
        return "I list the numbers in order.", ", ".join(map(str, range(1, top + 1)))
    if "emoji" in low or "表情" in question:
        return "The user wants a greeting with an emoji.", "Hello! 😀👋 你好！"
    if re.search(r"诗|故事", question):
        return "用户想要一段文字。", "床前明月光，\n疑是地上霜。\n举头望明月，\n低头思故乡。\n" * 20
    if re.search(r"你好|您好|嗨", question):
        return "用户在问候我，我应该礼貌地回应。", "你好！有什么可以帮您的吗？"
    if GREETING.search(question):
        return "The user greets me. I should greet them back.", "Hello! How can I help you today?"
    if re.search(r"\bthanks?\b|\bbye\b|谢谢", low):
        return "The user is polite.", "You are welcome! Goodbye."
    if LONG.search(question):
        verse = "Bright moon by my bed,\nlike frost on the floor.\nI raise my head to the moon,\n"
        return "The user wants a long text.", verse * 40 + "and lower it to think of home."
    if WEATHER.search(question):
        return "I have no tool for this.", "I cannot look at the weather from here."
    if HAN.search(question):
        return "我没有见过这个问题，所以介绍自己。", f"{ABOUT_ZH}您说：{question[:30]}"
    return (
        "I have not seen this question, so I say what I am.",
        f"{ABOUT} You said: {question[:60]}",
    )


def _report(messages: list[dict[str, object]]) -> str:
    results = []
    for message in reversed(messages):
        if message.get("role") != "tool":
            break
        results.append(text_of(message.get("content")).strip())
    return "The tool says: " + "; ".join(reversed(results))


def _calls(question: str, tools: list[Any], choice: Any) -> list[tuple[str, Any]]:
    functions = [tool.get("function", tool) for tool in tools if isinstance(tool, dict)]
    forced = choice == "required" or isinstance(choice, dict)
    if isinstance(choice, dict):
        name = (choice.get("function") or {}).get("name")
        functions = [function for function in functions if function.get("name") == name]
    scored = [(_fit(question, function), function) for function in functions]
    nothing: tuple[int, dict[str, Any]] = (0, {})
    best = max(scored, key=lambda pair: pair[0], default=nothing)
    if not best[1] or (best[0] == 0 and not forced):
        return []
    places = _places(question) or [""]
    schema = best[1].get("parameters") or {}
    names = set(schema.get("properties") or {})
    several = places if names & {"location", "city", "place"} else places[:1]
    return [(best[1]["name"], _fill(schema, question, value)) for value in several]


def _fit(question: str, function: dict[str, object]) -> int:
    question_words = set(
        re.findall(r"[a-z]{4,}", f"{function.get('name')} ".lower().replace("_", " "))
    )
    low = question.lower() + (" weather" if "天气" in question else "")
    return sum(word in low for word in question_words)


def _places(question: str) -> list[str]:
    cities = [city for word, city in PLACES_ZH.items() if word in question]
    for match in PLACE_NAME.findall(question):
        cities.append(match)
    extra = re.search(r"\band (?:in )?([A-Z]\w+)", question)
    if extra and cities:
        cities.append(extra.group(1))
    return list(dict.fromkeys(cities))


def _fill(schema: dict[str, Any], question: str, location: str, name: str = "") -> Any:
    """A value that fits a JSON schema, taken from the prompt where that is possible."""
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        low = question.lower()
        named = [item for item in schema["enum"] if len(str(item)) > 2 and str(item).lower() in low]
        return (named or schema["enum"])[0]
    for key in ("anyOf", "oneOf"):
        if schema.get(key):
            return _fill(schema[key][0], question, location, name)
    kind = schema.get("type") or ("object" if "properties" in schema else "string")
    if isinstance(kind, list):
        kind = kind[0]
    if kind == "object":
        properties = schema.get("properties") or {}
        required = schema.get("required") or list(properties)
        return {
            key: _fill(value, question, location, key)
            for key, value in properties.items()
            if key in required or "enum" in value
        }
    if kind == "array":
        return [_fill(schema.get("items") or {}, question, location, name)]
    if kind in ("integer", "number"):
        number = re.search(r"\d+", question)
        return int(number.group()) if number else 36 if "age" in name else 1
    if kind == "boolean":
        return True
    if kind == "null":
        return None
    return _string(question, location, name)


def _string(question: str, location: str, name: str) -> str:
    if "name" in name:
        who = re.search(r"\b(?:named|called|is)\s+([A-Z]\w+)|\b([A-Z]\w+) is \d+", question)
        return next(filter(None, who.groups()), "Ada") if who else "Ada"
    if re.search(r"date|day|when|time", name):
        return "tomorrow" if re.search(r"tomorrow|明天", question) else "today"
    return location or "Beijing"


def _document(question: str, layout: dict[str, Any]) -> Any:
    """The object for a JSON answer: from the given schema, else {name, age}."""
    described = layout.get("json_schema") or {}
    schema = described.get("schema") if isinstance(described, dict) else None
    if not schema:
        schema = {
            "type": "object",
            "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
        }
    return _fill(schema, question, (_places(question) or [""])[0])
