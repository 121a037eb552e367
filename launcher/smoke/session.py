"""What a check holds while it runs: the target, a client, and the ways to say what is wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from launcher.json_values import JsonObject, JsonValue
from launcher.smoke.answers.answer import Answer
from launcher.smoke.clients import messages_dialect
from launcher.smoke.clients.base import CheckLog, Client, Deadline, Endpoint
from launcher.smoke.clients.processor import waited
from launcher.smoke.clients.transcript import Transcript
from launcher.smoke.clients.wire import EventStream, Reply, ask, listen
from launcher.smoke.judgement.ledger import Entry, Ledger
from launcher.smoke.judgement.overload import is_busy
from launcher.smoke.outcome import CheckFacts, Finding, Outcome, Stop, could_not_check, inconclusive
from launcher.smoke.target import Target

Messages = str | Sequence[JsonValue]
"""A question, or a conversation as a request holds it."""

GET_SECONDS = 30.0
"""Health, lists and metrics generate nothing: what takes longer hangs."""

REJECTED = (400, 404, 405, 415, 422, 501)
"""Statuses by which a server says that it does not do what was asked."""


@dataclass
class Session:
    """One check's run against one target through one client."""

    target: Target
    check: CheckFacts
    client: Client
    transcript: Transcript
    findings: list[Finding] = field(default_factory=list)
    measures: dict[str, float] = field(default_factory=dict)
    last: Answer | None = None
    ledger: Ledger = field(default_factory=Ledger)

    # --- asking -------------------------------------------------------------------------------

    def body(self, messages: Messages, **params: JsonValue) -> dict[str, JsonValue]:
        """A chat request: temperature 0 and the target's token budget unless told otherwise.

        A parameter given as None is left out.
        """
        message_list = (
            [{"role": "user", "content": messages}] if isinstance(messages, str) else messages
        )
        body: dict[str, JsonValue] = {
            "model": self.target.model,
            "messages": list(message_list),
            "temperature": 0,
            "max_tokens": self.target.budget,
            **params,
        }
        return {name: value for name, value in body.items() if value is not None}

    def chat(self, messages: Messages, **params: JsonValue) -> Answer:
        """Ask through the client; errors of the server come back as an answer.

        Raises:
            TransportError: no whole answer came in time.
        """
        before = waited()
        body = self.body(messages, **params)
        answer = self.client.chat(self.target.endpoint, body, self.deadline(), self.log)
        answer = replace(answer, waited=waited() - before)
        self.ledger.note(Entry(self.check.name, self.client.name, body, answer))
        self.last = answer
        return answer

    def stream(self, messages: Messages, **params: JsonValue) -> Answer:
        """`chat` with a stream that ends with usage."""
        params.setdefault("stream_options", {"include_usage": True})
        return self.chat(messages, stream=True, **params)

    def answered(self, messages: Messages, **params: JsonValue) -> Answer:
        """`chat` or, with `stream=True`, `stream`, of which a 200 is expected."""
        if params.pop("stream", False):
            answer = self.stream(messages, **params)
        else:
            answer = self.chat(messages, **params)
        self.accepted(answer)
        return answer

    def http(
        self,
        method: str,
        url: str,
        body: JsonValue | bytes = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """One request on the bare wire; `url` may be a path below the API's base."""
        where = url if "://" in url else self.target.endpoint.base_url + url
        sent = self.target.endpoint.all_headers()
        return ask(
            method,
            where,
            headers=sent if headers is None else headers,
            body=body,
            deadline=self.deadline(GET_SECONDS if method == "GET" else None),
            log=self.log,
        )

    def raw_chat(self, body: JsonValue | bytes, headers: Mapping[str, str] | None = None) -> Reply:
        """JsonValue body at all, sent to the chat route."""
        return self.http("POST", self.target.endpoint.chat_url, body, headers)

    def wire(
        self, messages: Messages, stop_after: int | None = None, **params: JsonValue
    ) -> EventStream:
        """A stream seen on the bare wire."""
        endpoint = self.target.endpoint
        body = self.wired({**self.body(messages, **params), "stream": True})
        return listen(
            endpoint.chat_url,
            headers=endpoint.all_headers(),
            body=body,
            deadline=self.deadline(),
            log=self.log,
            stop_after=stop_after,
        )

    def wired(self, body: JsonObject, endpoint: Endpoint | None = None) -> dict[str, JsonValue]:
        """A chat request as it goes over the wire in the target's dialect."""
        where = endpoint or self.target.endpoint
        anthropic = where.dialect == "anthropic"
        return where.addressed(messages_dialect.request(body) if anthropic else body)

    def deadline(self, most: float | None = None) -> Deadline:
        """The limits of one request, from the target's settings; `most` seconds if it is given."""
        limit = self.target.request_timeout
        return Deadline.after(min(limit, most or limit), self.target.silence_timeout)

    @property
    def log(self) -> CheckLog:
        """Where exchanges are kept."""
        return CheckLog(self.transcript, self.check.name)

    def safe(self, text: str) -> str:
        """`text` of a server's without the secrets that it was sent."""
        return self.transcript.redactor.text(text)

    # --- judging ------------------------------------------------------------------------------

    def expect(self, condition: bool, code: str, expected: str, got: object) -> bool:
        """Note a finding where something is not good, and go on."""
        if not condition:
            self.findings.append(Finding(code, expected, shorten(got)))
        return condition

    def require(self, condition: bool, code: str, expected: str, got: object) -> None:
        """Note a finding where something is not good, and end the check there."""
        if not self.expect(condition, code, expected, got):
            raise Stop(self.outcome(""))

    def outcome(self, message: str, **measures: float) -> Outcome:
        """The verdict of what was found: pass with `message`, or fail with the findings."""
        self.measures.update(measures)
        if self.findings:
            summary = "; ".join(f.text() for f in self.findings[:4])
            if len(self.findings) > 4:
                summary += f"; and {len(self.findings) - 4} more"
            return Outcome("fail", summary, tuple(self.findings), dict(self.measures))
        return Outcome("pass", message, (), dict(self.measures))

    def promised(self, *capabilities: str) -> bool:
        """True where the target is known to promise all of these (the check's needs if none)."""
        required = capabilities or self.check.needs
        return all(self.target.promised(c) for c in required)

    def accepted(self, answer: Answer) -> None:
        """Go on only with a 200; a refusal of what was not promised cannot be judged."""
        if answer.status == 200 and answer.error is None:
            return
        summary = f"HTTP {answer.status}: {shorten(answer.error)}"
        if is_busy(self.check, answer.status):
            raise inconclusive(f"the server is busy ({summary}); nothing else was seen")
        if answer.status in REJECTED and not self.promised():
            raise could_not_check(f"the server does not take this request ({summary})")
        self.require(False, "status", "an answer with status 200", summary)

    def speaks(self, answer: Answer) -> str:
        """The answer's text; an answer that is all thought cannot be judged.

        Raises:
            Stop: the text is missing.
        """
        choice = answer.choice
        if not choice.text and not choice.calls and choice.finish_reason == "length":
            raise inconclusive(
                f"the whole budget of {self.target.budget} tokens went into thinking: "
                "raise `smoke.max-tokens`"
            )
        return choice.text

    def skill(self, condition: bool, code: str, expected: str, got: object) -> None:
        """Judge the model: a failure only if the skill was promised."""
        skills = [n for n in self.check.needs if n.startswith("skill-")]
        if condition or self.promised(*skills):
            self.expect(condition, code, expected, got)
            return
        raise inconclusive(
            f"expected {expected}, got {shorten(got)}; not promised: {' '.join(skills)}"
        )


def shorten(value: object, limit: int = 240) -> str:
    """A value for a message: one line, cut to size."""
    text = value if isinstance(value, str) else repr(value)
    text = " ".join(text.split()) if "\n" in text else text
    return text if len(text) <= limit else f"{text[:limit]}... ({len(text)} characters)"
