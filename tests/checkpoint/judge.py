"""Hold answers against behaviour.json: reasoning, tool calls and content of the tiny ERNIE.

Needs jsonschema; with --url also requests::

    python -m tests.checkpoint.judge answers.json                  # what answer_cases.py printed
    python -m tests.checkpoint.judge --url http://127.0.0.1:8180   # serves this checkpoint
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

import jsonschema

from tests.support.decoded import JsonDict

BEHAVIOUR = Path(__file__).resolve().parent / "behaviour.json"


@dataclass(frozen=True)
class Answer:
    """An answer as a client sees it, tags removed; `ended` is False where it ran on."""

    reasoning: str
    content: str
    calls: list[JsonDict] = field(default_factory=list)
    ended: bool = True


def parse(text: str, chat: bool = True) -> Answer:
    """Split what the model wrote after ``<think>`` as ERNIE's parsers do."""
    ended = not text.endswith("[no end]")
    if not chat:
        return Answer("", text, [], ended)
    reasoning, closed, rest = text.partition("</think>")
    calls = []
    for call in re.findall(r"<tool_call>\s*(.*?)\s*</tool_call>", rest, re.DOTALL):
        try:
            calls.append(json.loads(call))
        except ValueError:
            calls.append({"name": "(not JSON)", "arguments": call})
    rest = re.sub(r"<tool_call>.*?</tool_call>", "", rest, flags=re.DOTALL)
    response = re.search(r"<response>(.*)</response>", rest, re.DOTALL)
    return Answer(
        reasoning.strip(),
        (response.group(1) if response else rest).strip("\n"),
        calls,
        ended and bool(closed),
    )


def problems(case: JsonDict, answer: Answer) -> list[str]:
    """Everything in which the answer differs from what the case expects; empty when it passes."""
    errors: list[str] = []
    expect = case["expect"]
    if not answer.ended:
        errors.append("the answer does not end")
    if "prompt" not in case:
        thinks = case.get("enable_thinking", True)
        if bool(answer.reasoning) != thinks:
            errors.append(
                f"thinking is {'on' if thinks else 'off'} and the reasoning is {answer.reasoning!r}"
            )
        if re.search(r"</?(think|response|tool_\w+)>", answer.content):
            errors.append("a tag is left in the content")
    names = [c.get("name") for c in answer.calls]
    if names != [c["name"] for c in expect.get("calls", [])]:
        errors.append(f"tool calls are {names}")
    for expected, call in zip(expect.get("calls", []), answer.calls, strict=False):
        errors += schema_errors(call.get("arguments"), expected["arguments"])
    if "content" in expect and not re.search(expect["content"], answer.content, re.DOTALL):
        errors.append(f"the content does not match {expect['content']!r}")
    if "json" in expect:
        try:
            errors += schema_errors(json.loads(answer.content), expect["json"])
        except ValueError:
            errors.append("the content is not JSON")
    return errors


def schema_errors(value: object, schema: dict[str, object]) -> list[str]:
    """What jsonschema has to say, each with its path."""
    return [
        f"{e.json_path}: {e.message}"
        for e in jsonschema.Draft202012Validator(schema).iter_errors(value)
    ]


def judge(listed: JsonDict, answers: dict[str, str]) -> dict[str, list[str]]:
    """The problems of every case that has some, from the raw texts of answer_cases.py."""
    failed = {}
    for case in listed["cases"]:
        errors = problems(case, parse(answers[case["name"]], chat="prompt" not in case))
        if errors:
            failed[case["name"]] = [*errors, f"answer: {answers[case['name']]!r}"]
    return failed


def ask(url: str, case: JsonDict, tools: JsonDict, model: str | None) -> Answer:
    """The case as one request to a server; reasoning is found in the field of either engine."""
    import requests

    body: JsonDict = {"temperature": 0, "max_tokens": 700}
    if model:
        body["model"] = model
    if "prompt" in case:
        r = requests.post(
            f"{url}/v1/completions", json={**body, "prompt": case["prompt"]}, timeout=120
        )
        r.raise_for_status()
        choice = r.json()["choices"][0]
        return Answer("", choice["text"], [], choice["finish_reason"] == "stop")
    body["messages"] = case["messages"]
    if "tools" in case:
        body["tools"] = [tools[t] for t in case["tools"]]
    if "enable_thinking" in case:
        body["chat_template_kwargs"] = {"enable_thinking": case["enable_thinking"]}
    body.update(case.get("request", {}))
    r = requests.post(f"{url}/v1/chat/completions", json=body, timeout=120)
    r.raise_for_status()
    choice = r.json()["choices"][0]
    message = choice["message"]
    calls = [
        {"name": c["function"]["name"], "arguments": json.loads(c["function"]["arguments"])}
        for c in message.get("tool_calls") or []
    ]
    content = (message.get("content") or "").strip("\n")
    if "tool_choice" in body:  # back to what the grammar forced, which is what the case describes
        one = isinstance(body["tool_choice"], dict)
        forced = [{"name": c["name"], "parameters": c["arguments"]} for c in calls]
        content, calls = json.dumps(calls[0]["arguments"] if one and calls else forced), []
    reasoning = (message.get("reasoning_content") or message.get("reasoning") or "").strip()
    return Answer(reasoning, content, calls, choice["finish_reason"] != "length")


def main() -> int:
    """Print the cases that fail; 0 if none does, else 1."""
    parser = argparse.ArgumentParser(description="Judge answers by the behaviour list.")
    parser.add_argument("answers", type=Path, nargs="?")
    parser.add_argument("--behaviour", type=Path, default=BEHAVIOUR)
    parser.add_argument("--url", help="ask this server instead")
    parser.add_argument("--model", help="the model's name at the server")
    parser.add_argument(
        "--no-grammar", action="store_true", help="leave out the cases that need a grammar"
    )
    args = parser.parse_args()
    listed = json.loads(args.behaviour.read_text(encoding="utf-8"))
    if args.url:
        cases = [c for c in listed["cases"] if not (args.no_grammar and "request" in c)]
        got = {c["name"]: ask(args.url, c, listed["tools"], args.model) for c in cases}
        failed = {
            c["name"]: [*p, str(got[c["name"]])]
            for c in cases
            if (p := problems(c, got[c["name"]]))
        }
    else:
        if args.answers is None:
            parser.error("give a file of answers, or --url")
        cases = listed["cases"]
        failed = judge(listed, json.loads(args.answers.read_text(encoding="utf-8"))["answers"])
    for name, errors in failed.items():
        print(f"{name}: " + "; ".join(errors))
    print(f"{len(cases) - len(failed)} of {len(cases)} cases pass", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
