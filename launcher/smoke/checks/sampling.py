"""Sampling: parameters are accepted, and do something."""

from __future__ import annotations

from collections.abc import Iterable

from launcher.json_values import JsonObject, JsonValue, number_at
from launcher.smoke.answers.answer import Answer, alternatives_of
from launcher.smoke.check import check
from launcher.smoke.checks.basic import COUNT
from launcher.smoke.judgement.logprobs import entries_of
from launcher.smoke.outcome import Outcome, could_not_check, inconclusive
from launcher.smoke.session import Session

DRAW = "Write twelve random words."
"""A question whose answer is a draw: without sampling it is always the same."""
DRAWS = 6


@check(
    "temperature",
    "temperature 0 repeats itself, a high one does not",
    tags="sampling",
    needs="chat",
)
def temperature(session: Session) -> Outcome:
    """Six draws hot; cold ones may differ under load, so a cold difference is not a failure."""
    hot = _draws(session, temperature=1.5, top_p=1.0)
    session.skill(
        len(hot) > 1,
        "temperature-ignored",
        f"different answers in {DRAWS} draws at 1.5",
        "always the same",
    )
    cold = _draws(session, count=2, temperature=0)
    if len(cold) > 1:
        raise inconclusive("two answers at temperature 0 differ")
    return session.outcome(f"{len(hot)} different answers hot, 1 cold")


@check(
    "top-p",
    "a tiny top_p makes a high temperature repeat itself",
    tags="sampling",
    needs="chat",
)
def top_p(session: Session) -> Outcome:
    """top_p near 0 leaves one token to choose from."""
    free = _draws(session, temperature=1.5, top_p=1.0)
    if len(free) == 1:
        raise could_not_check("the answers do not vary with a high temperature: see temperature")
    bound = _draws(session, count=4, temperature=1.5, top_p=0.000001)
    if len(bound) > 1 and len(_draws(session, count=4, temperature=0)) > 1:
        raise inconclusive("answers at temperature 0 differ, too: there is nothing to compare with")
    session.expect(
        len(bound) == 1,
        "top-p-ignored",
        "one answer with top_p near 0",
        f"{len(bound)} different ones",
    )
    return session.outcome("one answer with top_p near 0")


@check(
    "seed",
    "the same seed gives the same answer, another one another",
    tags="sampling",
    needs="seed",
    disturbs=True,
)
def seed(session: Session) -> Outcome:
    """At a high temperature, on an idle server."""
    seeded = _draws(session, count=3, temperature=1.5, top_p=1.0, seed=7)
    session.expect(len(seeded) == 1, "seed-ignored", "one answer for one seed", f"{len(seeded)}")
    distinct = set(seeded)
    for number in range(8, 8 + DRAWS):
        distinct |= _draws(session, count=1, temperature=1.5, top_p=1.0, seed=number)
    session.expect(
        len(distinct) > 1, "seed-constant", "another answer for another seed", "the same"
    )
    return session.outcome(f"{len(distinct)} different answers for {DRAWS + 1} seeds")


@check(
    "penalties",
    "presence and frequency penalties change the answer",
    tags="sampling",
    needs="penalties",
    disturbs=True,
)
def penalties(session: Session) -> Outcome:
    """A counting answer repeats its commas; the strongest penalty cannot leave it as it is."""
    plain = session.answered(COUNT)
    if _text(plain) != _text(session.answered(COUNT)):
        raise inconclusive("two answers to the same question differ at temperature 0")
    pushed = session.answered(COUNT, frequency_penalty=2.0, presence_penalty=2.0)
    is_equal = _text(plain) == _text(pushed)
    session.expect(
        not is_equal,
        "penalties-ignored",
        "another answer under the strongest penalties",
        "the same",
    )
    return session.outcome("the answer changes under penalties")


@check("n", "n gives n choices, each with its own index", tags="sampling", needs="n")
def several(session: Session) -> Outcome:
    """Three choices that are not one answer three times."""
    answer = session.answered(DRAW, n=3, temperature=1.5, top_p=1.0, max_tokens=64)
    indices = sorted(c.index for c in answer.choices)
    session.require(indices == [0, 1, 2], "n-choices", "choices 0, 1 and 2", indices)
    texts = {(c.content or "") + (c.reasoning or "") for c in answer.choices}
    session.expect(len(texts) > 1, "n-copies", "choices that differ", "three times the same")
    session.expect(
        all(c.finish_reason for c in answer.choices),
        "finish-reason",
        "a finish_reason on each choice",
        [c.finish_reason for c in answer.choices],
    )
    return session.outcome("three choices")


@check(
    "logprobs",
    "logprobs come with every token, and are probabilities",
    tags="sampling",
    needs="logprobs",
)
def logprobs(session: Session) -> Outcome:
    """One entry a token, at most 0, with the asked number of alternatives."""
    answer = session.answered("Hello!", logprobs=True, top_logprobs=2, max_tokens=16)
    entries = entries_of(answer.choice.logprobs)
    session.require(bool(entries), "logprobs-missing", "logprobs on the choice", "none")
    values = [number_at(e, "logprob") for e in entries]
    are_valid = all(v is not None and v <= 0.0001 for v in values)
    excerpt = [e.get("logprob") for e in entries[:8]]
    session.expect(are_valid, "logprobs-range", "numbers of at most 0", excerpt)
    tops = {len(alternatives_of(e)) for e in entries}
    session.expect(min(tops) >= 2, "logprobs-top", "2 alternatives a token", sorted(tops))
    greedy = [max(_numbers(alternatives_of(e)), default=None) for e in entries]
    chosen = [
        v
        for v, g in zip(values, greedy, strict=True)
        if g is not None and isinstance(v, (int, float)) and v < g - 0.01
    ]
    session.expect(
        not chosen,
        "logprobs-greedy",
        "the likeliest token at temperature 0",
        f"{len(chosen)} others",
    )
    completion_tokens = answer.usage.completion if answer.usage else None
    if completion_tokens is not None:
        session.expect(
            abs(completion_tokens - len(entries)) <= 2,
            "logprobs-count",
            f"an entry for each of {completion_tokens} tokens",
            len(entries),
        )
    return session.outcome(f"{len(entries)} tokens")


def _draws(session: Session, count: int = DRAWS, **params: JsonValue) -> set[str]:
    return {_text(session.answered(DRAW, max_tokens=64, **params)) for _ in range(count)}


def _text(answer: Answer) -> str:
    return f"{answer.choice.reasoning or ''}|{answer.choice.content or ''}"


def _numbers(entries: Iterable[JsonObject]) -> list[float]:
    values = [number_at(one, "logprob") for one in entries]
    return [value for value in values if value is not None]
