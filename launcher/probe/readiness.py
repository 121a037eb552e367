"""The readiness ladder: every question that has to be answered before a server is called ready.

    1. listening   the port's socket belongs to a process of our tree
    2. health      GET health path answers exactly 200 (a 304 of FastDeploy is not healthy), and
                   the numbers in the answer are as large as they have to be (a router's instances)
    3. paused      the engine says that it is not paused, where it can be (its health stays 200)
    4. models      the model list, where there is one, names the model
    5. settings    the effective settings are the profile's
    6. completion  a short completion brought at least one token; reasoning counts (not asked of
                   a server that makes none)

A rung is `passed`, `retry` (not yet) or `failed` (waiting will not help).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol

from launcher.plain import plain
from launcher.probe.bounded_json import loads
from launcher.probe.request import Answer, ask

if TYPE_CHECKING:
    from launcher.plan.model import LaunchPlan

_HEADER_VALUE = re.compile(r"[\x21-\x7e]+")

EXCERPT_LENGTH = 200
"""Characters of a server's text that are kept as evidence."""
LISTED = 20
"""Models of a server's list that are kept as evidence."""


@dataclass(frozen=True)
class Rung:
    """The answer to one question, with its evidence."""

    name: str
    verdict: Literal["passed", "retry", "failed"]
    message: str
    evidence: Mapping[str, Any] = field(default_factory=dict)
    code: str = ""
    remedy: str | None = None


def climb(plan: LaunchPlan, ownership: Callable[[], Rung], secret: str | None) -> list[Rung]:
    """Ask up to the first question that is not passed; the rungs asked, in order."""
    if secret is not None and not _HEADER_VALUE.fullmatch(secret):
        return [
            Rung("key", "failed", "the API key holds characters that no HTTP header can carry",
                 code="key-unusable", remedy="check what `api-key` refers to")
        ]  # fmt: skip
    questions: list[Callable[[], Rung]] = [
        ownership,
        lambda: plan_health(plan),
        *([lambda: paused(plan, secret)] if plan.readiness.paused_path else []),
        lambda: models(plan, secret),
        lambda: settings(plan, secret),
        *([lambda: completion(plan, secret)] if plan.readiness.completion else []),
    ]
    rungs = []
    for question in questions:
        rung = question()
        rungs.append(rung)
        if rung.verdict != "passed":
            break
    return rungs


def plan_health(plan: LaunchPlan, timeout: float = 10.0) -> Rung:
    """Rung 2 of a plan, asked where the plan says; `timeout` in seconds."""
    use = plan.health_use
    question = replace(plan.readiness, address=use.address)
    return health(question, use.number, timeout)


class HealthQuestion(Protocol):
    """What is known of the health question: a plan's `Readiness`, or a part of it."""

    @property
    def address(self) -> str:
        """Where the server listens."""

    @property
    def health_path(self) -> str:
        """What it is asked."""

    @property
    def health_minimum(self) -> Mapping[str, int]:
        """The numbers that its JSON answer has at least, by key; empty: any answer will do."""


def health(readiness: HealthQuestion, port: int, timeout: float = 10.0) -> Rung:
    """Rung 2; the answer must be exactly 200, with every number of `health_minimum`."""
    request = f"GET {readiness.health_path}"
    try:
        answer = ask(readiness.address, port, readiness.health_path, timeout=timeout)
    except OSError as error:
        late = {"timed_out": True} if isinstance(error, TimeoutError) else {}
        return Rung("health", "retry", f"{request} {_unanswered(error, timeout)}", late)
    evidence: dict[str, Any] = {"status": answer.status, "seconds": round(answer.seconds, 4)}
    text = f"{request} answered {answer.status}"
    if answer.status == 200 and not readiness.health_minimum:
        return Rung("health", "passed", text, evidence)
    if answer.status == 200:
        return _counted(request, answer, readiness.health_minimum, evidence)
    body = " ".join(plain(answer.body[:EXCERPT_LENGTH].decode(errors="replace")).split())
    evidence["body"] = _excerpt(body)
    return Rung("health", "retry", f"{text} {_excerpt(body, 80)}".rstrip(), evidence)


def _counted(
    request: str, answer: Answer, minimum: Mapping[str, int], evidence: dict[str, Any]
) -> Rung:
    """Whether the numbers of an answer are as large as they have to be."""
    try:
        reported = answer.json()
        numbers = {key: int(reported[key]) for key in minimum}
    except (ValueError, KeyError, TypeError):
        keys = ", ".join(minimum)
        return Rung("health", "retry", f"{request} does not tell the numbers of {keys}", evidence)
    evidence["numbers"] = numbers
    text = ", ".join(f"{key} {number} of {minimum[key]}" for key, number in numbers.items())
    enough = all(numbers[key] >= least for key, least in minimum.items())
    return Rung("health", "passed" if enough else "retry", f"{request} answered {text}", evidence)


def paused(plan: LaunchPlan, secret: str | None) -> Rung:
    """Rung 3; see `ask_paused`."""
    readiness = plan.readiness
    path = readiness.paused_path or ""
    return ask_paused(readiness.address, plan.port(readiness.port).number, path, secret)


def ask_paused(
    address: str, port: int, path: str, secret: str | None, timeout: float = 10.0
) -> Rung:
    """Whether the engine works; a server that does not tell is believed to."""
    try:
        answer = ask(address, port, path, key=secret, timeout=timeout)
    except OSError as error:
        return Rung("paused", "retry", f"GET {path} {_unanswered(error, timeout)}")
    if answer.status in (401, 403) and secret is not None:
        return _refused("paused", path, answer)
    try:
        reported = answer.json() if answer.status == 200 else {}
        # FastDeploy's answer has it in a `result`, vLLM's has not.
        paused = reported.get("result", reported)["is_paused"]
    except (ValueError, KeyError, TypeError, AttributeError):
        paused = None
    if paused is True:
        return Rung(
            "paused", "retry", "the engine is paused: its health is 200, but it serves no requests",
            {"paused": True}, "engine-paused",
            "POST /v1/resume (after /v1/sleep: POST /v1/wakeup first)",
        )  # fmt: skip
    if paused is False:
        return Rung("paused", "passed", "the engine is not paused", {"paused": False})
    return Rung("paused", "passed", f"unknown: GET {path} answered {answer.status}")


def models(plan: LaunchPlan, secret: str | None) -> Rung:
    """Rung 4; passed without asking where the engine has no list."""
    readiness = plan.readiness
    if readiness.models_path is None:
        return Rung("models", "passed", "the engine has no model list")
    port = plan.port(readiness.port).number
    try:
        answer = ask(readiness.address, port, readiness.models_path, key=secret)
    except OSError as error:
        return Rung("models", "retry", f"{readiness.models_path}: {_describe_error(error)}")
    if answer.status in (401, 403):
        return _refused("models", readiness.models_path, answer)
    if answer.status != 200:
        return Rung("models", "retry", f"{readiness.models_path} answered {answer.status}")
    try:
        listed = [str(entry["id"]) for entry in answer.json()["data"]]
    except (ValueError, KeyError, TypeError):
        return Rung("models", "retry", f"{readiness.models_path} gave no model list")
    names = [_excerpt(name) for name in listed[:LISTED]]
    evidence = {"listed": names, "seconds": round(answer.seconds, 4)}
    if readiness.model is None or readiness.model in listed:
        summary = f"names {', '.join(names)}" if listed else "is empty, as this engine's is"
        return Rung("models", "passed", f"the model list {summary}", evidence)
    return Rung(
        "models", "failed",
        f"the server serves {names}, not {readiness.model!r} as the profile asks", evidence,
        "wrong-model", "compare `model` and `served-model-name` with the server's arguments",
    )  # fmt: skip


def settings(plan: LaunchPlan, secret: str | None) -> Rung:
    """Rung 5; a difference that the profile does not allow is a failure."""
    readiness = plan.readiness
    if readiness.settings_path is None or not readiness.settings:
        note = readiness.settings_unknown or "the engine does not tell its settings"
        return Rung("settings", "passed", f"unknown: {note}", {"unknown": note})
    port = plan.port(readiness.settings_port or readiness.port).number
    try:
        answer = ask(readiness.address, port, readiness.settings_path, key=secret)
        if answer.status in (401, 403):
            return _refused("settings", readiness.settings_path, answer)
        reported = answer.json() if answer.status == 200 else None
    except (OSError, ValueError) as error:
        return Rung("settings", "retry", f"{readiness.settings_path}: {_describe_error(error)}")
    if not isinstance(reported, Mapping):
        return Rung("settings", "retry", f"{readiness.settings_path} answered {answer.status}")
    differences, unknown, equal = [], [], []
    for check in readiness.settings:
        value, is_reported = _walk(reported, check.pointer)
        if not is_reported:
            unknown.append(check.key)
        elif _equal(value, check.expected):
            equal.append(check.key)
        else:
            differences.append({"key": check.key, "asked": check.expected, "runs": _kept(value)})
    evidence = {"equal": equal, "differences": differences, "unknown": unknown}
    refused = [d for d in differences if d["key"] not in plan.allow_differences]
    if refused:
        summary = "; ".join(f"{d['key']}: asked {d['asked']}, runs {d['runs']}" for d in refused)
        keys = ", ".join(str(d["key"]) for d in refused)
        return Rung(
            "settings", "failed", f"the server runs with other settings: {summary}", evidence,
            "settings-differ",
            f"fix the profile, or allow it with `health.allow-differences: [{keys}]`",
        )  # fmt: skip
    return Rung("settings", "passed", f"{len(equal)} settings are as asked", evidence)


def completion(plan: LaunchPlan, secret: str | None) -> Rung:
    """Rung 6; any generated text counts, reasoning too."""
    readiness = plan.readiness
    port = plan.port(readiness.port).number
    try:
        answer = ask(
            readiness.address, port, readiness.completion_path,
            body=readiness.completion, key=secret, timeout=readiness.probe_timeout,
        )  # fmt: skip
    except TimeoutError:
        return Rung(
            "completion", "retry",
            f"{readiness.health_path} says 200, but a short completion had no answer within"
            f" {readiness.probe_timeout:g} s",
            code="completion-timeout",
            remedy="the engine accepts requests and does not work: `ernie-deploy diagnose`",
        )  # fmt: skip
    except OSError as error:
        return Rung("completion", "retry", f"{readiness.completion_path}: {_describe_error(error)}")
    if answer.status in (401, 403):
        return _refused("completion", readiness.completion_path, answer)
    excerpt = _excerpt(answer.body[:300].decode(errors="replace"), 300)
    if answer.status != 200:
        verdict: Literal["retry", "failed"] = "failed" if answer.status < 500 else "retry"
        return Rung(
            "completion",
            verdict,
            f"a short completion was answered with {answer.status}: {excerpt}",
            {"status": answer.status},
            "completion-refused",
        )
    text = generated(answer.body)
    if not text.strip():
        return Rung(
            "completion", "retry", f"a completion came back without any text: {excerpt}",
            code="completion-empty",
        )  # fmt: skip
    evidence = {"text": _excerpt(text, 120), "seconds": round(answer.seconds, 4), "at": answer.at}
    return Rung("completion", "passed", f"answered in {answer.seconds:.2f} s", evidence)


def generated(body: bytes) -> str:
    """All text a completion brought: content, reasoning in either spelling, or plain text."""
    if body.lstrip().startswith(b"data:"):
        # transformers serve before 5.0 streams whatever the request says.
        lines = [line[5:] for line in body.splitlines() if line.startswith(b"data:")]
        return "".join(_text_of(line) for line in lines)
    return _text_of(body)


def _text_of(body: bytes) -> str:
    try:
        choice = loads(body, strict=False)["choices"][0]
    except (ValueError, KeyError, IndexError, TypeError):
        return ""
    if not isinstance(choice, Mapping):
        return ""
    message = choice.get("message", choice.get("delta"))
    parts = [choice.get("text")]
    if isinstance(message, Mapping):
        parts += [message.get(k) for k in ("reasoning_content", "reasoning", "content")]
    return "".join(p for p in parts if isinstance(p, str))


def _refused(name: str, path: str, answer: Answer) -> Rung:
    return Rung(
        name, "failed", f"{path} refused the API key of the profile ({answer.status})",
        {"status": answer.status}, "key-refused", "check what `api-key` refers to",
    )  # fmt: skip


def _walk(document: Any, pointer: str) -> tuple[Any, bool]:
    for word in pointer.split("/"):
        if not isinstance(document, Mapping) or word not in document:
            return None, False
        document = document[word]
    return document, True


def _equal(actual: Any, expected: Any) -> bool:
    """Equal, where servers spell numbers and lists as text."""
    if isinstance(expected, (list, tuple)):
        expected = ",".join(str(item) for item in expected)
    if isinstance(actual, (list, tuple)):
        actual = ",".join(str(item) for item in actual)
    return actual == expected or str(actual) == str(expected)


def _excerpt(text: str, most: int = EXCERPT_LENGTH) -> str:
    """A server's text as evidence: cut, and without half surrogates, which no file can hold."""
    return text[:most].encode(errors="backslashreplace").decode()


def _kept(value: Any) -> Any:
    """A server's value as evidence: a short one as it is, else its start as text."""
    number = isinstance(value, (int, float)) and abs(value) < 1 << 63  # NaN is not
    if value is None or number:
        return value
    return _excerpt(value if isinstance(value, str) else str(value))


def _unanswered(error: OSError, timeout: float) -> str:
    """What became of a request that brought no answer."""
    if isinstance(error, TimeoutError):
        return f"timed out after {timeout:g} s"
    if isinstance(error, ConnectionRefusedError):
        return "failed: connection refused"
    return f"failed: {_describe_error(error)}"


def _describe_error(error: Exception) -> str:
    return _excerpt(str(error)) or type(error).__name__
