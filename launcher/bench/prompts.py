"""The requests of a scenario: bodies that are the same for every run with the same seed.

Lengths are asked for in tokens of the server's own count. How many tokens a word has is measured
first, by two questions of one answer token each (`calibrate`); what the server then counted is in
the result.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from launcher.bench.scenario import Scenario
from launcher.errors import PreconditionError, Problem
from launcher.json_values import JsonObject, JsonValue, integer_at
from launcher.smoke.checks.toolbox import WEATHER
from launcher.smoke.clients.base import CheckLog, Deadline, TransportError
from launcher.smoke.clients.transcript import Transcript
from launcher.smoke.clients.wire import ask
from launcher.smoke.target import Target

_TEXT = (
    "the of to and in is it for as with on are was by this that from at or an be which can all "
    "water city river mountain street house garden winter summer music bread paper letter number "
    "engine railway bridge market library window table morning evening question answer story page "
    "north south east west small large early late open closed red green blue white black old new"
)
VOCABULARY = tuple(_TEXT.split())
CITIES = ("Beijing", "Shanghai", "Berlin", "Paris", "Nairobi", "Lima", "Osaka", "Toronto")
TRIAL_WORDS = (20, 120)
"""Words of the two questions that are measured."""
TRIAL_SECONDS = 120.0
MOST_WORDS = 2_000_000


@dataclass(frozen=True)
class Calibration:
    """Prompt tokens are `base` (the template's own) plus `per_word` for each word."""

    base: float
    per_word: float

    def count_words(self, tokens: float) -> int:
        """The number of words that make about `tokens` tokens; at least one."""
        return max(1, min(MOST_WORDS, round(tokens / self.per_word)))


def calibrate(target: Target) -> Calibration:
    """Ask two short questions and read the server's own count of their tokens.

    Raises:
        PreconditionError: `no-answer`: the server does not answer, or counts no tokens.
    """
    counts = [_count(target, size) for size in TRIAL_WORDS]
    per_word = (counts[1] - counts[0]) / (TRIAL_WORDS[1] - TRIAL_WORDS[0])
    if per_word <= 0:
        raise _no_answer(target, f"it counts {counts[0]} tokens for {TRIAL_WORDS[0]} words and "
                         f"{counts[1]} for {TRIAL_WORDS[1]}")  # fmt: skip
    return Calibration(max(0.0, counts[0] - per_word * TRIAL_WORDS[0]), per_word)


def _count(target: Target, length: int) -> int:
    text = " ".join(_draw_words(random.Random(length), length))  # noqa: S311  (no secret)
    endpoint = target.endpoint
    body: dict[str, JsonValue] = {
        **endpoint.fields, "model": endpoint.model,
        "messages": [{"role": "user", "content": text}], "max_tokens": 1,
    }  # fmt: skip
    log = CheckLog(Transcript(target.secrets), "bench")
    try:
        reply = ask(
            "POST",
            endpoint.chat_url,
            headers=endpoint.all_headers(),
            body=body,
            deadline=Deadline.after(TRIAL_SECONDS),
            log=log,
        )
    except TransportError as error:
        raise _no_answer(target, error.message) from error
    count = integer_at(reply.json(), "usage", "prompt_tokens")
    if reply.status != 200:
        raise _no_answer(target, f"HTTP {reply.status}: {' '.join(reply.text.split())[:300]}")
    if count is None:
        raise _no_answer(target, "its answer has no `usage.prompt_tokens`")
    return count


def _no_answer(target: Target, reason: str) -> PreconditionError:
    return PreconditionError(
            Problem(
            "bench-no-answer", f"{target.name} cannot be measured: {reason}",
            target.endpoint.chat_url, "ernie-deploy smoke says what it can do",
        ),
    )  # fmt: skip


def bodies(scenario: Scenario, target: Target, calibration: Calibration) -> list[JsonObject]:
    """The different requests of a scenario, in the order in which they are sent.

    Raises:
        PreconditionError: `bench-too-long`: question and answer do not fit the server's context.
    """
    prompt, context = scenario.prompt, target.max_model_len
    tokens = float(prompt.tokens)
    if prompt.context_share is not None:
        if context is None:
            raise _too_long("the server's context is unknown", "name `tokens` instead")
        tokens = prompt.context_share * context - prompt.shared_tokens - calibration.base
        tokens /= 1 + prompt.spread  # so that the longest one fits, too
    longest = tokens * (1 + prompt.spread) + prompt.shared_tokens + calibration.base
    longest = 0 if prompt.text else longest
    if tokens < 1 or (context is not None and longest + scenario.answer.max_tokens > context):
        raise _too_long(
            f"prompts of up to {max(0, longest):.0f} tokens and answers of "
            f"{scenario.answer.max_tokens} do not fit the context of {context}",
            "a scenario with a smaller `prompt` or `answer.max-tokens`",
        )
    draw = random.Random(scenario.seed)  # noqa: S311  (no secret)
    systems = [
        " ".join(_draw_words(draw, calibration.count_words(prompt.shared_tokens)))
        for _ in range(prompt.prefixes if prompt.shared_tokens else 0)
    ]
    questions = _questions(scenario, calibration, tokens, draw)
    return [
        _body(scenario, target, systems[i % len(systems)] if systems else None, next(questions))
        for i in range(prompt.distinct)
    ]


def _questions(
    scenario: Scenario, calibration: Calibration, tokens: float, draw: random.Random
) -> Iterator[str]:
    prompt = scenario.prompt
    number = 0
    while True:
        if prompt.text:
            template = prompt.text[number % len(prompt.text)]
            city = CITIES[number // len(prompt.text) % len(CITIES)]
            yield template.replace("{city}", city).replace("{number}", str(number))
        else:
            length = tokens * draw.uniform(1 - prompt.spread, 1 + prompt.spread)
            # The number first: a prefix cache must not take two questions for one.
            yield " ".join(
                (str(number), *_draw_words(draw, max(1, calibration.count_words(length) - 1)))
            )
        number += 1


def _draw_words(draw: random.Random, count: int) -> list[str]:
    return draw.choices(VOCABULARY, k=count)


def _body(scenario: Scenario, target: Target, system: str | None, question: str) -> JsonObject:
    messages: list[JsonValue] = [{"role": "user", "content": question}]
    if system is not None:
        messages.insert(0, {"role": "system", "content": system})
    body: dict[str, JsonValue] = {
        **target.endpoint.fields,
        "model": target.endpoint.model,
        "messages": messages,
        "max_tokens": scenario.answer.max_tokens,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if scenario.answer.exact and ignores_eos(target):
        body |= {"ignore_eos": True, "min_tokens": scenario.answer.max_tokens}
    if scenario.tools:
        body |= {"tools": [WEATHER], "tool_choice": "auto"}
    return {**body, **scenario.request}


def ignores_eos(target: Target) -> bool:
    """True where the engine takes `ignore_eos` and `min_tokens`; others answer as they like."""
    return target.engine in ("vllm", "fastdeploy")


def _too_long(reason: str, remedy: str) -> PreconditionError:
    return PreconditionError(
        Problem("bench-too-long", f"the scenario does not fit the server: {reason}", None, remedy),
    )
