"""Many requests at once, and whose answer each got.

Two ways to know it, so that a model which does not repeat a marker hides nothing: markers that the
model is told to repeat, and questions whose answers and prompt counts are known from asking them
alone.
"""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass, field

from launcher.smoke.answers.answer import Answer
from launcher.smoke.answers.template_marks import without_tags
from launcher.smoke.clients.base import TransportError
from launcher.smoke.outcome import could_not_check, inconclusive
from launcher.smoke.session import Session

MOST_ASKED_AGAIN = 3
QUESTIONS = ("Hello!", "What is the capital of France?", "Count from 1 to 20.")
BOUND = 48
"""Tokens of an answer where the text need not be whole."""
VOCABULARY = (
    "apple",
    "tiger",
    "marble",
    "lantern",
    "copper",
    "falcon",
    "meadow",
    "velvet",
    "harbor",
    "thunder",
    "silver",
    "pumpkin",
)


@dataclass
class Crowd:
    """What is known of the server without other requests.

    `answers` maps a question to its answer's text and its prompt's tokens; only questions that were
    answered alike twice are in it, and whose answers differ from one another.
    """

    echoes: bool
    answers: dict[str, tuple[str, int | None]] = field(default_factory=dict)


def alone(session: Session) -> Crowd:
    """Ask one after the other what will be asked at once."""
    crowd = Crowd(False)
    for question in QUESTIONS:
        first, second = (session.answered(question, max_tokens=BOUND) for _ in range(2))
        if _text(first) == _text(second) and _text(second) not in _texts(crowd):
            count = second.usage.prompt if second.usage else None
            crowd.answers[question] = (_text(second), count)
    for _ in range(2):
        answer = session.chat(_marked("marker-417"))
        _not_echoed(session, _marked("marker-417"), answer)
        crowd.echoes = "marker-417" in _text(answer)
    return crowd


def at_once(
    session: Session, count: int, crowd: Crowd
) -> tuple[dict[str, Answer | TransportError], float]:
    """Answers by marker or, numbered, by question; and the seconds in all."""
    questions = _prompts(count, crowd)
    answers: dict[str, Answer | TransportError] = {}
    gate = threading.Barrier(count + 1)

    def one(position: int, name: str, prompt: str) -> None:
        bounded = not crowd.echoes or prompt in crowd.answers
        gate.wait()
        try:
            ask = session.stream if position % 2 else session.chat
            answers[name] = ask(prompt, **({"max_tokens": BOUND} if bounded else {}))
        except TransportError as error:
            answers[name] = error

    threads = [
        threading.Thread(target=one, args=(i, name, prompt), daemon=True)
        for i, (name, prompt) in enumerate(questions.items())
    ]
    for thread in threads:
        thread.start()
    gate.wait()
    begun = time.monotonic()
    for thread in threads:
        thread.join(max(0.1, begun + session.target.request_timeout * 2 - time.monotonic()))
    lost = TransportError("timeout", "no answer at all")
    return {name: answers.get(name, lost) for name in questions}, time.monotonic() - begun


def judge(session: Session, answers: dict[str, Answer | TransportError], crowd: Crowd) -> None:
    """Nothing is lost, nothing fails, and each answer is its own request's."""
    texts: dict[str, str] = {}
    for name, answer in answers.items():
        if isinstance(answer, TransportError):
            session.expect(False, "request-lost", f"an answer to {name}", answer.message)
        elif answer.status == 429:
            continue
        elif session.expect(
            answer.status == 200,
            "request-failed",
            "status 200 or 429",
            f"HTTP {answer.status} {answer.error}",
        ):
            texts[name] = _text(answer)
            _own_count(session, name, answer, crowd)
            _not_echoed(session, _question(name) or _marked(name), answer)
    markers = [m for m in answers if _question(m) is None]
    for name, text in texts.items():
        foreign = _foreign(name, text, markers, crowd)
        session.expect(
            foreign is None,
            "answers-mixed",
            f"the answer to {name}",
            f"that of {foreign}: {text!r}",
        )
    owners: dict[str, str | None] = {}
    for name, one in answers.items():
        if isinstance(one, Answer) and one.id:
            # The same question may be answered from a gateway's cache.
            whose = _question(name) or name
            session.expect(
                owners.setdefault(one.id, whose) == whose,
                "answer-id-reused",
                "an id of its own on every answer",
                one.id,
            )
    if session.findings:
        return
    _judge_markers(session, {m: texts[m] for m in markers if m in texts}, markers, crowd)


def _judge_markers(
    session: Session, texts: dict[str, str], markers: list[str], crowd: Crowd
) -> None:
    """Each marker stands in its own answer, where the model repeats them at all."""
    missing = [m for m, text in texts.items() if m not in text]
    if not missing:
        return
    if not crowd.echoes:
        if session.promised("skill-echo"):
            raise inconclusive("the model does not repeat a marker, although that was promised")
        if len(crowd.answers) < 2:
            raise could_not_check(
                "nothing was lost, but the model repeats no marker and answers no question "
                "twice alike: mixing cannot be seen"
            )
        return
    unable = []
    for marker in missing[:MOST_ASKED_AGAIN]:
        text = _text(session.chat(_marked(marker)))
        foreign = _foreign(marker, text, markers, crowd)
        session.require(
            foreign is None, "answers-mixed", f"the answer to {marker}", f"that of {foreign}"
        )
        unable += [marker] if marker not in text else []
    if len(unable) == len(missing[:MOST_ASKED_AGAIN]):
        raise inconclusive(f"the model does not repeat {', '.join(unable)} alone either")
    session.expect(
        False,
        "answer-wrong-under-load",
        "the marker each was asked for",
        f"{len(missing)} without: {', '.join(missing[:3])}",
    )


def _prompts(count: int, crowd: Crowd) -> dict[str, str]:
    """Name to prompt: markers, and among them questions with known answers."""
    source = random.Random(0)  # noqa: S311 - markers, no secrets
    questions = list(crowd.answers)
    prompts: dict[str, str] = {}
    while len(prompts) < count:
        position = len(prompts)
        # Without echoes the markers show loss only: more of the questions then.
        if questions and (position % 4 == 1 or (not crowd.echoes and position % 4)):
            prompts[f"{questions[position % len(questions)]} #{position}"] = questions[
                position % len(questions)
            ]
            continue
        marker = f"{source.choice(VOCABULARY)}-{source.randint(100, 999)}"
        prompts[marker] = _marked(marker)
    return prompts


def _question(name: str) -> str | None:
    """The question behind a numbered name; None for a marker."""
    question, mark, number = name.rpartition(" #")
    return question if mark and number.isdigit() else None


def _foreign(name: str, text: str, markers: list[str], crowd: Crowd) -> str | None:
    """Whose answer `text` is, where it is not that of `name`."""
    foreign_markers = [m for m in markers if m != name and m in text]
    if foreign_markers:
        return ", ".join(foreign_markers)
    question = _question(name)
    own = crowd.answers[question][0] if question else None
    if text == own or (question is None and name in text):
        return None
    return next(
        (repr(q) for q, (answer_text, _) in crowd.answers.items() if text == answer_text), None
    )


def _own_count(session: Session, name: str, answer: Answer, crowd: Crowd) -> None:
    question = _question(name)
    count = crowd.answers[question][1] if question else None
    prompt_tokens = answer.usage.prompt if answer.usage else None
    if count is not None and prompt_tokens is not None:
        session.expect(
            prompt_tokens == count,
            "answers-mixed",
            f"{count} prompt tokens for {question!r}",
            prompt_tokens,
        )


def _not_echoed(session: Session, prompt: str, answer: Answer) -> None:
    """An echo of the prompt holds every marker, and is not an answer; a thought may quote it."""
    text = answer.choice.text
    is_own_text = len(prompt) < 12 or prompt not in text
    session.require(is_own_text, "prompt-echoed", "an answer", f"the question: {text!r}")


def _marked(marker: str) -> str:
    return f"Reply with exactly: {marker}"


def _texts(crowd: Crowd) -> set[str]:
    return {text for text, _ in crowd.answers.values()}


def _text(answer: Answer) -> str:
    """All that was said; the tags that some streams keep are another check's to judge."""
    choice = answer.choice
    return "\n".join(without_tags(t or "") for t in (choice.content, choice.reasoning)).strip()
