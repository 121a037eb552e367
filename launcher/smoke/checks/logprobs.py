"""Log-probabilities: each is of the token beside it, plain and streamed."""

from __future__ import annotations

from collections.abc import Sequence

from launcher.json_values import JsonObject, JsonValue, list_at, number_at, object_at
from launcher.smoke.answers.answer import Answer, alternatives_of
from launcher.smoke.answers.template_marks import TAGS
from launcher.smoke.check import check
from launcher.smoke.judgement.logprobs import entries_of
from launcher.smoke.outcome import Outcome, could_not_check
from launcher.smoke.session import Session

Tokens = list[tuple[JsonValue, int | float | None]]
"""The token of each entry, and its log-probability where that is a number to calculate with."""
TOKENS = 16
PART = "bytes:"
"""How FastDeploy spells a token that is a part of a character."""


@check(
    "logprobs-tokens",
    "every log-probability belongs to its token",
    tags="sampling",
    needs="logprobs",
    disturbs=True,
)
def logprobs_tokens(session: Session) -> Outcome:
    """Joined, the tokens are the answer; streamed, they are the same ones."""
    streams = session.target.promised("stream") is not False
    token_lists: list[Tokens] = []
    for stream in (False, True) if streams else (False,):
        how = "streamed" if stream else "plain"
        answer = session.answered(
            "Hello!", logprobs=True, top_logprobs=2, max_tokens=TOKENS, stream=stream
        )
        entries = entries_of(answer.choice.logprobs)
        if not entries and not stream and not session.promised():
            raise could_not_check("logprobs are missing: see the check logprobs")
        session.require(bool(entries), "logprobs-missing", f"logprobs ({how})", "none")
        _texts(session, answer, entries, how)
        _bytes(session, entries, how)
        _alternatives(session, entries, how)
        completion_tokens = answer.usage.completion if answer.usage else None
        if completion_tokens is not None and answer.choice.finish_reason == "length":
            session.expect(
                len(entries) == completion_tokens,
                "logprobs-count",
                f"{completion_tokens} entries ({how})",
                len(entries),
            )
        if stream:
            _by_chunk(session, answer)
        token_lists.append([(e.get("token"), number_at(e, "logprob")) for e in entries])
    if len(token_lists) == 2:
        _compare_tokens(session, *token_lists)
    return session.outcome(f"{len(token_lists[0])} tokens, each with its own")


def _texts(session: Session, answer: Answer, entries: Sequence[JsonObject], how: str) -> None:
    """The answer's texts stand in the joined tokens; marks of the template may be between."""
    joined = "".join(str(e.get("token") or "") for e in entries)
    if "\ufffd" in joined or PART in joined:
        raw = [byte for e in entries for byte in list_at(e, "bytes")]
        joined = bytes(b for b in raw if isinstance(b, int) and 0 <= b < 256).decode(
            "utf-8", "replace"
        )
    for name, text in (("reasoning", answer.choice.reasoning), ("content", answer.choice.content)):
        expected = (text or "").strip()
        for tag in TAGS:
            expected = expected.replace(tag, "").strip()
        # FastDeploy decodes each token alone, which drops its blank.
        session.expect(
            _solid(expected) in _solid(joined),
            "logprobs-shifted",
            f"the {name} {expected!r} in the tokens ({how})",
            joined,
        )


def _solid(text: str) -> str:
    return "".join(text.split())


def _bytes(session: Session, entries: Sequence[JsonObject], how: str) -> None:
    wrong = []
    for entry in entries:
        for one in (entry, *alternatives_of(entry)):
            token, raw = str(one.get("token") or ""), one.get("bytes")
            if raw is None or "\ufffd" in token or token.startswith(PART):
                continue
            if not isinstance(raw, list) or raw != list(token.encode()):
                wrong.append(f"{token!r}: {raw}")
    session.expect(
        not wrong, "logprobs-bytes", f"the bytes of each token ({how})", "; ".join(wrong[:3])
    )


def _alternatives(session: Session, entries: Sequence[JsonObject], how: str) -> None:
    wrong = []
    for entry in entries:
        alternatives = alternatives_of(entry)
        tops = {str(one.get("token")): number_at(one, "logprob") for one in alternatives}
        token, value = str(entry.get("token")), number_at(entry, "logprob")
        numbers = [number for number in tops.values() if number is not None]
        if value is None or not tops or len(numbers) != len(tops):
            continue
        listed = tops.get(token)
        if listed is None and value > min(numbers) + 0.01:
            wrong.append(f"{token!r} at {value}, alternatives {tops}")
        elif listed is not None and abs(listed - value) > 0.01:
            wrong.append(f"{token!r} at {value} and at {listed}")
    session.expect(
        not wrong,
        "logprobs-shifted",
        f"each token among its own alternatives, with the same number ({how})",
        "; ".join(wrong[:2]),
    )


def _by_chunk(session: Session, answer: Answer) -> None:
    """A chunk's tokens are its text; where a parser holds some text back, most are still."""
    pairs = []
    for chunk in answer.chunks:
        for item in chunk.choices:
            delta = object_at(item, "delta")
            content = "".join(
                str(delta.get(n) or "") for n in ("reasoning_content", "reasoning", "content")
            )
            tokens = "".join(str(e.get("token") or "") for e in entries_of(item.get("logprobs")))
            if _solid(content) and _solid(tokens):
                pairs.append((_solid(content), _solid(tokens)))
    aligned = sum(content == tokens for content, tokens in pairs)
    session.expect(
        len(pairs) < 6 or aligned >= len(pairs) // 4,
        "logprobs-shifted",
        "each chunk's tokens to be its text",
        f"{aligned} of {len(pairs)} are: {pairs[:3]}",
    )


def _compare_tokens(
    session: Session,
    plain: Tokens,
    streamed: Tokens,
) -> None:
    tokens = [[t for t, _ in entries] for entries in (plain, streamed)]
    session.expect(
        tokens[0] == tokens[1], "logprobs-stream", f"the tokens {tokens[0]} as plain", tokens[1]
    )
    if tokens[0] == tokens[1]:
        far = [
            (t, a, b)
            for (t, a), (_, b) in zip(plain, streamed, strict=True)
            if a is not None and b is not None and abs(a - b) > 0.5
        ]
        session.expect(not far, "logprobs-stream", "the same numbers as plain", far[:3])
