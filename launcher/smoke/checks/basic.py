"""Does it answer at all: health, model list, a chat, its bounds, and the model's obedience."""

from __future__ import annotations

import re
from collections.abc import Mapping

from launcher.json_values import at, is_list, list_at, object_at, text_at
from launcher.smoke.answers.answer import Answer, Usage
from launcher.smoke.check import check
from launcher.smoke.outcome import Outcome, could_not_check, inconclusive
from launcher.smoke.session import Session

GREETING = "Hello!"
COUNT = "Count from 1 to 20."


@check("health", "GET /health is exactly 200", tags="quick", needs="health", via="http")
def health(session: Session) -> Outcome:
    """200 and nothing else: FastDeploy says 304 with its weights cleared, and clients pass that."""
    url = session.target.health_url
    if url is None:
        raise could_not_check("the target has no health route")
    reply = session.http("GET", url)
    if reply.status in (404, 401, 403) and not session.promised():
        raise could_not_check(f"the health route is missing or closed (HTTP {reply.status})")
    session.expect(reply.status == 200, "health-status", "status 200", f"HTTP {reply.status}")
    return session.outcome(f"200 in {reply.seconds:.3f} s", seconds=reply.seconds)


@check("models", "GET /v1/models names the served model", tags="quick", needs="models", via="http")
def models(session: Session) -> Outcome:
    """A list whose entries have an id, ours among them."""
    url = session.target.models_url
    if url is None:
        raise could_not_check("the target has no model list")
    reply = session.http("GET", url)
    if reply.status in (404, 405, 500) and not session.promised():
        raise could_not_check(f"the server has no model list (HTTP {reply.status})")
    session.require(reply.status == 200, "status", "status 200", f"HTTP {reply.status}")
    body = reply.json()
    session.require(is_list(at(body, "data")), "models-shape", "a list in `data`", reply.text)
    names = [m.get("id") for m in list_at(body, "data") if isinstance(m, Mapping)]
    if not names and not session.promised():
        raise could_not_check("the model list is empty")
    session.expect(
        session.target.model in names, "models-name", f"{session.target.model} in the list", names
    )
    return session.outcome(f"lists {', '.join(str(n) for n in names[:5])}")


@check("chat", "a question gets a well-formed, non-empty answer", tags="quick", needs="chat")
def chat(session: Session) -> Outcome:
    """The shape of an answer; its topic only where the profile's `smoke.expect.chat` says one."""
    expected = object_at(session.target.smoke, "expect", "chat")
    question = text_at(expected, "prompt", default=GREETING)
    answer = session.answered(question)
    well_formed(session, answer)
    usage_adds_up(session, answer.usage)
    text = answer.choice.text or (answer.choice.reasoning or "").strip()
    if pattern := expected.get("matches"):
        pattern = str(pattern)
        session.expect(
            re.search(pattern, answer.choice.text) is not None,
            "unexpected-answer",
            f"an answer that matches {pattern!r}",
            answer.choice.text,
        )
    return session.outcome(
        f"answered {text[:60]!r} in {answer.seconds:.2f} s",
        seconds=answer.seconds,
        **rate(answer),
    )


@check("usage", "usage is present, adds up and grows with the prompt", tags="quick", needs="usage")
def usage(session: Session) -> Outcome:
    """Prompt plus completion is the total; a longer prompt counts more."""
    short = session.answered(GREETING, max_tokens=16)
    long = session.answered("Count to five. " * 30, max_tokens=16)
    for answer in (short, long):
        usage_adds_up(session, answer.usage)
        if answer.usage and answer.usage.completion is not None:
            session.expect(
                answer.usage.completion <= 16,
                "usage-over-limit",
                "at most 16 completion tokens counted",
                answer.usage.completion,
            )
    if short.usage and long.usage and short.usage.prompt and long.usage.prompt:
        session.expect(
            long.usage.prompt >= short.usage.prompt + 30,
            "usage-constant",
            "a prompt of 30 repeated sentences to count at least 30 tokens more",
            f"{short.usage.prompt} and {long.usage.prompt}",
        )
    return session.outcome(f"{short.usage}; {long.usage} for a longer prompt")


@check(
    "max-tokens", "max_tokens is honoured, finish_reason length", tags="quick", needs="max-tokens"
)
def max_tokens(session: Session) -> Outcome:
    """A long answer is cut where asked, and the cut is said."""
    answer = session.answered(COUNT, max_tokens=8)
    reason = answer.choice.finish_reason
    session.expect(reason == "length", "finish-reason", "finish_reason length", reason)
    if answer.usage is not None and answer.usage.completion is not None:
        completion_tokens = answer.usage.completion
        session.expect(
            completion_tokens <= 8, "max-tokens", "at most 8 completion tokens", completion_tokens
        )
    length = len(answer.choice.text) + len((answer.choice.reasoning or "").strip())
    # No tokenizer puts more than about 16 characters of such a text into one token.
    session.expect(
        length <= 8 * 16, "max-tokens", "a text of at most 8 tokens", f"{length} characters"
    )
    full_answer = session.answered(GREETING)
    if full_answer.choice.finish_reason == "length":
        raise inconclusive("a greeting used the whole token budget")
    reason = full_answer.choice.finish_reason
    session.expect(reason == "stop", "finish-reason", "finish_reason stop at the end", reason)
    return session.outcome("cut at 8 tokens with length; a whole answer ends with stop")


@check("stop", "a stop string ends the answer, finish_reason stop", tags="quick", needs="stop")
def stop(session: Session) -> Outcome:
    """The answer ends before a string from the middle of the free answer, and says stop."""
    free = session.answered(COUNT)
    text = session.speaks(free)
    word = stop_string(text, free.choice.reasoning or "")
    if word is None:
        raise inconclusive(
            f"the answer holds nothing to stop at that its reasoning does not: {text[:80]!r}"
        )
    before, _, after = text.partition(word)
    answer = session.answered(COUNT, stop=[word])
    kept = answer.choice.content or ""
    goes_on = after[:4] in kept.partition(word)[2]
    code = "stop-ignored" if goes_on else "stop-included"
    session.expect(word not in kept, code, f"nothing from the stop string {word!r} on", kept)
    reason = answer.choice.finish_reason
    session.expect(reason == "stop", "finish-reason", "finish_reason stop", reason)
    session.expect(
        before[-4:].strip() in kept, "stop-early", "the text before the stop string", kept
    )
    return session.outcome(f"stopped before {word!r}: {kept.strip()[-20:]!r}")


def stop_string(text: str, reasoning: str) -> str | None:
    """The 7 of an answer that counts, else a piece of its middle.

    A string that the reasoning holds would end the thought instead of the answer.
    """
    pieces = [text[i : i + 6] for i in range(len(text) // 3, len(text) - 10)]
    for word in ("7", *pieces):
        before, _, after = text.partition(word)
        if len(before) > 4 and len(after) >= 4 and word not in reasoning:
            return word
    return None


@check(
    "system-prompt",
    "the model obeys a system prompt",
    tags="quick",
    needs="chat skill-system-prompt",
    kind="skill",
)
def system_prompt(session: Session) -> Outcome:
    """A word that only the system prompt names comes back."""
    word = "banana"
    messages = [
        {"role": "system", "content": f"Always answer with the single word {word}."},
        {"role": "user", "content": "What is the capital of France?"},
    ]
    text = session.speaks(session.answered(messages))
    session.skill(word in text.lower(), "system-ignored", f"the word {word!r}", text)
    return session.outcome(f"answered {text[:60]!r}")


@check(
    "multi-turn",
    "the model remembers earlier turns",
    tags="quick",
    needs="chat skill-memory",
    kind="skill",
)
def multi_turn(session: Session) -> Outcome:
    """A name told two turns ago comes back; without that turn it does not."""
    question = {"role": "user", "content": "What is my name?"}
    messages = [
        {"role": "user", "content": "My name is Alice."},
        {"role": "assistant", "content": "Nice to meet you, Alice!"},
        question,
    ]
    text = session.speaks(session.answered(messages))
    session.skill("alice" in text.lower(), "turns-lost", "the name Alice", text)
    alone = session.speaks(session.answered([question]))
    session.expect(
        "alice" not in alone.lower(), "turns-leaked", "no memory of another conversation", alone
    )
    return session.outcome(f"answered {text[:60]!r}")


def well_formed(session: Session, answer: Answer) -> None:
    """One choice of an assistant with text, a finish reason and an id."""
    session.require(bool(answer.choices), "no-choices", "a choice", dict(answer.raw))
    choice = answer.choice
    session.expect(choice.role == "assistant", "role", "role assistant", choice.role)
    session.expect(
        bool(choice.text or (choice.reasoning or "").strip() or choice.calls),
        "empty-answer",
        "a non-empty answer",
        choice.content,
    )
    session.expect(
        choice.finish_reason in ("stop", "length", "tool_calls"),
        "finish-reason",
        "finish_reason stop or length",
        choice.finish_reason,
    )
    session.expect(bool(answer.id), "no-id", "an id", answer.id)
    session.expect(bool(answer.model), "no-model", "the model's name", answer.model)


def usage_adds_up(session: Session, usage: Usage | None) -> None:
    """Counts that are there, positive, and add up."""
    if usage is None:
        session.expect(False, "usage-missing", "usage in the answer", "none")
        return
    counts = (usage.prompt, usage.completion, usage.total)
    if any(c is None for c in counts):
        session.expect(False, "usage-missing", "prompt, completion and total tokens", counts)
        return
    prompt, completion, total = (int(c or 0) for c in counts)
    session.expect(
        prompt + completion == total, "usage-sum", f"{prompt} + {completion} = total_tokens", total
    )
    session.expect(prompt > 0, "usage-zero", "prompt tokens above 0", prompt)
    session.expect(completion > 0, "usage-zero", "completion tokens above 0", completion)
    if usage.reasoning is not None:
        session.expect(
            0 <= usage.reasoning <= completion,
            "usage-reasoning",
            f"reasoning tokens within the {completion} of the completion",
            usage.reasoning,
        )


def rate(answer: Answer) -> dict[str, float]:
    """Completion tokens and tokens per second over the whole request, where usage tells."""
    if answer.usage is None or not answer.usage.completion or answer.seconds <= 0:
        return {}
    completion_tokens = float(answer.usage.completion)
    return {
        "completion_tokens": completion_tokens,
        "tokens_per_second": completion_tokens / answer.seconds,
    }
