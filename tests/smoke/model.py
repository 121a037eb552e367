"""The scripted model behind the loopback servers: small skills, repeatable draws."""

from __future__ import annotations

import json
import random
import re
from dataclasses import dataclass, field

from launcher.smoke.checks.crowd import VOCABULARY
from tests.support.decoded import JsonDict

Body = JsonDict
"""A JSON object of a scripted server: its hooks change any place in it."""

STORY = (
    "Once upon a time a small boat lived by the sea. Every morning it asked the wind to take it "
    "far away. One day the wind came and the boat sailed past hills, lighthouses and islands. "
    "After a hundred days it came back and told the children what was best of all: the way home."
)
TOKEN = re.compile(r"\s*(?:[A-Za-z]+|\d|[^\sA-Za-z0-9]|$)|\s+")


@dataclass
class Reply:
    """What the model says: a thought, then either text or calls."""

    reasoning: str
    content: str = ""
    calls: list[Body] = field(default_factory=list)


def tokens(text: str) -> list[str]:
    """The tokens of a text; joined they give the text again."""
    return [t for t in TOKEN.findall(text) if t]


def prompt_tokens(body: Body) -> int:
    """Tokens of a request: its messages, their roles, its tools."""
    texts = [str(m.get("content") or "") for m in body["messages"]]
    tools = json.dumps(body["tools"]) if body.get("tools") else ""
    return sum(len(tokens(t)) + 4 for t in texts) + len(tokens(tools)) + 3


def answer(body: Body, draw: random.Random) -> Reply:
    """The reply to a chat request."""
    messages = body["messages"]
    last = messages[-1]
    question = str(last.get("content") or "")
    thought = "The user asks me something, and I know what to say about it."
    tools = {t["function"]["name"]: t["function"] for t in body.get("tools") or []}
    schema = _schema(body)
    if schema is not None:
        return Reply(thought, json.dumps(_instance(schema)))
    if last["role"] == "tool":
        facts = json.loads(question)
        return Reply(thought, f"It is {facts['condition']} at {facts['temperature']} degrees.")
    choice = body.get("tool_choice", "auto")
    if tools and choice != "none":
        calls = _calls(question, tools, choice)
        if calls:
            return Reply(thought, "", calls)
    system = " ".join(str(m["content"]) for m in messages if m["role"] == "system")
    rule = re.search(r"single word (\w+)", system)
    if rule:
        return Reply(thought, rule[1])
    return Reply(thought, _say(question, messages, draw, body))


def _say(question: str, messages: list[Body], draw: random.Random, body: Body) -> str:
    echo = re.search(r"exactly: (.+)$", question)
    count = re.search(r"Count from 1 to (\d+)", question)
    secret = re.search(r"secret number is (\d+)", question)
    digits = re.findall(r"\[(?:picture|video) ([\d ]+)\]", question)
    if digits:
        return ", ".join(" ".join(digits).split())
    if echo:
        return echo[1]
    if secret:
        return f"The secret number is {secret[1]}."
    if count:
        comma = " " if body.get("frequency_penalty") else ", "
        return comma.join(str(i) for i in range(1, int(count[1]) + 1))
    if "my name?" in question:
        names = [re.search(r"My name is (\w+)", str(m.get("content"))) for m in messages]
        known_names = [n[1] for n in names if n]
        return f"Your name is {known_names[-1]}." if known_names else "I do not know your name."
    if "random words" in question:
        hot = float(body.get("temperature", 1)) > 0 and float(body.get("top_p", 1)) > 0.01
        return " ".join(draw.choice(VOCABULARY) for _ in range(12)) if hot else " ".join(VOCABULARY)
    for key, reply in {
        "capital of France": "The capital of France is Paris.",
        "9.11 or 9.8": "9.8 is larger than 9.11.",
        "首都": "中国的首都是北京。",
        "emoji": "Hello 🙂! 你好，世界 🌍🚀 👍",
        "讲一个故事": "从前有一只小船，住在海边。有一天风来了，小船看到了山和星星。",
        "story": STORY,
        "JSON": '{"name": "Ada", "age": 36}',
        "weather": "I cannot look at the weather.",
    }.items():
        if key in question:
            return reply
    return "Hello! How can I help you today?"


def _calls(question: str, tools: Body, choice: object) -> list[Body]:
    if isinstance(choice, dict):
        names_ = [choice["function"]["name"]]
    elif "weather" in question and "get_weather" in tools:
        names_ = ["get_weather"]
    elif "time is it" in question and "get_time" in tools:
        names_ = ["get_time"]
    else:
        names_ = [next(iter(tools))] if choice == "required" else []
    note = re.search(r"Save this note word for word: (.+)", question, re.S)
    if note and "save_note" in tools:
        arguments = json.dumps({"text": note[1]}, ensure_ascii=False)
        return [{"name": "save_note", "arguments": arguments}]
    cities = re.findall(r"Paris|Tokyo|Beijing", question) or ["Beijing"]
    calls = []
    for name in names_:
        for city in cities:
            request = {**_instance(tools[name]["parameters"]), "location": city}
            calls.append({"name": name, "arguments": json.dumps(request)})
    return calls


def _schema(body: Body) -> Body | None:
    format_ = body.get("response_format") or {}
    if format_.get("type") == "json_schema":
        schema: Body = format_["json_schema"]["schema"]
        return schema
    if format_.get("type") == "json_object":
        return {"properties": {"name": {"type": "string"}, "age": {"type": "integer"}}}
    return None


def _instance(schema: Body) -> Body:
    return {
        name: part["enum"][0] if "enum" in part else {"string": "Ada", "integer": 36}[part["type"]]
        for name, part in schema["properties"].items()
    }
