"""Long prompts and long answers: a needle, the limit of the context, the limit of the output."""

from __future__ import annotations

import re
from dataclasses import dataclass

from launcher.smoke.check import check
from launcher.smoke.checks.errors import HELLO
from launcher.smoke.outcome import Outcome, could_not_check, inconclusive
from launcher.smoke.session import Session, shorten

FILLER = (
    "The grass is green.",
    "The sky is blue.",
    "The sun is yellow.",
    "Here we go.",
    "There and back again.",
)
DEPTHS = (0.1, 0.5, 0.9)
SHARES = (0.25, 0.5, 1.0)
"""Of the context that the needle's prompts fill, the answer's room aside; the profile may say less
(`smoke.needle-tokens`)."""
PIECES = (" a", " the", " 1", " no", ".", "!")
"""What most tokenizers make one token of, however often it stands there."""
_LENGTH = re.compile(
    r"(?:input|prompt|text|request|message|sequence)s?\b.{0,60}\b(?:too (?:long|large|many)|exceed)"
    r"|max_model_len|max(?:imum)? (?:context|model|sequence|prompt|input)|context (?:length|window)"
    r"|too many (?:input |prompt )?tokens",
    re.IGNORECASE | re.DOTALL,
)
SECRET = "7391"  # noqa: S105 - what the model has to find


@check(
    "needle",
    "a fact in a long prompt is found at several depths",
    tags="long",
    needs="chat skill-needle",
    kind="skill",
    disturbs=True,
)
def needle(session: Session) -> Outcome:
    """Up to the context of the profile, three depths at each length."""
    around, per_sentence = _measured(session)
    lengths = _lengths(session, around)
    places: list[str] = []
    for length in lengths:
        sentences = max(4, int(length / per_sentence))
        for depth in DEPTHS:
            lines = [FILLER[i % len(FILLER)] for i in range(sentences)]
            lines.insert(int(depth * sentences), f"The secret number is {SECRET}.")
            question = f"{' '.join(lines)}\n\nWhat is the secret number?"
            answer = session.answered(question, max_tokens=_room(session))
            text = session.speaks(answer)
            where = f"{length} tokens, depth {depth:.0%}"
            session.skill(SECRET in text, "needle-lost", f"{SECRET} ({where})", text)
            places.append(where)
    return session.outcome(f"found at {'; '.join(places)}")


@check(
    "context-limit",
    "a prompt over the context is answered with an error",
    tags="long security",
    needs="context-limit-error",
    disturbs=True,
    via="http",
)
def context_limit(session: Session) -> Outcome:
    """All but one token of the context are taken; one token over is an error, and well afterwards.

    The prompts are fitted with the server's own counts. Where that cannot be done, a prompt a
    little over has to do, and the message says so. A server that takes one token less, and says
    why, is asked for the rest as well: its errors must not hide behind that token.
    """
    limit = session.target.max_model_len
    if limit is None:
        raise could_not_check("the context is not known: nothing says where the limit is")
    fitted = _fitted(session, limit - 1)
    if fitted is not None:
        text, over = fitted.text + 2 * fitted.piece, "1 token"
    else:
        sentences = int(limit / _measured(session)[1] * 1.02) + 16
        text, over = _filler(sentences), "about 2 %"
    reply = session.raw_chat(session.wired(session.body(text, max_tokens=1)))
    summary = f"HTTP {reply.status} {shorten(reply.text, 160)}"
    session.require(
        reply.status >= 400,
        "over-long-accepted",
        f"an error for a prompt {over} over the {limit} tokens",
        summary,
    )
    session.expect(reply.status < 500, "client-error-5xx", "a status of 4xx", summary)
    # A server that broke answers 5xx too; only one that names the length refused the prompt.
    session.expect(
        reply.status < 500 or _names_length(reply.text),
        "error-unexplained",
        "an error that says that the prompt is too long",
        summary,
    )
    session.expect(
        "Traceback (most recent" not in reply.text,
        "error-traceback",
        "no traceback in the error",
        summary,
    )
    after = session.raw_chat(session.wired(session.body(HELLO, max_tokens=8)))
    session.expect(
        after.status == 200,
        "unwell-afterwards",
        "an ordinary answer afterwards",
        f"HTTP {after.status}",
    )
    answered = f"{fitted.tokens} tokens answered, " if fitted else ""
    return session.outcome(f"{answered}HTTP {reply.status} for a prompt {over} over {limit}")


@check(
    "max-output",
    "a long answer comes whole, streamed to its end",
    tags="long",
    needs="stream",
    disturbs=True,
)
def max_output(session: Session) -> Outcome:
    """The longest answer the model has: it ends with stop, or with exactly max_tokens."""
    budget = min(session.target.budget * 2, (session.target.max_model_len or 1 << 20) // 2)
    answer = session.answered("Count from 1 to 100.", stream=True, max_tokens=budget)
    reason = answer.choice.finish_reason
    completion_tokens = answer.usage.completion if answer.usage else None
    session.expect(reason in ("stop", "length"), "finish-reason", "stop or length", reason)
    if reason == "length" and completion_tokens is not None:
        session.expect(
            completion_tokens == budget,
            "cut-early",
            f"{budget} tokens where length is said",
            completion_tokens,
        )
    if completion_tokens is not None and completion_tokens < 32:
        raise inconclusive(f"the model gave only {completion_tokens} tokens")
    if reason == "stop" and session.promised("skill-count"):
        session.expect(
            "100" in answer.choice.text,
            "cut-early",
            "an answer that counts to 100 before it stops",
            answer.choice.text[-80:],
        )
    return session.outcome(f"{completion_tokens} tokens, {reason}", seconds=answer.seconds)


def _lengths(session: Session, around: float) -> list[int]:
    limit = session.target.max_model_len
    requested = session.target.smoke.get("needle-tokens")
    if isinstance(requested, list):
        return [int(n) for n in requested]
    if limit is None:
        return [512]
    room = int(limit - _room(session) - around - 64)
    return sorted({max(64, int(room * share)) for share in SHARES})


def _room(session: Session) -> int:
    """Tokens left for the answer to a prompt that fills the context."""
    limit = session.target.max_model_len
    return min(session.target.budget, limit // 8) if limit else session.target.budget


def _filler(sentences: int) -> str:
    return " ".join(FILLER[i % len(FILLER)] for i in range(sentences))


@dataclass(frozen=True)
class _Fitted:
    """A prompt of one token less than the context, and how many tokens the server answered.

    `piece` is a text that adds one token wherever it stands.
    """

    text: str
    piece: str
    tokens: int


def _fitted(session: Session, expected: int) -> _Fitted | None:
    """A prompt that the server counts as `expected` tokens, None where none can be made."""
    around, per_sentence = _measured(session)
    base = _filler(max(1, int((expected - around - 32) / per_sentence)))
    counted = _counted(session, base, expected)
    if counted is None or not 8 < expected - counted < expected // 2:
        return None
    for piece in PIECES:
        if _counted(session, base + piece * 8, expected) != counted + 8:
            continue
        missing = expected - counted
        text = base + piece * missing
        answer = session.chat(text, max_tokens=1)
        if answer.status == 200:
            if answer.usage and answer.usage.prompt == expected:
                return _Fitted(text, piece, expected)
            continue
        refusal = f"HTTP {answer.status}: {shorten(answer.error, 160)}"
        shorter = session.chat(base + piece * (missing - 1), max_tokens=1)
        answered = shorter.usage.prompt if shorter.status == 200 and shorter.usage else None
        session.require(
            answered == expected - 1 and _names_length(str(answer.error)),
            "context-too-small",
            f"an answer to a prompt of {expected} tokens",
            refusal,
        )
        session.expect(
            False,
            "context-one-token-less",
            f"an answer to a prompt of {expected} tokens and one of output",
            f"{refusal}; {answered} tokens are answered",
        )
        return _Fitted(text, piece, expected - 1)
    return None


def _names_length(text: str) -> bool:
    """True for an error that says that the prompt, or the context, is what is wrong."""
    return _LENGTH.search(text[:20_000]) is not None


def _counted(session: Session, text: str, target_tokens: int) -> int | None:
    """The prompt's tokens as the server counts them; within the context it must answer."""
    answer = session.chat(text, max_tokens=1)
    session.require(
        answer.status == 200,
        "context-too-small",
        f"an answer to a prompt of at most {target_tokens} tokens",
        f"HTTP {answer.status}: {answer.error}",
    )
    return answer.usage.prompt if answer.usage else None


def _measured(session: Session) -> tuple[float, float]:
    """Tokens around a prompt, and of one sentence: the server's tokenizer is not ours to guess."""
    few = session.chat(" ".join(FILLER), max_tokens=1)
    large = session.chat(" ".join(FILLER * 9), max_tokens=1)
    for answer in (few, large):
        session.accepted(answer)
    if not (few.usage and large.usage and few.usage.prompt and large.usage.prompt):
        raise could_not_check("without usage the length of a prompt cannot be known")
    grown = (large.usage.prompt - few.usage.prompt) / (8 * len(FILLER))
    if grown <= 0:
        raise inconclusive("the counted prompt does not grow with its text")
    return max(0.0, few.usage.prompt - grown * len(FILLER)), grown
