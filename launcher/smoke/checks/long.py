"""Long prompts and long answers: a needle, the limit of the context, the limit of the output."""

from __future__ import annotations

from launcher.smoke.check import Outcome, check, could_not_check, inconclusive
from launcher.smoke.checks.errors import HELLO
from launcher.smoke.session import Session, shorten

FILLER = (
    "The grass is green.",
    "The sky is blue.",
    "The sun is yellow.",
    "Here we go.",
    "There and back again.",
)
DEPTHS = (0.1, 0.5, 0.9)
SHARES = (0.25, 0.5, 0.9)
"""Of the context that the needle's prompts fill; the profile may say less (`smoke.needle-tokens`).
"""
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
    lengths = _lengths(session)
    per_sentence = _tokens_per_sentence(session)
    found: list[str] = []
    for length in lengths:
        sentences = max(4, int(length / per_sentence))
        for depth in DEPTHS:
            lines = [FILLER[i % len(FILLER)] for i in range(sentences)]
            lines.insert(int(depth * sentences), f"The secret number is {SECRET}.")
            question = f"{' '.join(lines)}\n\nWhat is the secret number?"
            answer = session.answered(question)
            text = session.speaks(answer)
            where = f"{length} tokens, depth {depth:.0%}"
            session.skill(SECRET in text, "needle-lost", f"{SECRET} ({where})", text)
            found.append(where)
    return session.outcome(f"found at {'; '.join(found)}")


@check(
    "context-limit",
    "a prompt over the context is answered with an error",
    tags="long security",
    needs="context-limit-error",
    disturbs=True,
    via="http",
)
def context_limit(session: Session) -> Outcome:
    """A little over the limit; never a 200, never a hang, and well afterwards."""
    limit = session.target.max_model_len
    if limit is None:
        raise could_not_check("the context is not known: nothing says where the limit is")
    per_sentence = _tokens_per_sentence(session)
    sentences = int(limit / per_sentence * 1.02) + 16
    text = " ".join(FILLER[i % len(FILLER)] for i in range(sentences))
    body = session.body(text, max_tokens=8)
    reply = session.raw_chat(session.wired(body))
    said = f"HTTP {reply.status} {shorten(reply.text, 160)}"
    session.require(
        reply.status >= 400,
        "over-long-accepted",
        f"an error for a prompt over {limit} tokens",
        said,
    )
    session.expect(reply.status < 500, "client-error-5xx", "a status of 4xx", said)
    session.expect(
        "Traceback (most recent" not in reply.text,
        "error-traceback",
        "no traceback in the error",
        said,
    )
    after = session.raw_chat(session.wired(session.body(HELLO, max_tokens=8)))
    session.expect(
        after.status == 200,
        "unwell-afterwards",
        "an ordinary answer afterwards",
        f"HTTP {after.status}",
    )
    return session.outcome(f"HTTP {reply.status} over {limit} tokens")


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
    made = answer.usage.completion if answer.usage else None
    session.expect(reason in ("stop", "length"), "finish-reason", "stop or length", reason)
    if reason == "length" and made is not None:
        session.expect(made == budget, "cut-early", f"{budget} tokens where length is said", made)
    if made is not None and made < 32:
        raise inconclusive(f"the model gave only {made} tokens")
    return session.outcome(f"{made} tokens, {reason}", seconds=answer.seconds)


def _lengths(session: Session) -> list[int]:
    limit = session.target.max_model_len
    wanted = session.target.smoke.get("needle-tokens")
    if isinstance(wanted, list):
        return [int(n) for n in wanted]
    if limit is None:
        return [512]
    room = limit - session.target.budget - 64
    return sorted({max(64, int(room * share)) for share in SHARES})


def _tokens_per_sentence(session: Session) -> float:
    """Measured on the server: its tokenizer is not ours to guess."""
    few = session.chat(" ".join(FILLER), max_tokens=1)
    many = session.chat(" ".join(FILLER * 9), max_tokens=1)
    for answer in (few, many):
        session.accepted(answer)
    if not (few.usage and many.usage and few.usage.prompt and many.usage.prompt):
        raise could_not_check("without usage the length of a prompt cannot be known")
    grown = (many.usage.prompt - few.usage.prompt) / (8 * len(FILLER))
    if grown <= 0:
        raise inconclusive("the counted prompt does not grow with its text")
    return grown
